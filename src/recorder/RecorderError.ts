/**
 * Why an append or a commit fails.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RecorderReason } from "./RecorderReason.ts"

/**
 * An append or a commit failed. When it has an `eventId`, the event up to which was waited is in memory and is still
 * being written: wait for it with `commitTo(eventId)`, which writes nothing twice. The exception is `MaintainerDown`.
 * An append that fails without an `eventId` has written nothing.
 *
 * **Example** (Waiting for an event whose commit failed)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Audit extends Wal.Service<Audit>()("app/Audit") {}
 *
 * const program = Effect.gen(function*() {
 *   const { appendDurable, commitTo } = yield* Audit
 *   const id = yield* appendDurable(Buffer.from("hello")).pipe(
 *     // What was appended is being written: report that it takes long, and wait for it. Do not append again.
 *     Effect.catchTag("RecorderError", (error) =>
 *       error.eventId === undefined
 *         ? Effect.fail(error)
 *         : Effect.andThen(Console.error(error.message), Effect.as(commitTo(error.eventId), error.eventId)))
 *   )
 *   yield* Console.log(`durable: ${id}`)
 * })
 *
 * const layer = Audit.layer({ directory: "./log", onDiskFailure: "fail" })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(layer), Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class RecorderError extends Schema.TaggedError<RecorderError>()("RecorderError", {
  reason: RecorderReason,
  /** The event up to which was waited; it is in memory. An append that fails without one has written nothing. */
  eventId: Schema.optionalKey(Schema.Int),
  /** How many events of a `ThreadAppender` were refused since its last commit. Only its `commit` reports them. */
  eventsRefused: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    const event = this.eventId === undefined ? "" : ` (event ${this.eventId})`
    const refused = this.eventsRefused === undefined
      ? ""
      : ` (${this.eventsRefused} events of this appender were refused)`
    return `${this.reason.message}${event}${refused}`
  }
  /** Whether the same call may succeed later although nothing else has changed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}
