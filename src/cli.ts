#!/usr/bin/env node
/** `npx tallymark`: what is done by hand to stored numbers. */
import { copyCommand } from './cli/copy.ts'
import { type Io, processIo } from './cli/io.ts'
import { rebalanceCommand } from './cli/rebalance.ts'

/** Each takes what follows its name, and answers the exit code. */
const commands: Readonly<Record<string, (argv: readonly string[], io: Io) => Promise<number>>> = {
	copy: copyCommand,
	rebalance: rebalanceCommand,
}

async function main([name, ...argv]: readonly string[], io: Io): Promise<number> {
	const command = name !== undefined && Object.hasOwn(commands, name) ? commands[name] : undefined
	if (command !== undefined) return command(argv, io)
	const usage = `Usage: tallymark ${Object.keys(commands).join(' | ')} [--help]`
	if (name === '--help' || name === '-h') {
		io.print(usage)
		return 0
	}
	io.complain(usage)
	return 1
}

void main(process.argv.slice(2), processIo()).then((code) => {
	process.exitCode = code
})
