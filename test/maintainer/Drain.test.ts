/** How a drain ends: by the test's clock, on the simulated disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { blocking } from "../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { aloneOn } from "./aloneOn.ts"
import { done, kinds, look, named, open, quiet, recorded, segmentBytesMax, settle, simulated } from "./maintaining.ts"

const directory = "/wal"

describe.each(kinds)("the loop ($name)", (kind) => {
  const { event, format } = kind
  const alone = aloneOn(kind)

  it.effect("gives up compression at the deadline of a drain, never persistence", () =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(simulated({}, { ...blocking, compress: () => new Promise(() => {}) }))
      const { close, context } = yield* open(
        Wal.layer({
          directory,
          format,
          segmentBytesMax,
          slots: 8,
          limits: { maxSegments: 4, maxCompressedSegments: 64 },
          drainMillisMax: 3000
        }).pipe(Layer.provide(Layer.succeedContext(disk)))
      )
      const recorder = Context.get(context, Recorder)
      const maintainer = Context.get(context, SegmentMaintainer)
      // Eight full slots, of which the limit of hot segments lets four become files.
      for (let id = 1; id <= 10; id++) {
        yield* recorder.append(event(id))
        yield* recorder.rotate
        yield* settle
      }
      assert.strictEqual((yield* maintainer.status).hotSegments, 4)
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust(2999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      yield* done(closing)
      yield* Effect.gen(function*() {
        const found = yield* look(directory)
        assert.deepStrictEqual([found.hot.length, found.cold, found.leftovers], [10, [], []])
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 10, kind))
      }).pipe(Effect.provideContext(disk))
    }).pipe(Effect.scoped, quiet))

  it.effect("closes at once when there is nothing to drain, whatever the deadline", () =>
    Effect.gen(function*() {
      const { close } = yield* alone(blocking, { drainMillisMax: 60_000 })
      yield* close
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }).pipe(Effect.scoped, quiet))
})
