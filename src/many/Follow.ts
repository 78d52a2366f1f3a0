/**
 * Reads several logs as one stream. The events of each log come once and in order; between the logs there is no order.
 * The position in such a stream is one id a log, so a reader that keeps those goes on where it was.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { eventIdMax } from "../format/Limits.ts"
import { requireList } from "../internal/arguments.ts"
import { callback, requireOptions, whole } from "../internal/options.ts"
import type { LogEvent } from "../recorder/Log.ts"

/**
 * An event, and the key of the log that it is from.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyedEvent<out Event> extends LogEvent<Event> {
  readonly key: string
}

/**
 * How far each log was read: the id of the last event that is done. A log that is missing is read from its oldest
 * event.
 *
 * @since 0.1.0
 * @category models
 */
export type LogPositions = Readonly<Record<string, number>>

/**
 * One of the logs cannot be read on.
 *
 * @since 0.1.0
 * @category errors
 */
export class LogFailed<out E> extends Data.TaggedError("LogFailed")<{
  readonly key: string
  /** The last event of this log that was handed out, or the position that was given; 0 when there was none. */
  readonly position: number
  /** How the reading of that log failed. */
  readonly error: unknown
}> {
  declare readonly error: E
  override get message(): string {
    const { error, key, position } = this
    const said = typeof error === "object" && error !== null && "message" in error ? error.message : error
    return `the log of ${key} cannot be read after event ${position}: ${String(said)}`
  }
}

/**
 * Which logs are read, and from where on.
 *
 * @since 0.1.0
 * @category models
 */
export interface ManyOptions<Event, E, R, E2 = never, R2 = never> {
  /** The logs. */
  readonly keys: Iterable<string>
  /**
   * The events of one of them from an id on: `events` of a `LogSet`, or `(key, range) => logs[key].events(range)` for
   * logs of your own, here or in another process.
   */
  readonly events: (
    key: string,
    range: { readonly from: { readonly id: number }; readonly follow: boolean }
  ) => Stream.Stream<LogEvent<Event>, E, R>
  /** How far each was read. Default: nothing was. */
  readonly positions?: LogPositions
  /** Whether to wait for new events at the end of each log. Default: false. */
  readonly follow?: boolean
  /**
   * What is done about a log that fails; then that log alone ends. Without it the stream fails with `LogFailed`.
   */
  readonly onFailure?: (failed: LogFailed<E>) => Effect.Effect<void, E2, R2>
}

const Given = Schema.Struct({
  keys: Schema.Any,
  events: callback(),
  positions: Schema.optional(Schema.Record(Schema.String, whole("number", 0, eventIdMax))),
  follow: Schema.optional(Schema.Boolean),
  onFailure: Schema.optional(callback())
})

/**
 * The events of several logs, merged. A log that is far ahead waits for the reader, as each log alone does.
 *
 * **Example** (Going on where one was)
 *
 * ```ts
 * import { Console, Effect, Layer, Schema, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Follow, LogSet } from "effect-wal/many"
 *
 * class Tenant extends Wal.Service<Tenant>()("app/Tenant", { event: Schema.String }) {}
 *
 * class Tenants extends LogSet.Service<Tenants>()("app/Tenants", {
 *   log: Tenant,
 *   lookup: ({ directory }) => Tenant.layer({ directory })
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const { events, keys, use } = yield* Tenants
 *   yield* use("ada", (log) => Effect.forEach(["one", "two"], log.appendDurable))
 *   yield* use("grace", (log) => log.appendDurable("other"))
 *   const positions = { ada: 1, grace: 1 }
 *   yield* Follow.many({ keys: yield* keys, events, positions }).pipe(
 *     Stream.runForEach(({ event, id, key }) => Console.log(key, id, event)) // => ada 2 two
 *   )
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Tenants.layer({ root: "./tenants" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category reading
 */
export const many: {
  <Event, E, R, E2, R2>(
    options: ManyOptions<Event, E, R, E2, R2> & {
      readonly onFailure: (failed: LogFailed<E>) => Effect.Effect<void, E2, R2>
    }
  ): Stream.Stream<KeyedEvent<Event>, E2, R | R2>
  <Event, E, R>(
    options: Omit<ManyOptions<Event, E, R>, "onFailure">
  ): Stream.Stream<KeyedEvent<Event>, LogFailed<E>, R>
} = <Event, E, R, E2, R2>(options: ManyOptions<Event, E, R, E2, R2>): Stream.Stream<KeyedEvent<Event>, never, R> =>
  Stream.suspend(() => {
    requireOptions("options", Given, options as typeof Given.Encoded)
    requireList("options.keys", options.keys)
    const { events, follow = false, onFailure, positions = {} } = options
    const one = (key: string) => {
      let position = Object.hasOwn(positions, key) ? positions[key]! : 0
      return events(key, { from: { id: position + 1 }, follow }).pipe(
        Stream.map((event) => {
          position = event.id
          return { ...event, key }
        }),
        Stream.catch((error) => {
          const failed = new LogFailed<E>({ key, position, error })
          return Stream.fromEffectDrain<void, LogFailed<E> | E2, R2>(
            onFailure === undefined ? Effect.fail(failed) : onFailure(failed)
          )
        })
      )
    }
    return Stream.fromIterable(new Set(options.keys)).pipe(
      Stream.flatMap(one, { concurrency: "unbounded", bufferSize: 1 })
    )
    // The types of the overloads say how it fails.
  }) as Stream.Stream<KeyedEvent<Event>, never, R>
