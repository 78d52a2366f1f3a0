/**
 * Opens a segment at an event. The cursor may begin at an earlier block; the caller drops what it did not ask for.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import type { SegmentExpectations } from "../format/SegmentVerifier.ts"
import type { BlockMemory } from "./BlockMemory.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"
import type { SegmentCursor } from "./SegmentReader.ts"
import { openSegment } from "./SegmentReader.ts"

/**
 * Opens a segment for reading from event `fromId`.
 *
 * @since 0.1.0
 * @category reading
 */
export const openSegmentAt = (
  file: SegmentFile,
  expectations: SegmentExpectations,
  _fromId: number,
  memory: BlockMemory
): Effect.Effect<SegmentCursor, DiskError | SegmentCorrupt, Disk | Scope.Scope> =>
  openSegment(file, expectations, memory)
