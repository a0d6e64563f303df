/**
 * Another clock for a redis-server: a library loaded before the C library, whose clock is some seconds ahead or behind, as a file says. It is compiled when it is needed
 * and needs no header files, so that any compiler will do. (Debian's libfaketime does not go with Debian's redis-server: it and jemalloc wait for each
 * other when the server starts.)
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The numbers of the system call clock_gettime. */
const calls: Readonly<Record<string, number>> = { x64: 228, arm64: 113 }

const source = (call: number) => `
extern char *getenv(const char *);
extern long atol(const char *);
extern long syscall(long, ...);
extern int open(const char *, int, ...);
extern long read(int, void *, unsigned long);
extern int close(int);
struct moment { long seconds, rest; };
static long ahead(void) {
	char *name = getenv("CLOCK_AHEAD"), text[16] = "";
	int file = name ? open(name, 0) : -1;
	if (file < 0) return 0;
	read(file, text, 15);
	close(file);
	return atol(text);
}
int clock_gettime(int clock, struct moment *now) {
	int failed = syscall(${call}, clock, now);
	if (!failed && (clock == 0 || clock == 5)) now->seconds += ahead();
	return failed;
}
int gettimeofday(struct moment *now, void *zone) {
	int failed = clock_gettime(0, now);
	now->rest /= 1000;
	return failed;
}
long time(long *seconds) {
	struct moment now;
	clock_gettime(0, &now);
	if (seconds) *seconds = now.seconds;
	return now.seconds;
}
`

/** In the order in which they are tried. */
export const compilers = ['cc', 'gcc', 'clang', 'tcc']

/** A clock that can be put into a server. */
export interface OtherClock {
	/** For the server's environment. */
	readonly env: Readonly<Record<string, string>>
	/** From now on it is that far ahead of ours, or behind. */
	set(secondsAhead: number): void
}

/** Answers how to make such clocks; undefined where there is no way. */
export function otherClocks(): ((secondsAhead: number) => OtherClock) | undefined {
	const call = calls[process.arch]
	if (process.platform !== 'linux' || call === undefined) return undefined
	const dir = mkdtempSync(join(tmpdir(), 'tallymark-clock-'))
	process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
	const [from, library] = [join(dir, 'clock.c'), join(dir, 'clock.so')]
	writeFileSync(from, source(call))
	const words = ['-shared', '-fPIC', '-nostdlib', '-o', library, from]
	if (!compilers.some((compiler) => spawnSync(compiler, words, { stdio: 'ignore' }).status === 0)) return undefined
	let clocks = 0
	return (secondsAhead) => {
		const file = join(dir, String(++clocks))
		const set = (seconds: number) => {
			writeFileSync(`${file}.new`, String(seconds))
			// In one step: the clock may be looked at meanwhile.
			renameSync(`${file}.new`, file)
		}
		set(secondsAhead)
		return { env: { LD_PRELOAD: library, CLOCK_AHEAD: file }, set }
	}
}
