/**
 * How a segment is damaged: a class for each kind of fault.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { formatFault, segmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault, SegmentFaultKind } from "../../format/SegmentFault.ts"
import { plainText } from "../../internal/plainText.ts"

/** Where a segment is wrong, and how. */
const place = {
  /** Counts the bytes of the uncompressed segment; for `BadFrame` those of the compressed file. */
  offset: Schema.Int,
  expected: Schema.String,
  found: Schema.String
}

type Place = Schema.Struct.Type<typeof place>

const messageOf = (reason: Place & { readonly _tag: SegmentFaultKind }): string =>
  plainText(formatFault(segmentFault(reason._tag, reason.offset, reason.expected, reason.found)))

/**
 * The file ends before what its header or a block promises.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Truncated
  extends Schema.TaggedError<Truncated>("effect-wal/SegmentCorrupt/Truncated")("Truncated", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The segment header is invalid.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadHeader
  extends Schema.TaggedError<BadHeader>("effect-wal/SegmentCorrupt/BadHeader")("BadHeader", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A block header is invalid: its checksum is wrong, or a count or length is out of range.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadBlockHeader
  extends Schema.TaggedError<BadBlockHeader>("effect-wal/SegmentCorrupt/BadBlockHeader")("BadBlockHeader", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The payload of a block does not have the checksum that its header names.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadPayload
  extends Schema.TaggedError<BadPayload>("effect-wal/SegmentCorrupt/BadPayload")("BadPayload", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The chained checksum does not continue: a block or a segment is missing, swapped or foreign.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BrokenChain
  extends Schema.TaggedError<BrokenChain>("effect-wal/SegmentCorrupt/BrokenChain")("BrokenChain", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A block index or an event id does not continue.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadOrder extends Schema.TaggedError<BadOrder>("effect-wal/SegmentCorrupt/BadOrder")("BadOrder", place) {
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * An event inside a block is longer than the block, or an id does not increase.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadEvent extends Schema.TaggedError<BadEvent>("effect-wal/SegmentCorrupt/BadEvent")("BadEvent", place) {
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A byte that must be zero (padding, the unused tail) is not.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotZero extends Schema.TaggedError<NotZero>("effect-wal/SegmentCorrupt/NotZero")("NotZero", place) {
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * Bytes follow where the file should end.
 *
 * @since 0.1.0
 * @category reasons
 */
export class TrailingBytes
  extends Schema.TaggedError<TrailingBytes>("effect-wal/SegmentCorrupt/TrailingBytes")("TrailingBytes", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * A closed header's counts or ids are not those of its blocks.
 *
 * @since 0.1.0
 * @category reasons
 */
export class CountMismatch
  extends Schema.TaggedError<CountMismatch>("effect-wal/SegmentCorrupt/CountMismatch")("CountMismatch", place)
{
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The LZ4 frame or block of a cold segment is invalid; `offset` counts the bytes of the compressed file.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BadFrame extends Schema.TaggedError<BadFrame>("effect-wal/SegmentCorrupt/BadFrame")("BadFrame", place) {
  override get message(): string {
    return messageOf(this)
  }
  get isRetryable(): boolean {
    return false
  }
}

const reasons = {
  Truncated,
  BadHeader,
  BadBlockHeader,
  BadPayload,
  BrokenChain,
  BadOrder,
  BadEvent,
  NotZero,
  TrailingBytes,
  CountMismatch,
  BadFrame
} satisfies Record<SegmentFaultKind, unknown>

/**
 * The schema of {@link SegmentCorruptReason}.
 *
 * @since 0.1.0
 * @category reasons
 */
export const SegmentCorruptReason = Schema.Union(Object.values(reasons))

/**
 * How a segment is damaged: a reason for each kind of fault.
 *
 * @since 0.1.0
 * @category reasons
 */
export type SegmentCorruptReason = typeof SegmentCorruptReason.Type

/**
 * The reason for a fault.
 *
 * @since 0.1.0
 * @category constructors
 */
export const segmentCorruptReason = ({ expected, found, kind, offset }: SegmentFault): SegmentCorruptReason =>
  new reasons[kind]({ offset, expected, found })
