/**
 * The header of a live segment while it is written once more, byte by byte, as readers beside the recorder find it, and
 * a recorder that opens the directory after the writer was killed there.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Disk, writeFully } from "../../src/disk/Disk.ts"
import type { DiskFile } from "../../src/disk/Disk.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import type { Format } from "../fixtures/formats.ts"
import { formats } from "../fixtures/formats.ts"
import { orderEvent } from "../fixtures/orders.ts"
import { swept } from "../sweep.ts"

const directory = "/wal"

type Files = ReadonlyMap<string, Uint8Array>

const walLayer = ({ format }: Format) =>
  Wal.layer({ directory, format, segmentBytesMax: 2048, limits: { maxSegments: 8, maxCompressedSegments: 8 } })

/** Every event in the directory: its id and its bytes. */
const replayed = Effect.map(
  Stream.runCollect(Replay.events({ directory })),
  (events) => events.map(({ bytes, id }) => [id, Buffer.from(bytes).toString("hex")])
)

const orders = (toId: number) =>
  Array.from({ length: toId }, (_, at) => [at + 1, Buffer.from(orderEvent(at + 1)).toString("hex")])

/** Writes a header in steps of one byte, and looks after each; a header with blocks after it is that of a new file. */
const bytewise = (file: DiskFile, { headerBytes }: Format, look: Effect.Effect<void>): DiskFile => ({
  ...file,
  write: (chunks, offset) => {
    const bytes = Buffer.concat(chunks)
    if (offset + bytes.length > headerBytes) return file.write(chunks, offset)
    return Effect.flatMap(file.write([bytes.subarray(0, 1)], offset), (count) => Effect.as(look, count))
  }
})

/** Records `count` orders in two segments, with a look at every byte of every header that is written anew. */
const record = (format: Format, count: number, look: Effect.Effect<void, never, Disk>) =>
  Effect.gen(function*() {
    const disk = yield* Disk
    const looking = Effect.provideService(look, Disk, disk)
    const slowly = Disk.of({
      ...disk,
      open: (path, mode) => Effect.map(disk.open(path, mode), (file) => bytewise(file, format, looking))
    })
    const recording = Effect.gen(function*() {
      const recorder = yield* Recorder
      for (let id = 1; id <= count; id++) {
        yield* recorder.appendDurable(orderEvent(id))
        if (id === count - 3) yield* recorder.rotate
      }
    })
    yield* recording.pipe(Effect.provide(Layer.provide(walLayer(format), Layer.succeed(Disk, slowly))))
  })

const put = (files: Files) =>
  Effect.gen(function*() {
    const disk = yield* Disk
    yield* disk.makeDirectory(directory)
    for (const [path, bytes] of files) {
      if (path.endsWith(".lock")) continue
      yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* Effect.acquireRelease(disk.open(path, "create"), ({ close }) => close)
        yield* writeFully(file, [bytes], 0)
      }))
    }
  })

describe.each(formats)("a segment that is being closed ($name)", (format) => {
  const count = 8

  it.effect("is read as open or as closed, whatever part of its closed header is there", () =>
    Effect.gen(function*() {
      const seen: Array<Exit.Exit<ReadonlyArray<unknown>, unknown>> = []
      const look = Effect.gen(function*() {
        assert.deepStrictEqual((yield* Verify.verify({ directory })).faults, [])
        return yield* replayed
      })
      yield* record(format, count, Effect.map(Effect.exit(look), (exit) => void seen.push(exit)))
      assert.isAtLeast(seen.length, 2 * (format.headerBytes + 8))
      for (const exit of seen) {
        const events = yield* exit
        assert.deepStrictEqual(events, orders(events.length))
        assert.isAtLeast(events.length, count - 3)
      }
      assert.deepStrictEqual(yield* replayed, orders(count))
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))

  it.effect("opens to every event when its recorder is killed at any byte of it", () =>
    Effect.gen(function*() {
      const left: Array<Files> = []
      const simulated = yield* SimulatedDisk.SimulatedDisk
      yield* record(format, count, Effect.map(simulated.files, (files) => void left.push(files)))
      for (const at of swept(0, left.length)) {
        const files = left[at]!
        yield* Effect.gen(function*() {
          yield* put(files)
          const before = yield* replayed
          yield* Effect.flatMap(Recorder, ({ recovery }) =>
            Effect.sync(() => assert.strictEqual(recovery.lastEventId, before.length))).pipe(
              Effect.provide(walLayer(format))
            )
          assert.deepStrictEqual(yield* replayed, orders(before.length))
          assert.isAtLeast(before.length, count - 3)
          assert.deepStrictEqual((yield* Verify.verify({ directory })).faults, [])
        }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }), { local: true }))
      }
    }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 }))))
})
