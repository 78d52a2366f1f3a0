/**
 * What an archive costs: commits beside it, and its own throughput. The store is a directory on the same disk, so both
 * share it; a bucket takes the load off the disk and adds the network's time.
 */
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { percentiles } from "../harness/Statistics.ts"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Suite } from "../harness/Suite.ts"

const event = new Uint8Array(256).fill(0x61)
const callers = 64

const committing = (isArchived: boolean): Contestant => ({
  name: isArchived ? "effect-wal, with an archive" : "effect-wal, without",
  note: "recorder.appendDurable in 64 fibers, segments of 1 MiB",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Exit = await import("effect/Exit")
    const Layer = await import("effect/Layer")
    const Scope = await import("effect/Scope")
    const Archive = await import("../../src/archive/Archive.ts")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const store = join(directory, "store")
    mkdirSync(store)
    const opened = await openWal("thread", {
      directory: join(directory, "log"),
      segmentBytesMax: 1024 * 1024,
      limits: keepHot,
      ...(isArchived ? { onArchiveBehind: "keep" as const } : {})
    })
    const scope = Scope.makeUnsafe()
    const archive = Archive.layer({ log: "bench" }).pipe(
      Layer.provide(DirectoryStore.layer({ directory: store })),
      Layer.provide(NodeDisk.layer)
    )
    if (isArchived) await opened.run(Layer.buildWithScope(archive, scope))
    return {
      round: async () => {
        const micros: Array<number> = []
        const started = performance.now()
        const caller = Effect.gen(function*() {
          while (performance.now() - started < (quick ? 40 : 1000)) {
            const begun = performance.now()
            yield* opened.recorder.appendDurable(event)
            micros.push((performance.now() - begun) * 1000)
          }
        })
        await opened.run(Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded" }))
        const seconds = (performance.now() - started) / 1000
        return { measures: { ...percentiles(Float64Array.from(micros)), commits: micros.length / seconds } }
      },
      close: async () => {
        await Effect.runPromise(Scope.close(scope, Exit.void))
        await opened.close()
      }
    }
  }
})

/** Cold segments of 16 MiB of 64-byte events, half of them noise; a quick run has one. */
const prepare = async (directory: string, quick: boolean): Promise<void> => {
  const { makeSegments } = await import("../harness/Segments.ts")
  const segmentBytes = 16 * 1024 * 1024
  const payload = new Uint8Array(segmentBytes)
  for (let at = 0; at < payload.length; at += 128) crypto.getRandomValues(payload.subarray(at, at + 64))
  makeSegments({ directory, form: "cold", segments: quick ? 1 : 8, segmentBytes, eventSize: 64, payload })
}

const bytesIn = (directory: string): number =>
  readdirSync(directory).reduce((sum, name) => sum + readFileSync(join(directory, name)).length, 0)

const archiving = (proof: "read" | "checksum"): Contestant => ({
  name: `effect-wal, archived, proof: ${proof}`,
  note: `each cold segment is ${proof === "read" ? "put, read back, proved" : "proved, put"} and entered`,
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const References = await import("effect/References")
    const Archive = await import("../../src/archive/Archive.ts")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const SegmentMaintainer = await import("../../src/maintainer/SegmentMaintainer.ts")
    const SegmentQueues = await import("../../src/shared/SegmentQueues.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const Telemetry = await import("../../src/telemetry/Telemetry.ts")
    const log = join(directory, "log")
    const store = join(directory, "store")
    mkdirSync(store)
    await prepare(log, quick)
    const bytes = bytesIn(log)
    const runtime = ManagedRuntime.make(
      SegmentMaintainer.layerAlone({
        directory: log,
        limits: { maxSegments: 4, maxCompressedSegments: "unlimited" },
        onArchiveBehind: "keep"
      }).pipe(
        Layer.provideMerge(Layer.mergeAll(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 }))),
        Layer.provideMerge(DirectoryStore.layer({ directory: store })),
        Layer.provideMerge(NodeDisk.layer),
        Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
      )
    )
    await runtime.runPromise(Effect.void)
    let round = 0
    return {
      round: async () => {
        const archive = Archive.layer({ log: `round-${round++}`, proof })
        const started = performance.now()
        await runtime.runPromise(Effect.provide(Archive.Archive.use(({ settle }) => settle), archive))
        return { measures: { throughput: bytes / (performance.now() - started) / 1000 } }
      },
      close: () => runtime.dispose()
    }
  }
})

const put: Contestant = {
  name: "put",
  note: "the same bytes, four puts at a time, from memory",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const { ObjectStore } = await import("../../src/store/ObjectStore.ts")
    const log = join(directory, "log")
    const store = join(directory, "store")
    mkdirSync(store)
    await prepare(log, quick)
    const files = readdirSync(log).map((name) => readFileSync(join(log, name)))
    const bytes = bytesIn(log)
    const runtime = ManagedRuntime.make(Layer.provide(DirectoryStore.layer({ directory: store }), NodeDisk.layer))
    let round = 0
    return {
      round: async () => {
        const prefix = `round-${round++}`
        const started = performance.now()
        await runtime.runPromise(
          ObjectStore.use((store) =>
            Effect.forEach(files, (file, at) => store.put(`${prefix}/${at}`, file, { onlyIf: "absent" }), {
              concurrency: 4,
              discard: true
            })
          )
        )
        return { measures: { throughput: bytes / (performance.now() - started) / 1000 } }
      },
      close: () => runtime.dispose()
    }
  }
}

export const suite: Suite = {
  name: "archive",
  tables: [
    {
      name: "commit beside an archive",
      title: "64 callers commit 256 bytes each, while closed segments are archived",
      metrics: [
        ...["p50", "p99"].map((name) => ({ name, unit: "µs", better: "less" as const })),
        { name: "commits", unit: "1/s", better: "more" }
      ],
      reference: "effect-wal, without",
      contestants: [committing(false), committing(true)]
    },
    {
      name: "archiving",
      title: "cold segments of 16 MiB go into a store",
      metrics: [throughput],
      reference: put.name,
      contestants: [archiving("read"), archiving("checksum"), put]
    }
  ]
}
