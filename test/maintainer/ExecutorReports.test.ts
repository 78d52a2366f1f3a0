/** Outcomes that are reported twice, or lost with the executor that had to report them. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import { countOutcomeUnsafe, freezesEndUnsafe } from "../../src/maintainer/executor/MaintainerControl.ts"
import type { ExecutorSeat } from "../../src/maintainer/executor/Supervisor.ts"
import { make } from "../../src/maintainer/MaintainerService.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import * as Arena from "../../src/shared/Arena.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { buildWal } from "../fixtures/segments.ts"
import { coldPath, foundation, hotPath, kinds, open, put, quiet, settle, simulated, watch } from "./maintaining.ts"

const indices = (events: ReadonlyArray<StepOutcome>, tag: StepOutcome["_tag"]) =>
  events.filter((event) => event._tag === tag).map((event) => event.segmentIndex)

describe("an executor whose predecessor died between reporting and completing", () => {
  const directory = "/wal"
  const ids = { firstEventId: 1, lastEventId: 30, closedMillis: 1, millis: 2 }
  const frozen: StepOutcome = { _tag: "Frozen", segmentIndex: 0, hotBytes: 100, coldBytes: 50, ...ids }
  const freed: StepOutcome = { _tag: "Freed", segmentIndex: 0, millis: 1 }

  it.effect("reports again what is known, and nobody hears it twice", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.merge(foundation, simulated()))
      const report = yield* Deferred.make<void>()
      const spawn = ({ control, emit, executor }: ExecutorSeat) =>
        Effect.gen(function*() {
          yield* Deferred.await(report)
          const persisted: StepOutcome = { _tag: "Persisted", segmentIndex: 0, bytes: 100, usedBytes: 100, ...ids }
          for (const event of [frozen, frozen, persisted, frozen, freed, freed]) {
            countOutcomeUnsafe(control, executor)
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

  const persisted = (segmentIndex: number): StepOutcome => ({
    _tag: "Persisted",
    segmentIndex,
    bytes: 100,
    usedBytes: 100,
    ...ids
  })

  /** A maintainer whose two executors do what the test says, one life after the other; the lead begins. */
  const acted = Effect.fnUntraced(function*(
    arena: Arena.Arena,
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
      make({ directory, limits: { maxSegments, maxCompressedSegments: 4 }, drainMax: 0 }, arena, {
        count: 2,
        spawn
      })
    )
    const { context } = yield* open(Layer.provide(layer, Layer.succeedContext(services)))
    const events = yield* watch(Context.get(context, SegmentMaintainer))
    return { events, queue }
  })
  const say = ({ control, emit, executor }: ExecutorSeat, event: StepOutcome): void => {
    countOutcomeUnsafe(control, executor)
    emit(event)
  }
  const arenaOf = (): Arena.Arena => Arena.makeUnsafe({ slots: 2, slotBytes: 1024, layout: kinds[0]!.layout })
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
            Arena.putClosedUnsafe(arena, 0, 1n)
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
        Arena.activateUnsafe(arena, 0, activation)
        if (isInSlot) Arena.rotateUnsafe(arena, 0)
        const { events, queue } = yield* acted(arena, hot, [(seat, toPersist) =>
          Effect.gen(function*() {
            say(seat, { _tag: "Opened", segmentIndex: 0 })
            assert.isTrue(TaskQueue.offerUnsafe(toPersist, { segmentIndex: 0, slot: 0, bytes: 1 }))
            assert.isTrue(TaskQueue.pollUnsafe(toPersist, new TaskRing.TaskRecord()))
            Arena.putClosedUnsafe(arena, 0, 1n)
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

  it.effect.each(["Frozen", "Freed"] as const)(
    "may have died with its report: the disk shows what it had done (%s)",
    (tag) =>
      Effect.gen(function*() {
        const services = yield* Layer.build(Layer.merge(foundation, simulated()))
        const disk = Context.get(services, Disk)
        const isFreeze = tag === "Frozen"
        const queue = isFreeze ? Context.get(services, SegmentsToFreeze) : Context.get(services, SegmentsToFree)
        let lives = 0
        const spawn = ({ control, executor }: ExecutorSeat) =>
          Effect.gen(function*() {
            lives += 1
            if (lives > 1) return yield* Effect.never
            const task = new TaskRing.TaskRecord()
            const end = () => isFreeze ? freezesEndUnsafe(control) : undefined
            while (!TaskQueue.pollUnsafe(queue, task, end())) yield* Effect.yieldNow
            if (isFreeze) yield* put(coldPath(directory, 0), Buffer.from("cold"))
            yield* disk.unlink(isFreeze ? hotPath(directory, 0) : coldPath(directory, 0))
            countOutcomeUnsafe(control, executor)
            TaskQueue.completeUnsafe(queue)
          }).pipe(Effect.provideService(Disk, disk), Effect.orDie)
        const { context } = yield* Effect.gen(function*() {
          yield* disk.makeDirectory(directory)
          for (const { bytes, segmentIndex } of buildWal({ segments: [30, 30, 30, 30, 30, 30, 30] })) {
            const isHot = isFreeze || segmentIndex > 4
            yield* put((isHot ? hotPath : coldPath)(directory, segmentIndex), bytes)
          }
          const limits = { maxSegments: 16, maxCompressedSegments: 4 }
          return yield* open(
            Layer.effect(SegmentMaintainer, make({ directory, limits }, undefined, { count: 1, spawn }))
          )
        }).pipe(Effect.provideContext(services))
        const maintainer = Context.get(context, SegmentMaintainer)
        const outcomes = yield* watch(maintainer)
        if (isFreeze) assert.isTrue(TaskQueue.offerUnsafe(queue, { segmentIndex: 0, bytes: 1 }))
        yield* settle
        const draining = yield* Effect.forkChild(maintainer.drain)
        yield* TestClock.adjust(20_000)
        assert.deepStrictEqual(outcomes.map(({ _tag, segmentIndex }) => [_tag, segmentIndex]), [[tag, 0]])
        const [first] = yield* maintainer.segments
        assert.deepStrictEqual([first?.segmentIndex, first?.state], isFreeze ? [0, "cold"] : [1, "cold"])
        // It was done before the drain, perhaps long before.
        assert.deepStrictEqual((yield* Fiber.join(draining)).done, { persist: 0, freeze: 0, free: 0 })
      }).pipe(Effect.scoped, quiet)
  )
})
