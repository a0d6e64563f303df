/** Makes a fault happen. Each resolves when it is over, and what it did is undone. */
import type { ClusterKind, Fault, Kind, LinkKind, RingKind } from './plan.ts'
import type { ServerControl } from './server-control.ts'
import type { Mishap, TcpProxy } from './tcp-proxy.ts'

export interface Stage {
	readonly proxy: TcpProxy
	readonly server: ServerControl
	readonly killWriter: () => Promise<void>
	/** What was written longer ago is on the disk: a torn file still has it. Without it, even the last word of an idle server is torn. */
	readonly syncedMs?: number
}

type PerformOnLink = (proxy: TcpProxy, fault: Fault) => Promise<void>
type Perform = (stage: Stage, fault: Fault) => Promise<void>

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** A restart is told to the proxy too: to a server that is gone, connections are refused, not accepted and dropped. */
async function down({ proxy, server }: Stage, act: () => Promise<unknown>): Promise<void> {
	proxy.refuse()
	await act()
	proxy.target = server.port
	await proxy.accept()
}

function trap(mishap: Mishap): PerformOnLink {
	return async (proxy, { times, share, match, forMs }) => {
		const disarm = proxy.arm({ mishap, times, share, match })
		await wait(forMs)
		disarm()
	}
}

/** What a loss of power takes with it, at most: everysec may be a second behind, always is behind by what nobody was told. */
function backMs(share: number): number {
	return 50 + 1_150 * share
}

const onLink: Record<LinkKind, PerformOnLink> = {
	refuse: async (proxy, { forMs }) => {
		proxy.refuse()
		await wait(forMs)
		await proxy.accept()
	},
	cut: async (proxy, { share, times }) => {
		for (let left = times; left > 0; left--) {
			proxy.cut(share < 0.5 ? 2 * share : undefined)
			await wait(30)
		}
	},
	stall: async (proxy, { forMs }) => {
		proxy.stall()
		await wait(forMs)
		proxy.resume()
	},
	blackhole: async (proxy, { forMs }) => {
		proxy.swallow()
		await wait(forMs)
		proxy.surface()
	},
	halfOpen: async (proxy, { share, forMs }) => {
		proxy.abandon(share < 0.5 ? 2 * share : undefined)
		await wait(forMs)
	},
	loseRequest: trap('loseRequest'),
	loseReply: trap('loseReply'),
	partialRequest: trap('partialRequest'),
	partialReply: trap('partialReply'),
}

const atServer: Record<Exclude<Kind, LinkKind | ClusterKind | RingKind>, Perform> = {
	pause: async ({ server }, { forMs }) => {
		server.pause()
		await wait(forMs)
		server.resume()
	},
	kill: async (stage, { forMs }) => {
		await stage.server.kill()
		await down(stage, async () => {
			await wait(forMs)
			await stage.server.restart()
		})
	},
	torn: async (stage, { forMs, share, times }) => {
		await stage.server.kill()
		await down(stage, async () => {
			await stage.server.tear(backMs(share), 1 + Math.floor(60 * share), stage.syncedMs)
			await wait(forMs)
			await stage.server.restart()
			// Once more before anybody is back: what the first restart left in the file is read again.
			if (times > 1) {
				await stage.server.kill()
				await stage.server.restart()
			}
		})
	},
	failover: async (stage, { forMs, share }) => {
		await stage.server.detachReplica()
		await wait(50 + 700 * share)
		await down(stage, async () => {
			await stage.server.failOver()
			await wait(forMs)
		})
		await stage.server.addReplica()
	},
	clientKill: async ({ server }) => {
		await server.command('client', 'kill', 'type', 'normal')
	},
	clientPause: async ({ server }, { forMs, share }) => {
		await server.command('client', 'pause', Math.max(1, forMs), share < 0.5 ? 'WRITE' : 'ALL')
		await wait(forMs)
	},
	scriptFlush: async ({ server }, { times }) => {
		for (let left = times; left > 0; left--) {
			await server.command('script', 'flush')
			await wait(30)
		}
	},
	rewrite: async ({ server }) => {
		await server.command('bgrewriteaof')
	},
	maxmemory: async ({ server }, { forMs }) => {
		await server.fillMemory()
		await wait(forMs)
		await server.freeMemory()
	},
	wipe: async ({ server }) => {
		await server.command('flushall')
	},
	killWriter: ({ killWriter }) => killWriter(),
}

export function isOnLink(kind: Kind): kind is LinkKind {
	return Object.hasOwn(onLink, kind)
}

/** A fault of the way to a server. */
export function happenOnLink(proxy: TcpProxy, kind: LinkKind, fault: Fault): Promise<void> {
	return onLink[kind](proxy, fault)
}

export function happen(stage: Stage, fault: Fault): Promise<void> {
	const kind = fault.kind as Exclude<Kind, ClusterKind | RingKind>
	return isOnLink(kind) ? happenOnLink(stage.proxy, kind, fault) : atServer[kind](stage, fault)
}
