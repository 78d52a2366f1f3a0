/**
 * Makes consumers: events are read from the position on, processed, and the position follows what is done. It is
 * written beside the processing, at most once in a while, because a write costs two syncs: so a position tells a little
 * less than what is done, and never more.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { DiskError } from "../../disk/Disk.ts"
import type { EventCodec } from "../../format/EventCodec.ts"
import { eventIdMax } from "../../format/Limits.ts"
import { refuseArgument, requireDuration, requireWhole } from "../../internal/arguments.ts"
import { callback, matching, requireOptions, whole } from "../../internal/options.ts"
import type { DurableHold } from "../../maintainer/DurableHolding.ts"
import type { SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import type { EventsDeleted, EventsLost, ReplayFailure } from "../../reading/ReplayError.ts"
import type { RecordedEvent } from "../../reading/segment/BlockEvents.ts"
import { EventUndecodable } from "../EventUndecodable.ts"
import type { LogEvent } from "../LogEvent.ts"
import type { Consumer, ConsumerOptions, DeadLetter, MissingEvents, ProcessOptions } from "./Consumer.ts"
import { ConsumerTaken } from "./ConsumerTaken.ts"

/** What a consumer knows of its log. */
interface ConsumedLog<Event, Decoding> {
  readonly maintainer: SegmentMaintainer["Service"]
  readonly codec: EventCodec<Event, never, Decoding> | EventCodec<Event, unknown, Decoding>
  /** The newest durable event. */
  readonly durableEventId: () => number
  /** The durable events from this one on. */
  readonly read: (fromId: number, follow: boolean) => Stream.Stream<RecordedEvent, ReplayFailure>
}

const Name = Schema.Struct({
  name: matching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, "1 to 64 letters, digits, '-' and '_', no '_' first")
})

const Options = Schema.Struct({
  from: Schema.optional(Schema.Union([
    Schema.Literals(["oldest", "latest"]),
    Schema.Struct({ id: whole("number", 1, eventIdMax) })
  ])),
  // The maintainer knows it.
  maxLag: Schema.optional(Schema.Unknown)
})

const processFields = {
  retry: Schema.optional(Schema.Unknown),
  onMissing: Schema.optional(callback<(missing: MissingEvents) => unknown>()),
  deadLetter: Schema.optional(callback<(failed: never) => unknown>()),
  within: Schema.optional(Schema.Unknown),
  follow: Schema.optional(Schema.Boolean)
}

const EachOptions = Schema.Struct({ ...processFields, concurrency: Schema.optional(whole("count", 1, 1_000_000)) })
const BatchOptions = Schema.Struct({ ...processFields, maxBatch: Schema.optional(whole("count", 1, 1_000_000)) })

/** How long a position that could not be written waits for the next try. */
const writeAgainAfter = Duration.seconds(1)

/** Everything that may be given, and nothing is typed by its function. */
type AnyProcessing<Event, E> =
  & ProcessOptions<E, unknown, unknown>
  & Partial<DeadLetter<Event, E, unknown, unknown>>

/** Makes a consumer of a log. */
export const makeConsumer = Effect.fnUntraced(function*<Event, Decoding>(
  { codec, durableEventId, maintainer, read }: ConsumedLog<Event, Decoding>,
  name: string,
  options: ConsumerOptions = {}
) {
  requireOptions("arguments", Name, { name })
  requireOptions("options", Options, options)
  const { directory } = maintainer
  const taken = (holder: string) => new ConsumerTaken({ name, directory, holder })
  const { from = "oldest", maxLag } = options
  const newest = durableEventId()
  const initialEventId = from === "oldest" ? undefined : from === "latest" ? newest : Math.min(newest, from.id - 1)
  const hold: DurableHold = yield* Effect.catchReason(
    maintainer.holdDurably({
      name,
      ...(initialEventId === undefined ? {} : { initialEventId }),
      ...(maxLag === undefined ? {} : { maxLag })
    }),
    "DiskError",
    "Held",
    ({ holder }) => Effect.fail(taken(holder))
  )

  let isReading = false
  const readAlone = Effect.acquireRelease(
    Effect.suspend(() => {
      if (isReading) return Effect.fail(taken("by this consumer"))
      isReading = true
      return Effect.void
    }),
    () => Effect.sync(() => void (isReading = false))
  )

  /** The events after the position. What is gone is passed if `onMissing` takes it. */
  const recorded = <EM = never, RM = never>(
    follow: boolean,
    onMissing?: (missing: MissingEvents) => Effect.Effect<unknown, EM, RM>
  ): Stream.Stream<RecordedEvent, ReplayFailure | ConsumerTaken | EM, RM> => {
    let next = 0
    const passing = (error: EventsDeleted | EventsLost) => {
      const lastEventId = error._tag === "EventsLost"
        ? error.hole.lastEventId
        : (error.firstAvailableId ?? durableEventId() + 1) - 1
      const missing: MissingEvents = { firstEventId: next, lastEventId, error }
      // The segment that was read to its end is deleted, because everything in it is done.
      if (error._tag === "EventsDeleted" && lastEventId < next) return reading(next)
      if (onMissing === undefined || lastEventId < next) return Stream.fail(error)
      return Stream.unwrap(Effect.map(onMissing(missing), () => reading(lastEventId + 1)))
    }
    const reading = (fromId: number): Stream.Stream<RecordedEvent, ReplayFailure | EM, RM> => {
      next = fromId
      return read(fromId, follow).pipe(
        Stream.mapArray((events) => {
          next = Arr.lastNonEmpty(events).id + 1
          return events
        }),
        Stream.catchTags({ EventsDeleted: passing, EventsLost: passing })
      )
    }
    return Stream.unwrap(
      Effect.andThen(readAlone, Effect.map(hold.eventId, (eventId) => reading(eventId + 1)))
    )
  }

  const decode = ({ bytes, id, time }: RecordedEvent): Effect.Effect<LogEvent<Event>, EventUndecodable, Decoding> =>
    codec.decode(bytes).pipe(
      Effect.mapBoth({
        onSuccess: (event) => ({ id, time, event }),
        onFailure: ({ message }) => new EventUndecodable({ eventId: id, detail: message })
      })
    )

  /** Processes one event, again and again as `retry` has it; hands it over when it keeps failing. */
  const processed = <E, R>(
    f: (event: LogEvent<Event>) => Effect.Effect<unknown, E, R>,
    { deadLetter, retry }: AnyProcessing<Event, E>
  ) =>
  (recorded: RecordedEvent) =>
    Effect.suspend(() => {
      let decoded: LogEvent<Event> | undefined
      const once = Effect.suspend(() => decoded === undefined ? Effect.void : f(decoded))
      const attempts = retry === undefined ? once : Effect.retry(once, retry)
      return Effect.map(decode(recorded), (event) => void (decoded = event)).pipe(
        Effect.andThen(attempts),
        Effect.catchCauseIf(
          (cause) => deadLetter !== undefined && !Cause.hasInterrupts(cause),
          (cause) => {
            const { bytes, id, time } = recorded
            return deadLetter?.({ id, time, bytes, event: decoded?.event, cause }) ?? Effect.failCause(cause)
          }
        )
      )
    })

  /** Runs a processing that notes what is done, and lets the position follow. */
  const following = <E, R>(
    within: Duration.Input = "100 millis",
    processing: (note: (eventId: number) => Effect.Effect<void, DiskError>) => Effect.Effect<void, E, R>
  ) =>
    Effect.gen(function*() {
      const delay = requireDuration("options.within", within, 0)
      const isAtOnce = Duration.isZero(delay)
      let done = 0
      const changed = yield* Queue.sliding<void>(1)
      const move = Effect.suspend(() => hold.moveTo(done))
      let isTold = false
      const moveOnceThereIsRoom = move.pipe(
        Effect.tapError((error) => {
          if (isTold) return Effect.void
          isTold = true
          return Effect.logWarning(`the position of the consumer ${name} cannot be written: ${error.message}`)
        }),
        Effect.retry({ schedule: Schedule.spaced(writeAgainAfter), while: ({ isRetryable }) => isRetryable }),
        Effect.tap(Effect.sync(() => void (isTold = false)))
      )
      const note = (eventId: number) =>
        Effect.suspend(() => {
          done = eventId
          if (isAtOnce) return moveOnceThereIsRoom
          Queue.offerUnsafe(changed, undefined)
          return Effect.void
        })
      const moving = Queue.take(changed).pipe(
        Effect.andThen(Effect.sleep(delay)),
        Effect.andThen(moveOnceThereIsRoom),
        Effect.forever
      )
      // A position that cannot be written when the processing ends tells less than what is done.
      return yield* Effect.raceFirst(processing(note), moving).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) ?
            move :
            Effect.catch(
              move,
              ({ message }) => Effect.logWarning(`the last position of the consumer ${name} is not written: ${message}`)
            )
        )
      )
    })

  const forEach = <E, R>(
    f: (event: LogEvent<Event>) => Effect.Effect<unknown, E, R>,
    options: AnyProcessing<Event, E> & { readonly concurrency?: number } = {}
  ) =>
    Effect.suspend(() => {
      requireFunction(f)
      const { concurrency = 1 } = requireOptions("options", EachOptions, options)
      requireSchedule(options.retry)
      const { follow = true, onMissing, within } = options
      return following(within, (note) =>
        recorded(follow, onMissing).pipe(
          // In the order of the events: what is behind one that is not done yet waits here.
          Stream.mapEffect((event) => Effect.as(processed(f, options)(event), event.id), { concurrency }),
          Stream.runForEachArray((ids) => note(Arr.lastNonEmpty(ids)))
        ))
    })

  const forEachBatch = <E, R>(
    f: (events: Arr.NonEmptyReadonlyArray<LogEvent<Event>>) => Effect.Effect<unknown, E, R>,
    options: AnyProcessing<Event, E> & { readonly maxBatch?: number } = {}
  ) =>
    Effect.suspend(() => {
      requireFunction(f)
      const { maxBatch = 100 } = requireOptions("options", BatchOptions, options)
      requireSchedule(options.retry)
      const { deadLetter, follow = true, onMissing, retry, within } = options
      const one = processed((event) => f([event]), options)
      const all = (events: Arr.NonEmptyReadonlyArray<RecordedEvent>) =>
        Effect.flatMap(Effect.forEach(events, decode), (decoded) => {
          if (!Arr.isReadonlyArrayNonEmpty(decoded)) return Effect.void
          return retry === undefined ? f(decoded) : Effect.retry(Effect.suspend(() => f(decoded)), retry)
        }).pipe(
          Effect.catchCauseIf(
            (cause) => deadLetter !== undefined && !Cause.hasInterrupts(cause),
            () => Effect.forEach(events, one, { discard: true })
          )
        )
      return following(within, (note) =>
        Stream.runForEachArray(recorded(follow, onMissing), (events) =>
          Effect.forEach(
            Arr.chunksOf(events, maxBatch),
            (batch) => Effect.andThen(all(batch), Effect.suspend(() => note(Arr.lastNonEmpty(batch).id))),
            { discard: true }
          )))
    })

  // The overloads are told apart by types alone.
  const typed = { forEach, forEachBatch } as unknown as Pick<Consumer<Event, Decoding>, "forEach" | "forEachBatch">
  const consumer: Consumer<Event, Decoding> = {
    name,
    position: hold.eventId,
    ...typed,
    events: ({ follow = true } = {}) => Stream.mapEffect(recorded(follow), decode),
    acknowledge: (eventId) =>
      Effect.suspend(() => {
        requireWhole("eventId", eventId, 0, durableEventId())
        return hold.moveTo(eventId)
      })
  }
  return consumer
})

const requireFunction = (f: unknown): void => {
  if (typeof f !== "function") refuseArgument("f", f, "a function")
}

const requireSchedule = (schedule: unknown): void => {
  if (schedule !== undefined && !Schedule.isSchedule(schedule)) {
    refuseArgument("options.retry", schedule, "a Schedule")
  }
}
