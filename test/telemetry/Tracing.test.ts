/**
 * What a caller waits for, and the steps of a segment's life, are spans that name the log and the segment, so a trace
 * shows which one was slow or failed. They are the same whether the maintainer is a fiber or runs in threads.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { suspendTraced } from "../../src/internal/traced.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import { layerAlone, SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SegmentQueues from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { layers, temporaryDirectory } from "../recorder/fixtures.ts"

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
  return { tracer, of, spans }
}

/** When a span began and how long it took, in nanoseconds. */
const timesOf = ({ status }: Tracer.Span) => {
  assert(status._tag === "Ended")
  return { begun: status.startTime, took: Number(status.endTime - status.startTime) }
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
      assert.deepStrictEqual(of("SegmentMaintainer.persist"), Array.from({ length: 9 }, (_, index) => done(index)))
      const freezes = of("SegmentMaintainer.freeze")
      assert.isAtLeast(freezes.length, 7)
      assert.deepStrictEqual(freezes, freezes.map((_, index) => done(index)))
      const frees = of("SegmentMaintainer.free")
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
      assert.deepStrictEqual(of("SegmentMaintainer.persist"), [{ segmentIndex: 0, ok: false }, done(0)])
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
      assert.deepStrictEqual(of("SegmentMaintainer.persist"), [{ segmentIndex: 7, ok: false }])
    }))

  it.effect("cost a commit nothing where the application has no tracer", () =>
    Effect.gen(function*() {
      const inSpan = suspendTraced("Recorder.commit", () => ({}), () => Effect.option(Effect.currentSpan))
      assert.isTrue(Option.isNone(yield* inSpan))
      assert.isTrue(Option.isSome(yield* Effect.withTracer(inSpan, makeTracer().tracer)))
    }))
})

describe.each(layers)("spans, with the maintainer in a %s", (_, layerOf) => {
  it.live("surround the opening, commits, replays, every step and the drain, and no append", () =>
    Effect.scoped(Effect.gen(function*() {
      const { of, spans, tracer } = makeTracer()
      const log = yield* temporaryDirectory
      const reported: Array<StepOutcome> = []
      yield* Effect.gen(function*() {
        const maintainer = yield* SegmentMaintainer
        const recorder = yield* Recorder
        // Ends when the maintainer has drained and closed.
        const outcomes = Stream.runForEach(maintainer.outcomes, (outcome) => Effect.sync(() => reported.push(outcome)))
        yield* Effect.forkDetach(outcomes, { startImmediately: true })
        for (let segment = 0; segment < 12; segment++) {
          yield* recorder.append(event)
          yield* Effect.withSpan(recorder.commit, "order")
          yield* recorder.rotate
        }
        // So that nothing is left when the scope closes, and every outcome was heard.
        yield* maintainer.drain
        yield* Stream.runDrain(Replay.events({ directory: log }))
        const failing = Replay.events({ directory: log, from: { id: 1 }, onSegment: () => Effect.die("reader") })
        yield* Effect.exit(Stream.runDrain(failing))
      }).pipe(
        Effect.provide(layerOf({
          directory: log,
          // One event fills a segment.
          segmentBytesMax: 128,
          limits: { maxSegments: 2, maxCompressedSegments: 4 }
        })),
        Effect.provide(NodeDisk.layer),
        Effect.withTracer(tracer)
      )

      for (const span of spans) {
        if (span.name !== "order") assert.strictEqual(span.attributes.get("log"), log, span.name)
      }
      assert.deepStrictEqual(spans.filter(({ name }) => /append/i.test(name)), [])
      assert.strictEqual(of("Recovery.open").length, 1)
      assert.strictEqual(of("SegmentMaintainer.reconcile").length, 1)
      // That of the test, and that of the closing scope.
      assert.strictEqual(of("SegmentMaintainer.drain").length, 2)
      assert.deepStrictEqual(of("Replay.events").map(({ ok }) => ok), [true, false])

      const commits = spans.filter(({ name }) => name === "Recorder.commit")
      assert.deepStrictEqual(
        commits.map(({ attributes }) => attributes.get("eventId")),
        Array.from({ length: 12 }, (_, index) => index + 1)
      )
      for (const { parent } of commits) {
        assert.isTrue(Option.exists(parent, (span) => span._tag === "Span" && span.name === "order"))
      }

      const persisted = reported.filter((outcome) => outcome._tag === "Persisted")
      const frozen = reported.filter((outcome) => outcome._tag === "Frozen")
      const freed = reported.filter((outcome) => outcome._tag === "Freed")
      assert.strictEqual(persisted.length, 12)
      assert.isAbove(frozen.length, 0)
      assert.isAbove(freed.length, 0)
      for (const [name, outcomes] of [["persist", persisted], ["freeze", frozen], ["free", freed]] as const) {
        const made = spans.filter((span) => span.name === `SegmentMaintainer.${name}`)
        assert.deepStrictEqual(of(`SegmentMaintainer.${name}`), outcomes.map(({ segmentIndex }) => done(segmentIndex)))
        for (const [index, span] of made.entries()) {
          const { begun, took } = timesOf(span)
          const millis = outcomes[index]?.millis ?? Number.NaN
          assert.isAbove(millis, 0)
          assert.approximately(took, millis * 1e6, 1)
          assert.isTrue(begun >= timesOf(spans[0]!).begun)
        }
      }
    })))
})
