/**
 * The error of a damaged segment. It names the file, the byte, what should have been there and what was.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { Lz4FrameError } from "../../format/lz4/Lz4Frame.ts"
import { segmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { plainText } from "../../internal/plainText.ts"
import { SegmentCorruptReason, segmentCorruptReason } from "./SegmentCorruptReason.ts"

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
    const { _tag, expected, found, offset } = this.reason
    return segmentFault(_tag, offset, expected, found)
  }
  /** A damaged file stays damaged. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/** The error of a fault in a file. */
export const corrupt = (
  { path, segmentIndex }: { readonly path: string; readonly segmentIndex: number },
  fault: SegmentFault
): SegmentCorrupt => new SegmentCorrupt({ path, segmentIndex, reason: segmentCorruptReason(fault) })

/** What the LZ4 decoder threw, as a fault. Anything else that it throws is our own mistake and stays a defect. */
const frameFault = (error: unknown): SegmentFault => {
  if (!(error instanceof Lz4FrameError)) throw error
  return segmentFault("BadFrame", error.offset, "LZ4 that decodes", error.message)
}

/** Runs a step of the decoder; an error that it throws about the file becomes a fault of the file. */
export const decoding = <A>(file: SegmentFile, step: () => A): Effect.Effect<A, SegmentCorrupt> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(step())
    } catch (error) {
      return Effect.fail(corrupt(file, frameFault(error)))
    }
  })
