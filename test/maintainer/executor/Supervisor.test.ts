/** Executors die, as fibers and as threads; their successors find every task and repeat none that was reported. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { pathToFileURL } from "node:url"
import { Disk } from "../../../src/disk/Disk.ts"
import { countEventUnsafe } from "../../../src/maintainer/executor/MaintainerControl.ts"
import { make, SegmentMaintainer } from "../../../src/maintainer/SegmentMaintainer.ts"
import type { ExecutorSeat } from "../../../src/maintainer/SegmentMaintainer.ts"
import type { MaintainerEvent } from "../../../src/maintainer/steps/StepOutcome.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import * as SegmentArena from "../../../src/shared/SegmentArena.ts"
import { SegmentsToPersist } from "../../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../../src/shared/TaskQueue.ts"
import * as TaskRing from "../../../src/shared/TaskRing.ts"
import { Telemetry } from "../../../src/telemetry/Telemetry.ts"
import { buildWal } from "../../fixtures/segments.ts"
import { program } from "../../programs.ts"
import {
  done,
  foundation,
  hotPath,
  inTime,
  kinds,
  look,
  named,
  NodeDisk,
  open,
  put,
  quiet,
  recorded,
  segmentBytesMax,
  settle,
  simulated,
  temporaryDirectory,
  watch,
  whileClockTurns
} from "../maintaining.ts"
import { mortal } from "../mortalDisk.ts"

const indices = (events: ReadonlyArray<MaintainerEvent>, tag: MaintainerEvent["_tag"]) =>
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
            // Only a death while closing, with nothing left to do but to tidy up, is followed by nobody.
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
        assert.deepStrictEqual((yield* done(commit)).reason, "MaintainerDown")
        assert.strictEqual((yield* Effect.flip(recorder.commit)).reason, "MaintainerDown")
        const { isDown, restarts } = yield* maintainer.status
        assert.deepStrictEqual([isDown, restarts], [true, 3])
        // Memory is not filled: the slots are, and then there is an error.
        let appended = 0
        const appendOn = Effect.andThen(recorder.append(event(1)), Effect.sync(() => void (appended += 1)))
        const refused = yield* Effect.flip(Effect.forever(appendOn))
        assert.strictEqual(refused.reason, "MaintainerDown")
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
        const sorted = (tag: MaintainerEvent["_tag"]) => indices(events, tag).sort((a, b) => a - b)
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
      assert.strictEqual((yield* Effect.flip(recorder.commit)).reason, "MaintainerDown")
      yield* close
    }).pipe(quiet, Effect.provide(NodeDisk.layer)))
})

describe("an executor whose predecessor died between reporting and completing", () => {
  const directory = "/wal"
  const ids = { firstEventId: 1, lastEventId: 30, closedMillis: 1 }
  const frozen: MaintainerEvent = { _tag: "Frozen", segmentIndex: 0, hotBytes: 100, coldBytes: 50, ...ids }
  const freed: MaintainerEvent = { _tag: "Freed", segmentIndex: 0 }

  it.effect("reports again what is known, and nobody hears it twice", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.merge(foundation, simulated()))
      const report = yield* Deferred.make<void>()
      const spawn = ({ control, emit, executor }: ExecutorSeat) =>
        Effect.gen(function*() {
          yield* Deferred.await(report)
          const persisted: MaintainerEvent = { _tag: "Persisted", segmentIndex: 0, bytes: 100, ...ids }
          for (const event of [frozen, frozen, persisted, frozen, freed, freed]) {
            countEventUnsafe(control, executor)
            emit(event)
          }
          return yield* Effect.never
        })
      const context = yield* Effect.gen(function*() {
        const disk = yield* Disk
        yield* disk.makeDirectory(directory)
        for (const { bytes, segmentIndex } of buildWal({ segments: [30, 30] })) {
          yield* put(hotPath(directory, segmentIndex), bytes)
        }
        return yield* open(Layer.effect(SegmentMaintainer, make({ directory }, undefined, { count: 1, spawn })))
      }).pipe(Effect.provideContext(services))
      const maintainer = Context.get(context.context, SegmentMaintainer)
      const events = yield* watch(maintainer)
      yield* Deferred.succeed(report, undefined)
      yield* settle
      assert.deepStrictEqual(events.map((event) => event._tag), ["Frozen", "Freed"])
      assert.deepStrictEqual((yield* maintainer.segments).map(({ segmentIndex }) => segmentIndex), [1])
    }).pipe(Effect.scoped, quiet))

  const persisted = (segmentIndex: number): MaintainerEvent => ({ _tag: "Persisted", segmentIndex, bytes: 100, ...ids })

  /** A maintainer whose two executors do what the test says, one life after the other; the lead begins. */
  const acted = Effect.fnUntraced(function*(
    arena: SegmentArena.Arena,
    maxSegments: number,
    lives: ReadonlyArray<(seat: ExecutorSeat, toPersist: TaskQueue.TaskQueue) => Effect.Effect<void>>,
    otherDies: Effect.Effect<void> = Effect.never
  ) {
    const services = yield* Layer.build(Layer.merge(foundation, simulated()))
    const queue = Context.get(services, SegmentsToPersist)
    let life = 0
    const spawn = (seat: ExecutorSeat) => seat.executor === 1 ? otherDies : lives[life++]?.(seat, queue) ?? Effect.never
    const layer = Layer.effect(
      SegmentMaintainer,
      make({ directory, limits: { maxSegments, maxCompressedSegments: 4 }, drainMillisMax: 0 }, arena, {
        count: 2,
        spawn
      })
    )
    const { context } = yield* open(Layer.provide(layer, Layer.succeedContext(services)))
    const events = yield* watch(Context.get(context, SegmentMaintainer))
    return { events, queue }
  })
  const say = ({ control, emit, executor }: ExecutorSeat, event: MaintainerEvent): void => {
    countEventUnsafe(control, executor)
    emit(event)
  }
  const arenaOf = (): SegmentArena.Arena => SegmentArena.make({ slots: 2, slotBytes: 1024, layout: kinds[0]!.layout })
  const activation = { segmentIndex: 0, firstEventId: 1, createdNanos: 1n }

  // Whether what is persisted is to be frozen at once or not.
  it.effect.each([2, 8])(
    "lets the lead report what it persists while another executor dies (%s hot segments)",
    (hot) =>
      Effect.gen(function*() {
        const arena = arenaOf()
        const otherDied = yield* Deferred.make<void>()
        const report = yield* Deferred.make<void>()
        const { events } = yield* acted(arena, hot, [(seat) =>
          Effect.gen(function*() {
            say(seat, { _tag: "Opened", segmentIndex: 0 })
            SegmentArena.putClosed(arena, 0, 1n)
            yield* Deferred.succeed(otherDied, undefined)
            yield* Deferred.await(report)
            say(seat, persisted(0))
            return yield* Effect.never
          })], Deferred.await(otherDied))
        yield* TestClock.adjust(100)
        yield* Deferred.succeed(report, undefined)
        yield* settle
        assert.deepStrictEqual(indices(events, "Persisted"), [0])
      }).pipe(Effect.scoped, quiet)
  )

  it.effect.each([[2, true], [2, false], [8, true], [8, false]] as const)(
    "reports what its predecessor had persisted and not said, once (%s hot segments, still in its slot: %s)",
    ([hot, isInSlot]) =>
      Effect.gen(function*() {
        const arena = arenaOf()
        SegmentArena.activateUnsafe(arena, 0, activation)
        if (isInSlot) SegmentArena.rotateUnsafe(arena, 0)
        const { events, queue } = yield* acted(arena, hot, [(seat, toPersist) =>
          Effect.gen(function*() {
            say(seat, { _tag: "Opened", segmentIndex: 0 })
            assert.isTrue(TaskQueue.offerUnsafe(toPersist, { segmentIndex: 0, slot: 0, bytes: 1 }))
            assert.isTrue(TaskQueue.pollUnsafe(toPersist, new TaskRing.TaskRecord()))
            SegmentArena.putClosed(arena, 0, 1n)
          }), (seat, toPersist) =>
          Effect.gen(function*() {
            // As an executor does that finds the segment in its slot, and that it is closed.
            if (isInSlot) say(seat, persisted(0))
            TaskQueue.completeUnsafe(toPersist)
            return yield* Effect.never
          })])
        yield* TestClock.adjust(100)
        yield* settle
        assert.deepStrictEqual(indices(events, "Persisted"), [0])
        assert.strictEqual(TaskRing.unfinishedUnsafe(queue.ring), 0)
      }).pipe(Effect.scoped, quiet)
  )
})
