/**
 * Why a reader cannot get the events that it asked for, besides a disk that fails and a segment that is damaged.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { DiskError } from "../disk/Disk.ts"
import { AcknowledgedHole } from "../disk/HoleStore.ts"
import { plainText } from "../internal/plainText.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"

/**
 * The events that were asked for, or that come next, were deleted by retention. There is never a silent gap: continue
 * from `firstAvailableId`, or hold segments before reading them.
 *
 * @since 0.1.0
 * @category errors
 * @example
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { NodeDisk, Replay, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ append }) => append(Buffer.from("hello"))).pipe(
 *   Effect.provide(Events.layer({ directory: "./log" }))
 * )
 *
 * // From an id, or from the oldest event that is left.
 * const from = (id: number) =>
 *   Replay.events({ directory: "./log", from: { id } }).pipe(
 *     Stream.catchTag("EventsDeleted", ({ firstAvailableId }: Replay.EventsDeleted) =>
 *       Replay.events({
 *         directory: "./log",
 *         from: firstAvailableId === undefined ? "latest" : { id: firstAvailableId }
 *       }))
 *   )
 *
 * const program = Effect.flatMap(Stream.runCount(from(1)), Console.log) // => 1
 *
 * await Effect.runPromise(Effect.andThen(record, program).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 */
export class EventsDeleted extends Schema.TaggedError<EventsDeleted>()("EventsDeleted", {
  directory: Schema.String,
  /** What was asked for, as in `event 17` or `segment 3`. */
  wanted: Schema.String,
  /** The oldest event that is still there, if there is one. */
  firstAvailableId: Schema.optional(Schema.Int)
}) {
  override get message(): string {
    const rest = this.firstAvailableId === undefined
      ? "nothing is left"
      : `the oldest event is ${this.firstAvailableId}`
    return plainText(`${this.directory}: ${this.wanted} was deleted by retention; ${rest}`)
  }
  /** What was deleted does not come back. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Segments are missing although older ones are there, so retention did not delete them.
 *
 * @since 0.1.0
 * @category errors
 */
export class SegmentMissing extends Schema.TaggedError<SegmentMissing>()("SegmentMissing", {
  directory: Schema.String,
  firstMissingIndex: Schema.Int,
  lastMissingIndex: Schema.Int
}) {
  override get message(): string {
    const which = this.firstMissingIndex === this.lastMissingIndex
      ? `segment ${this.firstMissingIndex} is`
      : `segments ${this.firstMissingIndex} to ${this.lastMissingIndex} are`
    return plainText(`${this.directory}: ${which} missing between others; put back what was moved away`)
  }
  /** A file that was moved away may be put back, but not by itself. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The events that come next are lost: their segments were damaged and were moved to `quarantine/`. The loss is
 * acknowledged, so verification reports no fault. Continue with the event after the hole, or give `Replay` an `onLost`.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventsLost extends Schema.TaggedError<EventsLost>()("EventsLost", {
  directory: Schema.String,
  hole: AcknowledgedHole
}) {
  override get message(): string {
    return plainText(
      `${this.directory}: ${formatHole(this.hole)}; replay from event ${this.hole.lastEventId + 1}, ` +
        "or skip what is lost (onLost, `--skip-lost`)"
    )
  }
  /** What is lost does not come back by itself. */
  get isRetryable(): boolean {
    return false
  }
}

/** Formats an acknowledged hole as one line for people. */
export const formatHole = (hole: AcknowledgedHole): string => {
  const { firstEventId, firstSegmentIndex, lastEventId, lastSegmentIndex, quarantine } = hole
  const events = lastEventId < firstEventId
    ? "no event is lost"
    : firstEventId === lastEventId
    ? `event ${firstEventId} is lost`
    : `events ${firstEventId} to ${lastEventId} are lost`
  const segments = firstSegmentIndex === lastSegmentIndex
    ? `segment ${firstSegmentIndex} was damaged`
    : `segments ${firstSegmentIndex} to ${lastSegmentIndex} were damaged`
  const isOne = firstSegmentIndex === lastSegmentIndex
  const where = quarantine.length === 0 ? "" : ` and ${isOne ? "is" : "are"} in ${quarantine.join(", ")}`
  return plainText(`${events}, which is acknowledged: ${segments}${where}`)
}

/**
 * Everything that can end a replay early.
 *
 * @since 0.1.0
 * @category errors
 */
export type ReplayFailure = DiskError | SegmentCorrupt | EventsDeleted | EventsLost | SegmentMissing
