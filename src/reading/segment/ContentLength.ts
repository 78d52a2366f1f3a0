/**
 * Tells how long the content of a closed segment is, up to the end of its last block, without reading the content: from
 * the length of the file, from what its compressed form claims, or, in format 1, from its header. Nothing is checked.
 */
import * as Effect from "effect/Effect"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import type { FormatVersion } from "../../format/SegmentHeader.ts"
import { contentBytesOf, keepsFileLength } from "../../format/SegmentLayout.ts"
import { decoding } from "./SegmentCorrupt.ts"
import { readStart } from "./SegmentReader.ts"

/** The length of a segment's content in bytes; `undefined` when the file does not tell it. */
export const readContentBytes = (
  file: SegmentFile,
  version: FormatVersion
): Effect.Effect<number | undefined, DiskError, Disk> =>
  (keepsFileLength(version)
    ? Effect.map(
      readStart(file),
      ({ header }) => header.closedNanos === 0n ? undefined : contentBytesOf(version, header.blockCount, 0)
    )
    : readClaimedBytes(file)).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(undefined)))

const readClaimedBytes = (file: SegmentFile) =>
  Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "read")
    if (file.form === "hot") return (yield* opened.stat).bytes
    const start = new Uint8Array(frameHeaderBytesMax)
    const count = yield* readFully(opened, start, 0)
    if (file.compression === "frame") {
      return (yield* decoding(file, () => parseFrameHeader(start.subarray(0, count)))).contentBytes
    }
    return count < 4 ? undefined : new DataView(start.buffer).getUint32(0, true)
  }))
