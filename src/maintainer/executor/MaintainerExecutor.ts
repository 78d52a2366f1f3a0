/**
 * The part of the maintainer that works: one loop that serves the three queues and flushes the active segment. It
 * decides nothing about retention and keeps nothing that must not be lost: a task stays claimed in its queue until it
 * is done, and what was written is recorded in the arena. So when an executor dies, another with the same number simply
 * follows. The same executor runs as a fiber, in a thread, or several times in a pool.
 *
 * In a pool only executor 0 (the lead) flushes and persists, because chains are made in order; all of them freeze and
 * free.
 *
 * A cycle serves everything that waits, and then sleeps. Freezing runs beside the cycle, so persisting never waits for
 * it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import { availableParallelism } from "node:os"
import { Disk, removeIfThere } from "../../disk/Disk.ts"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { Compression, SegmentNaming } from "../../format/SegmentName.ts"
import { elapsedMillisUnsafe } from "../../internal/elapsed.ts"
import { messageOf } from "../../internal/messageOf.ts"
import { FrameMemory } from "../../reading/segment/FrameReader.ts"
import * as Arena from "../../shared/Arena.ts"
import { HeldBack } from "../../shared/Arena.ts"
import * as Doorbell from "../../shared/Doorbell.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../../shared/SegmentQueues.ts"
import * as TaskQueue from "../../shared/TaskQueue.ts"
import type { Task } from "../../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import { begin, Compressor, settle } from "../Compressor.ts"
import * as Persister from "../persist/Persister.ts"
import { free } from "../steps/FreeStep.ts"
import { freeze } from "../steps/FreezeStep.ts"
import { persistFile } from "../steps/PersistFileStep.ts"
import { makeGate, retryStep } from "../steps/Retrying.ts"
import type { StepError } from "../steps/StepError.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"
import { failed } from "../steps/StepOutcome.ts"
import { countedReason } from "../steps/StepReason.ts"
import type { MaintainerControl } from "./MaintainerControl.ts"
import { countOutcomeUnsafe, freezesEndUnsafe, isDraining, isFreezingStopped, isKept } from "./MaintainerControl.ts"
import { adaptive, repeatWakeable } from "./MaintainerSchedule.ts"
import { makeCurrent, makeLane } from "./TaskLane.ts"
import type { ThreadShare } from "./ThreadShare.ts"

/** What an executor must know of the maintainer's options. Plain data, so it can be handed to another thread. */
export interface ExecutorOptions {
  readonly directory: string
  readonly naming: SegmentNaming
  readonly compression: Compression
  readonly sleepMillisMin: number
  readonly sleepMillisMax: number
  /** The active segment is flushed this often; 0 = only when asked for. */
  readonly flushEveryMillis: number
}

/**
 * How often a freeze or a deletion is tried before it is abandoned and put on the list of failures: for 1.3 seconds.
 */
const attemptsMax = 8

/**
 * How long a thread lingers after a commit, in microseconds. Waking one that sleeps takes 30 to 40 µs on the machine of
 * docs/PERFORMANCE.md, and an application makes its next commit about 60 µs after the last one.
 */
const lingerMicrosMax = 100

/** Runs an executor until it is interrupted. A defect ends it; its supervisor starts another with the same number. */
export const run = Effect.fnUntraced(function*(options: ExecutorOptions, shared: {
  /** From 0; 0 is the lead. */
  readonly executor: number
  /** When the loop looks for work of its own accord. Default: the adaptive one. */
  readonly schedule?: Schedule.Schedule<unknown, boolean> | undefined
  readonly control: MaintainerControl
  /** Without an arena there is nothing to flush, and files to persist are complete already. */
  readonly arena: Arena.Arena | undefined
  readonly telemetry: SegmentMaintainerUpdater
  /** If the executor runs in a maintainer thread: the disk for freezing and freeing, since the other one blocks it. */
  readonly backgroundDisk?: Disk["Service"]
  /** If the executor runs in a maintainer thread. */
  readonly thread?: ThreadShare
  /** Must not fail or suspend: hands the outcome to the service. */
  readonly emit: (outcome: StepOutcome) => void
  /** Must not fail or suspend: has the service write a warning to the application's log. */
  readonly warn: (message: string) => void
}) {
  const { arena, control, executor, telemetry } = shared
  const { compression, flushEveryMillis } = options
  const directory = new SegmentDirectory(options.directory, options.naming)
  const isLead = executor === 0
  const toPersist = TaskQueue.withConsumer(yield* SegmentsToPersist, executor)
  const toFreeze = TaskQueue.withConsumer(yield* SegmentsToFreeze, executor)
  const toFree = TaskQueue.withConsumer(yield* SegmentsToFree, executor)

  const emit = (outcome: StepOutcome): void => {
    if (outcome._tag === "Failed") telemetry.onFailure(countedReason(outcome.reason))
    countOutcomeUnsafe(control, executor)
    shared.emit(outcome)
  }
  const complete = (queue: TaskQueue.Dequeue): void => {
    TaskQueue.completeUnsafe(queue)
    Doorbell.ringUnsafe(control.progress)
  }
  const clock = yield* Clock.Clock
  const elapsed = (): number => elapsedMillisUnsafe(clock)
  const wake = () => Doorbell.ringUnsafe(control.attention)

  const persister = isLead && arena !== undefined
    ? yield* Persister.make({ directory, flushEveryMillis }, { arena, telemetry, emit, room: control.room })
    : undefined
  const persisting = yield* makeCurrent(toPersist)
  const doubted = new Set<number>()

  const persistingFiles = makeGate(control.room)
  /** `true` when the task is complete. */
  const persistFileOne = Effect.fnUntraced(function*({ segmentIndex }: Task) {
    if (!(yield* persistingFiles.mayTry)) return false
    const startNanos = telemetry.nowNanos()
    const begun = elapsed()
    const result = yield* Effect.result(persistFile(directory, segmentIndex, doubted))
    const now = yield* Clock.currentTimeMillis
    const millis = elapsed() - begun
    telemetry.onPersist(Result.isSuccess(result), startNanos)
    if (Result.isSuccess(result)) {
      persistingFiles.succeeded()
      const unknown = { usedBytes: undefined, firstEventId: undefined, lastEventId: undefined }
      emit({ _tag: "Persisted", segmentIndex, bytes: result.success, ...unknown, closedMillis: now, millis })
      return true
    }
    const { failure } = result
    emit(failed(failure, now, !failure.isRetryable, millis))
    if (failure.isRetryable) yield* persistingFiles.failed
    return !failure.isRetryable
  })

  const persistAll = Effect.gen(function*() {
    let worked = false
    while (true) {
      const task = persisting.next()
      if (task === undefined) break
      const isDone = yield* persister === undefined || task.slot < 0 ? persistFileOne(task) : persister.persist(task)
      if (!isDone) break
      persisting.done()
      complete(toPersist)
      worked = true
      if (persister !== undefined) yield* persister.renewMeta
    }
    // Once for all that waited: under load one more always waits, and the meta file takes as long as a small sync.
    if (worked && persister !== undefined) yield* persister.writeMeta
    return worked
  })

  /** A step that is tried again, and reports each attempt that fails. */
  const attempts = <A, R>(step: Effect.Effect<A, StepError, R>) => {
    let begun = elapsed()
    /** How long the last attempt took. */
    const millis = (): number => elapsed() - begun
    const report = (isFinal: boolean) => (error: StepError) =>
      Effect.map(Clock.currentTimeMillis, (now) => emit(failed(error, now, isFinal, millis())))
    const attempt = Effect.suspend(() => {
      begun = elapsed()
      return step
    })
    const run = retryStep(attempt, { attempts: attemptsMax, room: control.room, onRetry: report(false) })
    return { run, millis, abandon: report(true) }
  }

  const freeOne = Effect.fnUntraced(function*(task: Task) {
    if (isKept(control, task.segmentIndex)) {
      return shared.warn(`segment ${task.segmentIndex} is not deleted as was asked: it is not archived yet`)
    }
    const startNanos = telemetry.nowNanos()
    const { abandon, millis, run } = attempts(free(directory, task.segmentIndex))
    const exit = yield* Effect.exit(run)
    telemetry.onColdSegmentDeletion(Exit.isSuccess(exit), startNanos)
    if (Exit.isSuccess(exit)) {
      emit({ _tag: "Freed", segmentIndex: task.segmentIndex, millis: millis() })
      return Doorbell.ringUnsafe(control.room)
    }
    return yield* Effect.catch(Effect.asVoid(exit), abandon)
  })

  const pressure = {
    commitsAsked: () => arena === undefined ? 0 : Arena.flushAsked(arena),
    isAwaited: () =>
      TaskQueue.sizeUnsafe(toFreeze) > 0 || isDraining(control) || shared.thread?.isTurnAwaited() === true ||
      (arena !== undefined && Arena.heldBack(arena) !== HeldBack.None)
  }
  const leftBehind = new Set<string>()
  yield* Effect.addFinalizer(() =>
    Effect.forEach(leftBehind, (path) => Effect.ignore(removeIfThere(path)), { discard: true })
  )
  const inTurn = shared.thread?.inTurn ?? identity
  const freezeOptions = { directory, compression, telemetry, pressure, leftBehind, memory: new FrameMemory() }
  const freezeOne = Effect.fnUntraced(function*({ segmentIndex }: Task) {
    const startNanos = telemetry.nowNanos()
    const { abandon, millis, run } = attempts(inTurn(freeze(freezeOptions, segmentIndex)))
    const exit = yield* Effect.exit(run)
    telemetry.onHotSegmentRetention(Exit.isSuccess(exit), startNanos)
    if (Exit.isFailure(exit)) return yield* Effect.catch(Effect.asVoid(exit), abandon)
    const { coldBytes, facts, hotBytes } = exit.value
    telemetry.count("compressionBytesIn", hotBytes)
    telemetry.count("compressionBytesOut", coldBytes)
    const { closedMillis, firstEventId, lastEventId } = facts
    const ids = { firstEventId, lastEventId }
    emit({ _tag: "Frozen", segmentIndex, hotBytes, coldBytes, ...ids, closedMillis, millis: millis() })
    Doorbell.ringUnsafe(control.room)
  })
  const compressor = yield* Compressor
  const starting = yield* Effect.acquireRelease(
    Effect.result(begin(compressor.start, messageOf)),
    () => Effect.sync(() => compressor.stop())
  )
  // The first freeze may be hours away.
  yield* Effect.forkScoped(
    Effect.catch(
      Effect.flatMap(Effect.fromResult(starting), (started) => settle(() => started, messageOf)),
      (message) => Effect.sync(() => shared.warn(message))
    )
  )
  const { backgroundDisk = yield* Disk } = shared
  // With one core the application could not ring meanwhile.
  const hasCoreToSpare = availableParallelism() > 1
  const inBackground = (work: (task: Task) => Effect.Effect<void, never, Disk>) => (task: Task) =>
    Effect.provideService(work(task), Disk, backgroundDisk)
  const freeing = yield* makeLane(toFree, inBackground(freeOne), complete, wake)
  const freezing = yield* makeLane(toFreeze, inBackground(freezeOne), complete, wake, () => freezesEndUnsafe(control))

  /**
   * An application that has just committed often commits again. An executor with a thread of its own waits for that for
   * a moment without sleeping, unless a freeze or a deletion needs the thread.
   */
  const lingerUnsafe = (seen: ReadonlyArray<number>): boolean =>
    hasCoreToSpare && shared.thread?.isAlone() === true && arena !== undefined &&
    persister?.hasServedFlush() === true && !freezing.isBusy() &&
    !freeing.isBusy() &&
    Doorbell.spinUnsafe(arena.work, seen.at(-1) ?? 0, lingerMicrosMax)

  const cycle = Effect.gen(function*() {
    let worked = false
    if (isLead) worked = yield* persistAll
    if (persister !== undefined) worked = (yield* persister.flush) || worked
    worked = (yield* freeing.poll) || worked
    if (isFreezingStopped(control)) yield* freezing.stop
    else worked = (yield* freezing.poll) || worked
    if (!worked && persister !== undefined) {
      worked = yield* persister.prepare
      yield* persister.renewMeta
    }
    return worked
  })

  const untilFiles = (): number => {
    const next = persistingFiles.nextElapsed()
    return next === undefined ? Number.POSITIVE_INFINITY : Math.max(1, Math.ceil(next - elapsed()))
  }
  const doorbells = [toPersist.notEmpty, toFreeze.notEmpty, toFree.notEmpty, control.attention, control.room]
  if (arena !== undefined) doorbells.push(arena.work)
  yield* repeatWakeable({
    cycle,
    schedule: shared.schedule ?? adaptive(options.sleepMillisMin, options.sleepMillisMax),
    doorbells,
    sleepMillisMax: () => Math.min(persister?.sleepMillisMax() ?? Number.POSITIVE_INFINITY, untilFiles()),
    begin: telemetry.nowNanos,
    lingerUnsafe,
    onCycle: (worked, begun, asleep) => telemetry.onPersistenceLoop(worked, begun, telemetry.nowNanos() - asleep)
  })
}, Effect.scoped)
