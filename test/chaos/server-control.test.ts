import { afterEach, describe, expect, it, vi } from 'vitest'
import { ServerControl, type ServerControlOptions } from './server-control.ts'

const started: ServerControl[] = []

async function start(options: Partial<ServerControlOptions> = {}): Promise<ServerControl> {
	const control = await ServerControl.start({ fsync: 'everysec', replica: false, ...options })
	started.push(control)
	return control
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

afterEach(async () => {
	await Promise.all(started.splice(0).map((control) => control.stop()))
})

describe('ServerControl', () => {
	it('keeps what was written through kill -9', async () => {
		const control = await start()
		await control.command('set', 'a', 1)
		await control.kill()
		await expect(control.command('get', 'a')).rejects.toThrow()
		const { port } = control
		await control.restart()
		expect(control.port).toBe(port)
		expect(await control.command('get', 'a')).toBe('1')
	})

	it('tears the file back in time, in the middle of a command', async () => {
		const control = await start({ fsync: 'always' })
		await control.command('set', 'old', 1)
		await control.command('set', 'torn', 1)
		await wait(500)
		await control.command('set', 'new', 1)
		await wait(50)
		await control.kill()
		expect(await control.tear(300, 5)).toBeGreaterThan(5)
		await control.restart()
		expect(await control.command('mget', 'old', 'torn', 'new')).toEqual(['1', null, null])
	})

	it('tears nothing off that has been on the disk for long, when asked not to', async () => {
		const control = await start()
		await control.command('set', 'old', 1)
		await wait(700)
		await control.kill()
		expect(await control.tear(100, 20, 600)).toBe(0)
		await control.restart()
		await control.command('set', 'new', 1)
		// While the disk is busy with what came before, Redis answers first and appends later.
		await vi.waitFor(async () => expect(await control.command('info', 'persistence')).toContain('aof_buffer_length:0\r\n'), 5_000)
		await wait(100)
		await control.kill()
		expect(await control.tear(50, 20, 60_000)).toBeGreaterThanOrEqual(20)
		await control.restart()
		expect(await control.command('mget', 'old', 'new')).toEqual(['1', null])
	})

	it('fails over to a replica that lags behind', async () => {
		const control = await start({ replica: true })
		await control.command('set', 'both', 1)
		await control.replicated()
		await control.detachReplica()
		await control.command('set', 'lost', 1)
		const before = control.port
		await control.failOver()
		expect(control.port).not.toBe(before)
		expect(await control.command('mget', 'both', 'lost')).toEqual(['1', null])
		await control.command('set', 'after', 1)
	})

	it('runs out of memory, and has some again', async () => {
		const control = await start()
		await control.fillMemory()
		await expect(control.command('set', 'a', 1)).rejects.toThrow(/^OOM/)
		await control.freeMemory()
		expect(await control.command('set', 'a', 1)).toBe('OK')
	})

	it('hangs, and goes on', async () => {
		const control = await start()
		control.pause()
		const answer = control.command('ping')
		expect(await Promise.race([answer, wait(100).then(() => 'nothing')])).toBe('nothing')
		control.resume()
		expect(await answer).toBe('PONG')
	})
})
