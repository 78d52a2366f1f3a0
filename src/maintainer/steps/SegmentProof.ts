/**
 * Proves that a segment is whole. Before a `.wal` is removed, its compressed form is decoded again, and the decoded
 * bytes must be proved. The default knows the segment formats of this package: every checksum, the chain, the counts,
 * the padding. An application that writes files of its own provides its own proof.
 *
 * A proof gets bytes and does no I/O. The freeze checks by length and content hash that they are the bytes of the
 * original; the proof checks that they are a whole segment.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { isSegmentFault, segmentFault } from "../../format/SegmentFault.ts"
import { SegmentFeed } from "../../format/SegmentFeed.ts"
import { mayStayOpen } from "../../format/SegmentLayout.ts"
import type { SegmentLayout } from "../../format/SegmentLayout.ts"
import type { SegmentSummary } from "../../format/SegmentVerifier.ts"

/**
 * What a proof has found in a whole segment. Ids are `undefined` where a format has none.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentFacts {
  readonly events: number
  readonly firstEventId: number | undefined
  readonly lastEventId: number | undefined
  /** Unix time; 0 where unknown. */
  readonly closedMillis: number
}

/**
 * One proof under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProofRun {
  /** Takes the next bytes of the segment. The caller may reuse them afterwards. */
  readonly push: (bytes: Uint8Array) => void
  /** The verdict, after the last byte. */
  readonly end: () => SegmentFacts | SegmentFault
}

/**
 * Makes the proof of a segment.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProofMaker {
  /** Starts the proof of the segment with this index. */
  readonly begin: (segmentIndex: number) => ProofRun
}

/**
 * Proves a closed segment of format 1 or 2, every byte of it.
 *
 * @since 0.1.0
 * @category proofs
 */
export const closedSegment: ProofMaker = {
  begin: (segmentIndex) => {
    const feed = new SegmentFeed({ segmentIndex }, () => {})
    return {
      push: (bytes) => feed.push(bytes),
      end: () => {
        const summary = feed.end()
        if (isSegmentFault(summary)) return summary
        if (!isWhole(summary)) {
          return segmentFault("Truncated", summary.validBytes, "a closed segment with events", "an open or empty one")
        }
        return {
          events: summary.eventCount,
          ...idsOf(summary),
          closedMillis: Number((summary.closed ? summary.header.closedNanos : summary.header.createdNanos) / 1_000_000n)
        }
      }
    }
  }
}

/** A segment that was closed without events names the ids around it; an open one without events names none. */
const idsOf = ({ eventCount, firstEventId, header, lastEventId }: SegmentSummary) =>
  lastEventId === 0
    ? { firstEventId: undefined, lastEventId: undefined }
    : { firstEventId: eventCount > 0 ? firstEventId : header.firstEventId, lastEventId }

/**
 * A closed segment without events is whole when it names the ids around it.
 * An unclosed segment of format 1 that verifies to its end is whole, even without an event: other writers of that
 * format leave such files after a crash, one of them prepared and never used.
 */
const isWhole = (summary: {
  readonly closed: boolean
  readonly lastEventId: number
  readonly torn: SegmentFault | undefined
  readonly header: Pick<SegmentLayout, "version">
}): boolean =>
  summary.closed ? summary.lastEventId > 0 : mayStayOpen(summary.header.version) && summary.torn === undefined

/**
 * Accepts any file that is not empty. For applications whose bytes only they can read.
 *
 * @since 0.1.0
 * @category proofs
 */
export const anyBytes: ProofMaker = {
  begin: () => {
    let bytes = 0
    return {
      push: (chunk) => {
        bytes += chunk.length
      },
      end: () =>
        bytes === 0
          ? segmentFault("Truncated", 0, "at least 1 byte", "an empty file")
          : { events: 0, firstEventId: undefined, lastEventId: undefined, closedMillis: 0 }
    }
  }
}

/**
 * The proof that the maintainer uses; `closedSegment` unless another is provided.
 *
 * @since 0.1.0
 * @category services
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { SegmentProof, Verify } from "effect-wal"
 *
 * // An application's own bytes: a segment is whole when its last byte is a line feed.
 * const lines: SegmentProof.ProofMaker = {
 *   begin: () => {
 *     let last = 0
 *     let count = 0
 *     return {
 *       push: (bytes) => {
 *         count += bytes.filter((byte) => byte === 10).length
 *         last = bytes.at(-1) ?? last
 *       },
 *       end: () =>
 *         last === 10
 *           ? { events: count, firstEventId: undefined, lastEventId: undefined, closedMillis: 0 }
 *           : Verify.segmentFault("Truncated", 0, "a line feed at the end", String(last))
 *     }
 *   }
 * }
 *
 * // Beneath `SegmentMaintainer.layerAlone`; for threads, see `proofModule`.
 * export const ProofLive = Layer.succeed(SegmentProof.SegmentProof, lines)
 * ```
 */
export const SegmentProof: Context.Reference<ProofMaker> = Context.Reference<ProofMaker>(
  "effect-wal/maintainer/SegmentProof",
  { defaultValue: () => closedSegment }
)
