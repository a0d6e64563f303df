/**
 * A redis-server with an append-only file, and everything that befalls one: it hangs, is killed, comes back with a file torn in the middle of a command,
 * fails over to a replica that lags behind, runs out of memory, is wiped.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type RedisServer, startRedis } from '../support/redis-server.ts'

export type Fsync = 'everysec' | 'always'

export interface ServerControlOptions {
	readonly fsync: Fsync
	/** A replica stands by, for {@link ServerControl.failOver}. */
	readonly replica: boolean
}

/** How long the file was, and when it was last seen so. */
interface Size {
	readonly file: string
	readonly bytes: number
	until: number
}

const sampleMs = 25

export class ServerControl {
	readonly #fsync: Fsync
	readonly #dir = mkdtempSync(join(tmpdir(), 'tallymark-chaos-'))
	#server!: RedisServer
	#replica: RedisServer | undefined
	#servers = 0
	#sizes: Size[] = []
	#sampler: NodeJS.Timeout | undefined

	private constructor(fsync: Fsync) {
		this.#fsync = fsync
	}

	static async start({ fsync, replica }: ServerControlOptions): Promise<ServerControl> {
		const control = new ServerControl(fsync)
		control.#server = await control.#launch()
		if (replica) await control.addReplica()
		control.#sampler = setInterval(() => void control.#sample(), sampleMs).unref()
		return control
	}

	/** Of the server that is the master now. */
	get port(): number {
		return this.#server.port
	}

	/** Sends one command to the master, past every proxy. */
	command(name: string, ...args: (string | number)[]): Promise<unknown> {
		return command(this.port, name, ...args)
	}

	/** Stops it without closing its connections, as a machine that hangs. */
	pause(): void {
		this.#server.pause()
	}

	resume(): void {
		this.#server.resume()
	}

	/** kill -9. */
	async kill(): Promise<void> {
		await this.#server.stop()
	}

	/** Starts a killed server again on its port, with what its file holds. */
	async restart(): Promise<void> {
		const { port, dir } = this.#server
		this.#server = await this.#launch(port, dir)
		// So that what is written next is known to be new, however late the next look is.
		await this.#sample()
	}

	/**
	 * Tears the file of a killed server back to what it was `backMs` ago, less `bytes`, which ends within a command: what a loss of power leaves.
	 * Answers how many bytes that took. `syncedMs`: what was written longer ago than that is on the disk, and stays.
	 */
	async tear(backMs: number, bytes: number, syncedMs?: number): Promise<number> {
		const file = await newestFile(this.#server.dir)
		if (file === undefined) return 0
		const { size } = await stat(file)
		const before = Date.now() - backMs
		const known = this.#sizes.filter((each) => each.file === file)
		// Between two looks it may have grown at once: never more is taken than what came within `backMs`, however late a look was.
		const then = known.find(({ until }) => until >= before)
		const synced = syncedMs === undefined ? 0 : (known.find(({ until }) => until >= Date.now() - syncedMs)?.bytes ?? size)
		// Never past the end, which would fill it up with zeros.
		const cut = Math.max(0, Math.min(size, synced), Math.min(size, then?.bytes ?? size) - bytes)
		await truncate(file, cut)
		this.#sizes = []
		return size - cut
	}

	/** Begins a replica of the master, and waits until it has everything. */
	async addReplica(): Promise<void> {
		const replica = await this.#launch()
		this.#replica = replica
		await command(replica.port, 'replicaof', '127.0.0.1', this.port)
		const deadline = Date.now() + 10_000
		for (;;) {
			const info = String(await command(replica.port, 'info', 'replication'))
			if (info.includes('master_link_status:up')) return
			if (Date.now() > deadline) throw new Error(`The replica did not catch up: ${info}`)
			await new Promise((resolve) => setTimeout(resolve, 10))
		}
	}

	/** Resolves when the replica, if there is one, has everything that the master has by then. */
	async replicated(): Promise<void> {
		if (this.#replica === undefined) return
		const { port } = this.#replica
		const offset = async (of: number, name: string) =>
			Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(String(await command(of, 'info', 'replication')))?.[1])
		const all = await offset(this.port, 'master_repl_offset')
		for (const deadline = Date.now() + 10_000; !((await offset(port, 'slave_repl_offset')) >= all); ) {
			if (Date.now() > deadline) throw new Error(`The replica has not got to ${all}`)
			await new Promise((resolve) => setTimeout(resolve, 10))
		}
	}

	/** From now on the replica gets nothing more: it lags behind. */
	async detachReplica(): Promise<void> {
		await command(this.#lagging().port, 'replicaof', 'no', 'one')
	}

	/** Kills the master; the lagging replica is the master now. */
	async failOver(): Promise<void> {
		const promoted = this.#lagging()
		await this.kill()
		this.#server = promoted
		this.#replica = undefined
		this.#sizes = []
	}

	/** Lets no write in that needs memory, until {@link freeMemory}. */
	async fillMemory(): Promise<void> {
		await this.command('config', 'set', 'maxmemory', '1')
	}

	async freeMemory(): Promise<void> {
		await this.command('config', 'set', 'maxmemory', '0')
	}

	async stop(): Promise<void> {
		clearInterval(this.#sampler)
		await Promise.all([this.#server?.stop(), this.#replica?.stop()])
		rmSync(this.#dir, { recursive: true, force: true })
	}

	#lagging(): RedisServer {
		if (this.#replica === undefined) throw new Error('There is no replica')
		return this.#replica
	}

	#launch(port?: number, dir?: string): Promise<RedisServer> {
		this.#servers += dir === undefined ? 1 : 0
		const home = dir ?? mkdtempSync(join(this.#dir, `server-${this.#servers}-`))
		const args = ['--appendonly', 'yes', '--appendfsync', this.#fsync, '--repl-diskless-sync-delay', '0', '--hz', '50']
		return startRedis({ args, dir: home, ...(port === undefined ? {} : { port }) })
	}

	async #sample(): Promise<void> {
		try {
			const file = await newestFile(this.#server.dir)
			if (file === undefined) return
			const start = Date.now()
			const { size } = await stat(file)
			const last = this.#sizes.at(-1)
			if (last?.file === file && last.bytes === size) last.until = start
			else this.#sizes.push({ file, bytes: size, until: start })
		} catch {
			// Between two files, or at the end.
		}
	}
}

/** The file that commands are appended to: Redis 7 has a base and, by rising number, what came after it. */
async function newestFile(dir: string): Promise<string | undefined> {
	const folder = join(dir, 'appendonlydir')
	const numbers = (await readdir(folder)).map((name) => Number(/\.(\d+)\.incr\.aof$/.exec(name)?.[1] ?? 0))
	const newest = Math.max(0, ...numbers)
	return newest === 0 ? undefined : join(folder, `appendonly.aof.${newest}.incr.aof`)
}

async function command(port: number, name: string, ...args: (string | number)[]): Promise<unknown> {
	const client = new Redis(port, '127.0.0.1', {
		lazyConnect: true,
		retryStrategy: () => null,
		maxRetriesPerRequest: 0,
		connectTimeout: 2_000,
		commandTimeout: 10_000,
		enableReadyCheck: false,
	})
	client.on('error', () => {})
	try {
		await client.connect()
		return await client.call(name, ...args)
	} finally {
		client.disconnect()
	}
}
