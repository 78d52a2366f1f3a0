/** Reading back 64-byte events, every checksum and the chain verified, from hot, cold and archived segments. */
import type * as Layer from "effect/Layer"
import { execFileSync } from "node:child_process"
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { Disk } from "../../src/disk/Disk.ts"
import type { FormatVersion } from "../../src/format/SegmentHeader.ts"
import { eventsPerSecond, throughput } from "../harness/Suite.ts"
import type { Contestant, Scale, Suite } from "../harness/Suite.ts"

const mebibyte = 2 ** 20
const eventBytes = 64
const segmentBytes = 16 * mebibyte

type Form = "hot" | "cold"

/** 128 MiB of real text as 64-byte events; returns how many there are. */
const prepare = async ({ directory, quick }: Scale, form: Form, version: FormatVersion = 2): Promise<number> => {
  const { makeSegments } = await import("../harness/Segments.ts")
  const { realBytes } = await import("../harness/RealBytes.ts")
  return makeSegments({
    directory,
    form,
    segments: quick ? 1 : 8,
    segmentBytes,
    eventSize: eventBytes,
    version,
    payload: realBytes(segmentBytes)
  })
}

const measured = (events: number, startedMillis: number) => {
  const millis = performance.now() - startedMillis
  return { measures: { events: events / millis / 1000, throughput: events * eventBytes / millis / 1000 } }
}

/** A round that hands out each event's id, memory and place, of `expected` events. */
const roundOf = (expected: number, directory: string, layer: Layer.Layer<Disk>) => async () => {
  const Effect = await import("effect/Effect")
  const Stream = await import("effect/Stream")
  const Replay = await import("../../src/reading/Replay.ts")
  const { forEachEvent } = await import("../../src/reading/segment/BlockEvents.ts")
  let count = 0
  let bytes = 0
  const started = performance.now()
  const replay = Stream.runForEachArray(
    Replay.blocks({ directory }),
    (chunk) =>
      Effect.sync(() => {
        for (const block of chunk) {
          forEachEvent(block, (_id, _bytes, start, end) => {
            count += 1
            bytes += end - start
          })
        }
      })
  )
  await Effect.runPromise(Effect.provide(replay, layer))
  if (count !== expected || bytes !== expected * eventBytes) throw new Error(`${count} of ${expected} events`)
  return measured(count, started)
}

const blocks = (form: Form, version?: FormatVersion): Contestant => ({
  name: `effect-wal, ${form}, blocks`,
  note: "Replay.blocks and forEachEvent: each event's id, memory and place",
  open: async (scale) => {
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const expected = await prepare(scale, form, version)
    return { round: roundOf(expected, scale.directory, NodeDisk.layer), close: async () => {} }
  }
})

const archived: Contestant = {
  name: "effect-wal, archived, blocks",
  note:
    "the same cold segments as objects of a DirectoryStore on the same disk, read with ArchiveDisk and no local file",
  open: async (scale) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const ArchiveDisk = await import("../../src/archive/ArchiveDisk.ts")
    const DirectoryStore = await import("../../src/store/DirectoryStore.ts")
    const { archiveSegments } = await import("../harness/archiveSegments.ts")
    const directory = join(scale.directory, "log")
    const expected = await prepare({ ...scale, directory }, "cold")
    const store = join(scale.directory, "store")
    mkdirSync(store)
    const layer = Layer.orDie(DirectoryStore.layer({ directory: store })).pipe(Layer.provideMerge(NodeDisk.layer))
    const perSegment = expected / readdirSync(directory).length
    await Effect.runPromise(Effect.provide(Effect.orDie(archiveSegments("orders", directory, perSegment)), layer))
    rmSync(directory, { recursive: true })
    const reading = ArchiveDisk.layer({ log: "orders" }).pipe(Layer.provide(layer))
    return { round: roundOf(expected, ArchiveDisk.shownDirectory("orders"), reading), close: async () => {} }
  }
}

const events = (form: Form, version?: FormatVersion): Contestant => ({
  name: `effect-wal, ${form}, Stream of events`,
  note: "Replay.events, consumed chunk by chunk: an object for each event, which may be kept",
  open: async (scale) => {
    const Effect = await import("effect/Effect")
    const Stream = await import("effect/Stream")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const Replay = await import("../../src/reading/Replay.ts")
    const expected = await prepare(scale, form, version)
    return {
      round: async () => {
        let count = 0
        const started = performance.now()
        const replay = Stream.runForEachArray(
          Replay.events({ directory: scale.directory }),
          (chunk) =>
            Effect.sync(() => {
              count += chunk.length
            })
        )
        await Effect.runPromise(Effect.provide(replay, NodeDisk.layer))
        if (count !== expected) throw new Error(`${count} of ${expected} events`)
        return measured(count, started)
      },
      close: async () => {}
    }
  }
})

const lz4: Contestant = {
  name: "lz4 -dc",
  note: "the same cold files to /dev/null in one call: decodes and checks the content checksum",
  open: async (scale) => {
    const expected = await prepare(scale, "cold")
    const files = readdirSync(scale.directory).map((name) => join(scale.directory, name)).sort()
    return {
      round: async () => {
        const started = performance.now()
        execFileSync("sh", ["-c", `lz4 -qdcm "$@" > /dev/null`, "sh", ...files])
        return measured(expected, started)
      },
      close: async () => {}
    }
  }
}

const readAndHash: Contestant = {
  name: "read + XXH64",
  note: "the physical limit from Node for hot files: pieces of 4 MiB, read into one buffer and hashed there",
  open: async (scale) => {
    const { xxh64 } = await import("../../src/internal/xxh64.ts")
    const expected = await prepare(scale, "hot")
    const files = readdirSync(scale.directory).map((name) => join(scale.directory, name))
    // Used again for every piece: fresh memory for each file costs several times more than reading and hashing it.
    const piece = Buffer.alloc(4 * mebibyte)
    return {
      round: async () => {
        const started = performance.now()
        let bytes = 0
        for (const file of files) {
          const descriptor = openSync(file, "r")
          for (let count = readSync(descriptor, piece); count > 0; count = readSync(descriptor, piece)) {
            xxh64(piece.subarray(0, count))
            bytes += count
          }
          closeSync(descriptor)
        }
        if (bytes < expected * eventBytes) throw new Error(`${bytes} bytes of ${expected} events`)
        return measured(expected, started)
      },
      close: async () => {}
    }
  }
}

export const suite: Suite = {
  name: "replay",
  tables: [
    {
      name: "replay hot",
      title: "verified replay of hot segments, 64-byte events",
      metrics: [eventsPerSecond, throughput],
      reference: readAndHash.name,
      contestants: [blocks("hot"), events("hot"), readAndHash]
    },
    {
      name: "replay hot, format 1",
      title: "verified replay of hot segments of format 1: 64-byte events with ids of their own, 256 to a block",
      metrics: [eventsPerSecond, throughput],
      reference: "effect-wal, hot, blocks",
      contestants: [blocks("hot", 1), events("hot", 1)]
    },
    {
      name: "replay cold",
      title: "verified replay of cold segments, 64-byte events",
      metrics: [eventsPerSecond, throughput],
      reference: lz4.name,
      contestants: [blocks("cold"), events("cold"), lz4]
    },
    {
      name: "replay archived",
      title: "verified replay of archived segments from the store alone, 64-byte events",
      metrics: [eventsPerSecond, throughput],
      reference: "effect-wal, cold, blocks",
      contestants: [blocks("cold"), archived]
    }
  ]
}
