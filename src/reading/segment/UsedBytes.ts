/**
 * Tells how much of the room of a full segment a closed one uses, without reading its content: from the length of the
 * file, from what its compressed form claims, or, in format 1, from its header. Nothing is checked.
 */
import * as Effect from "effect/Effect"
import { openScoped, readFully } from "../../disk/Disk.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, parseFrameHeader } from "../../format/lz4/Lz4Frame.ts"
import type { FormatVersion } from "../../format/SegmentHeader.ts"
import { keepsFileLength, usedBytesOf } from "../../format/SegmentLayout.ts"
import { decoding } from "./SegmentCorrupt.ts"
import { readStart } from "./SegmentReader.ts"

/** As `usedBytesOf`; `undefined` when the file does not tell it. */
export const readUsedBytes = (
  file: SegmentFile,
  version: FormatVersion,
  slotBytes: number
): Effect.Effect<number | undefined, DiskError, Disk> =>
  (keepsFileLength(version)
    ? Effect.map(
      readStart(file),
      ({ header }) =>
        header.closedNanos === 0n ? undefined : usedBytesOf(version, slotBytes, { ...header, contentBytes: 0 })
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
