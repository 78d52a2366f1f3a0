/**
 * What an archive costs: commits beside it, and its own throughput. The store is a directory on the same disk, so both
 * share it; a bucket takes the load off the disk and adds the network's time.
 */
import type { Effect } from "effect/Effect"
import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { percentiles } from "../harness/Statistics.ts"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Suite } from "../harness/Suite.ts"

const event = new Uint8Array(256).fill(0x61)
const callers = 64

/** The fullest manifests of about a thousand, and of about a million segments. */
const segmentsFew = 2 ** 10 - 1
const segmentsMany = 2 ** 20 - 1

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
    const Stream = await import("effect/Stream")
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
        let started = Number.NaN
        // A log is claimed once, and archived for years: so the clock begins when the probe is over.
        const archived = Archive.Archive.use(({ events, settle }) =>
          Effect.gen(function*() {
            yield* Effect.forkScoped(Stream.runForEach(events, ({ _tag }) =>
              Effect.sync(() => {
                if (_tag === "Claimed") started = performance.now()
              })))
            yield* settle
          })
        )
        await runtime.runPromise(Effect.provide(Effect.scoped(archived), archive))
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

/** A process that commits all the time, and archives what was there before. */
const remembering = (form: "hot" | "cold"): Contestant => ({
  name: `effect-wal, archives ${form} segments`,
  note: "until four segments of 64 MiB are put, read back, proved and entered, over the peak of four seconds of the " +
    "same commits before, in one process",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const Stream = await import("effect/Stream")
    const Archive = await import("../../src/archive/Archive.ts")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const { prepareSegments } = await import("../harness/prepareSegment.ts")
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const { residentMebibytes, resetPeak } = await import("../harness/Resident.ts")
    const store = join(directory, "store")
    const log = join(directory, "log")
    mkdirSync(store)
    const segments = quick ? 1 : 4
    prepareSegments(log, (quick ? 4 : 64) * 1024 * 1024, form, segments)
    const opened = await openWal("fiber", {
      directory: log,
      eventSize: event.length,
      // A small arena, all of which has been touched when the clock runs.
      segmentBytesMax: 1024 * 1024,
      limits: keepHot,
      onArchiveBehind: "keep"
    })
    /** The most that is resident while one event after the other is committed, until the work is done. */
    const peakOf = async (work: Effect<unknown>): Promise<number> => {
      const life = { isOver: false }
      const committing = Effect.gen(function*() {
        while (!life.isOver) yield* opened.recorder.appendDurable(event)
      })
      const end = Effect.sync(() => {
        life.isOver = true
      })
      resetPeak()
      await opened.run(Effect.all([committing, Effect.ensuring(work, end)], { concurrency: 2, discard: true }))
      return residentMebibytes("VmHWM")
    }
    const before = await peakOf(Effect.sleep(quick ? "100 millis" : "4 seconds"))
    let round = 0
    const archived = Archive.Archive.use(({ events }) =>
      Stream.runDrain(
        Stream.takeUntil(events, (told) => told._tag === "Archived" && told.archivedBefore >= segments)
      )
    )
    return {
      round: async () => {
        const archive = Archive.layer({ log: `round-${round++}`, settleMax: 0 }).pipe(
          Layer.provide(DirectoryStore.layer({ directory: store })),
          Layer.provide(NodeDisk.layer)
        )
        const services = await opened.runtime.context()
        const peak = await peakOf(Effect.provideContext(Effect.provide(archived, archive), services))
        return { measures: { added: peak - before } }
      },
      close: opened.close
    }
  }
})

/** The fullest manifest of about so many segments. */
const openingOf = (segments: number): Contestant => ({
  name: `${segments} segments`,
  note: "generated, rows of segments of 16 MiB; read from a DirectoryStore, with the row of the newest segment",
  open: async ({ directory }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const ManifestStore = await import("../../src/archive/ManifestStore.ts")
    const { manifestKey } = await import("../../src/archive/Manifest.ts")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const { ObjectStore } = await import("../../src/store/ObjectStore.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const { generateManifest } = await import("../harness/generateManifest.ts")
    const runtime = ManagedRuntime.make(Layer.provide(DirectoryStore.layer({ directory }), NodeDisk.layer))
    const log = "bench"
    await runtime.runPromise(generateManifest(log, segments))
    const opening = Effect.gen(function*() {
      const manifests = yield* ManifestStore.make(log)
      const found = yield* manifests.read
      const row = found && (yield* manifests.rowFor(found.manifest, segments - 1))
      if (row === undefined) throw new Error("the newest segment has a row")
    })
    const { bytes } = await runtime.runPromise(ObjectStore.use((store) => store.head(manifestKey(log))))
    return {
      round: async () => {
        const times = 100
        const started = performance.now()
        for (let time = 0; time < times; time++) await runtime.runPromise(opening)
        return { measures: { opening: (performance.now() - started) / times, length: bytes / 1024 } }
      },
      close: () => runtime.dispose()
    }
  }
})

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
    },
    {
      name: "memory beside an archive",
      title: "what is resident, over commits alone, while segments of 64 MiB are archived",
      metrics: [{ name: "added", unit: "MiB", better: "less" }],
      reference: remembering("cold").name,
      contestants: [remembering("cold"), remembering("hot")]
    },
    {
      name: "manifest",
      title: "the manifest of a log is opened",
      metrics: [
        { name: "opening", unit: "ms", better: "less" },
        { name: "length", unit: "KiB", better: "less" }
      ],
      reference: openingOf(segmentsFew).name,
      contestants: [openingOf(segmentsFew), openingOf(segmentsMany)]
    }
  ]
}
