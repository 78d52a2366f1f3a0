/** Executors die, as fibers and as threads; their successors find every task and repeat none that was reported. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { pathToFileURL } from "node:url"
import { Disk } from "../../../src/disk/Disk.ts"
import { SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import type { StepOutcome } from "../../../src/maintainer/steps/StepOutcome.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import { Telemetry } from "../../../src/telemetry/Telemetry.ts"
import { program } from "../../programs.ts"
import {
  done,
  inTime,
  kinds,
  look,
  named,
  NodeDisk,
  open,
  quiet,
  recorded,
  segmentBytesMax,
  simulated,
  temporaryDirectory,
  watch,
  whileClockTurns
} from "../maintaining.ts"
import { mortal } from "../mortalDisk.ts"

const indices = (events: ReadonlyArray<StepOutcome>, tag: StepOutcome["_tag"]) =>
  events.filter((event) => event._tag === tag).map((event) => event.segmentIndex)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

describe.each(kinds)("an executor that is a fiber ($name)", (kind) => {
  const { event, format } = kind
  const directory = "/wal"
  const limits = { maxSegments: 2, maxCompressedSegments: 4 }
  const segments = 5

  const withMortal = <A, E>(
    options: { readonly restartsMax?: number },
    body: (parts: {
      readonly recorder: Recorder["Service"]
      readonly maintainer: SegmentMaintainer["Service"]
      readonly telemetry: Telemetry["Service"]
      readonly close: Effect.Effect<void>
      readonly state: ReturnType<typeof mortal>["state"]
      readonly disk: Context.Context<Disk>
    }) => Effect.Effect<A, E, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(Layer.fresh(simulated()))
      const { service, state } = mortal(Context.get(disk, Disk))
      const { close, context } = yield* open(
        Wal.layer({ directory, format, segmentBytesMax, limits, ...options }).pipe(
          Layer.provide(Layer.succeedContext(Context.add(disk, Disk, service)))
        )
      )
      yield* TestClock.adjust(1)
      return yield* body({
        recorder: Context.get(context, Recorder),
        maintainer: Context.get(context, SegmentMaintainer),
        telemetry: Context.get(context, Telemetry),
        close,
        state,
        disk
      })
    }).pipe(Effect.scoped, quiet)

  it.effect("may die at any operation of a run: no task is lost, none is reported twice", () =>
    Effect.gen(function*() {
      const progress = { isOver: false }
      let deaths = 0
      // Not every operation: each segment goes through the same steps, so over five segments the kinds are all met. The
      // files of format 1 are large, and its steps are the same.
      const stride = kind.layout.version === 1 ? 11 : 5
      for (let operation = 1; !progress.isOver; operation += stride) {
        yield* withMortal({}, ({ close, disk, maintainer, recorder, state, telemetry }) =>
          Effect.gen(function*() {
            const words = `death at operation ${operation}`
            const events = yield* watch(maintainer)
            state.dieAt = state.operations + operation
            state.deaths = 1
            for (let id = 1; id <= segments; id++) {
              yield* recorder.append(event(id))
              if (id === 3) yield* Effect.forkChild(recorder.commit)
              yield* Effect.yieldNow
              yield* recorder.rotate.pipe(Effect.raceFirst(TestClock.adjust("1 second")))
            }
            yield* whileClockTurns(close)
            const { restarts } = yield* maintainer.status
            if (state.dieAt !== Number.POSITIVE_INFINITY) progress.isOver = true
            else deaths += 1
            // Only after a death while closing, with nothing left to do but to tidy up, no executor follows.
            const isTidy = restarts === 1 || progress.isOver
            assert.isAtMost(restarts, 1, words)
            assert.strictEqual((yield* telemetry.snapshot).counters.restarts, restarts, words)
            assert.deepStrictEqual(indices(events, "Persisted"), upTo(segments), words)
            const found = yield* look(directory).pipe(Effect.provideContext(disk))
            assert.deepStrictEqual([found.both, found.empty], [[], []], words)
            if (isTidy) assert.deepStrictEqual(found.leftovers, [], words)
            assert.deepStrictEqual(indices(events, "Frozen"), upTo(segments - found.hot.length), words)
            assert.deepStrictEqual(
              indices(events, "Freed"),
              upTo(segments - found.hot.length - found.cold.length),
              words
            )
            assert.strictEqual(found.cold.length, limits.maxCompressedSegments, words)
            const left = yield* recorded(directory, kind).pipe(Effect.provideContext(disk))
            assert.deepStrictEqual(left, named(segments + 1 - left.length, segments, kind), words)
            assert.deepStrictEqual(yield* maintainer.failures, [], words)
          }))
      }
      assert.isAbove(deaths * stride, 120)
    }))

  it.effect("is given up after too many deaths: `down` fails, and so does whoever waits or appends", () =>
    withMortal({ restartsMax: 3 }, ({ close, maintainer, recorder, state }) =>
      Effect.gen(function*() {
        const down = yield* Effect.forkChild(Effect.flip(maintainer.down))
        state.dieAt = state.operations + 1
        state.deaths = 1_000_000
        yield* recorder.append(event(1))
        const commit = yield* Effect.forkChild(Effect.flip(recorder.commit))
        yield* TestClock.adjust("1 minute")
        const error = yield* done(down)
        assert.strictEqual(error._tag, "MaintainerDown")
        assert.strictEqual(error.restarts, 3)
        assert.include(error.message, "the executor dies here")
        assert.deepStrictEqual((yield* done(commit)).reason._tag, "MaintainerDown")
        assert.strictEqual((yield* Effect.flip(recorder.commit)).reason._tag, "MaintainerDown")
        const { isDown, restarts } = yield* maintainer.status
        assert.deepStrictEqual([isDown, restarts], [true, 3])
        // Memory is not filled: the slots are, and then there is an error.
        let appended = 0
        const appendOn = Effect.andThen(recorder.append(event(1)), Effect.sync(() => void (appended += 1)))
        const refused = yield* Effect.flip(Effect.forever(appendOn))
        assert.strictEqual(refused.reason._tag, "MaintainerDown")
        assert.isAtMost(appended * event(1).length, 4 * segmentBytesMax)
        yield* close
      })))

  it.effect("that dies now and then, minutes apart, is not given up", () =>
    withMortal({ restartsMax: 1 }, ({ close, maintainer, recorder, state }) =>
      Effect.gen(function*() {
        for (let id = 1; id <= 5; id++) {
          state.dieAt = state.operations + 1
          state.deaths = 1
          yield* recorder.append(event(id))
          const commit = yield* Effect.forkChild(recorder.commit)
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual(yield* done(commit), id)
        }
        assert.deepStrictEqual((yield* maintainer.status).restarts, 5)
        yield* whileClockTurns(close)
      })))
})

describe.each(kinds)("an executor that is a thread ($name)", (kind) => {
  const { count, event, format } = kind
  const limits = { maxSegments: 4, maxCompressedSegments: 8 }
  const mortalThread = pathToFileURL(program("mortalThread"))

  it.live.each([1, 2])(
    "may be ended at any moment: no task is lost, none is reported twice (%i threads)",
    (workers) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const { close, context } = yield* open(
          Wal.layerWorker({
            directory,
            format,
            segmentBytesMax,
            limits,
            workers,
            threadModule: mortalThread,
            restartsMax: 100
          })
        )
        const recorder = Context.get(context, Recorder)
        const maintainer = Context.get(context, SegmentMaintainer)
        const events = yield* watch(maintainer)
        for (let id = 1; id <= count; id++) yield* recorder.append(event(id))
        yield* recorder.commit
        const restarted = Effect.repeat(Effect.delay(maintainer.status, 5), { until: ({ restarts }) => restarts === 2 })
        yield* inTime("two restarts", restarted)
        yield* close
        const segments = recorder.writer.activeSegmentIndex + 1
        assert.deepStrictEqual(indices(events, "Persisted"), upTo(segments))
        const found = yield* look(directory)
        const sorted = (tag: StepOutcome["_tag"]) => indices(events, tag).sort((a, b) => a - b)
        assert.deepStrictEqual(sorted("Frozen"), upTo(segments - found.hot.length))
        assert.deepStrictEqual(sorted("Freed"), upTo(segments - found.hot.length - found.cold.length))
        // Files that a thread had prepared when it ended are removed at the next start.
        assert.deepStrictEqual([found.both, found.empty], [[], []])
        const left = yield* recorded(directory, kind)
        assert.deepStrictEqual(left, named(count + 1 - left.length, count, kind))
      }).pipe(quiet, Effect.provide(NodeDisk.layer))
  )

  it.live("is given up after too many deaths", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { close, context } = yield* open(
        Wal.layerWorker({
          directory,
          format,
          segmentBytesMax,
          threadModule: new URL("../stillbornThread.ts", import.meta.url),
          restartsMax: 1
        })
      )
      const error = yield* inTime("giving up", Effect.flip(Context.get(context, SegmentMaintainer).down))
      assert.deepStrictEqual([error._tag, error.restarts], ["MaintainerDown", 1])
      assert.include(error.message, "stillborn")
      const recorder = Context.get(context, Recorder)
      yield* recorder.append(event(1))
      assert.strictEqual((yield* Effect.flip(recorder.commit)).reason._tag, "MaintainerDown")
      yield* close
    }).pipe(quiet, Effect.provide(NodeDisk.layer)))
})
