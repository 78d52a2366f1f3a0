/** Events of a log on their way to another process: which ones are asked for, and how they go over the wire. */
import * as Arr from "effect/Array"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as EventCodec from "../format/EventCodec.ts"
import { eventIdMax } from "../format/Limits.ts"
import { epochMillisOf } from "../internal/instant.ts"
import * as Options from "../internal/options.ts"
import type { ReplayFrom } from "../reading/Replay.ts"
import { EventUndecodable } from "../recorder/EventUndecodable.ts"
import type { LogEvent } from "../recorder/Log.ts"

/** Where the events begin that are asked for: `at` is an event id, or a Unix time in milliseconds, or means nothing. */
export const From = Schema.Struct({ kind: Schema.Literals(["oldest", "latest", "id", "time"]), at: Schema.Finite })

/** Events with consecutive ids that go over the wire together; `timeMillis` is null in format 1. */
export const Batch = Schema.Array(Schema.Struct({
  id: Schema.Int,
  timeMillis: Schema.NullOr(Schema.Finite),
  bytes: Schema.Uint8Array
}))

/**
 * Which events are read from another process.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteRange {
  /** Default: `oldest`. */
  readonly from?: Exclude<ReplayFrom, { readonly segmentIndex: number }>
  /** The last event. Default: the newest one that is durable when the reading begins; none while it follows. */
  readonly toId?: number
  /** Whether to wait for new events at the end, until `toId` or an interruption. Default: false. */
  readonly follow?: boolean
  /** The name under which the log's status shows what is held for this reader. Default: `rpc`. */
  readonly name?: string
}

const eventId = Options.whole("number", 0, eventIdMax)

/** What a caller may give as a range. */
export const Range = Schema.Struct({
  from: Schema.optional(Schema.Union([
    Schema.Literals(["oldest", "latest"]),
    Schema.Struct({ id: eventId }),
    Schema.Struct({ time: Options.instant })
  ])),
  toId: Schema.optional(eventId),
  follow: Schema.optional(Schema.Boolean),
  name: Schema.optional(Options.text("a name"))
})

/** The most that goes over the wire together; a single event may be 1 MiB. */
const batchBytesMax = 256 * 1024
const batchEventsMax = 1024

/** What is sent for the beginning of a range. */
export const sentFrom = (from: NonNullable<RemoteRange["from"]>): typeof From.Type =>
  typeof from === "string"
    ? { kind: from, at: 0 }
    : "id" in from
    ? { kind: "id", at: from.id }
    : { kind: "time", at: Option.getOrThrow(epochMillisOf(from.time)) }

/** What was meant by it. */
export const meantFrom = ({ at, kind }: typeof From.Type): NonNullable<RemoteRange["from"]> =>
  kind === "id" ? { id: at } : kind === "time" ? { time: at } : kind

/** Each batch goes as soon as its events are there, and the next one when there is room for it. */
export const batched = <E, R>(
  events: Stream.Stream<LogEvent<Uint8Array>, E, R>
): Stream.Stream<Arr.NonEmptyArray<(typeof Batch.Type)[number]>, E, R> =>
  Stream.chunks(events).pipe(
    Stream.flatMap((events) => Stream.fromIterable(batchesOf(events))),
    Stream.rechunk(1)
  )

const batchesOf = (events: ReadonlyArray<LogEvent<Uint8Array>>) => {
  const batches: Array<Array<{ id: number; timeMillis: number | null; bytes: Uint8Array }>> = []
  let bytes = batchBytesMax
  for (const { event, id, time } of events) {
    let batch = batches.at(-1)
    if (batch === undefined || bytes + event.length > batchBytesMax || batch.length >= batchEventsMax) {
      batch = []
      batches.push(batch)
      bytes = 0
    }
    bytes += event.length
    batch.push({ id, timeMillis: time === undefined ? null : time.epochMilliseconds, bytes: event })
  }
  return Arr.filter(batches, Arr.isArrayNonEmpty)
}

/** The event of an element of a batch, as bytes. */
export const undecoded = ({ bytes, id, timeMillis }: (typeof Batch.Type)[number]): LogEvent<Uint8Array> => ({
  id,
  time: timeMillis === null ? undefined : DateTime.makeUnsafe(timeMillis),
  event: bytes
})

/** The event of an element of a batch. */
export const decodeWith =
  <Event, Encoding, Decoding>(codec: EventCodec.EventCodec<Event, Encoding, Decoding>) =>
  (element: (typeof Batch.Type)[number]): Effect.Effect<LogEvent<Event>, EventUndecodable, Decoding> =>
    Effect.mapBoth(codec.decode(element.bytes), {
      onSuccess: (event) => ({ ...undecoded(element), event }),
      onFailure: ({ message }) => new EventUndecodable({ eventId: element.id, detail: message })
    })
