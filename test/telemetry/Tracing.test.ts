/**
 * The steps of a segment's life are spans that name the segment, so a trace shows which one was slow or failed.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import { layerAlone, SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SegmentQueues from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

/** Makes a tracer that keeps every span. */
const makeTracer = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const of = (name: string) =>
    spans.filter((span) => span.name === name).map((span) => ({
      segmentIndex: span.attributes.get("segmentIndex"),
      ok: span.status._tag === "Ended" && Exit.isSuccess(span.status.exit)
    }))
  return { tracer, of }
}

const disk = Layer.merge(SimulatedDisk.layer({ seed: 1 }), Layer.succeed(Compressor, blocking))
const done = (segmentIndex: number) => ({ segmentIndex, ok: true })
const event = new Uint8Array(100)

describe("spans", () => {
  it.effect("surround persist, freeze and free, with the segment's index", () =>
    Effect.gen(function*() {
      const { of, tracer } = makeTracer()
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        for (let segment = 0; segment < 9; segment++) {
          // A segment with the closing time 0 counts as open.
          yield* TestClock.adjust(1_000)
          recorder.writer.appendUnsafe(event)
          yield* recorder.rotate
        }
        yield* TestClock.adjust(1_000)
      }).pipe(
        // One event fills a segment.
        Effect.provide(
          Wal.layer({
            directory: "/log",
            segmentBytesMax: 128,
            limits: { maxSegments: 2, maxCompressedSegments: 4 }
          })
        ),
        Effect.provide(disk),
        Effect.withTracer(tracer)
      )
      assert.deepStrictEqual(of("SegmentFlusher.persist"), Array.from({ length: 9 }, (_, index) => done(index)))
      const freezes = of("FreezeStep.freeze")
      assert.isAtLeast(freezes.length, 7)
      assert.deepStrictEqual(freezes, freezes.map((_, index) => done(index)))
      const frees = of("FreeStep.free")
      assert.isAtLeast(frees.length, 3)
      assert.deepStrictEqual(frees, frees.map((_, index) => done(index)))
    }))

  it.effect("of a step that failed and was tried again show each attempt", () =>
    Effect.gen(function*() {
      const { of, tracer } = makeTracer()
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const simulated = yield* SimulatedDisk.SimulatedDisk
        recorder.writer.appendUnsafe(event)
        yield* simulated.failNext("sync", "Io", /\.wal/)
        yield* recorder.rotate
        yield* TestClock.adjust(5_000)
      }).pipe(
        Effect.provide(Wal.layer({ directory: "/log" })),
        Effect.provide(disk),
        Effect.withTracer(tracer)
      )
      assert.deepStrictEqual(of("SegmentFlusher.persist"), [{ segmentIndex: 0, ok: false }, done(0)])
    }))

  it.effect("surround the persisting of files that an application wrote itself", () =>
    Effect.gen(function*() {
      const { of, tracer } = makeTracer()
      yield* Effect.gen(function*() {
        const toPersist = yield* SegmentQueues.SegmentsToPersist
        yield* SegmentMaintainer
        TaskQueue.offerUnsafe(toPersist, { segmentIndex: 7, bytes: 0 })
        yield* TestClock.adjust(5_000)
      }).pipe(
        Effect.provide(
          layerAlone({ directory: "/log" }).pipe(
            Layer.provideMerge(Layer.merge(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 })))
          )
        ),
        Effect.provide(disk),
        Effect.withTracer(tracer)
      )
      assert.deepStrictEqual(of("PersistFileStep.persist"), [{ segmentIndex: 7, ok: false }])
    }))
})
