/**
 * Durable consumers: a reader of a log with a name, whose position the log's directory keeps.
 *
 * What is guaranteed (promises 60 and 61 of docs/RELIABILITY.md):
 *
 * 1. At least once: every event is handed out, in order, until it is done. The position is written after that, never
 *    before. What was done and is not in the durable position comes again after a restart.
 * 2. What the position has not passed is held, from the first step of retention on after a start, before the consumer
 *    is asked for again. The position is durable before retention passes it. With `maxLag`, what is further behind may
 *    be deleted; then the consumer gets `EventsDeleted`. There is never a silent gap.
 * 3. One consumer of a name at a time, in one process and beside others.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import type { DiskError } from "../../disk/Disk.ts"
import type { SizeInput } from "../../internal/notations.ts"
import type { EventsDeleted, EventsLost, ReplayFailure } from "../../reading/ReplayError.ts"
import type { EventUndecodable } from "../EventUndecodable.ts"
import type { LogEvent } from "../LogEvent.ts"
import type { ConsumerTaken } from "./ConsumerTaken.ts"

export { ConsumerTaken } from "./ConsumerTaken.ts"

/**
 * Where a consumer begins, and what it holds at most.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsumerOptions {
  /** Where a name begins that has no position yet; an `id` that is still to come is `latest`. Default: `oldest`. */
  readonly from?: "oldest" | "latest" | { readonly id: number }
  /**
   * What is held for the consumer at most: the newest segments of so many bytes on disk, or those that were closed at
   * most so long ago. What is further behind is deleted when a limit of retention asks for that. Default: everything is
   * held.
   */
  readonly maxLag?: { readonly bytes?: SizeInput; readonly age?: Duration.Input }
}

/**
 * An event that could not be processed.
 *
 * @since 0.1.0
 * @category models
 */
export interface FailedEvent<out Event, out E> {
  readonly id: number
  readonly time: DateTime.Utc | undefined
  /** As it was recorded. */
  readonly bytes: Uint8Array
  /** `undefined` when it does not fit the schema: then the cause has `EventUndecodable`. */
  readonly event: Event | undefined
  readonly cause: Cause.Cause<E | EventUndecodable>
}

/**
 * Events that are gone although the consumer has not read them.
 *
 * @since 0.1.0
 * @category models
 */
export interface MissingEvents {
  readonly firstEventId: number
  readonly lastEventId: number
  /** `EventsDeleted`: retention has deleted them, past `maxLag`. `EventsLost`: they were damaged. */
  readonly error: EventsDeleted | EventsLost
}

/**
 * How events are processed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProcessOptions<E, EM = never, RM = never> {
  /** When an event that failed is tried again, and how often. Default: it is not. */
  readonly retry?: Schedule.Schedule<unknown, E>
  /**
   * Called with events that are gone; when it succeeds, reading continues after them. By default processing fails with
   * their error.
   */
  readonly onMissing?: (missing: MissingEvents) => Effect.Effect<unknown, EM, RM>
  /**
   * The position is durable at most so long after an event is done, on a disk that keeps up. 0: before the next one is
   * begun. Default: 100 ms.
   */
  readonly within?: Duration.Input
  /** Whether to wait for new events at the end, until an interruption. Default: true. */
  readonly follow?: boolean
}

/**
 * What becomes of an event that keeps failing: it is handed to this function, and is done when that succeeds. The cause
 * may be a defect.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter<in Event, in E, out ED, out RD> {
  /** Takes over an event that keeps failing. */
  readonly deadLetter: (failed: FailedEvent<Event, E>) => Effect.Effect<unknown, ED, RD>
}

/** What can end the processing, besides what it is given. */
type Failure = ReplayFailure | ConsumerTaken

/**
 * A reader of a log with a durable position. It ends with its scope; what it has not done stays held.
 *
 * **Example** (Processing each event at least once)
 *
 * ```ts
 * import { Console, Effect, Schedule, Schema } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Words extends Wal.Service<Words>()("app/Words", { event: Schema.String }) {}
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const words = yield* Words
 *   yield* words.appendAll(["one", "two", ""])
 *   yield* words.commit
 *   const mailer = yield* words.consumer("mailer")
 *   yield* mailer.forEach(
 *     ({ event, id }) => event === "" ? Effect.fail("nothing to send") : Console.log(id, event), // => 2 two
 *     {
 *       retry: Schedule.recurs(2),
 *       // What keeps failing is put aside, and the next event is processed. Without it `forEach` fails.
 *       deadLetter: ({ cause, id }) => Console.log(`event ${id} is put aside`, cause),
 *       // By default it waits for more.
 *       follow: false
 *     }
 *   )
 *   yield* Console.log(yield* mailer.position) // => 3
 * }))
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Words.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface Consumer<in out Event, out Decoding = never> {
  readonly name: string
  /** Every event up to this one is done, as the directory has it. */
  readonly position: Effect.Effect<number>
  /**
   * Processes every event after the position, and moves the position after what is done. `concurrency`: how many events
   * are processed side by side; the position passes an event only when those before it are done, too. Default: 1, in
   * order.
   */
  readonly forEach: {
    <E, R, ED, RD, EM = never, RM = never>(
      f: (event: LogEvent<Event>) => Effect.Effect<unknown, E, R>,
      options:
        & ProcessOptions<NoInfer<E>, EM, RM>
        & DeadLetter<Event, NoInfer<E>, ED, RD>
        & { readonly concurrency?: number }
    ): Effect.Effect<void, Failure | ED | EM, Decoding | R | RD | RM>
    <E, R, EM = never, RM = never>(
      f: (event: LogEvent<Event>) => Effect.Effect<unknown, E, R>,
      options?: ProcessOptions<NoInfer<E>, EM, RM> & { readonly concurrency?: number }
    ): Effect.Effect<void, Failure | EventUndecodable | E | EM, Decoding | R | RM>
  }
  /**
   * As `forEach`, with as many events at once as are there, at most `maxBatch` (default: 100). A batch that keeps
   * failing is processed again event by event when there is a `deadLetter`, so that only those are put aside that fail.
   */
  readonly forEachBatch: {
    <E, R, ED, RD, EM = never, RM = never>(
      f: (events: Arr.NonEmptyReadonlyArray<LogEvent<Event>>) => Effect.Effect<unknown, E, R>,
      options:
        & ProcessOptions<NoInfer<E>, EM, RM>
        & DeadLetter<Event, NoInfer<E>, ED, RD>
        & { readonly maxBatch?: number }
    ): Effect.Effect<void, Failure | ED | EM, Decoding | R | RD | RM>
    <E, R, EM = never, RM = never>(
      f: (events: Arr.NonEmptyReadonlyArray<LogEvent<Event>>) => Effect.Effect<unknown, E, R>,
      options?: ProcessOptions<NoInfer<E>, EM, RM> & { readonly maxBatch?: number }
    ): Effect.Effect<void, Failure | EventUndecodable | E | EM, Decoding | R | RM>
  }
  /**
   * The events after the position, in order, for a program that acknowledges them itself. Default of `follow`: true.
   * One reading of a consumer at a time: another fails with `ConsumerTaken`.
   */
  readonly events: (options?: {
    readonly follow?: boolean
  }) => Stream.Stream<LogEvent<Event>, Failure | EventUndecodable, Decoding>
  /** Every event up to this one is done: the position is durable when it succeeds. Never moves back. */
  readonly acknowledge: (eventId: number) => Effect.Effect<void, DiskError>
}
