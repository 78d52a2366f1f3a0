/**
 * Records events. `append` returns an id at once; `commit` returns when the disk has everything up to it. What was
 * committed survives the process and the machine; what was only appended survives a crash of neither, but an orderly
 * shutdown loses nothing: when the layer's scope closes, the last segment is handed over, and the maintainer's scope
 * drains after it.
 *
 * What is guaranteed:
 *
 * 1. Ids are consecutive, begin at 1, and go on where the directory ends.
 * 2. When `commit` succeeds, every event appended before it is durable, in order, without a gap.
 * 3. An append that fails has written nothing. An append never loses an earlier event to make room, unless the policy is
 *    to shed, and then it is the new one that is shed, and counted.
 * 4. A rotation is the maintainer's only work order; appends never wait for a file, a sync or a hash, only, when all slots
 *    are waiting for the disk, for a slot.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import * as EventCodec from "../format/EventCodec.ts"
import { oneOf, resolveUnsafe, withDefault } from "../internal/options.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as Recovery from "../reading/recovery/Recovery.ts"
import type { OtherFormat, RecoveryReport } from "../reading/recovery/Recovery.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import type { Arena } from "../shared/SegmentArena.ts"
import { HeldBack } from "../shared/SegmentArena.ts"
import { SegmentsToPersist } from "../shared/SegmentQueues.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { DurableLag } from "./DurableLag.ts"
import { RecorderError } from "./RecorderError.ts"
import type { RecorderReason } from "./RecorderError.ts"
import { eventBytesMax, Refusal, SegmentWriter } from "./SegmentWriter.ts"

/**
 * How a recorder behaves. A layer that is given another word dies with a line that names the field and the words.
 *
 * @since 0.1.0
 * @category models
 */
export const RecorderOptions = Schema.Struct({
  /**
   * When a commit makes events durable: at once (`onCommit`), with the next flush of a maintainer that has
   * `flushEveryMillis` (`onTimer`), or when the segment is rotated (`onRotate`). Default: `onCommit`.
   */
  commit: withDefault(oneOf(["onCommit", "onTimer", "onRotate"]), "onCommit"),
  /**
   * When all slots wait for the disk: `append` suspends, fails with `Backpressure`, or drops the new event and counts it
   * (its id is then 0). Default: `suspend`.
   */
  onFull: withDefault(oneOf(["suspend", "fail", "shed"]), "suspend")
})

/**
 * How a recorder behaves: the type of {@link RecorderOptions} before the defaults are in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecorderOptions extends Schema.Codec.Encoded<typeof RecorderOptions> {}

/**
 * Where the log stands. All are event ids.
 *
 * @since 0.1.0
 * @category models
 */
export interface Positions {
  /** The newest event. */
  readonly appended: number
  /** Every event up to this one is on disk. */
  readonly durable: number
  /** No event up to this one lies in a hot segment any more: it was compressed or deleted. 0 when none was. */
  readonly compressed: number
  /** Events before this one were deleted by retention. */
  readonly deletedBefore: number
}

/**
 * Appends and commits events in one directory; the opening of this module has the guarantees.
 *
 * @since 0.1.0
 * @category services
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   const recorder = yield* Recorder.Recorder
 *   yield* recorder.append(Buffer.from("in memory, with an id"))
 *   const last = yield* recorder.appendAll([Buffer.from("two"), Buffer.from("three")])
 *   yield* recorder.commitTo(last)
 *   yield* Console.log(yield* recorder.positions) // => durable: 3
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer)))
 * ```
 */
export class Recorder extends Context.Service<Recorder, {
  /** What was found and done when the directory was opened. */
  readonly recovery: RecoveryReport
  /** The append path itself, for code that runs on this thread and must not go through Effect. */
  readonly writer: SegmentWriter
  /** Appends a copy of the event and returns its id; see `RecorderOptions.onFull` for when there is no room. */
  readonly append: (event: Uint8Array) => Effect.Effect<number, RecorderError>
  /** Appends in order; returns the id of the last one (of the newest event when there were none). */
  readonly appendAll: (events: Iterable<Uint8Array>) => Effect.Effect<number, RecorderError>
  /** Succeeds with the durable position when everything appended so far is durable. */
  readonly commit: Effect.Effect<number, RecorderError>
  /** Succeeds with the durable position when it has reached this id. */
  readonly commitTo: (eventId: number) => Effect.Effect<number, RecorderError>
  /** Appends and commits. */
  readonly appendDurable: (event: Uint8Array) => Effect.Effect<number, RecorderError>
  /** Makes everything appended so far durable now, whatever the commit policy. */
  readonly flush: Effect.Effect<number, RecorderError>
  /** Closes the active segment, unless it is empty, and goes on with the next. */
  readonly rotate: Effect.Effect<void, RecorderError>
  readonly positions: Effect.Effect<Positions>
  /** The positions now and whenever one of the last three has moved. */
  readonly changes: Stream.Stream<Positions>
}>()("effect-wal/recorder/Recorder") {
  /** Opens the directory of the maintainer below it for recording; the layer is ready when the next id is known. */
  static readonly layer = (
    options: RecorderOptions = {}
  ): Layer.Layer<
    Recorder,
    DiskError | SegmentCorrupt | OtherFormat,
    SegmentMaintainer | SegmentArena.SegmentArena | SegmentsToPersist | Telemetry | Disk
  > => Layer.effect(Recorder, make(options))
}

/**
 * The typed half of a recorder. Positions, flushing and rotation are the recorder's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface TypedRecorder<A> {
  /** Encodes and appends; returns the id. `Unencodable` when the value does not fit the schema. */
  readonly append: (event: A) => Effect.Effect<number, RecorderError>
  /** Appends in order and returns the id of the last one. */
  readonly appendAll: (events: Iterable<A>) => Effect.Effect<number, RecorderError>
  /** Appends and waits until it is durable. */
  readonly appendDurable: (event: A) => Effect.Effect<number, RecorderError>
}

/**
 * The typed half of the recorder in the context.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import { NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * const Order = Schema.Struct({ customer: Schema.NonEmptyString, cents: Schema.Int })
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* Recorder.typed(Order)
 *   yield* orders.appendDurable({ customer: "ada", cents: 120 })
 *   const refused = yield* Effect.flip(orders.append({ customer: "", cents: 1 }))
 *   yield* Console.log(refused.reason) // => Unencodable
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const typed = <A, I>(schema: Schema.Codec<A, I>): Effect.Effect<TypedRecorder<A>, never, Recorder> =>
  Effect.map(Recorder, (recorder) => {
    const codec = EventCodec.make(schema)
    const encode = (event: A) =>
      Effect.mapError(
        codec.encode(event),
        (error) => new RecorderError({ reason: "Unencodable", detail: error.message })
      )
    return {
      append: (event) => Effect.flatMap(encode(event), recorder.append),
      appendAll: (events) => Effect.flatMap(Effect.forEach(events, encode), recorder.appendAll),
      appendDurable: (event) => Effect.flatMap(encode(event), recorder.appendDurable)
    }
  })

/** Somebody who waits until an event is durable, or until a slot is blank. */
interface Waiter {
  readonly eventId: number
  readonly resume: (effect: Effect.Effect<number, RecorderError>) => void
}

const walIdBytes = 16

/** One append in 1,024 is timed: reading the clock costs more than the append. A power of two. */
const appendsPerSample = 1024

const make = Effect.fnUntraced(function*(given: RecorderOptions) {
  const options = resolveUnsafe(RecorderOptions, given)
  const arena = yield* SegmentArena.SegmentArena
  const maintainer = yield* SegmentMaintainer
  const toPersist = yield* SegmentsToPersist
  const telemetry = (yield* Telemetry).updater(0)
  const telemetryService = yield* Telemetry
  const clock = yield* Clock.Clock
  const { directory, naming } = maintainer

  const { origin, report } = yield* Recovery.open({ directory, naming, version: arena.layout.version })
  const didSomething = report.closedSegmentIndex !== undefined || report.removedSegmentIndices.length > 0
  const log = report.lastGivenId > report.lastEventId
    ? Effect.logWarning
    : didSomething
    ? Effect.logInfo
    : Effect.logDebug
  yield* log(Recovery.formatReport(report))
  for (const segmentIndex of report.removedSegmentIndices) yield* maintainer.removed(segmentIndex)
  if (origin.lastSegmentIndex >= 0) yield* maintainer.closed(origin.lastSegmentIndex)
  const walId = origin.walId ?? new Uint8Array(
    yield* Effect.all(Array.from({ length: walIdBytes }, () => Random.nextIntBetween(0, 256)))
  )
  SegmentArena.setOrigin(arena, {
    walId,
    closedIndex: origin.lastSegmentIndex,
    closedChain: origin.chainedChecksum,
    durableEventId: origin.lastEventId
  })
  const writer = new SegmentWriter({
    arena,
    toPersist,
    firstSegmentIndex: origin.lastSegmentIndex + 1,
    firstEventId: origin.lastEventId + 1,
    nowMillis: () => clock.currentTimeMillisUnsafe(),
    nowNanos: telemetry.nowNanos,
    onRotate: (startedNanos) => {
      telemetry.onRotation(true, startedNanos)
      noteLag()
    }
  })

  const durableLag = new DurableLag()
  const noteLag = (): void =>
    durableLag.note(clock.currentTimeMillisUnsafe(), writer.lastEventId, SegmentArena.durableEventId(arena))

  const committers = yield* makeLine(arena, () => SegmentArena.durableEventId(arena), noteLag)

  const refuse = (event: Uint8Array, refusal: number): RecorderError =>
    refusal === Refusal.TooLarge
      ? recorderError("TooLarge", `${event.length} bytes, at most ${eventBytesMax(arena.layout)}`)
      : refusal === Refusal.WrongSize
      ? recorderError("WrongSize", `${event.length} bytes, not ${arena.layout.eventSize}`)
      : recorderError("Closed", "")

  /** No slot is blank: what the policy says. */
  const appendLater = (event: Uint8Array): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      // Read before anything is looked at, so a ring in between makes the wait end at once.
      const seen = Doorbell.readUnsafe(arena.durable)
      if (SegmentArena.heldBack(arena) === HeldBack.MaintainerDown) {
        return Effect.fail(recorderError("MaintainerDown", ""))
      }
      switch (options.onFull) {
        case "fail":
          return Effect.fail(recorderError("Backpressure", `${arena.slots} slots of ${arena.slotBytes} bytes`))
        case "shed":
          telemetry.count("eventsShed", 1)
          return Effect.succeed(0)
        case "suspend": {
          const eventId = writer.appendUnsafe(event)
          if (eventId > 0) return Effect.succeed(eventId)
          if (eventId !== Refusal.Full) return Effect.fail(refuse(event, eventId))
          return Effect.flatMap(Doorbell.wait(arena.durable, seen), () => appendLater(event))
        }
      }
    })

  /** The sample holds the append alone, as it does without a clock; a wait for a slot is no part of it. */
  const appendNow = (event: Uint8Array): number => {
    if ((writer.lastEventId & (appendsPerSample - 1)) !== 0) return writer.appendUnsafe(event)
    const startNanos = telemetry.nowNanos()
    const eventId = writer.appendUnsafe(event)
    if (eventId > 0) {
      telemetry.onAppend(true, startNanos)
      noteLag()
    }
    return eventId
  }

  const append = (event: Uint8Array): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      const eventId = appendNow(event)
      if (eventId > 0) return Effect.succeed(eventId)
      return eventId === Refusal.Full ? appendLater(event) : Effect.fail(refuse(event, eventId))
    })

  const appendAll = Effect.fnUntraced(function*(events: Iterable<Uint8Array>) {
    for (const event of events) {
      const eventId = appendNow(event)
      if (eventId > 0) continue
      if (eventId !== Refusal.Full) return yield* refuse(event, eventId)
      yield* appendLater(event)
    }
    return writer.lastEventId
  })

  const ask = () => {
    SegmentArena.askFlushUnsafe(arena)
  }
  const isAsked = options.commit === "onCommit"

  const waitFor = (eventId: number, asks: boolean): Effect.Effect<number, RecorderError> =>
    Effect.suspend(() => {
      const startNanos = telemetry.nowNanos()
      writer.shareUnsafe()
      noteLag()
      return Effect.onExit(committers.wait(eventId, asks ? ask : undefined), (exit) =>
        Effect.sync(() => telemetry.onCommit(exit._tag === "Success", startNanos)))
    })

  const commitTo = (eventId: number) => waitFor(eventId, isAsked)
  const commit = Effect.suspend(() => waitFor(writer.lastEventId, isAsked))

  const rotate: Effect.Effect<void, RecorderError> = Effect.suspend(() => {
    const seen = Doorbell.readUnsafe(arena.durable)
    if (SegmentArena.activeSlot(arena) < 0) return Effect.fail(recorderError("Closed", ""))
    if (writer.rotateUnsafe()) return Effect.void
    if (SegmentArena.heldBack(arena) === HeldBack.MaintainerDown) {
      return Effect.fail(recorderError("MaintainerDown", ""))
    }
    return Effect.andThen(Doorbell.wait(arena.durable, seen), rotate)
  })

  const positions = makePositions(arena, writer, maintainer, report)

  yield* telemetryService.beforeSnapshot(() => {
    noteLag()
    const durable = SegmentArena.durableEventId(arena)
    telemetry.setGauge("durableLagEvents", writer.lastEventId - durable)
    telemetry.setGauge("durableLagMillis", durableLag.millis(clock.currentTimeMillisUnsafe(), durable))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => writer.closeUnsafe()))

  return Recorder.of({
    recovery: report,
    writer,
    append,
    appendAll,
    commit,
    commitTo,
    appendDurable: (event) => Effect.flatMap(append(event), (eventId) => Effect.as(commitTo(eventId), eventId)),
    flush: Effect.suspend(() => waitFor(writer.lastEventId, true)),
    rotate,
    positions,
    changes: Stream.suspend(() => {
      // Read before the positions are, so a ring in between makes the next look come at once.
      let seen = Doorbell.readUnsafe(arena.durable)
      const look = Effect.suspend(() => {
        seen = Doorbell.readUnsafe(arena.durable)
        return positions
      })
      return Stream.concat(
        Stream.fromEffect(look),
        Stream.fromEffectRepeat(Effect.flatMap(Effect.suspend(() => Doorbell.wait(arena.durable, seen)), () => look))
      )
    }).pipe(Stream.changesWith(samePositions))
  })
})

const recorderError = (reason: RecorderReason, detail: string): RecorderError => new RecorderError({ reason, detail })

const samePositions = (a: Positions, b: Positions): boolean =>
  a.durable === b.durable && a.compressed === b.compressed && a.deletedBefore === b.deletedBefore

/** Why committers cannot be served now; `undefined` while there is hope. */
const heldBackReason = (arena: Arena): RecorderReason | undefined => {
  switch (SegmentArena.heldBack(arena)) {
    case HeldBack.DiskFull:
      return "DiskFull"
    case HeldBack.DiskFailing:
      return "DiskFailing"
    case HeldBack.MaintainerDown:
      return "MaintainerDown"
    default:
      return undefined
  }
}

/**
 * Those who wait for durability, in the order of their ids. One listener at the arena's doorbell serves them all, so one
 * fdatasync wakes everybody it was for.
 */
const makeLine = Effect.fnUntraced(function*(arena: Arena, durable: () => number, onRing: () => void) {
  const waiting: Array<Waiter> = []
  let cancel: (() => void) | undefined

  const serve = (): void => {
    const reached = durable()
    let served = 0
    while (served < waiting.length && (waiting[served]?.eventId ?? 0) <= reached) {
      waiting[served]?.resume(Effect.succeed(reached))
      served += 1
    }
    if (served > 0) waiting.splice(0, served)
    if (waiting.length === 0) return
    const reason = heldBackReason(arena)
    if (reason === undefined) return
    for (const waiter of waiting.splice(0)) waiter.resume(Effect.fail(recorderError(reason, `event ${waiter.eventId}`)))
  }
  const listen = (): void => {
    const seen = Doorbell.readUnsafe(arena.durable)
    onRing()
    serve()
    cancel = Doorbell.onRingUnsafe(arena.durable, seen, listen)
  }
  listen()
  yield* Effect.addFinalizer(() =>
    // Whoever still waits is served while the maintainer drains; the listener goes with the arena.
    Effect.sync(() => {
      if (waiting.length === 0) cancel?.()
    })
  )

  return {
    wait: (eventId: number, ask: (() => void) | undefined): Effect.Effect<number, RecorderError> =>
      Effect.callback<number, RecorderError>((resume) => {
        const reached = durable()
        if (reached >= eventId) return resume(Effect.succeed(reached))
        const waiter: Waiter = { eventId, resume }
        let position = waiting.length
        while (position > 0 && (waiting[position - 1]?.eventId ?? 0) > eventId) position -= 1
        waiting.splice(position, 0, waiter)
        ask?.()
        const reason = heldBackReason(arena)
        if (reason === "MaintainerDown") serve()
        return Effect.sync(() => {
          const at = waiting.indexOf(waiter)
          if (at >= 0) waiting.splice(at, 1)
        })
      })
  }
})

/**
 * Positions from what the maintainer knows; what was deleted before this run is told by the oldest segment. Of a segment that
 * was found on disk the ids are not known at once: until they are, what was known before holds.
 */
const makePositions = (
  arena: Arena,
  writer: SegmentWriter,
  maintainer: SegmentMaintainer["Service"],
  report: RecoveryReport
): Effect.Effect<Positions> => {
  let deletedBefore = 1
  let compressed = 0
  return Effect.map(maintainer.segments, (segments) => {
    const oldest = segments[0]
    const firstEventId = oldest === undefined ? report.lastEventId + 1 : oldest.firstEventId ?? 1
    deletedBefore = Math.max(deletedBefore, firstEventId)
    compressed = Math.max(compressed, deletedBefore - 1)
    for (const segment of segments) {
      if (segment.isHot) break
      compressed = Math.max(compressed, segment.lastEventId ?? 0)
    }
    return {
      appended: writer.lastEventId,
      durable: SegmentArena.durableEventId(arena),
      compressed,
      deletedBefore
    }
  })
}
