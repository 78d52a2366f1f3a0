/**
 * The header of a hot segment: whether its writer has closed it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { decodeHeader, headerBytesMax } from "../../format/SegmentHeader.ts"

/**
 * Reads the header of a hot segment; `undefined` when the file is gone, or does not begin with a header of either format:
 * damaged, still empty, or written by an application in a format of its own.
 *
 * @since 0.1.0
 * @category reading
 */
export const readHotHeader = (
  directory: SegmentDirectory,
  segmentIndex: number
): Effect.Effect<SegmentHeader | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(directory.hotPath(segmentIndex), "read")
    const bytes = new Uint8Array(headerBytesMax)
    const count = yield* readFully(file, bytes, 0)
    const header = decodeHeader(bytes.subarray(0, count))
    return isSegmentFault(header) ? undefined : header
  })).pipe(Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined)))

/**
 * The header is whole and says that the segment is being written, or was when its writer crashed.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOpen = (header: SegmentHeader | undefined): boolean => header?.closedNanos === 0n

/**
 * The header is whole and says that the segment is complete.
 *
 * @since 0.1.0
 * @category guards
 */
export const isClosed = (header: SegmentHeader | undefined): boolean =>
  header !== undefined && header.closedNanos !== 0n
