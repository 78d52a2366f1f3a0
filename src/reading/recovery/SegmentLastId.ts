/**
 * Finds the last event id that may have been used for an event of a damaged segment, so that it is not used again.
 *
 * An intact closed header names it. Otherwise intact block headers are searched from the end of the segment. Payloads
 * are not checked, since an id was used whatever became of its event. After the last intact header there may be bytes
 * that nothing explains any more: they count as the most events that they can have been. Recorded bytes that look like
 * a block header (an application records a copy of such a file) can make the answer too high, too. That leaves a larger
 * gap and repeats no id.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { openScoped } from "../../disk/Disk.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockAlignment, blockBytesInFile, blockHeaderBytes, readBlockHeader } from "../../format/Block.ts"
import { format1EventBytes, lengthBytes } from "../../format/Limits.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { headerBytesOf } from "../../format/SegmentHeader.ts"
import type { FormatVersion, SegmentHeader } from "../../format/SegmentHeader.ts"
import { seekable } from "../segment/SeekableContent.ts"
import { openContent } from "../segment/SegmentContent.ts"
import type { SegmentContent } from "../segment/SegmentContent.ts"
import { readStart } from "../segment/SegmentReader.ts"

/** Bytes that are searched at once: the content of one block of our frames, and a multiple of `blockAlignment`. */
const windowBytes = pieceBytes

/**
 * The last id in a segment, as far as it can be read; 0 when it shows none. `before` is the last id before the segment
 * when nothing after it tells which ids it had: then bytes of a hot file that cannot be read count too.
 */
export const lastIdIn = (
  file: SegmentFile,
  before: number | undefined
): Effect.Effect<number, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const start = yield* Effect.result(readStart(file))
    const header = Result.isSuccess(start) ? start.success.header : undefined
    if (header !== undefined && header.closedNanos !== 0n) return header.lastEventId
    const opened = yield* openScoped(file.path, "read")
    const content = yield* seekable(file, opened, yield* opened.stat)
    if (content === undefined) return (yield* lastFromTheFront(yield* openContent(file)))?.lastEventId ?? 0
    const window = new Uint8Array(windowBytes)
    let last: LastBlock | undefined
    let usedBytes = 0
    for (
      let at = Math.floor(content.bytes / windowBytes) * windowBytes;
      at >= 0 && last === undefined;
      at -= windowBytes
    ) {
      const read = yield* Effect.result(content.from(at).read(window))
      if (Result.isFailure(read)) continue
      const bytes = window.subarray(0, read.success)
      if (usedBytes === 0) usedBytes = endOfUsed(bytes, at)
      last = lastIn(bytes, at, undefined, before === undefined ? Infinity : before + content.bytes)
    }
    if (file.form === "cold" || before === undefined) return last?.lastEventId ?? 0
    const unknownBytes = usedBytes - (last?.end ?? headerBytesOf(header?.version ?? 1))
    const eventBytesMin = bytesOfEventMin(header, last)
    return Math.max(before, last?.lastEventId ?? 0) + Math.max(0, Math.ceil(unknownBytes / eventBytesMin))
  })).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(0)))

/** The block with the highest ids whose header is intact. */
interface LastBlock {
  readonly lastEventId: number
  /** Where its payload and its padding end. */
  readonly end: number
  readonly version: FormatVersion
}

/** For content that cannot be read from its end: up to where it is damaged. */
const lastFromTheFront = Effect.fnUntraced(function*(content: SegmentContent) {
  const window = new Uint8Array(windowBytes)
  let last: LastBlock | undefined
  while (true) {
    const read = yield* Effect.result(content.read(window))
    if (Result.isFailure(read) || read.success === 0) return last
    last = lastIn(window.subarray(0, read.success), 0, last, Infinity)
  }
})

/** In both formats every block starts on a multiple of 64 bytes, and its ids stand in the same place. */
const lastIn = (
  bytes: Uint8Array,
  offset: number,
  before: LastBlock | undefined,
  lastEventIdMax: number
): LastBlock | undefined => {
  let last = before
  for (let at = 0; at + blockHeaderBytes <= bytes.length; at += blockAlignment) {
    const block = readBlockHeader(2, bytes, at)
    if (block === undefined || !(block.lastEventId > (last?.lastEventId ?? 0))) continue
    // Only a block of format 1 has no length. Its ids may skip; those of format 2 need a byte each.
    const version = block.payloadBytes === 0 ? 1 : 2
    if (version === 2 && block.lastEventId > lastEventIdMax) continue
    const end = offset + at + blockBytesInFile(version, block.payloadBytes)
    last = { lastEventId: block.lastEventId, end, version }
  }
  return last
}

/** Where the last byte ends that is not zero; 0 when all are. */
const endOfUsed = (bytes: Uint8Array, offset: number): number => {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end -= 1
  return end === 0 ? 0 : offset + end
}

/** The fewest bytes that an event takes. */
const bytesOfEventMin = (header: SegmentHeader | undefined, last: LastBlock | undefined): number =>
  header === undefined
    ? last?.version === 1 ? format1EventBytes : 1
    : header.eventSize === 0
    ? lengthBytes
    : header.eventSize
