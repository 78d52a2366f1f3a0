/**
 * The error of a damaged segment. It names the file, the byte, what should have been there and what was.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { Lz4FrameError } from "../../format/lz4/Lz4Frame.ts"
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

const faultOf = (kind: SegmentFaultKind, { expected, found, offset }: Place): SegmentFault =>
  segmentFault(kind, offset, expected, found)

const messageOf = (reason: Place & { readonly _tag: SegmentFaultKind }): string =>
  plainText(formatFault(faultOf(reason._tag, reason)))

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
export const SegmentCorruptReason = Schema.Union([
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
])

/**
 * How a segment is damaged: a reason for each kind of fault.
 *
 * @since 0.1.0
 * @category reasons
 */
export type SegmentCorruptReason = typeof SegmentCorruptReason.Type

/**
 * A segment is damaged, or does not belong where it is. Reading it again does not help.
 *
 * @since 0.1.0
 * @category errors
 */
export class SegmentCorrupt extends Schema.TaggedError<SegmentCorrupt>()("SegmentCorrupt", {
  path: Schema.String,
  segmentIndex: Schema.Int,
  reason: SegmentCorruptReason
}) {
  override get message(): string {
    return `${plainText(this.path)}: ${this.reason.message}; see \`effect-wal repair\``
  }
  get fault(): SegmentFault {
    return faultOf(this.reason._tag, this.reason)
  }
  /** A damaged file stays damaged. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * The error of a fault in a file.
 *
 * @since 0.1.0
 * @category errors
 */
export const corrupt = (
  { path, segmentIndex }: { readonly path: string; readonly segmentIndex: number },
  { expected, found, kind, offset }: SegmentFault
): SegmentCorrupt => new SegmentCorrupt({ path, segmentIndex, reason: new reasons[kind]({ offset, expected, found }) })

/** What the LZ4 decoder threw, as a fault. Anything else that it throws is our own mistake and stays a defect. */
const frameFault = (error: unknown): SegmentFault => {
  if (!(error instanceof Lz4FrameError)) throw error
  return segmentFault("BadFrame", error.offset, "LZ4 that decodes", error.message)
}

/**
 * Runs a step of the decoder; an error that it throws about the file becomes a fault of the file.
 *
 * @since 0.1.0
 * @category reading
 */
export const decoding = <A>(file: SegmentFile, step: () => A): Effect.Effect<A, SegmentCorrupt> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(step())
    } catch (error) {
      return Effect.fail(corrupt(file, frameFault(error)))
    }
  })
