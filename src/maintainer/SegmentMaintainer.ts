/**
 * The maintainer of one directory: makes full segments durable, compresses the older ones, deletes the oldest, and keeps
 * the limits. This module is the service and the part that decides; what works is an executor (`MaintainerExecutor`), run
 * by one of the layers: `SegmentMaintainer.layer` runs it as a fiber here, `SegmentMaintainerWorker.layer` in a thread, or
 * in a pool of threads. The service is the same, and so is the application's code.
 *
 * What is guaranteed:
 *
 * 1. One maintainer at a time holds a directory.
 * 2. Everything that is offered is persisted, frozen or freed, or is on the list of failures. A failure never stops the
 *    loop and never deletes anything.
 * 3. Hot segments never exceed `maxSegments` (with `onHotLimit: "wait"`), and cold ones never `maxCompressedSegments`: the
 *    oldest is deleted before the freeze of another begins. Not counted are those on which a step was given up, and where
 *    nothing may be deleted there are more: what is held is kept, and so is what is newer than a hot segment, since a log
 *    has no holes.
 * 4. When the layer's scope closes, everything in the queues is worked off first. A deadline ends compression, never
 *    persisting.
 * 5. An executor that dies is followed by another, which finds every task; too many deaths in a minute, and the service is
 *    down: whoever waits for it is told.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { lockName, makeDirectoryDurable, SegmentDirectory } from "../disk/SegmentDirectory.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import { resolveUnsafe } from "../internal/options.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import type { Arena } from "../shared/SegmentArena.ts"
import { HeldBack } from "../shared/SegmentArena.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../shared/SegmentQueues.ts"
import type { SegmentQueues } from "../shared/SegmentQueues.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { verifyConsistency } from "./directory/Consistency.ts"
import type { Consistency } from "./directory/Consistency.ts"
import { makeReserve } from "./directory/DiskReserve.ts"
import { isSomethingUnheard, learnPersisted, learnSizes, learnUnheard } from "./directory/LostReports.ts"
import { reconcile } from "./directory/Reconcile.ts"
import type { Reconciled } from "./directory/Reconcile.ts"
import { drain, pendingUnsafe } from "./Drain.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import * as MaintainerExecutor from "./executor/MaintainerExecutor.ts"
import { superviseAll } from "./executor/Supervisor.ts"
import { resolve } from "./MaintainerOptions.ts"
import type { AloneOptions, MaintainerOptions } from "./MaintainerOptions.ts"
import { FreezeGate } from "./retention/FreezeGate.ts"
import { MaintainerState } from "./retention/MaintainerState.ts"
import type { DatedFailure, HoldStatus, MaintainerQueues } from "./retention/MaintainerState.ts"
import * as Retention from "./retention/Retention.ts"
import type { ClampedLimit, RetentionAction, RetentionLimits } from "./retention/Retention.ts"
import type { CatalogEntry } from "./retention/SegmentCatalog.ts"
import type { MaintainerEvent } from "./steps/StepOutcome.ts"

/**
 * The maintainer has given up: its executor died too often. Nothing more becomes durable; what is durable is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class MaintainerDown extends Schema.TaggedError<MaintainerDown>()("MaintainerDown", {
  directory: Schema.String,
  restarts: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the maintainer of ${this.directory} died ${this.restarts + 1} times within a minute and was given up; ` +
      `the last cause: ${String(this.cause)}`
  }
}

/**
 * A count for each queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface PerQueue {
  readonly persist: number
  readonly freeze: number
  readonly free: number
}

/**
 * What a drain has done, what it left and how long it took.
 *
 * @since 0.1.0
 * @category models
 */
export interface DrainReceipt {
  readonly done: PerQueue
  /** Tasks still in the queues: only compression after a deadline, or anything when the maintainer is down. */
  readonly left: PerQueue
  readonly failures: number
  readonly millis: number
}

/**
 * How things stand.
 *
 * @since 0.1.0
 * @category models
 */
export interface MaintainerStatus {
  readonly hotSegments: number
  readonly hotBytes: number
  readonly coldSegments: number
  readonly coldBytes: number
  readonly pending: PerQueue
  /** Steps that failed for good since the start. */
  readonly failures: number
  readonly restarts: number
  readonly isDown: boolean
  readonly limits: RetentionLimits
  readonly holds: ReadonlyArray<HoldStatus>
}

/**
 * A hold, in the hands of its owner. It ends with the owner's scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hold {
  /** Segments before this one are no longer needed. Never moves back. */
  readonly advanceTo: (segmentIndex: number) => Effect.Effect<void>
}

/**
 * Persists, compresses and deletes the segments of one directory in the background, whichever layer runs its executors.
 *
 * @since 0.1.0
 * @category services
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, Recorder, SegmentMaintainer, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   const recorder = yield* Recorder.Recorder
 *   const maintainer = yield* SegmentMaintainer.SegmentMaintainer
 *   yield* Effect.scoped(Effect.gen(function*() {
 *     // Nothing from segment 0 on is deleted while this scope is open.
 *     const hold = yield* maintainer.hold({ name: "archive", fromSegmentIndex: 0 })
 *     yield* recorder.appendDurable(Buffer.from("hello"))
 *     yield* hold.advanceTo(1)
 *   }))
 *   const { failures, hotSegments } = yield* maintainer.status
 *   yield* Console.log(`${hotSegments} hot, ${failures} failures`) // => 1 hot, 0 failures
 *   yield* maintainer.setLimits({ maxSegments: 4, maxCompressedSegments: "unlimited" })
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer)))
 * ```
 */
export class SegmentMaintainer extends Context.Service<SegmentMaintainer, {
  readonly directory: string
  readonly naming: SegmentNaming
  /** What was found at the start. */
  readonly reconciled: Reconciled
  readonly status: Effect.Effect<MaintainerStatus>
  /** Every segment that is known, oldest first. */
  readonly segments: Effect.Effect<ReadonlyArray<Readonly<CatalogEntry>>>
  /** The steps that failed for good, oldest first; the last 1,000 of them. */
  readonly failures: Effect.Effect<ReadonlyArray<DatedFailure>>
  /** What retention would do now: a dry run. */
  readonly plan: Effect.Effect<ReadonlyArray<RetentionAction>>
  /** Changes the limits from now on; says what had to be clamped. A value that is no limit at all is a defect. */
  readonly setLimits: (limits: RetentionLimits) => Effect.Effect<ReadonlyArray<ClampedLimit>>
  /** Keeps this segment and later ones until the scope closes or the time has come. */
  readonly hold: (options: {
    readonly name: string
    readonly fromSegmentIndex: number
    readonly expiresMillis?: number
  }) => Effect.Effect<Hold, never, Scope.Scope>
  /**
   * Works off everything that was offered before and after, until nothing is left. Only for whoever has stopped offering;
   * the layer does it when its scope closes.
   */
  readonly drain: Effect.Effect<DrainReceipt>
  /** Limits held, no empty file, the lists equal to the directory. */
  readonly verifyConsistency: Effect.Effect<Consistency, DiskError>
  /** Every outcome, from now on until the maintainer has drained and closed. */
  readonly events: Stream.Stream<MaintainerEvent>
  /** Tells the maintainer that recovery has closed this segment: nobody writes to it or to an older one any more. */
  readonly closed: (segmentIndex: number) => Effect.Effect<void>
  /** Tells the maintainer that a segment's file was removed beside it. */
  readonly removed: (segmentIndex: number) => Effect.Effect<void>
  /** Never succeeds; fails when the maintainer is given up. */
  readonly down: Effect.Effect<never, MaintainerDown>
}>()("effect-wal/maintainer/SegmentMaintainer") {
  /**
   * The executor is a fiber of this runtime.
   */
  static readonly layer = (
    options: MaintainerOptions
  ): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | SegmentArena.SegmentArena | Telemetry> =>
    Layer.effect(
      SegmentMaintainer,
      Effect.flatMap(SegmentArena.SegmentArena, (arena) => make(options, arena, { count: 1, spawn: spawnFiber }))
    )

  /**
   * The same without a recorder of ours: whoever writes segments offers their files to the queues.
   */
  static readonly layerAlone = (
    options: AloneOptions
  ): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | Telemetry> =>
    Layer.effect(SegmentMaintainer, make(options, undefined, { count: 1, spawn: spawnFiber }))
}

/**
 * What it takes to run an executor.
 *
 * @since 0.1.0
 * @category executors
 */
export interface ExecutorSeat {
  readonly executor: number
  readonly options: MaintainerExecutor.ExecutorOptions
  readonly control: MaintainerControl.MaintainerControl
  readonly arena: Arena | undefined
  /** Tells the service what was done. */
  readonly emit: (event: MaintainerEvent) => void
  /** Has the service write a warning to the application's log. */
  readonly warn: (message: string) => void
}

/**
 * How a layer runs its executors: how many there are, and an effect that is one, for as long as it lives.
 *
 * @since 0.1.0
 * @category executors
 */
export interface ExecutorHost<E, R> {
  readonly count: number
  /** Runs one executor until it dies or its scope closes. */
  readonly spawn: (seat: ExecutorSeat) => Effect.Effect<void, E, R | Scope.Scope>
}

const spawnFiber = (seat: ExecutorSeat) =>
  Effect.flatMap(Telemetry, (telemetry) =>
    MaintainerExecutor.run(seat.options, {
      executor: seat.executor,
      control: seat.control,
      arena: seat.arena,
      telemetry: telemetry.updater(0),
      emit: seat.emit,
      warn: seat.warn
    }))

const tickMillis = 10_000

/**
 * The service, run by a host of executors. This is what the layers are made of.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*<E, R>(
  given: AloneOptions,
  arena: Arena | undefined,
  host: ExecutorHost<E, R>
) {
  const options = resolve(given)
  const { directory, naming } = options
  const segmentDirectory = new SegmentDirectory(directory, naming)
  const disk = yield* Disk
  const queues: MaintainerQueues = {
    toPersist: yield* SegmentsToPersist,
    toFreeze: yield* SegmentsToFreeze,
    toFree: yield* SegmentsToFree
  }
  const telemetryService = yield* Telemetry
  const telemetry = telemetryService.updater(0)
  const clock = yield* Clock.Clock
  const runHere = Effect.runForkWith(yield* Effect.context<never>())

  yield* makeDirectoryDurable(directory)
  yield* disk.lock(segmentDirectory.pathOf(lockName))
  const reconciled = yield* reconcile(segmentDirectory, given.writer ?? "ours")
  yield* logReconciled(reconciled)
  const reserve = yield* makeReserve(options)

  const control = MaintainerControl.make(host.count)
  const gate = new FreezeGate(queues.toFreeze, control, host.count)
  const state = new MaintainerState(options, segmentDirectory, arena, queues, gate)
  const clamped = state.setLimits(options.limits, telemetry)
  yield* Effect.forEach(clamped, (limit) => Effect.logWarning(Retention.formatClamped(limit)), { discard: true })
  for (const entry of reconciled.entries) state.catalog.put(entry)
  state.now = () => clock.currentTimeMillisUnsafe()

  const events = yield* PubSub.unbounded<Take.Take<MaintainerEvent>>()
  yield* Effect.addFinalizer(() => PubSub.end(events, Exit.void))
  const down = yield* Deferred.make<never, MaintainerDown>()
  const handled = Array.from({ length: host.count }, () => 0)
  let isDown = false
  let restarts = 0

  const retain = (): void => {
    state.retain()
    state.publishHot()
  }

  const hear = (event: MaintainerEvent, counts: boolean): void => {
    if (state.apply(event, counts)) PubSub.publishUnsafe(events, [event])
  }

  const handle = (executor: number, event: MaintainerEvent): void => {
    handled[executor] = (handled[executor] ?? 0) + 1
    hear(event, true)
    retain()
    Doorbell.ringUnsafe(control.progress)
    // Whoever watches the positions looks again.
    if (arena !== undefined) Doorbell.ringUnsafe(arena.durable)
  }

  const isAllHeard = (): boolean =>
    handled.every((count, executor) => count === MaintainerControl.eventsSentBy(control, executor))

  /** What somebody did who died with the report, perhaps long ago: a drain does not count it as its own. */
  const hearLate = (event: MaintainerEvent): void => hear(event, false)

  /** Only after a death can something be under way that nobody works on and nobody will report. */
  const settle = Effect.suspend(() => {
    const isAtWork = state.gate.unfinished + TaskRing.unfinishedUnsafe(queues.toFree.ring) > 0
    if (restarts === 0 || isAtWork || !isAllHeard() || !isSomethingUnheard(state)) return Effect.void
    const learning = learnUnheard(state, disk, hearLate)
    return Effect.andThen(Effect.exit(learning), Effect.sync(retain))
  })

  /**
   * Before the successor of an executor that died begins. What the executor had not completed its successor finds and
   * reports. Of what it had completed and whose report died with it, the arena remembers what the lead had persisted; the
   * rest see `settle`.
   */
  const beforeRestart = Effect.fnUntraced(function*(executor: number) {
    handled[executor] = MaintainerControl.eventsSentBy(control, executor)
    if (arena !== undefined && executor === 0) {
      yield* learnPersisted(state, arena, queues.toPersist, disk, hearLate)
      // The supervisor must outlive what the executor died of.
      yield* Effect.exit(learnSizes(state, disk))
    }
    retain()
    // A drain may be waiting for the reports that are lost.
    Doorbell.ringUnsafe(control.progress)
  })

  const onGivenUp = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>) {
    if (arena !== undefined) SegmentArena.putHeldBack(arena, HeldBack.MaintainerFailed)
    const error = new MaintainerDown({ directory, restarts: options.restartsMax, cause: Cause.squash(cause) })
    yield* Effect.logError(error.message)
    yield* Deferred.fail(down, error)
    Doorbell.ringUnsafe(control.progress)
  })

  /** Lengths and times of what was found at the start are asked for in the background. */
  let learning: Fiber.Fiber<void> | undefined

  const drainOnce = Effect.acquireUseRelease(
    Effect.sync(() => MaintainerControl.drainBegunUnsafe(control)),
    () =>
      drain({
        state,
        queues,
        control,
        arena,
        isAllHeard,
        isDown: () => isDown,
        settle,
        untilSizesKnown: Effect.suspend(() =>
          learning === undefined ? Effect.void : Effect.andThen(Fiber.await(learning), Effect.sync(retain))
        ),
        releaseReserve: reserve.release
      }),
    () => Effect.sync(() => MaintainerControl.drainEndedUnsafe(control))
  )

  yield* telemetryService.beforeSnapshot(() => state.setGauges(telemetry))
  state.begin(reconciled.unfinished)
  retain()
  learning = yield* Effect.forkScoped(learnSizes(state, disk))
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    // What an application offers by itself waits for its place too.
    const { notEmpty } = queues.toFreeze
    const seen = Doorbell.readUnsafe(notEmpty)
    retain()
    yield* Doorbell.wait(notEmpty, seen)
  })))
  yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
    state.freeBytes = yield* Effect.option(disk.freeBytes(directory)).pipe(Effect.map(Option.getOrUndefined))
    // A drain ends: what is given up meanwhile stays as it is.
    if (!MaintainerControl.isDraining(control)) state.tryAgain()
    yield* settle
    retain()
    yield* Effect.sleep(tickMillis)
  })))
  yield* superviseAll({
    host,
    restartsMax: options.restartsMax,
    seat: (executor) => ({
      executor,
      options: {
        directory,
        naming,
        compression: options.compression,
        sleepMillisMin: options.sleepMillisMin,
        sleepMillisMax: options.sleepMillisMax,
        flushEveryMillis: options.flushEveryMillis
      },
      control,
      arena,
      emit: (event) => handle(executor, event),
      warn: (message) => void runHere(Effect.logWarning(`executor ${executor} of ${directory}: ${message}`))
    }),
    onDeath: (executor, cause) =>
      Effect.suspend(() => {
        restarts += 1
        telemetry.count("restarts", 1)
        return Effect.logWarning(`restarting executor ${executor} of ${directory}`, cause)
      }),
    beforeRestart,
    onGivingUp: () => {
      isDown = true
    },
    onGivenUp
  })
  yield* Effect.addFinalizer(() => drainOnce)

  return SegmentMaintainer.of({
    directory,
    naming,
    reconciled,
    status: Effect.sync(() => ({
      hotSegments: state.catalog.hotCount,
      hotBytes: state.catalog.hotBytes,
      coldSegments: state.catalog.coldCount,
      coldBytes: state.catalog.coldBytes,
      pending: pendingUnsafe(queues),
      failures: state.counts.failures,
      restarts,
      isDown,
      limits: state.limits,
      holds: state.heldBy()
    })),
    segments: Effect.sync(() => state.catalog.list().map((entry) => ({ ...entry }))),
    failures: Effect.sync(() => [...state.failures]),
    plan: Effect.sync(() => state.plan()),
    setLimits: (limits) =>
      Effect.sync(() => {
        const clamped = state.setLimits(resolveUnsafe(Retention.RetentionLimits, limits), telemetry)
        retain()
        return clamped
      }),
    hold: (hold) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() =>
            state.addHold(hold.name, hold.fromSegmentIndex, hold.expiresMillis ?? Number.POSITIVE_INFINITY)
          ),
          (held) =>
            Effect.sync(() => {
              state.holds.delete(held)
              retain()
            })
        ),
        (held) => ({
          advanceTo: (segmentIndex) =>
            Effect.sync(() => {
              if (segmentIndex <= held.fromSegmentIndex) return
              held.fromSegmentIndex = segmentIndex
              retain()
            })
        })
      ),
    drain: drainOnce,
    verifyConsistency: verifyConsistency(state, disk),
    events: Stream.fromPubSubTake(events),
    closed: (segmentIndex) =>
      Effect.sync(() => {
        state.closeThrough(segmentIndex)
        // What is not listed up to here was lost, and not closed unheard.
        state.catalog.newestIndex = Math.max(state.catalog.newestIndex, segmentIndex)
        retain()
      }),
    removed: (segmentIndex) =>
      Effect.sync(() => {
        state.catalog.remove(segmentIndex)
        retain()
      }),
    down: Deferred.await(down)
  })
})

const logReconciled = (reconciled: Reconciled): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (reconciled.removed.length > 0) {
      yield* Effect.logInfo(`removed what a crash left unfinished: ${reconciled.removed.join(", ")}`)
    }
    for (const segmentIndex of reconciled.empty) {
      yield* Effect.logWarning(`segment ${segmentIndex} is an empty file; it is left alone`)
    }
    for (const name of reconciled.unsafe) {
      yield* Effect.logWarning(`${name} has the name of a segment but is no regular file; it is left alone`)
    }
  })
