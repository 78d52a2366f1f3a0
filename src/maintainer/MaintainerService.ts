/**
 * The maintainer as a service: it decides, and an executor works. `make` puts its parts together and starts the
 * executors of a host; the layers in `SegmentMaintainer` and `SegmentMaintainerWorker` are made of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Take from "effect/Take"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { isConsumer, lockName, positionPattern } from "../disk/FileNames.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import { makeDirectoryDurable, SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { eventIdMax, segmentIndexMax } from "../format/Limits.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import { annotated } from "../internal/annotated.ts"
import { requireWhole } from "../internal/arguments.ts"
import { elapsedMillisUnsafe } from "../internal/elapsed.ts"
import type { SizeInput } from "../internal/notations.ts"
import {
  duration,
  matching,
  oneOf,
  requireOptions,
  resolveUnsafe,
  size,
  text,
  whole,
  withDefault
} from "../internal/options.ts"
import { plainText } from "../internal/plainText.ts"
import { segmentWith } from "../reading/DirectoryReader.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import * as Arena from "../shared/Arena.ts"
import { HeldBack } from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../shared/SegmentQueues.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { formatNanos } from "../telemetry/TelemetryDump.ts"
import * as DamagedSegments from "./DamagedSegments.ts"
import { verifyConsistency } from "./directory/Consistency.ts"
import type { Consistency } from "./directory/Consistency.ts"
import { makeReserve } from "./directory/DiskReserve.ts"
import { logReconciled, reconcile } from "./directory/Reconcile.ts"
import type { Reconciled } from "./directory/Reconcile.ts"
import { learnSizes, learnWeights, learnWeightsOfClosed } from "./directory/SegmentSizes.ts"
import { reconsiderUndeletable } from "./directory/Undeletable.ts"
import { drain, pendingUnsafe } from "./Drain.ts"
import type { DrainReceipt } from "./Drain.ts"
import * as DurableHolding from "./DurableHolding.ts"
import type { DurableHold } from "./DurableHolding.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import type { ExecutorOptions } from "./executor/MaintainerExecutor.ts"
import { superviseAll } from "./executor/Supervisor.ts"
import type { ExecutorHost, Supervised } from "./executor/Supervisor.ts"
import * as ExecutorReports from "./ExecutorReports.ts"
import { heldBackStatus } from "./HeldBackStatus.ts"
import type { HeldBackStatus } from "./HeldBackStatus.ts"
import { setGauges, setGaugesOfDrain, setLimitGauges } from "./MaintainerGauges.ts"
import * as MaintainerOptions from "./MaintainerOptions.ts"
import type { AloneOptions, ResolvedMaintainerOptions } from "./MaintainerOptions.ts"
import type { DurableHoldStatus } from "./retention/DurableHolds.ts"
import type { HoldStatus, NewHold } from "./retention/Holds.ts"
import type { NewestSegment, PerQueue } from "./retention/MaintainerState.ts"
import { MaintainerState } from "./retention/MaintainerState.ts"
import * as Retention from "./retention/Retention.ts"
import type { ClampedLimit, ResolvedLimits, RetentionAction, RetentionLimits } from "./retention/Retention.ts"
import { lookMillis } from "./retention/SegmentAges.ts"
import type { CatalogEntry } from "./retention/SegmentCatalog.ts"
import type { StepFailure, StepOutcome } from "./steps/StepOutcome.ts"
import * as StepSpans from "./StepSpans.ts"

/**
 * The maintainer is down: its executor died too often. Nothing more becomes durable; what is durable is safe.
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
    return plainText(
      `the maintainer of ${this.directory} died ${this.restarts + 1} times within a minute and is down; ` +
        `the last cause: ${String(this.cause)}`
    )
  }
}

/**
 * The state of a maintainer at a moment.
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
  /** Steps that were abandoned since the start. */
  readonly failures: number
  /** Hot segments in which a freeze found damage and that still stand: nothing newer is deleted. */
  readonly damaged: ReadonlyArray<number>
  /** Where events are lost, which is acknowledged; by segment. */
  readonly holes: ReadonlyArray<AcknowledgedHole>
  readonly restarts: number
  readonly isDown: boolean
  /** What keeps appended events from becoming durable; `undefined` when nothing does, or without a recorder. */
  readonly heldBack: HeldBackStatus | undefined
  readonly limits: ResolvedLimits
  readonly holds: ReadonlyArray<HoldStatus>
  /** The holds of the durable positions in the directory, whether or not their owners are there. */
  readonly durableHolds: ReadonlyArray<DurableHoldStatus>
  /**
   * How far the archive is; `undefined` without `onArchiveBehind`.
   *
   * - `archivedBefore`: segments before this one are archived; 0 until the archive has told
   * - `behindSegments`, `behindBytes`: what no start continues any more, and is not archived
   * - `behindMillis`: since the oldest of them was closed; 0 while that is not known, and when there is none
   * - `freedUnarchived`: segments that were deleted although they were not archived
   * - `problem`: why the archive does not continue, in its words; `undefined` while it does
   */
  readonly archive: {
    readonly onBehind: "keep" | "free"
    readonly archivedBefore: number
    readonly behindSegments: number
    readonly behindBytes: number
    readonly behindMillis: number
    readonly freedUnarchived: number
    readonly problem: string | undefined
  } | undefined
}

/**
 * A hold, for its owner. It ends with the owner's scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hold {
  /** Segments before this one are no longer needed. Never moves back. */
  readonly advanceTo: (segmentIndex: number) => Effect.Effect<void>
}

/**
 * What a maintainer does, and tells. Its recorder uses members that are not public.
 *
 * @since 0.1.0
 * @category models
 */
export interface MaintainerService {
  /** The absolute path. */
  readonly directory: string
  readonly naming: SegmentNaming
  /** @internal What was found at the start. */
  readonly reconciled: Reconciled
  readonly status: Effect.Effect<MaintainerStatus>
  /** Every segment that is known, oldest first. */
  readonly segments: Effect.Effect<ReadonlyArray<Readonly<CatalogEntry>>>
  /** The steps that were abandoned, oldest first; the last 1,000 of them. */
  readonly failures: Effect.Effect<ReadonlyArray<StepFailure>>
  /** What retention would do now, and what waits for the archive: a dry run. */
  readonly plan: Effect.Effect<ReadonlyArray<RetentionAction>>
  /** Changes the limits from now on; returns what had to be clamped. A value that is no limit at all is a defect. */
  readonly setLimits: (limits: RetentionLimits) => Effect.Effect<ReadonlyArray<ClampedLimit>>
  /**
   * Keeps this segment and later ones until the scope closes, but no longer than `timeToLive`, in elapsed time.
   */
  readonly hold: (options: {
    readonly name: string
    readonly fromSegmentIndex: number
    readonly timeToLive?: Duration.Input
  }) => Effect.Effect<Hold, never, Scope.Scope>
  /**
   * Holds every event after a position that the directory keeps under this name. The hold outlives the scope and the
   * process: it stands from the first step of retention on after every start, before its owner is back. The scope only
   * ends the ownership. A name that has no position begins before the oldest event that is left, or after
   * `initialEventId`. One that is not believed (not intact, or ahead of the log) begins before the oldest event.
   *
   * `maxLag` bounds what is held: segments of so many bytes, or those that were closed at most so long ago. What
   * exceeds it is deleted when a limit asks for that, which is logged and counted. Without it everything is held.
   *
   * Fails with the reason `Held` while the name has an owner, in this process or in another.
   */
  readonly holdDurably: (options: {
    readonly name: string
    readonly initialEventId?: number
    readonly maxLag?: { readonly bytes?: SizeInput; readonly age?: Duration.Input }
  }) => Effect.Effect<DurableHold, DiskError, Scope.Scope>
  /** @internal Tells the maintainer that the log ends with this event, before anything is recorded. */
  readonly endsWith: (eventId: number) => Effect.Effect<void, DiskError>
  /**
   * Tells the maintainer that segments before this one are archived, so with `onArchiveBehind: "keep"` they may be
   * deleted. Never moves back.
   */
  readonly archivedBefore: (segmentIndex: number) => Effect.Effect<void>
  /** @internal Tells the maintainer why the archive does not continue, or that it does, for those who look at it. */
  readonly archiveProblem: (problem: string | undefined) => Effect.Effect<void>
  /**
   * Works off everything that was offered, until nothing is left. For an application that has stopped offering: the
   * layer drains when its scope closes.
   */
  readonly drain: Effect.Effect<DrainReceipt>
  /** Succeeds with the receipt of the layer's own drain, when it is over: for those who wait outside of its scope. */
  readonly drained: Effect.Effect<DrainReceipt>
  /**
   * Compresses the closed segments before this one, oldest first, although the limits let them stay as they are. No
   * start continues a compressed segment. Lasts until the maintainer closes.
   */
  readonly freezeBefore: (segmentIndex: number) => Effect.Effect<void>
  /**
   * Deletes the segments whose events all have smaller ids than this, oldest first, as soon as they are compressed.
   * What is held stays until the hold ends, and the newest segment always stays. Lasts until the maintainer closes.
   */
  readonly freeBefore: (eventId: number) => Effect.Effect<void, DiskError>
  /** @internal Checks that limits are kept, no file is empty, and the catalog equals the directory. */
  readonly verifyConsistency: Effect.Effect<Consistency, DiskError>
  /** Every outcome, from now on until the maintainer has drained and closed. */
  readonly outcomes: Stream.Stream<StepOutcome>
  /**
   * @internal Tells the maintainer that recovery has closed this segment: nothing writes to it or to an older one any
   * more.
   */
  readonly closed: (segmentIndex: number) => Effect.Effect<void>
  /**
   * @internal Tells the maintainer that nothing was appended to this segment, which was handed over because its events
   * are due, after this elapsed time.
   */
  readonly quietSince: (segmentIndex: number, elapsedMillis: number) => Effect.Effect<void>
  /** @internal The newest segment that is closed. */
  readonly newest: Effect.Effect<NewestSegment | undefined>
  /** @internal Tells the maintainer that something else removed a segment's file. */
  readonly removed: (segmentIndex: number) => Effect.Effect<void>
  /**
   * @internal Moves a damaged segment away, if `onDamaged` is `quarantine`; `true` also when retention has deleted it,
   * or a freeze has had it moved, since the caller read it. `false` with `keep`, when none of its files is damaged by
   * itself, and when it is damaged again. For a start, before anything is recorded.
   */
  readonly quarantine: (segmentIndex: number) => Effect.Effect<boolean, DiskError | SegmentCorrupt>
  /** Never succeeds; fails when the maintainer is down. */
  readonly down: Effect.Effect<never, MaintainerDown>
}

/**
 * Persists, compresses and deletes the segments of one directory in the background, whichever layer runs its executors.
 *
 * **Example** (Holding segments and changing limits)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { appendDurable, maintainer } = yield* Events
 *   yield* Effect.scoped(Effect.gen(function*() {
 *     // Nothing from segment 0 on is deleted while this scope is open.
 *     const hold = yield* maintainer.hold({ name: "archive", fromSegmentIndex: 0 })
 *     yield* appendDurable(Buffer.from("hello"))
 *     yield* hold.advanceTo(1)
 *   }))
 *   const { failures, hotSegments } = yield* maintainer.status
 *   yield* Console.log(`${hotSegments} hot, ${failures} failures`) // => 1 hot, 0 failures
 *   yield* maintainer.setLimits({ maxSegments: 4, maxCompressedSegments: "unlimited" })
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentMaintainer
  extends Context.Service<SegmentMaintainer, MaintainerService>()("effect-wal/maintainer/SegmentMaintainer")
{}

const Writer = Schema.Struct({ writer: withDefault(oneOf(["ours", "other"]), "ours") })

const HoldOptions = Schema.Struct({
  name: text("a name"),
  fromSegmentIndex: whole("number", 0, segmentIndexMax),
  timeToLive: withDefault(duration(0, Number.POSITIVE_INFINITY), Duration.infinity)
})

const DurableHoldOptions = Schema.Struct({
  name: matching(positionPattern, "1 to 64 letters, digits, '-' and '_'"),
  initialEventId: Schema.optional(whole("number", 0, eventIdMax)),
  maxLag: Schema.optional(Schema.Struct({
    bytes: Schema.optional(size(0, Number.MAX_SAFE_INTEGER)),
    age: Schema.optional(duration(0, Number.MAX_SAFE_INTEGER))
  }))
})

const tickMillis = 10_000

/** What was warned of in this process: what all its logs have in common is told once. */
const warned = new Set<string>()

/** Makes the service, with the executors of a host. The layers are made of this. */
export const make = <E, R>(given: AloneOptions, arena: Arena.Arena | undefined, host: ExecutorHost<E, R>) =>
  Effect.suspend(() => {
    const resolved = MaintainerOptions.resolveUnsafe(given)
    const { writer } = resolveUnsafe(Writer, given)
    const directory = new SegmentDirectory(resolved.directory, resolved.naming)
    return annotated("SegmentMaintainer", directory.path)(makeIn(directory, { ...resolved, writer }, arena, host))
  })

const makeIn = Effect.fnUntraced(function*<E, R>(
  segmentDirectory: SegmentDirectory,
  { writer, ...resolved }: ResolvedMaintainerOptions & typeof Writer.Type,
  arena: Arena.Arena | undefined,
  host: ExecutorHost<E, R>
) {
  const { naming, path: directory } = segmentDirectory
  // Threads are started, and files are made, after the working directory may have changed.
  const options = { ...resolved, directory }
  const disk = yield* Disk
  const queues = {
    toPersist: yield* SegmentsToPersist,
    toFreeze: yield* SegmentsToFreeze,
    toFree: yield* SegmentsToFree
  }
  const telemetryService = yield* Telemetry
  const telemetry = telemetryService.updater(0)
  const clock = yield* Clock.Clock
  /** For what a caller of the service runs. */
  const logsHere = annotated("SegmentMaintainer", directory)
  const runHere = Effect.runForkWith(yield* Effect.context<never>())

  yield* makeDirectoryDurable(directory)
  yield* disk.lock(segmentDirectory.pathOf(lockName))
  yield* disk.requireAbilities(directory)
  const reconciled = yield* reconcile(segmentDirectory, writer)
  yield* logReconciled(reconciled)
  const reserve = yield* makeReserve(options)

  const control = yield* Effect.acquireRelease(
    Effect.sync(() => MaintainerControl.makeUnsafe(host.count)),
    // As for the arena's: the runtimes of all threads that waited for them keep their memory until they ring.
    ({ attention, progress, room }) =>
      Effect.sync(() => {
        for (const doorbell of [attention, progress, room]) Doorbell.ringUnsafe(doorbell)
      })
  )
  const state = new MaintainerState({
    options,
    directory: segmentDirectory,
    arena,
    queues,
    control,
    executors: host.count,
    elapsed: () => elapsedMillisUnsafe(clock),
    wall: () => clock.currentTimeMillisUnsafe()
  })
  const setLimits = (limits: ResolvedLimits): ReadonlyArray<ClampedLimit> => {
    const clamped = state.setLimits(limits)
    setLimitGauges(telemetry, state.limits)
    return clamped
  }
  for (const limit of setLimits(options.limits)) yield* Effect.logWarning(Retention.formatClamped(limit))
  if (options.onArchiveBehind === "free") yield* Effect.logWarning(formatMayBeLost(directory))

  const outcomes = yield* PubSub.unbounded<Take.Take<StepOutcome>>()
  yield* Effect.addFinalizer(() => PubSub.end(outcomes, Exit.void))
  const publish = (outcome: StepOutcome) => PubSub.publishUnsafe(outcomes, [outcome])
  const reports = ExecutorReports.make({ executors: host.count, state, disk, publish })
  const down = yield* Deferred.make<never, MaintainerDown>()
  const damaged = yield* DamagedSegments.make({ state, disk, onDamaged: options.onDamaged, telemetry, publish })

  yield* telemetryService.beforeSnapshot(() => setGauges(telemetry, state))
  const durableHolding = DurableHolding.make(state, disk)
  yield* durableHolding.begin(reconciled.foreign)
  state.begin(reconciled)
  const retain = Effect.sync(() => state.retain())
  const learning = yield* Effect.forkScoped(Effect.andThen(learnSizes(state, disk), retain))
  yield* Effect.forkScoped(retainWhatIsOffered(state))
  yield* Effect.forkScoped(retainAsSegmentsAge(state))
  yield* Effect.forkScoped(damaged.watch)
  yield* Effect.forkScoped(retainAsTimePasses(state, disk, reports, telemetry, reserve.renew, damaged, durableHolding))
  const trace = yield* StepSpans.make(directory)
  const executors = yield* superviseAll({
    host,
    restartsMax: options.restartsMax,
    telemetry,
    seat: (executor) => ({
      executor,
      options: executorOptionsOf(options),
      control,
      arena,
      emit: (outcome) => {
        trace(outcome)
        reports.apply(executor, outcome)
      },
      warn: (message) => {
        if (warned.has(message)) return
        warned.add(message)
        runHere(Effect.logWarning(`executor ${executor} of ${directory}: ${message}`))
      }
    }),
    beforeRestart: reports.beforeRestart,
    onDown: Effect.fnUntraced(function*(cause) {
      if (arena !== undefined) Arena.putHeldBackUnsafe(arena, HeldBack.MaintainerDown, state.elapsed())
      const error = new MaintainerDown({ directory, restarts: options.restartsMax, cause: Cause.squash(cause) })
      yield* Effect.logError(error.message)
      yield* Deferred.fail(down, error)
      Doorbell.ringUnsafe(control.progress)
    })
  })
  const untilSizesKnown = Effect.andThen(Fiber.await(learning), retain)
  const drainOnce = drain(
    {
      state,
      reports,
      executors,
      untilSizesKnown,
      releaseReserve: Effect.map(reserve.release, (hasMadeRoom) => {
        if (hasMadeRoom) Doorbell.ringUnsafe(control.room)
      })
    },
    options.drainMax
  ).pipe(Effect.withSpan("SegmentMaintainer.drain", { attributes: { log: directory } }), logsHere)
  const drained = yield* Deferred.make<DrainReceipt>()
  yield* Effect.addFinalizer(() =>
    Effect.flatMap(drainOnce, (receipt) => {
      setGaugesOfDrain(telemetry, receipt)
      return Deferred.succeed(drained, receipt)
    }).pipe(Effect.andThen(logsHere(tellDeleted(state, telemetry))))
  )

  return SegmentMaintainer.of({
    directory,
    naming,
    reconciled,
    status: Effect.sync(() => statusOf(state, executors)),
    segments: Effect.sync(() => state.catalog.list().map((entry) => ({ ...entry }))),
    failures: Effect.sync(() => [...state.failures]),
    plan: Effect.sync(() => [...state.plan(), ...state.toArchive()]),
    setLimits: (limits) =>
      Effect.sync(() => {
        const clamped = setLimits(resolveUnsafe(Retention.RetentionLimits, limits))
        state.retain()
        return clamped
      }),
    hold: (hold) =>
      Effect.suspend(() => {
        const { timeToLive, ...rest } = requireOptions("hold", HoldOptions, hold)
        return holdFor(state, { ...rest, lastsMillis: Duration.toMillis(timeToLive) })
      }),
    holdDurably: (hold) =>
      Effect.suspend(() => {
        const { initialEventId, maxLag = {}, name } = requireOptions("hold", DurableHoldOptions, hold)
        return logsHere(durableHolding.own({
          name,
          initialEventId,
          maxLagBytes: maxLag.bytes,
          maxLagMillis: maxLag.age && Duration.toMillis(maxLag.age)
        }))
      }),
    endsWith: (eventId) => logsHere(durableHolding.endsWith(eventId)),
    archivedBefore: (segmentIndex) =>
      Effect.sync(() => {
        requireWhole("segmentIndex", segmentIndex)
        state.archived(segmentIndex)
      }),
    archiveProblem: (problem) => Effect.sync(() => void (state.archiveProblem = problem)),
    drain: drainOnce,
    drained: Deferred.await(drained),
    freezeBefore: (segmentIndex) =>
      Effect.sync(() => {
        requireWhole("segmentIndex", segmentIndex)
        state.freezeBefore(segmentIndex)
      }),
    freeBefore: (eventId) =>
      Effect.suspend(() => {
        requireWhole("eventId", eventId)
        const found = Effect.provideService(segmentWith(segmentDirectory, eventId), Disk, disk)
        return Effect.map(found, (segmentIndex) => state.freeBefore(segmentIndex ?? 0))
      }),
    verifyConsistency: verifyConsistency(state, disk),
    outcomes: Stream.fromPubSubTake(outcomes),
    quietSince: (segmentIndex, millis) => Effect.sync(() => state.ages.quietSince(segmentIndex, millis)),
    newest: Effect.sync(() => state.newest()),
    closed: (segmentIndex) =>
      Effect.suspend(() => {
        requireWhole("segmentIndex", segmentIndex)
        const closing = Effect.sync(() => state.closeThrough(segmentIndex))
        return Effect.andThen(learnWeightsOfClosed(state, disk, segmentIndex), closing)
      }),
    removed: (segmentIndex) =>
      Effect.sync(() => {
        requireWhole("segmentIndex", segmentIndex)
        state.remove(segmentIndex)
      }),
    quarantine: (segmentIndex) =>
      Effect.suspend(() => {
        requireWhole("segmentIndex", segmentIndex)
        return logsHere(damaged.quarantine(segmentIndex))
      }),
    down: Deferred.await(down)
  })
})

/** What the executors get: numbers, which can be sent to a thread. */
const executorOptionsOf = (options: ResolvedMaintainerOptions): ExecutorOptions => ({
  directory: options.directory,
  naming: options.naming,
  compression: options.compression,
  sleepMillisMin: Duration.toMillis(options.sleepMin),
  sleepMillisMax: Duration.toMillis(options.sleepMax),
  flushEveryMillis: Duration.toMillis(options.flushEvery)
})

/** A freeze that the application itself offers waits for its place too. */
const retainWhatIsOffered = (state: MaintainerState) =>
  Effect.forever(Effect.gen(function*() {
    const { notEmpty } = state.queues.toFreeze
    const seen = Doorbell.readUnsafe(notEmpty)
    state.retain()
    yield* Doorbell.wait(notEmpty, seen)
  }))

/** The limit in age is reached without an outcome. */
const retainAsSegmentsAge = (state: MaintainerState) =>
  Effect.forever(Effect.suspend(() => {
    state.retain()
    return Effect.sleep(lookMillis(state.limits.ageMax))
  }))

/** Other limits are reached without an outcome too: other programs use up the disk's space. */
const retainAsTimePasses = (
  state: MaintainerState,
  disk: Disk["Service"],
  reports: ExecutorReports.ExecutorReports,
  telemetry: SegmentMaintainerUpdater,
  renewReserve: (freeBytes: number | undefined) => Effect.Effect<void>,
  damaged: DamagedSegments.DamagedSegments,
  durableHolding: DurableHolding.DurableHolding
) =>
  Effect.forever(Effect.gen(function*() {
    const setMillis = state.ages.observe()
    if (setMillis !== 0) {
      telemetry.count("clockJumps", 1)
      yield* Effect.logWarning(formatClockJump(state.directory.path, setMillis))
    }
    const freeBytes = Effect.option(disk.freeBytes(state.directory.path))
    const before = state.freeBytes ?? Number.POSITIVE_INFINITY
    state.freeBytes = yield* Effect.map(freeBytes, Option.getOrUndefined)
    if ((state.freeBytes ?? 0) > before) Doorbell.ringUnsafe(state.control.room)
    // A drain must end, so a step that is abandoned during one is not tried again.
    if (!MaintainerControl.isDraining(state.control)) {
      state.tryAgain()
      yield* renewReserve(state.freeBytes)
      yield* Effect.ignore(reconsiderUndeletable(state, disk))
      yield* damaged.lookAgain
      yield* durableHolding.lookAgain
    }
    yield* learnWeights(state, disk)
    yield* tellDeleted(state, telemetry)
    yield* reports.recoverLost
    state.retain()
    yield* Effect.sleep(tickMillis)
  }))

/** Reports what was deleted although it was held, or is not archived. */
const tellDeleted = (state: MaintainerState, telemetry: SegmentMaintainerUpdater) =>
  Effect.gen(function*() {
    telemetry.count("consumerSegmentsMissed", state.missed)
    state.missed = 0
    for (const { isDurable, name, segmentIndex } of state.exceeded.splice(0)) {
      yield* Effect.logWarning((isDurable ? formatPassed : formatExceeded)(name, segmentIndex))
    }
    for (const segmentIndex of state.unarchived.splice(0)) {
      telemetry.count("segmentsFreedUnarchived", 1)
      yield* Effect.logWarning(formatUnarchived(segmentIndex))
    }
  })

const formatExceeded = (name: string, segmentIndex: number): string =>
  `the hold ${name} keeps no more: segment ${segmentIndex} is deleted, because all segments take more than heldBytesMax`

const formatPassed = (name: string, segmentIndex: number): string =>
  `the ${
    isConsumer(name) ? "consumer" : "position"
  } ${name} misses events: segment ${segmentIndex} is deleted before they were read (maxLag or heldBytesMax)`

const formatMayBeLost = (directory: string): string =>
  `segments in ${directory} that the archive does not have yet are deleted when a limit asks for that ` +
  `(onArchiveBehind: free)`

const formatUnarchived = (segmentIndex: number): string =>
  `segment ${segmentIndex} is deleted although the archive does not have it (onArchiveBehind: free)`

const formatClockJump = (directory: string, setMillis: number): string =>
  `the wall clock was set ${setMillis > 0 ? "forward" : "back"} by ${
    formatNanos(Math.abs(setMillis) * 1e6)
  }; the ages of ` +
  `the segments in ${directory} follow elapsed time, not the wall clock`

const statusOf = (state: MaintainerState, executors: Supervised): MaintainerStatus => ({
  hotSegments: state.catalog.hotCount,
  hotBytes: state.catalog.hotBytes,
  coldSegments: state.catalog.coldCount,
  coldBytes: state.catalog.coldBytes,
  pending: pendingUnsafe(state.queues),
  failures: state.counts.failures,
  damaged: [...state.damaged],
  holes: state.holes,
  restarts: executors.restarts(),
  isDown: executors.isDown(),
  heldBack: heldBackStatus(state.arena, state.elapsed()),
  limits: state.limits,
  holds: state.holds.list(),
  durableHolds: state.durableHolds.list(),
  archive: state.archivedStatus()
})

const holdFor = (
  state: MaintainerState,
  hold: NewHold
): Effect.Effect<Hold, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => state.holds.add(hold)),
    (held) =>
      Effect.sync(() => {
        state.holds.remove(held)
        state.retain()
      })
  ).pipe(Effect.map((held) => ({
    advanceTo: (segmentIndex) =>
      Effect.sync(() => {
        requireWhole("segmentIndex", segmentIndex)
        if (state.holds.advance(held, segmentIndex)) state.retain()
      })
  })))
