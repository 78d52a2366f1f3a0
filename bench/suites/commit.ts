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
  ...["p50", "p90", "p99", "p99.9", "p99.99"].map((name): Metric => ({ name, unit: "µs", better: "less" })),
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

/** A bare write and sync, to the end of a file that grows or into one that was written before. */
const bareWrites = (isWritten: boolean): Contestant => ({
  name: isWritten ? "fs.writeSync + fdatasyncSync, pre-written" : "fs.writeSync + fdatasyncSync",
  note: "the physical limit for one caller: 256 bytes, no events, no checksum; " +
    (isWritten
      ? "into 16 MiB that were written before, so that the file's length need not be synced"
      : "the file grows"),
  open: async ({ directory, quick }) => {
    const fd = openSync(join(directory, "file"), "w")
    if (isWritten) writeSync(fd, new Uint8Array(writtenBytes))
    fdatasyncSync(fd)
    let at = 0
    return {
      round: async () => {
        const micros: Array<number> = []
        const started = performance.now()
        while (performance.now() - started < roundMillis(quick)) {
          const begun = performance.now()
          writeSync(fd, event, 0, event.length, at)
          fdatasyncSync(fd)
          at = isWritten ? (at + event.length) % writtenBytes : at + event.length
          micros.push((performance.now() - begun) * 1000)
        }
        const seconds = (performance.now() - started) / 1000
        return { measures: { ...percentiles(Float64Array.from(micros)), commits: micros.length / seconds } }
      },
      close: async () => closeSync(fd)
    }
  }
})

const writtenBytes = 16 * 1024 * 1024
const bare = bareWrites(false)

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

/** Beyond so many callers only who groups their commits is of interest. */
const peersMax = 64

const table = (callers: number, fullOnly: boolean): Table => ({
  name: `commit, ${callers}`,
  title: `${callers} ${callers === 1 ? "caller commits" : "callers commit"} 256 bytes each`,
  metrics,
  reference: callers === 1 ? bare.name : "effect-wal, thread",
  fullOnly,
  contestants: [
    wal("thread", callers),
    wal("fiber", callers),
    wal("caller", callers),
    ...(callers === 1 ? [bare, bareWrites(true), promises] : []),
    // The one-write peer of the other suites is the bare write here.
    ...durablePeers.filter(({ name }) => name !== "fs.writeSync" && callers <= peersMax)
      .map((maker) => peer(maker, callers))
  ]
})

export const suite: Suite = {
  name: "commit",
  tables: [
    table(1, false),
    table(8, true),
    table(64, false),
    ...[256, 1024, 4096, 16_384].map((callers) => table(callers, true))
  ]
}
