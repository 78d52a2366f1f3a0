/**
 * Records events. `append` returns an id at once; `commit` returns when the disk has everything up to it.
 *
 * Committed events survive a crash of the process and of the machine. Events that were only appended survive neither,
 * but an orderly shutdown loses nothing: when the layer's scope closes, the recorder hands the last segment over, and
 * the maintainer drains after it (promise 7 of docs/RELIABILITY.md).
 *
 * What is guaranteed (the promises have the numbers of that page):
 *
 * 1. Ids are consecutive, begin at 1, and continue where the directory ends (promise 15).
 * 2. When `commit` succeeds, every event appended before it is durable, in order, without a gap (promise 1). It waits
 *    through a disk that is full or fails, unless it is told otherwise. A retry of `appendDurable` records once
 *    (promise 50).
 * 3. An append that fails has written nothing (promise 16). One that is given no bytes is a defect, and has written
 *    nothing either (promise 28). No append drops an earlier event to make room. With the strategy `dropping` the new
 *    event is dropped: the append fails, and is counted (promise 17). A batch is kept as a whole or not at all
 *    (promise 48).
 * 4. A rotation is the maintainer's only work order. Appends never wait for a file, a sync or a hash. They wait for a
 *    slot, and only when every slot waits for the disk.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { annotated } from "../internal/annotated.ts"
import { requireBytes, requireList, requireWhole } from "../internal/arguments.ts"
import { elapsedMillisUnsafe } from "../internal/elapsed.ts"
import { oneOf, resolveUnsafe, withDefault } from "../internal/options.ts"
import { suspendTraced } from "../internal/traced.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as Recovery from "../reading/recovery/Recovery.ts"
import type { FormatMismatch, RecoveryReport } from "../reading/recovery/Recovery.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { EventLag } from "../shared/EventLag.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { SegmentsToPersist } from "../shared/SegmentQueues.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { rotateWhenDue } from "./AgeRotation.ts"
import * as CommitLine from "./CommitLine.ts"
import * as ContinuedSegment from "./ContinuedSegment.ts"
import * as Positions from "./Positions.ts"
import { RecorderError } from "./RecorderError.ts"
import { Backpressure, Closed, LogExhausted, MaintainerDown, TooLarge, WrongSize } from "./RecorderReason.ts"
import { replicationOf } from "./Replication.ts"
import { Refusal, SegmentWriter } from "./SegmentWriter.ts"

export type { Positions } from "./Positions.ts"

/**
 * How a recorder behaves. A layer that is given another word dies with a message that names the field and the words.
 *
 * @since 0.1.0
 * @category models
 */
export const RecorderOptions = Schema.Struct({
  /**
   * When a commit makes events durable: at once (`onCommit`), with the next flush of a maintainer that has
   * `flushEvery` (`onTimer`), or when the segment is rotated (`onRotate`). Default: `onCommit`.
   */
  commit: withDefault(oneOf(["onCommit", "onTimer", "onRotate"]), "onCommit"),
  /**
   * When all slots wait for the disk: `append` suspends until there is room, or drops the new event: it fails with
   * `Backpressure` at once, and is counted (`eventsDropped`). Default: `suspend`.
   */
  strategy: withDefault(oneOf(["suspend", "dropping"]), "suspend"),
  /**
   * While the disk is full or fails to write: a commit waits until it works again, or fails with `DiskFull` or
   * `DiskFailing` at each attempt that fails. The events stay in memory and are written in both cases. Positions,
   * status and telemetry show `heldBack`. Default: `wait`.
   */
  onDiskFailure: withDefault(oneOf(["wait", "fail"]), "wait"),
  /**
   * Where an event must be before a commit answers: on the local disk (`local`), or in the object store too
   * (`replicated`), which needs `Failover.layer` below the log. Default: `local`.
   */
  acknowledge: withDefault(oneOf(["local", "replicated"]), "local")
})

/**
 * How a recorder behaves: the type of {@link RecorderOptions} before the defaults are in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecorderOptions extends Schema.Codec.Encoded<typeof RecorderOptions> {}

/**
 * Appends and commits events in one directory; the opening of this module has the guarantees.
 *
 * **Example** (Appending and committing)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { recorder } = yield* Events
 *   yield* recorder.append(Buffer.from("in memory, with an id"))
 *   const last = yield* recorder.appendAll([Buffer.from("two"), Buffer.from("three")])
 *   yield* recorder.commitTo(last)
 *   yield* Console.log(yield* recorder.positions) // => durable: 3
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
export class Recorder extends Context.Service<Recorder, {
  /** What was found and done when the directory was opened. */
  readonly recovery: RecoveryReport
  /** The append path itself, for code that runs on this thread and must not go through Effect. */
  readonly writer: SegmentWriter
  /** Appends a copy of the event and returns its id; see `RecorderOptions.strategy` for when there is no room. */
  readonly append: (event: Uint8Array) => Effect.Effect<number, RecorderError>
  /**
   * Appends all of these events as one batch, or none of them; returns the id of the last one (of the newest event when
   * there were none). Their ids are consecutive, with no other event between, and after any crash all of them are there
   * or none. A batch lies in one block, so it has at most `writer.batchBytesMax` bytes and `writer.batchEventsMax`
   * events; a larger one is refused with `TooLarge`.
   */
  readonly appendAll: (events: Iterable<Uint8Array>) => Effect.Effect<number, RecorderError>
  /**
   * As `appendAll`, for code that has decided what to append by what was appended before. In the turn of the append
   * `isStale` is asked before it, and `onAppended` is called after it. Succeeds with false, and has appended nothing,
   * when `isStale` said so.
   *
   * @internal
   */
  readonly appendAllUnless: (
    events: Arr.NonEmptyReadonlyArray<Uint8Array>,
    turn: { readonly isStale: () => boolean; readonly onAppended: () => void }
  ) => Effect.Effect<boolean, RecorderError>
  /**
   * Appends one event after the other, any number of them, and waits for room where there is none; returns the id of
   * the last one (of the newest event when there were none). Those before one that is refused stay.
   */
  readonly appendEach: (events: Iterable<Uint8Array>) => Effect.Effect<number, RecorderError>
  /** Succeeds with the durable position when everything appended so far is durable. */
  readonly commit: Effect.Effect<number, RecorderError>
  /** Succeeds with the durable position when it has reached this id. */
  readonly commitTo: (eventId: number) => Effect.Effect<number, RecorderError>
  /**
   * Appends and commits. The effect remembers what it has appended until that is durable. So when it is run again after
   * it failed or was interrupted (`Effect.retry`, a timeout inside of a retry), it waits for that event, and appends
   * nothing.
   */
  readonly appendDurable: (event: Uint8Array) => Effect.Effect<number, RecorderError>
  /**
   * Makes an `appendDurable` whose effects share their memory: one that is run after another failed or was interrupted
   * waits for what that one has appended. For an effect that makes its event anew in each run, as by encoding.
   */
  readonly durableAppends: () => (event: Uint8Array) => Effect.Effect<number, RecorderError>
  /** Makes everything appended so far durable now, whatever the commit policy. */
  readonly flush: Effect.Effect<number, RecorderError>
  /** Closes the active segment, unless it is empty, and continues with the next. */
  readonly rotate: Effect.Effect<void, RecorderError>
  readonly positions: Effect.Effect<Positions.Positions>
  /** The positions now, and whenever one of the ids but the first has moved, or what holds events back has changed. */
  readonly changes: Stream.Stream<Positions.Positions>
}>()("effect-wal/recorder/Recorder") {}

/**
 * Opens the directory of the maintainer in the context for recording; the layer is ready when the next id is known.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: RecorderOptions = {}
): Layer.Layer<
  Recorder,
  DiskError | SegmentCorrupt | FormatMismatch | Recovery.LogExhausted,
  SegmentMaintainer | SegmentArena | SegmentsToPersist | Telemetry | Disk
> => Layer.effect(Recorder, make(options))

const walIdBytes = 16

/** One append in 1,024 is timed: reading the clock costs more than the append. A power of two. */
const appendsPerSample = 1024

const copyOf = (event: Uint8Array, index: number): Uint8Array => {
  requireBytes(`events[${index}]`, event)
  return event.slice()
}

const tooLarge = (
  bytes: number,
  bytesMax: number,
  of: { readonly batch?: { readonly events: number; readonly eventsMax: number } } = {}
): RecorderError => new RecorderError({ reason: new TooLarge({ bytes, bytesMax, option: "blockBytesMax", ...of }) })

const exhausted = (): RecorderError => new RecorderError({ reason: new LogExhausted() })

const down = (): RecorderError => new RecorderError({ reason: new MaintainerDown() })

/** Opens the directory. A damaged segment at its end is moved away first, if that is the maintainer's policy. */
const openPastDamage = (
  maintainer: SegmentMaintainer["Service"],
  options: Recovery.RecoveryOptions
): ReturnType<typeof Recovery.open> =>
  Effect.catchTag(Recovery.open(options), "SegmentCorrupt", (damage) =>
    Effect.flatMap(
      maintainer.quarantine(damage.segmentIndex),
      (isMoved) => isMoved ? openPastDamage(maintainer, options) : Effect.fail(damage)
    ))

const make = Effect.fnUntraced(function*(given: RecorderOptions) {
  const options = resolveUnsafe(RecorderOptions, given)
  const arena = yield* SegmentArena
  const maintainer = yield* SegmentMaintainer
  const toPersist = yield* SegmentsToPersist
  const telemetryService = yield* Telemetry
  const telemetry = telemetryService.updater(0)
  const clock = yield* Clock.Clock
  const { directory, naming } = maintainer
  const replication = yield* replicationOf(directory)
  if (replication === undefined && options.acknowledge === "replicated") {
    return yield* Effect.die(
      new Error(
        `acknowledge: "replicated" needs a second place: provide Failover.layer of ${directory} to the layer of the log`
      )
    )
  }

  const recovered = yield* openPastDamage(maintainer, { directory, naming, version: arena.layout.version })
  const { origin, report } = recovered
  const didSomething = report.closedSegmentIndex !== undefined || report.removedSegmentIndices.length > 0
  const log = report.lastGivenId > report.lastEventId || report.ignoredHint !== ""
    ? Effect.logWarning
    : didSomething
    ? Effect.logInfo
    : Effect.logDebug
  yield* annotated("Recorder", directory)(log(Recovery.formatReport(report)))
  for (const segmentIndex of report.removedSegmentIndices) yield* maintainer.removed(segmentIndex)
  yield* maintainer.endsWith(origin.lastEventId)
  const continued = yield* ContinuedSegment.load(arena, recovered, {
    directory: new SegmentDirectory(directory, naming),
    reconciled: maintainer.reconciled,
    ageMax: (yield* maintainer.status).limits.ageMax
  })
  const closedIndex = continued === undefined ? origin.lastSegmentIndex : origin.lastSegmentIndex - 1
  if (closedIndex >= 0) yield* maintainer.closed(closedIndex)
  const walId = origin.walId ?? replication?.walId ?? new Uint8Array(
    yield* Effect.all(Array.from({ length: walIdBytes }, () => Random.nextIntBetween(0, 256)))
  )
  Arena.setOriginUnsafe(arena, {
    walId,
    closedIndex,
    closedChain: continued?.begun.chainStart ?? origin.chainedChecksum,
    durableEventId: origin.lastEventId,
    flushNanos: origin.lastFlushNanos
  })
  const writer = new SegmentWriter({
    arena,
    toPersist,
    firstSegmentIndex: closedIndex + 1,
    firstEventId: origin.lastEventId + 1,
    continued,
    nowMillis: () => clock.currentTimeMillisUnsafe(),
    nowNanos: telemetry.nowNanos,
    onRotate: (startedNanos) => {
      telemetry.onRotation(true, startedNanos)
      noteLag()
    }
  })

  const durableLag = new EventLag()
  const noteLag = (): void =>
    durableLag.note(elapsedMillisUnsafe(clock), writer.lastEventId, Arena.durableEventId(arena))

  const ended = () => replication?.endedUnsafe()
  const durableEventId = () => Arena.durableEventId(arena)
  const committers = yield* CommitLine.make(arena, options.onDiskFailure === "fail", {
    reached: replication === undefined || options.acknowledge === "local"
      ? durableEventId
      : () => Math.min(durableEventId(), replication.replicatedUnsafe()),
    ended,
    onRing: noteLag,
    publish: (asks) => {
      writer.shareUnsafe()
      noteLag()
      if (asks) Arena.askFlushUnsafe(arena)
    }
  })

  /** Fails an append of so many events, and counts them. */
  const refused = (error: RecorderError, events: number): Effect.Effect<never, RecorderError> => {
    telemetry.count("eventsRefused", events)
    return Effect.fail(error)
  }

  const refuse = (event: Uint8Array, refusal: number, events = 1): Effect.Effect<never, RecorderError> =>
    refused(
      refusal === Refusal.TooLarge
        ? tooLarge(event.length, writer.eventBytesMax)
        : refusal === Refusal.WrongSize
        ? new RecorderError({ reason: new WrongSize({ bytes: event.length, eventSize: arena.layout.eventSize }) })
        : refusal === Refusal.LogExhausted
        ? exhausted()
        : new RecorderError({ reason: new (ended() ?? Closed)() }),
      events
    )

  const refuseAll = (events: ReadonlyArray<Uint8Array>, refusal: number): Effect.Effect<never, RecorderError> => {
    const wrong = events.find(({ length }) => length > writer.eventBytesMax || length < writer.eventBytesMin)
    if (wrong !== undefined || refusal !== Refusal.TooLarge) return refuse(wrong ?? events[0]!, refusal, events.length)
    const bytes = events.reduce((sum, { length }) => sum + length + writer.prefixBytes, 0)
    const batch = { events: events.length, eventsMax: writer.batchEventsMax }
    return refused(tooLarge(bytes, writer.batchBytesMax, { batch }), events.length)
  }

  /** Does what the strategy demands when no slot is blank. */
  const appendLater = (
    count: number,
    attempt: () => number,
    refuse: (refusal: number) => Effect.Effect<never, RecorderError>
  ): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      // Read before anything is looked at, so a ring in between makes the wait end at once.
      const seen = Doorbell.readUnsafe(arena.durable)
      const End = ended()
      if (End !== undefined) return refused(new RecorderError({ reason: new End() }), count)
      if (CommitLine.heldBackReason(arena) === MaintainerDown) return refused(down(), count)
      if (options.strategy === "dropping") {
        telemetry.count("eventsDropped", count)
        return Effect.fail(new RecorderError({ reason: new Backpressure() }))
      }
      const eventId = attempt()
      if (eventId > 0) return Effect.succeed(eventId)
      if (eventId !== Refusal.Full) return refuse(eventId)
      return Effect.flatMap(Doorbell.wait(arena.durable, seen), () => appendLater(count, attempt, refuse))
    })

  const isSampled = (): boolean => (writer.lastEventId & (appendsPerSample - 1)) === 0

  /** Measures the append alone, without any wait for a slot. */
  const timed = (attempt: () => number): number => {
    const startNanos = telemetry.nowNanos()
    const eventId = attempt()
    if (eventId > 0) {
      telemetry.onAppend(true, startNanos)
      noteLag()
    }
    return eventId
  }

  const appendNow = (event: Uint8Array): number =>
    isSampled() ? timed(() => writer.appendUnsafe(event)) : writer.appendUnsafe(event)

  /** What to do when `appendNow` has refused; `attempt` is to try again. */
  const appendRefused = (
    event: Uint8Array,
    refusal: number,
    attempt = () => writer.appendUnsafe(event)
  ): Effect.Effect<number, RecorderError> =>
    refusal === Refusal.Full ? appendLater(1, attempt, (again) => refuse(event, again)) : refuse(event, refusal)

  const append = (event: Uint8Array): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      const eventId = appendNow(event)
      return eventId > 0 ? Effect.succeed(eventId) : appendRefused(event, eventId)
    })

  const appendEach = Effect.fnUntraced(function*(events: Iterable<Uint8Array>) {
    requireList("events", events)
    for (const event of events) {
      const eventId = appendNow(event)
      if (eventId <= 0) yield* appendRefused(event, eventId)
    }
    return writer.lastEventId
  })

  const appendBatch = (
    events: ReadonlyArray<Uint8Array>,
    attempt: () => number
  ): Effect.Effect<number, RecorderError> => {
    const eventId = isSampled() ? timed(attempt) : attempt()
    if (eventId > 0) return Effect.succeed(eventId)
    const refuseBatch = (refusal: number) => refuseAll(events, refusal)
    return eventId === Refusal.Full ? appendLater(events.length, attempt, refuseBatch) : refuseBatch(eventId)
  }

  const appendAll = (given: Iterable<Uint8Array>): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      requireList("events", given)
      // What is no array may give views on memory that it uses again.
      const events = Array.isArray(given) ? given : Array.from(given, copyOf)
      if (events.length === 0) return Effect.succeed(writer.lastEventId)
      return appendBatch(events, () => writer.appendAllUnsafe(events))
    })

  const appendAllUnless: Recorder["Service"]["appendAllUnless"] = (events, { isStale, onAppended }) =>
    Effect.suspend(() => {
      let isAppended = false
      const attempt = () => {
        // Something has been appended then, so the id is none of a refusal, and ends the attempts.
        if (isStale()) return writer.lastEventId
        const eventId = writer.appendAllUnsafe(events)
        if (eventId > 0) {
          isAppended = true
          onAppended()
        }
        return eventId
      }
      return Effect.map(appendBatch(events, attempt), () => isAppended)
    })

  const isAsked = options.commit === "onCommit"

  const waitFor = (eventId: number, asks: boolean): Effect.Effect<number, RecorderError> =>
    suspendTraced("Recorder.commit", () => ({ log: directory, eventId }), () => {
      requireWhole("eventId", eventId)
      const startNanos = telemetry.nowNanos()
      return Effect.onExit(
        committers.wait(eventId, asks),
        (exit) => Effect.sync(() => telemetry.onCommit(exit._tag === "Success", startNanos))
      )
    })

  const commitTo = (eventId: number) => waitFor(eventId, isAsked)
  const commit = Effect.suspend(() => waitFor(writer.lastEventId, isAsked))

  const durableAppends = () => {
    /** Appended by runs that did not see it durable. */
    const unsettled: Array<number> = []
    return (event: Uint8Array): Effect.Effect<number, RecorderError> =>
      Effect.uninterruptibleMask((restore) => {
        let eventId = unsettled.pop() ?? appendNow(event)
        const again = () => (eventId = writer.appendUnsafe(event))
        const appended = eventId > 0 ? Effect.succeed(eventId) : restore(appendRefused(event, eventId, again))
        return Effect.flatMap(appended, (id) => Effect.as(restore(commitTo(id)), id)).pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => {
              if (exit._tag === "Failure" && eventId > 0) unsettled.push(eventId)
            })
          )
        )
      })
  }

  const rotate: Effect.Effect<void, RecorderError> = Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(arena.durable)
    if (Arena.activeSlot(arena) < 0) return Effect.fail(new RecorderError({ reason: new (ended() ?? Closed)() }))
    if (writer.rotateUnsafe()) return Effect.void
    if (writer.isExhausted) return Effect.fail(exhausted())
    if (CommitLine.heldBackReason(arena) === MaintainerDown) return Effect.fail(down())
    return Effect.andThen(Doorbell.wait(arena.durable, seen), rotate)
  })

  yield* Effect.forkScoped(rotateWhenDue(writer, maintainer, continued))
  const positions = Positions.make(
    arena,
    writer,
    maintainer,
    report,
    replication && {
      ...replication,
      holdsBack: options.acknowledge === "replicated"
    }
  )

  yield* telemetryService.beforeSnapshot(() => {
    noteLag()
    const durable = Arena.durableEventId(arena)
    telemetry.setGauge("durableLagEvents", writer.lastEventId - durable)
    telemetry.setGauge("durableLagMillis", durableLag.millis(elapsedMillisUnsafe(clock), durable))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => writer.closeUnsafe()))
  if (replication !== undefined) yield* replication.begin({ arena, writer, maintainer })

  return Recorder.of({
    recovery: report,
    writer,
    append,
    appendAll,
    appendAllUnless,
    appendEach,
    commit,
    commitTo,
    appendDurable: (event) => durableAppends()(event),
    durableAppends,
    flush: Effect.suspend(() => waitFor(writer.lastEventId, true)),
    rotate,
    positions,
    changes: Positions.changes(arena, positions)
  })
})
