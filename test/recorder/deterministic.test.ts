/** A log on a simulated disk and a simulated clock: the same seed gives the same log, without a word about it. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { small } from "./fixtures.ts"

class Words extends Wal.Service<Words>()("test/Words", { event: Schema.String }) {}

/** Records over rotations, freezes and deletions; what is left then, when it came, and how it lies on the disk. */
const life = Effect.gen(function*() {
  const words = yield* Words
  for (let id = 1; id <= 1000; id++) {
    yield* words.append(`word ${id} `.repeat(1 + id % 30))
    if (id % 20 === 0) {
      yield* words.commit
      yield* TestClock.adjust("1 second")
    }
  }
  yield* words.maintainer.drain
  const events = yield* Stream.runCollect(words.events())
  const { coldSegments, hotSegments } = yield* words.maintainer.status
  const disk = yield* SimulatedDisk.SimulatedDisk
  return {
    events: events.map(({ event, id, time }) => [id, time && DateTime.formatIso(time), event]),
    segments: yield* words.maintainer.segments,
    operations: yield* disk.operationCount,
    coldSegments,
    hotSegments
  }
})

const played = (seed: number) =>
  life.pipe(
    Effect.provide(Words.layer({
      ...small,
      directory: "/words",
      limits: { maxSegments: 2, maxCompressedSegments: 4 }
    })),
    Effect.provide(SimulatedDisk.layer({ seed, faults: { shortReadRate: 0.2, shortWriteRate: 0.2 } })),
    // The id of the log is drawn, and a compressed segment may be a byte longer with another one.
    Random.withSeed(seed),
    // Before anything runs that would wake for every second of the jump.
    (playing) => Effect.andThen(TestClock.setTime(1_700_000_000_000), playing)
  )

describe("a log on a simulated disk under TestClock", () => {
  it.effect("starts no thread, and gives the same events at the same times for the same seed", () =>
    Effect.gen(function*() {
      let workers = 0
      const onWorker = () => (workers += 1)
      process.on("worker", onWorker)
      const first = yield* played(7)
      const again = yield* played(7)
      process.off("worker", onWorker)
      assert.strictEqual(workers, 0)
      assert.strictEqual(first.coldSegments, 4)
      assert.isAbove(Number(first.events[0]![0]), 1, "retention has deleted")
      assert.deepStrictEqual(first.events.at(-1), [1000, "2023-11-14T22:14:09.000Z", "word 1000 ".repeat(11)])
      assert.deepStrictEqual(again, first)
    }))
})
