/**
 * Commit latency: N callers, each of whom appends 256 bytes and waits until they are durable, again and again. The time
 * is what a caller waits, whatever lies between its call and its answer.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite, Table } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"
import type { PeerMaker } from "../peers/Peer.ts"
import { durablePeers } from "../peers/peers.ts"

const event = new Uint8Array(256).fill(0x61)

const metrics: ReadonlyArray<Metric> = [
  ...["p50", "p90", "p99", "p99.9"].map((name): Metric => ({ name, unit: "µs", better: "less" })),
  { name: "commits", unit: "1/s", better: "more" }
]

/** How long a round lasts, in milliseconds. */
const roundMillis = (quick: boolean): number => (quick ? 40 : 500)

/** Lets `callers` commit until the time is over. */
const commitFor = async (callers: number, millis: number, commit: () => Promise<unknown>) => {
  const micros: Array<number> = []
  const started = performance.now()
  const caller = async (): Promise<void> => {
    while (performance.now() - started < millis) {
      const begun = performance.now()
      await commit()
      micros.push((performance.now() - begun) * 1000)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - started) / 1000
  return { measures: { ...percentiles(Float64Array.from(micros)), commits: micros.length / seconds } }
}

const wal = (host: Host, callers: number): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "recorder.appendDurable in a fiber for each caller",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const opened = await openWal(host, { directory, limits: keepHot })
    return {
      round: async () => {
        const micros: Array<number> = []
        const started = performance.now()
        const caller = Effect.gen(function*() {
          while (performance.now() - started < roundMillis(quick)) {
            const begun = performance.now()
            yield* opened.recorder.appendDurable(event)
            micros.push((performance.now() - begun) * 1000)
          }
        })
        await opened.run(Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded" }))
        const seconds = (performance.now() - started) / 1000
        return { measures: { ...percentiles(Float64Array.from(micros)), commits: micros.length / seconds } }
      },
      close: opened.close
    }
  }
})

const peer = (maker: PeerMaker, callers: number): Contestant => ({
  name: maker.name,
  ...(maker.note === undefined ? {} : { note: maker.note }),
  open: async ({ directory, quick }) => {
    const opened = await maker.open(directory, true)
    return {
      round: () => commitFor(callers, roundMillis(quick), async () => opened.commit?.(event, 1)),
      close: async () => opened.close()
    }
  }
})

const bare: Contestant = {
  name: "fs.writeSync + fdatasyncSync",
  note: "the physical limit for one caller: 256 bytes to the end of a file, no events, no checksum",
  open: async ({ directory, quick }) => {
    const fd = openSync(join(directory, "file"), "a")
    return {
      round: async () => {
        const micros: Array<number> = []
        const started = performance.now()
        while (performance.now() - started < roundMillis(quick)) {
          const begun = performance.now()
          writeSync(fd, event)
          fdatasyncSync(fd)
          micros.push((performance.now() - begun) * 1000)
        }
        const seconds = (performance.now() - started) / 1000
        return { measures: { ...percentiles(Float64Array.from(micros)), commits: micros.length / seconds } }
      },
      close: async () => closeSync(fd)
    }
  }
}

const promises: Contestant = {
  name: "fs.promises write + datasync",
  open: async ({ directory, quick }) => {
    const file = await open(join(directory, "file"), "a")
    const commit = async (): Promise<void> => {
      await file.write(event)
      await file.datasync()
    }
    return { round: () => commitFor(1, roundMillis(quick), commit), close: () => file.close() }
  }
}

const table = (callers: number, fullOnly: boolean): Table => ({
  name: `commit, ${callers}`,
  title: `${callers} ${callers === 1 ? "caller commits" : "callers commit"} 256 bytes each`,
  metrics,
  reference: callers === 1 ? bare.name : "effect-wal, thread",
  fullOnly,
  contestants: [
    wal("thread", callers),
    wal("fiber", callers),
    ...(callers === 1 ? [bare, promises] : []),
    // The one-write peer of the other suites is the bare write here.
    ...durablePeers.filter(({ name }) => name !== "fs.writeSync").map((maker) => peer(maker, callers))
  ]
})

export const suite: Suite = {
  name: "commit",
  tables: [table(1, false), table(8, true), table(64, false), table(512, true)]
}
