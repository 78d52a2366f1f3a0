/** A log whose newest segment was damaged and repaired is recorded on, and no id is given out twice. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { repair } from "../../src/reading/recovery/Repair.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { format1, format2 } from "../fixtures/formats.ts"
import { buildWal, hot, put } from "../fixtures/segments.ts"
import { kinds as formatsOfMaintainer, open, quiet, simulated, whileClockTurns } from "../maintainer/maintaining.ts"
import { mortal } from "../maintainer/mortalDisk.ts"
import { kinds, layers, recording, small, temporaryDirectory } from "./fixtures.ts"

/** Flips a bit at the end of the newest segment, which is hot; its blocks before that remain in format 2. */
const damageNewest = (directory: string): void => {
  const name = readdirSync(directory).filter((file) => file.endsWith(".wal")).sort().at(-1)!
  const bytes = readFileSync(join(directory, name))
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(join(directory, name), bytes)
}

/** Recovery is the same in a pool. */
const everyLayerAndFormat = layers.slice(0, 2).flatMap(([layer, walLayer]) =>
  kinds.map(([format, kind]) => [`${layer}, ${format}`, walLayer, kind] as const)
)

describe.each(everyLayerAndFormat)("A recorder behind a repair (%s)", (_, walLayer, kind) => {
  it.live("goes on behind every id that was given out, and readers are told of those that are lost", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const wal = Layer.provide(walLayer({ ...kind.options, directory, ...small }), NodeDisk.layer)
      const append = (fromId: number, toId: number) =>
        recording(wal, (recorder) =>
          Effect.gen(function*() {
            for (let id = fromId; id <= toId; id++) {
              assert.strictEqual(yield* recorder.append(kind.event(id)), id)
              if (id % 20 === 0) yield* recorder.commit
            }
            return recorder.recovery
          }))
      yield* append(1, 310)
      damageNewest(directory)
      assert.strictEqual((yield* Effect.flip(append(311, 311)))._tag, "SegmentCorrupt")
      const repaired = yield* Effect.provide(repair({ directory, apply: true }), NodeDisk.layer)
      assert.strictEqual(repaired.lastGivenId, 310)
      assert.isBelow(repaired.lastEventId, 310)

      const recovery = yield* append(311, 500)
      assert.deepStrictEqual([recovery.lastEventId, recovery.lastGivenId], [repaired.lastEventId, 310])
      // Once more: the lost ids are told by the segments now, and the meta file is no longer ahead.
      assert.strictEqual((yield* append(501, 700)).lastGivenId, 500)

      const holes: Array<readonly [number, number | undefined]> = []
      const ids: Array<number> = []
      yield* Replay.events({
        directory,
        onHole: ({ firstMissingId, lastMissingId }) =>
          Effect.sync(() => {
            holes.push([firstMissingId, lastMissingId])
          })
      }).pipe(
        Stream.runForEach(({ bytes, id }) =>
          Effect.sync(() => {
            ids.push(id)
            assert.isTrue(Buffer.from(bytes).equals(kind.event(id)))
          })
        ),
        Effect.provide(NodeDisk.layer)
      )
      assert.deepStrictEqual(holes, [[repaired.lastEventId + 1, 310]])
      assert.strictEqual(new Set(ids).size, repaired.lastEventId + 390)
      const verified = yield* Effect.provide(verify({ directory }), NodeDisk.layer)
      assert.deepStrictEqual(verified.faults, [])
      assert.deepStrictEqual(
        verified.holes.map(({ firstEventId, lastEventId }) => [firstEventId, lastEventId]),
        [[repaired.lastEventId + 1, 310]]
      )
      const strict = yield* Effect.flip(
        Effect.provide(Stream.runDrain(Replay.events({ directory })), NodeDisk.layer)
      )
      assert.strictEqual(strict._tag, "EventsLost")
    }))
})

describe.each(formatsOfMaintainer)("A maintainer behind a repair ($name)", ({ event, format, layout }) => {
  it.effect("does not take a segment that is lost for one that it has not heard of, when an executor dies", () =>
    Effect.gen(function*() {
      const directory = "/wal"
      const disk = yield* Layer.build(Layer.fresh(simulated()))
      const { headerBytes } = layout.version === 1 ? format1 : format2
      yield* Effect.provideContext(
        Effect.gen(function*() {
          const wal = buildWal({ layout: { ...layout, blockBytesMax: 16_384 }, segments: [5, 5] })
          wal[1]!.bytes[headerBytes + 70]! ^= 1
          yield* put(directory, ...wal.map(hot))
          assert.deepStrictEqual((yield* repair({ directory, apply: true })).steps.map(({ kept }) => kept), ["nothing"])
        }),
        disk
      )
      const { service, state } = mortal(Context.get(disk, Disk))
      const limits = { maxSegments: 2, maxCompressedSegments: 2 }
      const { close, context } = yield* open(
        // One event fills a segment.
        Wal.layer({ directory, format, segmentBytesMax: 64, limits }).pipe(
          Layer.provide(Layer.succeedContext(Context.add(disk, Disk, service)))
        )
      )
      const recorder = Context.get(context, Recorder)
      const maintainer = Context.get(context, SegmentMaintainer)
      yield* TestClock.adjust(1)
      state.dieAt = state.operations + 1
      state.deaths = 1
      for (let id = 11; id <= 16; id++) {
        assert.strictEqual(yield* recorder.append(event(id)), id)
        yield* recorder.rotate.pipe(Effect.raceFirst(TestClock.adjust("1 second")))
      }
      yield* whileClockTurns(close)
      assert.strictEqual((yield* maintainer.status).restarts, 1)
      assert.deepStrictEqual(yield* maintainer.failures, [])
      // Segment 1 is lost; 0 and the oldest after it were deleted in their turn.
      const left = (yield* maintainer.segments).map(({ segmentIndex }) => segmentIndex)
      assert.notInclude(left, 1)
      assert.notInclude(left, 0)
    }).pipe(Effect.scoped, quiet))
})
