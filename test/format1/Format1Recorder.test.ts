/** The recorder with `format: 1`, compared with what another writer of that format wrote. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync, readFileSync } from "node:fs"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { format1BlockBytes } from "../../src/format/Block.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import type { SegmentWriter } from "../../src/recorder/SegmentWriter.ts"
import * as Arena from "../../src/shared/Arena.ts"
import { SegmentArena } from "../../src/shared/SegmentArena.ts"
import { goldenPlaces, orderEvent } from "../fixtures/orders.ts"
import { format1Events } from "../fixtures/segments.ts"
import { layers, recording, replayed, temporaryDirectory } from "../recorder/fixtures.ts"

const { blockBytesMax: blockBytes } = format1Layout

const append = (writer: SegmentWriter, id: number): void => {
  assert.strictEqual(writer.appendUnsafe(orderEvent(id)), id)
}

/** Writes the fields where they will lie; the id is the writer's. */
const reserve = (writer: SegmentWriter, id: number): void => {
  const at = writer.reserveUnsafe(64)
  assert.isAbove(at, 0)
  writer.bytes.set(orderEvent(id).subarray(8), at + 8)
  assert.strictEqual(writer.publishUnsafe(), id)
}

const ways = [["appendUnsafe", append], ["reserveUnsafe", reserve]] as const

const fileOf = (directory: string, index: number) => readFileSync(`${directory}/FS.0000000${index}.wal`)
const idsAndEvents = (count: number) =>
  format1Events(1, count).map((event, i) => [i + 1, Buffer.from(event).toString()] as const)

describe.each(layers.slice(0, 2))("Recorder of format 1, maintainer in a %s", (_layer, walLayer) => {
  const wal = (directory: string, options: { readonly blocks: number; readonly maxSegments?: number }) =>
    Layer.provide(
      walLayer({
        directory,
        format: 1,
        segmentBytesMax: options.blocks * blockBytes,
        limits: { maxSegments: options.maxSegments ?? 128, maxCompressedSegments: "unlimited" }
      }),
      NodeDisk.layer
    )

  it.live.each(ways)(
    "writes the file that another writer wrote by %s, but for the two times and the checksum over them",
    ([, put]) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        yield* recording(wal(directory, { blocks: 14 }), ({ writer }) =>
          Effect.sync(() => {
            for (let id = 1; id <= 300; id++) put(writer, id)
          }))
        const file = fileOf(directory, 0)
        assert.strictEqual(file.length, 263_232)
        for (const [at, bytes] of goldenPlaces) {
          assert.strictEqual(file.subarray(at, at + bytes.length).toString("hex"), bytes.toString("hex"), `at ${at}`)
        }
        const events = Buffer.concat([file.subarray(128, 16_512), file.subarray(16_576, 16_576 + 44 * 64)])
        assert.isTrue(events.equals(Buffer.concat(format1Events(1, 300))))
        assert.isTrue(file.subarray(16_576 + 44 * 64).every((byte) => byte === 0))
        assert.deepStrictEqual(yield* replayed(directory), idsAndEvents(300))
      })
  )

  it.live("seals a commit in the middle of a block short, and never writes that block again", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal(directory, { blocks: 20 }), ({ commit, writer }) =>
        Effect.gen(function*() {
          for (let id = 1; id <= 100; id++) append(writer, id)
          assert.strictEqual(yield* commit, 100)
          const before = fileOf(directory, 0).subarray(64, 64 + format1BlockBytes)
          assert.strictEqual(before.readUInt16LE(44), 100)
          for (let id = 101; id <= 600; id++) append(writer, id)
          assert.strictEqual(yield* commit, 600)
          const after = fileOf(directory, 0)
          assert.isTrue(after.subarray(64, 64 + format1BlockBytes).equals(before))
          const counts = [0, 1, 2, 3].map((block) => after.readUInt16LE(64 + block * format1BlockBytes + 44))
          assert.deepStrictEqual(counts, [100, 256, 244, 0])
          assert.deepStrictEqual(yield* replayed(directory), idsAndEvents(600))
        }))
      assert.strictEqual(fileOf(directory, 0).length, 64 + 22 * format1BlockBytes)
      assert.deepStrictEqual(yield* replayed(directory), idsAndEvents(600))
    }))

  it.live("rotates when the blocks are used up, however few events they hold, and loses none", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* recording(wal(directory, { blocks: 14 }), ({ appendDurable, writer }) =>
        Effect.gen(function*() {
          for (let id = 1; id <= 40; id++) {
            assert.strictEqual(yield* appendDurable(orderEvent(id)), id)
          }
          assert.isAtLeast(writer.activeSegmentIndex, 2)
        }))
      const { faults, segments } = yield* Effect.provide(Verify.verify({ directory }), NodeDisk.layer)
      assert.deepStrictEqual(faults, [])
      for (const { blockCount, bytes, closed } of segments) {
        assert.isAtMost(blockCount, 16)
        assert.strictEqual(bytes, 263_232)
        assert.isTrue(closed)
      }
      assert.deepStrictEqual(yield* replayed(directory), idsAndEvents(40))
    }))

  it.live("loses no event while flushes race the writer over many segments, frozen behind it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const count = 30_000
      yield* recording(wal(directory, { blocks: 16, maxSegments: 4 }), (recorder) =>
        Effect.gen(function*() {
          const arena = yield* SegmentArena
          let id = 1
          while (id <= count) {
            // Bursts around the size of a block; the maintainer's thread flushes at whatever moment it gets to it.
            for (let burst = 1 + (id * 7919) % 300; burst > 0 && id <= count; burst--) {
              if (recorder.writer.appendUnsafe(orderEvent(id)) <= 0) yield* recorder.append(orderEvent(id))
              id += 1
              if (id % 50 === 0) Arena.askFlushUnsafe(arena)
            }
            yield* Effect.yieldNow
          }
        }))
      assert.isAbove(readdirSync(directory).filter((name) => name.endsWith(".lz4")).length, 0)
      const { faults } = yield* Effect.provide(Verify.verify({ directory }), NodeDisk.layer)
      assert.deepStrictEqual(faults, [])
      assert.deepStrictEqual(yield* replayed(directory), idsAndEvents(count))
    }))
})
