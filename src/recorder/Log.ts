/**
 * One log as an application sees it: what it records and what it reads are values of one type. `Wal.Service` makes the
 * service and its layers.
 *
 * What is guaranteed is what {@link Recorder} and `Replay` guarantee (promises 1 to 17, 48 and 49 of
 * docs/RELIABILITY.md). Two things are added: only durable events are handed out, and none of them is deleted while it
 * is still to be read.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import type * as Channel from "effect/Channel"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { EventCodec } from "../format/EventCodec.ts"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type { RecoveryReport } from "../reading/recovery/Recovery.ts"
import type * as Replay from "../reading/Replay.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import type { SegmentArena } from "../shared/SegmentArena.ts"
import type { SegmentQueues } from "../shared/SegmentQueues.ts"
import type { Telemetry } from "../telemetry/Telemetry.ts"
import type { Consumer, ConsumerOptions, ConsumerTaken } from "./consumer/Consumer.ts"
import type { EventUndecodable } from "./EventUndecodable.ts"
import type { LogEvent } from "./LogEvent.ts"
import type { Positions } from "./Positions.ts"
import type { Recorder } from "./Recorder.ts"
import type { RecorderError } from "./RecorderError.ts"

export { EventUndecodable } from "./EventUndecodable.ts"
export type { LogEvent } from "./LogEvent.ts"

/**
 * Which events are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventRange {
  /** Default: `oldest`. */
  readonly from?: Replay.ReplayFrom
  /** Default: the newest event that is durable when the reading begins; none while it follows. */
  readonly to?: Replay.ReplayTo
  /** Whether to wait for new events at the end, until `to` or an interruption. Default: false. */
  readonly follow?: boolean
  /** The name under which the maintainer's status shows what is held for this reader. Default: the name of the log. */
  readonly name?: string
}

/**
 * How a sink commits.
 *
 * @since 0.1.0
 * @category models
 */
export interface SinkOptions {
  /** The most events that wait to become durable: then the sink takes no more until they are. Default: 1,024. */
  readonly maxBatch?: number
  /** An event becomes durable at most so long after it was taken, on a disk that keeps up. Default: 10 ms. */
  readonly within?: Duration.Input
}

/**
 * The parts that a log is made of, for layers that need one of them: `Monitor.layer`, `ThreadAppender.open`,
 * `TelemetryExport.layerMetrics`. See `LogClass.parts`.
 *
 * @since 0.1.0
 * @category models
 */
export type Parts = Recorder | SegmentMaintainer | SegmentArena | SegmentQueues | Telemetry

/**
 * A log. `Encoding` and `Decoding` are the services that the schema of its events needs.
 *
 * **Example** (Recording and reading)
 *
 * ```ts
 * import { Console, Effect, Schema, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Words extends Wal.Service<Words>()("app/Words", { event: Schema.String }) {}
 *
 * const program = Effect.gen(function*() {
 *   const words = yield* Words
 *   // Into a log: at most 100 events wait to become durable, then the stream waits.
 *   yield* Stream.run(Stream.make("one", "two", "three"), words.sink({ maxBatch: 100 }))
 *   // Through a log: what comes out is durable.
 *   yield* Stream.make("four").pipe(
 *     Stream.pipeThroughChannel(words.durably()),
 *     Stream.runForEach(({ event, id }) => Console.log(id, event)) // => 4 four
 *   )
 *   // Out of it, from any event or time on, and along with what is recorded later.
 *   const events = words.events({ from: { id: 2 }, to: { id: 3 }, follow: true })
 *   yield* Stream.runForEach(events, ({ event, id }) => Console.log(id, event)) // => 2 two
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Words.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Log<in out Event, out Encoding = never, out Decoding = never> {
  /** Appends the event and returns its id at once; see `RecorderOptions.strategy` for when there is no room. */
  readonly append: (event: Event) => Effect.Effect<number, RecorderError, Encoding>
  /** Appends all of these events as one batch, or none of them; see `Recorder.appendAll`. */
  readonly appendAll: (events: Iterable<Event>) => Effect.Effect<number, RecorderError, Encoding>
  /** Appends one event after the other, any number of them; see `Recorder.appendEach`. */
  readonly appendEach: (events: Iterable<Event>) => Effect.Effect<number, RecorderError, Encoding>
  /** Appends the event and returns its id when it is durable. A retry records once, see `Recorder.appendDurable`. */
  readonly appendDurable: (event: Event) => Effect.Effect<number, RecorderError, Encoding>
  /** Succeeds with the durable position when everything appended so far is durable. */
  readonly commit: Effect.Effect<number, RecorderError>
  /** Succeeds with the durable position when it has reached this id. */
  readonly commitTo: (eventId: number) => Effect.Effect<number, RecorderError>
  /** Makes everything appended so far durable now, whatever the commit policy. */
  readonly flush: Effect.Effect<number, RecorderError>
  /** Closes the active segment, unless it is empty, and continues with the next. */
  readonly rotate: Effect.Effect<void, RecorderError>
  /** Reads durable events, in order, decoded. What is still to be read is held, so retention does not delete it. */
  readonly events: (
    range?: EventRange
  ) => Stream.Stream<LogEvent<Event>, ReplayFailure | EventUndecodable, Decoding>
  /** Appends every event that it takes; ends with the durable position when all of them are durable. */
  readonly sink: (options?: SinkOptions) => Sink.Sink<number, Event, never, RecorderError, Encoding>
  /** Appends events and passes each on, with its id, when it is durable: a read of the source is one commit. */
  readonly durably: <E = never>() => Channel.Channel<
    Arr.NonEmptyReadonlyArray<Omit<LogEvent<Event>, "time">>,
    E | RecorderError,
    unknown,
    Arr.NonEmptyReadonlyArray<Event>,
    E,
    unknown,
    Encoding
  >
  /**
   * Reads along under a name whose position the directory keeps: what it has not done yet is held, also after a restart
   * and before it is asked for again. One consumer of a name at a time. See {@link Consumer}.
   */
  readonly consumer: (
    name: string,
    options?: ConsumerOptions
  ) => Effect.Effect<Consumer<Event, Decoding>, ConsumerTaken | DiskError, Scope.Scope>
  readonly positions: Effect.Effect<Positions>
  /** The positions now, and whenever they move; see `Recorder.changes`. */
  readonly changes: Stream.Stream<Positions>
  /** What was found and done when the directory was opened. */
  readonly recovery: RecoveryReport
  /** How its events become bytes. */
  readonly codec: EventCodec<Event, Encoding, Decoding>
  /** Where it is recorded. */
  readonly disk: Disk["Service"]
  /** The untyped half. */
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly telemetry: Telemetry["Service"]
  /** All parts, as `LogClass.parts` provides them. */
  readonly parts: Context.Context<Parts>
}

/**
 * Reads the events of a directory that another process, or nobody, records into.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogReader<out Event, out Decoding = never> {
  /**
   * Reads the events, decoded. Without `follow` up to the last whole block. With `follow` it polls, and hands out every
   * whole block in the file, durable or not. Nothing is held: `EventsDeleted` when retention was faster.
   */
  readonly events: (
    range?: Omit<EventRange, "name">
  ) => Stream.Stream<LogEvent<Event>, ReplayFailure | EventUndecodable, Decoding | Disk>
}
