/** Makes logs, and readers, of what knows no types: the parts of a recorder, and `Replay`. */
import * as Arr from "effect/Array"
import * as Channel from "effect/Channel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { Disk } from "../disk/Disk.ts"
import * as EventCodec from "../format/EventCodec.ts"
import { requireDuration, requireList, requireWhole } from "../internal/arguments.ts"
import { invariant } from "../internal/invariant.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as Replay from "../reading/Replay.ts"
import type { RecordedEvent } from "../reading/segment/BlockEvents.ts"
import * as Arena from "../shared/Arena.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../shared/SegmentQueues.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { makeConsumer } from "./consumer/makeConsumer.ts"
import { EventUndecodable } from "./EventUndecodable.ts"
import * as Follow from "./Follow.ts"
import type { EventRange, Log, LogEvent, LogReader, Parts, SinkOptions } from "./Log.ts"
import { interruptOwnerWhenDown } from "./Owner.ts"
import { Recorder } from "./Recorder.ts"
import { RecorderError } from "./RecorderError.ts"
import { Unencodable } from "./RecorderReason.ts"
import { replicationOf } from "./Replication.ts"

/** Makes a log of the parts in the context. `name` is that of its readers. */
export const makeLog = Effect.fnUntraced(function*<Event, Encoding, Decoding>(
  name: string,
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>
) {
  const recorder = yield* Recorder
  const maintainer = yield* SegmentMaintainer
  const replication = yield* replicationOf(maintainer.directory)
  yield* interruptOwnerWhenDown({
    down: replication === undefined ? maintainer.down : Effect.raceFirst(maintainer.down, replication.fenced)
  })
  const arena = yield* SegmentArena
  const telemetry = yield* Telemetry
  const parts: Context.Context<Parts> = Context.pick(
    Recorder,
    SegmentMaintainer,
    SegmentArena,
    SegmentsToPersist,
    SegmentsToFreeze,
    SegmentsToFree,
    Telemetry
  )(yield* Effect.context<Parts>())
  const disk = yield* Disk

  // Bytes are appended as they are, without an effect around each of them.
  const isBytes = isOfBytes(codec)
  const asTyped = (append: Recorder["Service"]["append"]) =>
    append as unknown as Log<Event, Encoding, Decoding>["append"]

  const encode = (event: Event) =>
    Effect.mapError(
      codec.encode(event),
      (error) => new RecorderError({ reason: new Unencodable({ detail: error.message }) })
    )
  const encodeAll = (events: Iterable<Event>) =>
    Effect.suspend(() => {
      requireList("events", events)
      return Effect.forEach(events, encode)
    })
  const append: Log<Event, Encoding, Decoding>["append"] = isBytes
    ? asTyped(recorder.append)
    : (event) => Effect.flatMap(encode(event), recorder.append)

  const appendEncodedDurable = (event: Event) => {
    const appendBytes = recorder.durableAppends()
    return Effect.flatMap(encode(event), appendBytes)
  }

  const appendDurable: Log<Event, Encoding, Decoding>["appendDurable"] = isBytes
    ? asTyped(recorder.appendDurable)
    : appendEncodedDurable

  const appendEach = Effect.fnUntraced(function*(events: Iterable<Event>) {
    requireList("events", events)
    for (const event of events) yield* append(event)
    return recorder.writer.lastEventId
  })

  const events = ({ follow, from, name: reader = name, to, ...rest }: EventRange = {}) => {
    const range = { ...rest, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
    const recorded = follow === true
      ? Follow.events({ ...range, name: reader })
      : Stream.unwrap(Effect.gen(function*() {
        // From here on nothing is deleted that this reader still has to read.
        const held = yield* maintainer.hold({ name: reader, fromSegmentIndex: 0 })
        const durable = Arena.durableEventId(arena)
        const { directory, naming } = maintainer
        return Replay.events({ ...range, directory, naming, onSegment: held.advanceTo }).pipe(
          Stream.takeWhile(({ id }) => id <= durable)
        )
      }))
    return decoded(codec, recorded).pipe(Stream.provideContext(parts), Stream.provideService(Disk, disk))
  }

  const consumed = {
    maintainer,
    codec,
    durableEventId: () => Arena.durableEventId(arena),
    read: (fromId: number, follow: boolean) => {
      const { directory, naming } = maintainer
      const to = { id: Arena.durableEventId(arena) }
      // A hold that lasts longer than the reading holds what is read.
      const found = follow
        ? Replay.events({ directory, naming, from: { id: fromId }, follow: Follow.durableOf(arena) })
        : fromId > to.id
        ? Stream.empty
        : Replay.events({ directory, naming, from: { id: fromId }, to })
      return Stream.provideService(found, Disk, disk)
    }
  }

  const log: Log<Event, Encoding, Decoding> = {
    append,
    appendAll: (events) => Effect.flatMap(encodeAll(events), recorder.appendAll),
    appendEach,
    appendDurable,
    commit: recorder.commit,
    commitTo: recorder.commitTo,
    flush: recorder.flush,
    rotate: recorder.rotate,
    events,
    sink: (options) => sinkInto(append, recorder, options),
    durably: <E = never>() =>
      Channel.identity<Arr.NonEmptyReadonlyArray<Event>, E, unknown>().pipe(
        Channel.mapEffect((events) =>
          Effect.tap(
            Effect.forEach(events, (event) => Effect.map(append(event), (id) => ({ id, event }))),
            recorder.flush
          )
        )
      ),
    consumer: (name, options) => makeConsumer(consumed, name, options),
    positions: recorder.positions,
    changes: recorder.changes,
    recovery: recorder.recovery,
    codec,
    disk,
    recorder,
    maintainer,
    telemetry,
    parts
  }
  return log
})

/** Makes a reader of the directory of another process. */
export const makeReader = <Event, Encoding, Decoding>(
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>,
  options: Pick<Replay.ReplayOptions, "directory" | "naming">
): LogReader<Event, Decoding> => ({
  events: ({ follow, ...range } = {}) =>
    decoded(codec, Replay.events({ ...range, ...options, ...(follow === true ? { follow: "poll" as const } : {}) }))
})

const isOfBytes = (codec: unknown): boolean => Object.is(codec, EventCodec.bytes)

/** Decodes events: those before one that cannot be decoded are handed out. */
const decoded = <Event, Encoding, Decoding, E, R>(
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>,
  events: Stream.Stream<RecordedEvent, E, R>
): Stream.Stream<LogEvent<Event>, E | EventUndecodable, R | Decoding> =>
  isOfBytes(codec)
    // Bytes are the events, without an effect around each of them.
    ? Stream.map(events, ({ bytes, id, time }) => ({ id, time, event: bytes as unknown as Event }))
    : Stream.transformPull(events, (pull) => Effect.sync(() => decodedPull(codec, pull)))

/** Events that are decoded before the first of them is handed out: few, because a codec may take its time. */
const decodedAtOnceMax = 64

/** Gives the events that `pull` gives, decoded. */
const decodedPull = <Event, Encoding, Decoding, E, R>(
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>,
  pull: Pull.Pull<Arr.NonEmptyReadonlyArray<RecordedEvent>, E, void, R>
): Pull.Pull<Arr.NonEmptyReadonlyArray<LogEvent<Event>>, E | EventUndecodable, void, R | Decoding> => {
  let recorded: ReadonlyArray<RecordedEvent> = []
  let taken = 0
  /** Decodes the next event into `events`, and then those after it. */
  const decodeInto = Effect.fnUntraced(function*(events: Array<LogEvent<Event>>) {
    const end = Math.min(recorded.length, taken + decodedAtOnceMax)
    for (; taken < end; taken++) {
      const { bytes, id, time } = recorded[taken]!
      events.push({ id, time, event: yield* codec.decode(bytes) })
    }
  })
  /** The failure of the event at `taken`. It comes after the events before it, and with every pull from then on. */
  let failed: Effect.Effect<never, EventUndecodable> | undefined
  return Effect.gen(function*() {
    if (failed !== undefined) return yield* failed
    if (taken === recorded.length) {
      recorded = yield* pull
      taken = 0
    }
    const events: Array<LogEvent<Event>> = []
    const exit = yield* Effect.exit(decodeInto(events))
    if (Exit.isFailure(exit)) {
      const eventId = recorded[taken]!.id
      failed = Effect.mapError(
        Effect.failCause(exit.cause),
        ({ message }) => new EventUndecodable({ eventId, detail: message })
      )
    }
    if (Arr.isArrayNonEmpty(events)) return events
    invariant(failed !== undefined, "a pull gives an event or fails")
    return yield* failed
  })
}

const sinkInto = <Event, Encoding>(
  append: (event: Event) => Effect.Effect<number, RecorderError, Encoding>,
  { flush }: Recorder["Service"],
  { maxBatch = 1024, within = "10 millis" }: SinkOptions = {}
): Sink.Sink<number, Event, never, RecorderError, Encoding> => {
  requireWhole("options.maxBatch", maxBatch, 1)
  const delay = requireDuration("options.within", within, 0)
  return Sink.fromTransform((
    upstream: Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, never, void>,
    scope: Scope.Scope
  ) => {
    /** Events that were taken since the last flush began. */
    let waiting = 0
    const flushNow = Effect.suspend(() => {
      waiting = 0
      return flush
    })
    /** What it fails with, the next flush fails with too, and that one is waited for. */
    const flushSoon = Effect.forkIn(Effect.ignore(Effect.andThen(Effect.sleep(delay), flushNow)), scope)
    const take = Effect.fnUntraced(function*(events: Arr.NonEmptyReadonlyArray<Event>) {
      for (const event of events) {
        if (waiting === 0) yield* flushSoon
        yield* append(event)
        waiting += 1
        if (waiting >= maxBatch) yield* flushNow
      }
    })
    return Effect.flatMap(upstream, take).pipe(
      Effect.forever({ disableYield: true }),
      Pull.catchDone(() => Effect.map(flushNow, (durable) => [durable] as const))
    )
  })
}
