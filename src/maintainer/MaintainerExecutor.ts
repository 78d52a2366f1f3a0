/**
 * The part of the maintainer that works: one loop that serves the three queues and the flushing of the active segment. It
 * decides nothing about retention and keeps nothing that may not be lost: what it has taken from a queue stays claimed
 * until it is done, what it has written is recorded in the arena. So an executor that dies is simply followed by another
 * with the same number. The same executor runs as a fiber, in a thread, or several times in a pool.
 *
 * In a pool, executor 0 (the lead) alone flushes and persists, because chains are made in order; all of them freeze and
 * free.
 *
 * A cycle serves everything there is to serve and only then sleeps. Freezing runs beside the cycle, so persisting never
 * waits for it.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { availableParallelism } from "node:os"
import { Disk, openScoped } from "../disk/Disk.ts"
import * as MetaStore from "../disk/MetaStore.ts"
import type { Compression, SegmentNaming } from "../format/SegmentName.ts"
import { hotName } from "../format/SegmentName.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import type { Arena } from "../shared/SegmentArena.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import { HeldBack, SlotState } from "../shared/SegmentArena.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../shared/SegmentQueues.ts"
import * as TaskQueue from "../shared/TaskQueue.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import type { Task } from "../shared/TaskRing.ts"
import type { FailureReason } from "../telemetry/Counters.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"
import { Compressor, settle } from "./Compressor.ts"
import { free } from "./FreeStep.ts"
import { freeze } from "./FreezeStep.ts"
import type { MaintainerControl } from "./MaintainerControl.ts"
import { countEventUnsafe, freezesEndUnsafe, isFreezingStopped } from "./MaintainerControl.ts"
import type { MaintainerEvent } from "./MaintainerEvent.ts"
import { failed } from "./MaintainerEvent.ts"
import { adaptive, repeatWakeable } from "./MaintainerSchedule.ts"
import * as SegmentFlusher from "./SegmentFlusher.ts"
import { fromDisk, StepError } from "./StepError.ts"

/**
 * What an executor must know. Plain data, so it can be handed to another thread.
 *
 * @since 0.1.0
 * @category models
 */
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
 * How often a freeze or a deletion is tried before it is put on the list of failures.
 *
 * @since 0.1.0
 * @category limits
 */
export const attemptsMax = 5

/** The meta file is a hint: besides when no full segment waits any more it is renewed at most this often. */
const metaMillisMin = 1000

/**
 * How long a thread lingers after a commit, in microseconds. Waking one that sleeps takes 30 to 40 µs on the machine of
 * docs/PERFORMANCE.md, and an application hears of its commit and makes the next one in about 60.
 */
const lingerMicrosMax = 100

const retrySchedule = Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: attemptsMax - 1 }))

/**
 * Runs an executor until it is interrupted. A defect ends it; its supervisor starts another with the same number.
 *
 * @since 0.1.0
 * @category executors
 */
export const run = Effect.fnUntraced(function*(options: ExecutorOptions, shared: {
  /** From 0; 0 is the lead. */
  readonly executor: number
  readonly control: MaintainerControl
  /** Without an arena there is nothing to flush, and files to persist are complete already. */
  readonly arena: Arena | undefined
  readonly telemetry: SegmentMaintainerUpdater
  /** Given by a thread of its own, whose other disk blocks: the disk for freezing and freeing, see `maintainerThread`. */
  readonly backgroundDisk?: Disk["Service"]
  /** Must not fail or suspend: hands the event to the service. */
  readonly emit: (event: MaintainerEvent) => void
  /** Must not fail or suspend: has the service write a warning to the application's log. */
  readonly warn: (message: string) => void
}) {
  const { arena, control, executor, telemetry } = shared
  const isLead = executor === 0
  const toPersist = TaskQueue.withConsumer(yield* SegmentsToPersist, executor)
  const toFreeze = TaskQueue.withConsumer(yield* SegmentsToFreeze, executor)
  const toFree = TaskQueue.withConsumer(yield* SegmentsToFree, executor)

  const emit = (event: MaintainerEvent): void => {
    if (event._tag === "Failed") telemetry.onFailure(failureReasonOf[event.reason])
    countEventUnsafe(control, executor)
    shared.emit(event)
  }
  const complete = (queue: TaskQueue.Dequeue): void => {
    TaskQueue.completeUnsafe(queue)
    Doorbell.ringUnsafe(control.progress)
  }
  /** Failures of flush and persist since the last success. */
  let failuresInARow = 0

  const hold = (code: HeldBack): void => {
    if (code === HeldBack.None) failuresInARow = 0
    if (arena !== undefined) SegmentArena.putHeldBack(arena, code)
  }
  const wake = () => Doorbell.ringUnsafe(control.attention)

  const flusher = arena === undefined ? undefined : SegmentFlusher.make({
    arena,
    directory: options.directory,
    naming: options.naming,
    telemetry,
    onOpened: (segmentIndex) => emit({ _tag: "Opened", segmentIndex })
  })
  if (flusher !== undefined) yield* Effect.addFinalizer(() => flusher.close)
  if (isLead && arena !== undefined) SegmentArena.giveBackSpentUnsafe(arena)

  // ---------------------------------------------------------------------------------------------------------------
  // persist and flush
  // ---------------------------------------------------------------------------------------------------------------

  const persisting = yield* makeCurrent(toPersist)
  let metaWritten = { millis: 0, eventId: -1 }
  let isMetaWhole = true
  yield* Effect.addFinalizer(() =>
    isMetaWhole ? Effect.void : Effect.ignore(MetaStore.removeTemporary(options.directory))
  )

  const writeMeta = Effect.fnUntraced(function*() {
    if (flusher === undefined) return
    const { eventId, fileOffset, segmentIndex } = flusher.lastDurable()
    if (eventId === metaWritten.eventId) return
    metaWritten = { millis: yield* Clock.currentTimeMillis, eventId }
    const meta = { lastOffset: fileOffset, lastSegmentIndex: segmentIndex, lastEventId: eventId }
    isMetaWhole = false
    yield* Effect.ignore(Effect.map(MetaStore.write(options.directory, meta), () => {
      isMetaWhole = true
    }))
  })

  const renewMeta = Effect.gen(function*() {
    if (flusher === undefined || (yield* Clock.currentTimeMillis) - metaWritten.millis < metaMillisMin) return
    if (flusher.lastDurable().eventId > 0) yield* writeMeta()
  })

  /**
   * Persisting is tried for ever: what was appended is never given up. One failure of the device is no news to
   * committers: the segment is being written to a fresh file, and they go on waiting. A second one in a row is.
   */
  const onPersistError = Effect.fnUntraced(function*(error: StepError) {
    failuresInARow += 1
    if (error.reason === "DiskFull") hold(HeldBack.DiskFull)
    else if (failuresInARow > 1) hold(HeldBack.DiskFailing)
    emit(failed(error, yield* Clock.currentTimeMillis, false))
  })

  /** `true` when the task is done with. */
  const persistOne = Effect.fnUntraced(function*(task: Task) {
    if (flusher === undefined || arena === undefined || task.slot < 0) return yield* persistFile(task)
    const { segmentIndex, slot } = task
    const isHere = SegmentArena.stateOf(arena, slot) === SlotState.Full &&
      SegmentArena.segmentIndexOf(arena, slot) === segmentIndex
    if (!isHere) return true
    const may = flusher.mayWrite(slot)
    if (may !== "yes") {
      if (may === "hot limit") hold(HeldBack.HotLimit)
      return false
    }
    return yield* flusher.persist(slot).pipe(
      Effect.matchEffect({
        onFailure: (error) => Effect.as(onPersistError(error), false),
        onSuccess: (persisted) =>
          Effect.sync(() => {
            hold(HeldBack.None)
            emit({ _tag: "Persisted", ...persisted })
            return true
          })
      })
    )
  })

  /** A file that an application wrote by itself: it is made durable as it is. */
  const persistFile = Effect.fnUntraced(function*(task: Task) {
    const { segmentIndex } = task
    const startNanos = telemetry.nowNanos()
    const path = `${options.directory}/${hotName(options.naming, segmentIndex)}`
    const disk = yield* Disk
    return yield* Effect.gen(function*() {
      const bytes = yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* openScoped(path, "read")
        yield* file.sync
        return (yield* file.stat).bytes
      }))
      yield* disk.syncDirectory(options.directory)
      return bytes
    }).pipe(
      Effect.mapError(fromDisk("persist", segmentIndex)),
      Effect.filterOrFail(
        (bytes) => bytes > 0,
        () => new StepError({ step: "persist", reason: "Corrupt", segmentIndex, path, detail: "an empty file" })
      ),
      Effect.withSpan("SegmentSteps.persist", { attributes: { segmentIndex } }),
      Effect.matchEffect({
        onFailure: (error) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            telemetry.onPersist(false, startNanos)
            emit(failed(error, now, !error.isRetryable))
            return !error.isRetryable
          }),
        onSuccess: (bytes) =>
          Effect.map(Clock.currentTimeMillis, (closedMillis) => {
            telemetry.onPersist(true, startNanos)
            const ids = { firstEventId: undefined, lastEventId: undefined }
            emit({ _tag: "Persisted", segmentIndex, bytes, ...ids, closedMillis })
            return true
          })
      })
    )
  })

  const persistAll = Effect.gen(function*() {
    let worked = false
    while (true) {
      const task = persisting.next()
      if (task === undefined || !(yield* persistOne(task))) break
      persisting.done()
      complete(toPersist)
      worked = true
      yield* renewMeta
    }
    // Once for all that waited: under load there is always a next one, and the meta file takes as long as a small sync.
    if (worked) yield* writeMeta()
    return worked
  })

  let lastFlushMillis = 0
  let hasServedFlush = false

  const flushActive = Effect.gen(function*() {
    if (flusher === undefined || arena === undefined) return false
    const now = yield* Clock.currentTimeMillis
    // A clock that was set back says nothing about how long ago the last flush was.
    const isDue = options.flushEveryMillis > 0 &&
      (now < lastFlushMillis || now - lastFlushMillis >= options.flushEveryMillis)
    const asked = SegmentArena.flushAsked(arena)
    const isAsked = SegmentArena.flushPending(arena)
    if (!isDue && !isAsked) return false
    lastFlushMillis = now
    const slot = SegmentArena.activeSlot(arena)
    // Whoever asked has appended before: it lies in a full segment. What comes now is not let through unseen.
    if (slot < 0 || SegmentArena.watermarkOf(arena, slot) === 0) {
      SegmentArena.flushServedUnsafe(arena, asked)
      return false
    }
    // A full segment that comes before this one is in the queue by now, or will be: the next cycle persists it first.
    const may = flusher.mayWrite(slot)
    if (may !== "yes") {
      if (may === "hot limit") hold(HeldBack.HotLimit)
      return false
    }
    return yield* flusher.flush(slot).pipe(Effect.matchEffect({
      onFailure: (error) => Effect.as(onPersistError(error), false),
      onSuccess: (flushed) =>
        Effect.sync(() => {
          hold(HeldBack.None)
          SegmentArena.flushServedUnsafe(arena, asked)
          hasServedFlush = isAsked
          return flushed
        })
    }))
  })

  // ---------------------------------------------------------------------------------------------------------------
  // free and freeze
  // ---------------------------------------------------------------------------------------------------------------

  const giveUp = Effect.fnUntraced(function*(error: StepError) {
    emit(failed(error, yield* Clock.currentTimeMillis, true))
  })
  const tryAgain = <A, R>(step: Effect.Effect<A, StepError, R>) =>
    step.pipe(
      Effect.tapError((error) =>
        error.isRetryable
          ? Effect.map(Clock.currentTimeMillis, (now) => emit(failed(error, now, false)))
          : Effect.void
      ),
      Effect.retry({ schedule: retrySchedule, while: (error) => error.isRetryable })
    )

  const freeOne = Effect.fnUntraced(function*(task: Task) {
    const startNanos = telemetry.nowNanos()
    const exit = yield* Effect.exit(tryAgain(free(options, task.segmentIndex)))
    telemetry.onColdSegmentDeletion(Exit.isSuccess(exit), startNanos)
    if (Exit.isSuccess(exit)) return emit({ _tag: "Freed", segmentIndex: task.segmentIndex })
    return yield* Effect.catch(Effect.asVoid(exit), giveUp)
  })

  const commitsAsked = () => arena === undefined ? 0 : SegmentArena.flushAsked(arena)
  const freezeOne = Effect.fnUntraced(function*(task: Task) {
    const { segmentIndex } = task
    const startNanos = telemetry.nowNanos()
    const exit = yield* Effect.exit(tryAgain(freeze({ ...options, telemetry, commitsAsked }, segmentIndex)))
    telemetry.onHotSegmentRetention(Exit.isSuccess(exit), startNanos)
    if (Exit.isFailure(exit)) return yield* Effect.catch(Effect.asVoid(exit), giveUp)
    const { coldBytes, facts, hotBytes } = exit.value
    telemetry.count("compressionBytesIn", hotBytes)
    telemetry.count("compressionBytesOut", coldBytes)
    const { closedMillis, firstEventId, lastEventId } = facts
    emit({ _tag: "Frozen", segmentIndex, hotBytes, coldBytes, firstEventId, lastEventId, closedMillis })
  })
  const compressor = yield* Compressor
  // Every freeze will fail by the same, but the first may be hours away.
  yield* Effect.forkScoped(
    Effect.catch(
      settle(compressor.start, String),
      (cause) => Effect.sync(() => shared.warn(`the compressor does not start, segments stay hot: ${cause}`))
    )
  )
  const { backgroundDisk = yield* Disk } = shared
  // With one core the application could not ring meanwhile.
  const mayLinger = shared.backgroundDisk !== undefined && availableParallelism() > 1
  const inBackground = (work: (task: Task) => Effect.Effect<void, never, Disk>) => (task: Task) =>
    Effect.provideService(work(task), Disk, backgroundDisk)
  const freeing = yield* makeLane(toFree, inBackground(freeOne), complete, wake)
  const freezing = yield* makeLane(toFreeze, inBackground(freezeOne), complete, wake, () => freezesEndUnsafe(control))

  /**
   * Whoever has just committed often commits again. For a moment a thread of its own waits for that without sleeping, unless
   * a freeze or a deletion needs it.
   */
  const lingerUnsafe = (seen: ReadonlyArray<number>): boolean =>
    mayLinger && hasServedFlush && arena !== undefined && !freezing.isBusy() && !freeing.isBusy() &&
    Doorbell.spinUnsafe(arena.work, seen.at(-1) ?? 0, lingerMicrosMax)

  const cycle = Effect.gen(function*() {
    let worked = false
    hasServedFlush = false
    if (isLead) {
      worked = (yield* persistAll) || worked
      worked = (yield* flushActive) || worked
    }
    worked = (yield* freeing.poll) || worked
    if (isFreezingStopped(control)) yield* freezing.stop
    else worked = (yield* freezing.poll) || worked
    if (isLead && !worked && flusher !== undefined) {
      worked = yield* flusher.prepare
      yield* renewMeta
    }
    return worked
  })

  const doorbells = [toPersist.notEmpty, toFreeze.notEmpty, toFree.notEmpty, control.attention]
  if (arena !== undefined) doorbells.push(arena.work)
  yield* repeatWakeable({
    cycle,
    schedule: adaptive(options.sleepMillisMin, options.sleepMillisMax),
    doorbells,
    sleepMillisMax: () => options.flushEveryMillis > 0 ? options.flushEveryMillis : Number.POSITIVE_INFINITY,
    begin: telemetry.nowNanos,
    lingerUnsafe,
    onCycle: (worked, begun, asleep) => telemetry.onPersistenceLoop(worked, begun, telemetry.nowNanos() - asleep)
  })
}, Effect.scoped)

/** The task that is being worked on: one that a predecessor left claimed, one that failed and is tried again, or a new one. */
interface Current {
  readonly next: () => Task | undefined
  readonly done: () => void
}

/** With `end` only tasks before that position of the queue are taken. */
const makeCurrent = Effect.fnUntraced(function*(queue: TaskQueue.Dequeue, end?: () => number) {
  let current: Task | undefined = Option.getOrUndefined(yield* TaskQueue.recover(queue))
  const record = new TaskRing.TaskRecord()
  const self: Current = {
    next: () => {
      if (current === undefined && TaskQueue.pollUnsafe(queue, record, end?.())) current = { ...record }
      return current
    },
    done: () => {
      current = undefined
    }
  }
  return self
})

/** Works on the tasks of a queue one after the other, in a fiber of its own. */
interface Lane {
  /** Begins a task if none is under way and there is one; says whether it did, or one has finished meanwhile. */
  readonly poll: Effect.Effect<boolean, never, Scope.Scope>
  readonly isBusy: () => boolean
  /** Interrupts the task that is under way; it stays claimed. */
  readonly stop: Effect.Effect<void>
}

const makeLane = Effect.fnUntraced(function*(
  queue: TaskQueue.Dequeue,
  work: (task: Task) => Effect.Effect<void>,
  complete: (queue: TaskQueue.Dequeue) => void,
  wake: () => void,
  end?: () => number
) {
  const current = yield* makeCurrent(queue, end)
  let fiber: Fiber.Fiber<void> | undefined
  let isBusy = false
  let hasFinished = false
  let death: Cause.Cause<never> | undefined
  const self: Lane = {
    poll: Effect.gen(function*() {
      if (death !== undefined) return yield* Effect.failCause(death)
      const finished = hasFinished
      hasFinished = false
      if (isBusy) return finished
      const task = current.next()
      if (task === undefined) return finished
      // Said before the fork: the task may be over before this fiber learns which fiber it was.
      isBusy = true
      fiber = yield* Effect.forkScoped(
        work(task).pipe(Effect.onExit((exit) =>
          Effect.sync(() => {
            isBusy = false
            hasFinished = true
            if (Exit.isSuccess(exit)) {
              current.done()
              complete(queue)
            } else if (!Cause.hasInterruptsOnly(exit.cause)) {
              // A defect is the executor's: it is found at the next poll, and the supervisor's answer is a new executor.
              death = exit.cause
            }
            wake()
          })
        ))
      )
      return true
    }),
    isBusy: () => isBusy,
    stop: Effect.suspend(() => fiber === undefined || !isBusy ? Effect.void : Fiber.interrupt(fiber))
  }
  return self
})

const failureReasonOf: Record<StepError["reason"], FailureReason> = {
  NotFound: "NotFound",
  DiskFull: "DiskFull",
  Denied: "Denied",
  SyncFailed: "SyncFailed",
  WriteFailed: "WriteFailed",
  ReadFailed: "ReadFailed",
  CompressFailed: "CompressFailed",
  VerifyFailed: "VerifyFailed",
  Corrupt: "Corrupt",
  Unsafe: "Io"
}
