/**
 * Why an append or a commit fails.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The reasons why an append or a commit fails.
 *
 * - `TooLarge`: the event does not fit into a block; nothing was written
 * - `WrongSize`: this recorder takes events of another size; nothing was written
 * - `Backpressure`: every slot waits for the disk, and the policy is `fail`; nothing was written
 * - `DiskFull`: appended events cannot become durable until there is room; they stay in memory and are written then.
 *   With the policy `onDiskFailure: "fail"` only
 * - `DiskFailing`: the same, because the device fails to write or sync
 * - `MaintainerDown`: the maintainer is down; nothing more becomes durable
 * - `Closed`: the recorder is shutting down; nothing was written
 * - `LogExhausted`: no segment index, or too few event ids, are left for more events; nothing was written
 * - `Unencodable`: an event could not be encoded by its schema; nothing was written
 *
 * @since 0.1.0
 * @category models
 */
export const RecorderReason = Schema.Literals([
  "TooLarge",
  "WrongSize",
  "Backpressure",
  "DiskFull",
  "DiskFailing",
  "MaintainerDown",
  "Closed",
  "LogExhausted",
  "Unencodable"
])

/**
 * One of the reasons.
 *
 * @since 0.1.0
 * @category errors
 */
export type RecorderReason = typeof RecorderReason.Type

const advice: Record<RecorderReason, string> = {
  TooLarge: "the event or batch is larger than a block can hold; record it in parts, or raise blockBytesMax",
  WrongSize: "the event has another size than this recorder was made for",
  Backpressure: "every slot of the arena waits for the disk; append again later, or use more slots",
  DiskFull: "no disk space or file descriptors left; free some, and the appended events become durable by themselves",
  DiskFailing: "the device fails to write or sync; the appended events stay in memory and are written again",
  MaintainerDown: "the maintainer is down after too many restarts; start the recorder again",
  Closed: "the recorder is shutting down",
  LogExhausted: "too few segment indices or event ids are left for more events; record into another directory",
  Unencodable: "the event does not fit its schema"
}

/**
 * An append or a commit failed. When it has an `eventId`, the event up to which was waited is in memory and is still
 * being written: wait for it with `commitTo(eventId)`, which writes nothing twice. The exception is `MaintainerDown`.
 * An append that fails without an `eventId` has written nothing.
 *
 * @since 0.1.0
 * @category errors
 * @example
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
 */
export class RecorderError extends Schema.TaggedError<RecorderError>()("RecorderError", {
  reason: RecorderReason,
  /** The event up to which was waited; it is in memory. An append that fails without one has written nothing. */
  eventId: Schema.optionalKey(Schema.Int),
  /** Sizes, ids or paths; empty if there is nothing to add. */
  detail: Schema.String
}) {
  override get message(): string {
    return this.detail === "" ? advice[this.reason] : `${advice[this.reason]} (${this.detail})`
  }
  /** Whether the same call may succeed later although nothing else has changed. */
  get isRetryable(): boolean {
    return this.reason === "Backpressure" || this.reason === "DiskFull" || this.reason === "DiskFailing"
  }
}
