/** What a log keeps depends on what was recorded, and not on how often it was started or closed early. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { cpSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { expected, kinds, pairs, recording, replayed, temporaryDirectory } from "./fixtures.ts"
import type { Kind, Options } from "./fixtures.ts"

const segmentFiles = (directory: string) => readdirSync(directory).filter((name) => name.startsWith("FS.")).sort()

const verified = (directory: string) =>
  Verify.verify({ directory, incremental: "onlyNew" }).pipe(
    Effect.map(({ faults }) => faults.map(Verify.formatVerifyFault)),
    Effect.provide(NodeDisk.layer)
  )

/** The least that limits can ask for. */
const tight = { maxSegments: 2, maxCompressedSegments: 4 } as const

/** One event, from the opening of a recorder to its drain. */
const startFor = (kind: Kind, walLayer: (typeof pairs)[number][0][1]) => (options: Options, id: number) =>
  recording(
    Layer.provide(walLayer({ ...kind.options, ...options }), NodeDisk.layer),
    (recorder) => recorder.appendDurable(kind.event(id))
  )

/** Without a pool of threads: it differs in who freezes, which no restart asks for, and each start of one is dear. */
const layersAndFormats = pairs.map(([[layer, walLayer], [format, kind]]) => [layer, format, walLayer, kind] as const)
  .filter(([layer]) => layer !== "pool")

describe.each(kinds)("a log at the default limits, %s", (_format, kind) => {
  it.live("keeps all that 72 starts have recorded, in one segment", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const start = startFor(kind, Wal.layer)
      // A file of format 1 is made in its full size, here of 160 flushes. The default takes twice as long.
      const options = kind.options.format === 1 ? { directory, segmentBytesMax: 2_621_440 } : { directory }
      for (let id = 1; id <= 72; id++) assert.strictEqual(yield* start(options, id), id)
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 72))
      assert.deepStrictEqual(segmentFiles(directory), ["FS.00000000.wal"])
      assert.deepStrictEqual(yield* verified(directory), [])
    }))
})

describe.each(layersAndFormats)("a log, maintainer in a %s, %s", (_layer, _format, walLayer, kind) => {
  const start = startFor(kind, walLayer)
  const within = (options: Options) => Layer.provideMerge(walLayer({ ...kind.options, ...options }), NodeDisk.layer)

  it.live("keeps all that more starts have recorded than the least limits allow segments, in one segment", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const options = { directory, segmentBytesMax: 262_144, limits: tight }
      for (let id = 1; id <= 7; id++) assert.strictEqual(yield* start(options, id), id)
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 7))
      assert.deepStrictEqual(segmentFiles(directory), ["FS.00000000.wal"])
      assert.deepStrictEqual(yield* verified(directory), [])
    }))

  it.live("keeps all that 9 starts have recorded at the least limits, each killed after its commit", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const directoryOf = (id: number) => join(root, String(id))
      for (let id = 1; id <= 9; id++) {
        const options = { directory: directoryOf(id), segmentBytesMax: 65_536, limits: tight }
        yield* Effect.scoped(
          Effect.gen(function*() {
            assert.strictEqual(yield* (yield* Recorder).appendDurable(kind.event(id)), id)
            // As a killed process leaves it: open, with what was made ahead.
            const isOfLog = (path: string) => !path.includes("wal.lock")
            cpSync(directoryOf(id), directoryOf(id + 1), { recursive: true, filter: isOfLog })
          }).pipe(Effect.provide(within(options)))
        )
        assert.deepStrictEqual(yield* verified(directoryOf(id + 1)), [])
      }
      assert.deepStrictEqual(yield* replayed(directoryOf(10)), expected(kind, 1, 9))
      const segments = segmentFiles(directoryOf(10)).filter((name) => !name.endsWith(".tmp"))
      // A file of format 1 has room for 16 flushes, and one that is half full is not continued.
      assert.isAtMost(segments.length, Math.ceil(9 / 8) + 1)
    }))

  it.live("keeps all that was recorded beside a timed rotation", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.scoped(
        Effect.gen(function*() {
          const { appendDurable, rotate } = yield* Recorder
          for (let id = 1; id <= 24; id++) {
            yield* appendDurable(kind.event(id))
            yield* rotate
          }
        }).pipe(Effect.provide(within({ directory, segmentBytesMax: 262_144, limits: tight })))
      )
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 24))
      // Another start weighs what it finds.
      yield* start({ directory, segmentBytesMax: 262_144, limits: tight }, 25)
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 25))
      assert.deepStrictEqual(yield* verified(directory), [])
    }))

  it.live("is followed over restarts, from the segment at whose end the follower waits", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const options = {
        directory,
        segmentBytesMax: 4096,
        limits: { maxSegments: 64, maxCompressedSegments: 512 }
      } as const
      const record = (fromId: number, toId: number) =>
        recording(Layer.provide(walLayer({ ...kind.options, ...options }), NodeDisk.layer), (recorder) =>
          Effect.gen(function*() {
            for (let id = fromId; id <= toId; id++) {
              yield* recorder.append(kind.event(id))
            }
          }))
      yield* record(1, 1)
      // One event, which leaves the segment short; or so many that others follow it before the follower looks again.
      const counts = Array.from({ length: 7 }, (_, round) =>
        round % 3 < 2 ? 1 : 300)
      const last = 1 + counts.reduce((sum, count) =>
        sum + count, 0)
      const given: Array<readonly [number, string]> = []
      const follower = yield* Replay.events({ directory, follow: "poll", to: { id: last } }).pipe(
        Stream.runForEach(({ bytes, id }) => Effect.sync(() => void given.push([id, Buffer.from(bytes).toString()]))),
        Effect.provide(NodeDisk.layer),
        Effect.forkChild
      )
      let appended = 1
      for (const count of counts) {
        yield* Effect.repeat(Effect.sleep(5), {
          until: () => given.length >= appended || follower.pollUnsafe() !== undefined
        })
        yield* record(appended + 1, appended + count)
        appended += count
      }
      yield* Fiber.join(follower)
      assert.deepStrictEqual(given, expected(kind, 1, last))
    }))

  it.live("is as it was after a start that has recorded nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (let id = 1; id <= 3; id++) yield* start({ directory, segmentBytesMax: 65_536 }, id)
      const look = () => segmentFiles(directory).map((name) => [name, readFileSync(join(directory, name))])
      const before = look()
      const idle = Layer.provide(walLayer({ ...kind.options, directory, segmentBytesMax: 65_536 }), NodeDisk.layer)
      for (let times = 0; times < 3; times++) yield* recording(idle, (recorder) => recorder.commit)
      assert.deepStrictEqual(look(), before)
      assert.deepStrictEqual(yield* replayed(directory), expected(kind, 1, 3))
      assert.deepStrictEqual(yield* verified(directory), [])
    }))
})
