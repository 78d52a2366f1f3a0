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
 * - `DiskFull`: appended events cannot become durable until there is room; they stay in memory and are written then
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
 * An append or a commit failed. After a failed commit the events are still in memory and still being written: commit
 * again to wait for them. The exception is `MaintainerDown`.
 *
 * @since 0.1.0
 * @category errors
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 * import { NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * // After a failed commit the event is still in memory and still being written: commit again, do not append again.
 * const record = Effect.fnUntraced(function*(event: Uint8Array) {
 *   const { append, commitTo } = yield* Recorder.Recorder
 *   const id = yield* append(event)
 *   yield* Effect.retry(commitTo(id), { while: (error) => error.isRetryable, schedule: Schedule.spaced("1 second") })
 *   return id
 * })
 *
 * const program = Effect.flatMap(record(Buffer.from("hello")), (id) => Console.log(`durable: ${id}`))
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
export class RecorderError extends Schema.TaggedError<RecorderError>()("RecorderError", {
  reason: RecorderReason,
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
