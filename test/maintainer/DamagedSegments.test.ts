/** A damaged segment that cannot be moved to quarantine: what is tried again, and what is not. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Disk, openScoped, writeFully } from "../../src/disk/Disk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import {
  bytesOf,
  hotPath,
  kinds,
  open,
  put,
  quiet,
  segmentBytesMax,
  simulated,
  whileClockTurns
} from "./maintaining.ts"
import type { Kind } from "./maintaining.ts"

const directory = "/wal"

/** A recorder with four closed segments, of which the second has rotted, and nowhere to move it to. */
const withDamage = Effect.fnUntraced(function*({ event, format }: Kind) {
  const disk = yield* Disk
  const calls = { list: 0 }
  const counting = Disk.of({
    ...disk,
    list: (path) => Effect.suspend(() => (calls.list += 1, disk.list(path)))
  })
  const wal = Wal.layer({
    directory,
    format,
    segmentBytesMax,
    limits: { maxSegments: 4, maxCompressedSegments: 4 },
    onDamaged: "quarantine"
  })
  const { context } = yield* whileClockTurns(open(Layer.provide(wal, Layer.succeed(Disk, counting))))
  const recorder = Context.get(context, Recorder)
  const maintainer = Context.get(context, SegmentMaintainer)
  const record = (segments: number) =>
    whileClockTurns(Effect.gen(function*() {
      for (let count = 0; count < segments; count++) {
        yield* recorder.append(event(recorder.writer.lastEventId + 1))
        yield* recorder.commit
        yield* recorder.rotate
      }
    }))
  yield* record(2)
  yield* whileClockTurns(
    Effect.repeat(Effect.yieldNow, {
      until: () =>
        Effect.map(maintainer.segments, (segments) => segments.some((s) => s.segmentIndex === 1 && s.state === "hot"))
    })
  )
  // A file stands where the quarantine is to be.
  yield* put(`${directory}/quarantine`, new Uint8Array())
  const path = hotPath(directory, 1)
  const bytes = yield* bytesOf(path)
  bytes[bytes.findLastIndex((byte) => byte !== 0)]! ^= 1
  yield* Effect.scoped(Effect.flatMap(openScoped(path, "write"), (file) => writeFully(file, [bytes], 0)))
  yield* record(2)
  yield* whileClockTurns(
    Effect.repeat(Effect.yieldNow, {
      until: () => Effect.map(maintainer.status, ({ damaged }) => damaged.includes(1))
    })
  )
  return { disk, calls, maintainer, path }
})

/** How often the directory is listed in a minute. */
const listsInAMinute = (calls: { list: number }) =>
  Effect.gen(function*() {
    calls.list = 0
    yield* TestClock.adjust("1 minute")
    return calls.list
  })

describe.each(kinds)("a damaged segment that cannot be moved ($name)", (kind) => {
  it.effect("is tried again every few seconds, and moved when there is a place for it", () =>
    Effect.gen(function*() {
      const { calls, disk, maintainer } = yield* withDamage(kind)
      assert.isBelow(yield* listsInAMinute(calls), 200)
      assert.deepStrictEqual((yield* maintainer.status).damaged, [1])
      yield* disk.unlink(`${directory}/quarantine`)
      yield* TestClock.adjust("1 minute")
      const { damaged, holes } = yield* maintainer.status
      assert.deepStrictEqual([damaged, holes.length], [[], 1])
    }).pipe(Effect.scoped, quiet, Effect.provide(simulated())))

  it.effect("is no longer looked for when somebody has moved its file away", () =>
    Effect.gen(function*() {
      const { calls, disk, path } = yield* withDamage(kind)
      yield* disk.unlink(path)
      yield* disk.unlink(`${directory}/quarantine`)
      yield* TestClock.adjust("1 minute")
      assert.isBelow(yield* listsInAMinute(calls), 200)
    }).pipe(Effect.scoped, quiet, Effect.provide(simulated())))

  it.effect("that was moved since a start read it is read once more by that start, and no second time", () =>
    Effect.gen(function*() {
      const { disk, maintainer } = yield* withDamage(kind)
      yield* disk.unlink(`${directory}/quarantine`)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* maintainer.status).damaged, [])
      assert.isTrue(yield* maintainer.quarantine(1))
      assert.isFalse(yield* maintainer.quarantine(1))
    }).pipe(Effect.scoped, quiet, Effect.provide(simulated())))
})
