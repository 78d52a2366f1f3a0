/**
 * Why an append or a commit failed: a class for each reason, in words that tell what to do about it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The event or batch does not fit into a block, or not into the ring of a `ThreadAppender`. Nothing was written.
 *
 * @since 0.1.0
 * @category reasons
 */
export class TooLarge extends Schema.TaggedError<TooLarge>("effect-wal/RecorderError/TooLarge")("TooLarge", {
  /** Of the event; of a batch, of all its events with what is written before each. */
  bytes: Schema.Int,
  bytesMax: Schema.Int,
  /** The option that sets the limit. */
  option: Schema.Literals(["blockBytesMax", "ringBytes"]),
  /** Of a batch, and not of a single event. */
  batch: Schema.optionalKey(Schema.Struct({ events: Schema.Int, eventsMax: Schema.Int }))
}) {
  override get message(): string {
    const { batch, bytes, bytesMax, option } = this
    const sizes = batch === undefined
      ? `${bytes} bytes, at most ${bytesMax}`
      : `a batch of ${batch.events} events with ${bytes} bytes, lengths included; ` +
        `at most ${batch.eventsMax} events with ${bytesMax} bytes`
    const limit = option === "blockBytesMax" ? "a block" : "the ring of this appender"
    return `the event or batch is larger than ${limit} can hold; record it in parts, or raise ${option} (${sizes})`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * This recorder takes events of another size. Nothing was written.
 *
 * @since 0.1.0
 * @category reasons
 */
export class WrongSize extends Schema.TaggedError<WrongSize>("effect-wal/RecorderError/WrongSize")("WrongSize", {
  bytes: Schema.Int,
  eventSize: Schema.Int
}) {
  override get message(): string {
    return `the event has another size than this recorder was made for (${this.bytes} bytes, not ${this.eventSize})`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Every slot waits for the disk, and the strategy is `dropping`. Nothing was written: the event is dropped.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Backpressure
  extends Schema.TaggedError<Backpressure>("effect-wal/RecorderError/Backpressure")("Backpressure", {})
{
  override get message(): string {
    return "every slot of the arena waits for the disk; wait for a commit and append again, or use more slots"
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * Appended events cannot become durable until there is room. They stay in memory and are written then. With the policy
 * `onDiskFailure: "fail"` only.
 *
 * @since 0.1.0
 * @category reasons
 */
export class DiskFull extends Schema.TaggedError<DiskFull>("effect-wal/RecorderError/DiskFull")("DiskFull", {}) {
  override get message(): string {
    return "no disk space or file descriptors left; free some, and the appended events become durable by themselves"
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * As `DiskFull`, because the device fails to write or sync.
 *
 * @since 0.1.0
 * @category reasons
 */
export class DiskFailing
  extends Schema.TaggedError<DiskFailing>("effect-wal/RecorderError/DiskFailing")("DiskFailing", {})
{
  override get message(): string {
    return "the device fails to write or sync; the appended events stay in memory and are written again"
  }
  get isRetryable(): boolean {
    return true
  }
}

/**
 * The maintainer is down. Nothing more becomes durable.
 *
 * @since 0.1.0
 * @category reasons
 */
export class MaintainerDown
  extends Schema.TaggedError<MaintainerDown>("effect-wal/RecorderError/MaintainerDown")("MaintainerDown", {})
{
  override get message(): string {
    return "the maintainer is down after too many restarts; start the recorder again"
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The recorder is shutting down. Nothing was written.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Closed extends Schema.TaggedError<Closed>("effect-wal/RecorderError/Closed")("Closed", {}) {
  override get message(): string {
    return "the recorder is shutting down"
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * No segment index, or too few event ids, are left for more events. Nothing was written.
 *
 * @since 0.1.0
 * @category reasons
 */
export class LogExhausted
  extends Schema.TaggedError<LogExhausted>("effect-wal/RecorderError/LogExhausted")("LogExhausted", {})
{
  override get message(): string {
    return "too few segment indices or event ids are left for more events; record into another directory"
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An event could not be encoded by its schema. Nothing was written.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unencodable
  extends Schema.TaggedError<Unencodable>("effect-wal/RecorderError/Unencodable")("Unencodable", {
    /** What does not fit, and where. */
    detail: Schema.String
  })
{
  override get message(): string {
    return `the event does not fit its schema (${this.detail})`
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Another recorder has taken this log over. Nothing more is acknowledged here: what was appended and not acknowledged
 * may or may not be a part of the log. With `effect-wal/failover` only.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Fenced extends Schema.TaggedError<Fenced>("effect-wal/RecorderError/Fenced")("Fenced", {}) {
  override get message(): string {
    return "another recorder has taken this log over; nothing more is acknowledged here, end this one"
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The schema of {@link RecorderReason}.
 *
 * @since 0.1.0
 * @category reasons
 */
export const RecorderReason = Schema.Union([
  TooLarge,
  WrongSize,
  Backpressure,
  DiskFull,
  DiskFailing,
  MaintainerDown,
  Closed,
  LogExhausted,
  Fenced,
  Unencodable
])

/**
 * Why an append or a commit failed, in words that tell what to do about it.
 *
 * @since 0.1.0
 * @category reasons
 */
export type RecorderReason = typeof RecorderReason.Type
