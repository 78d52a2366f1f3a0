/**
 * Finds the last event id that a damaged segment shows to have been used, so that it is not used again.
 *
 * An intact closed header names it. Otherwise intact block headers are searched from the end of the segment. Payloads
 * are not checked, since an id was used whatever became of its event. Recorded bytes that look like a block header (an
 * application records a copy of such a file) can make the answer too high, which leaves a larger gap and repeats no id.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { openScoped } from "../../disk/Disk.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockAlignment, blockHeaderBytes, readBlockHeader } from "../../format/Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { seekable } from "../segment/SeekableContent.ts"
import { openContent } from "../segment/SegmentContent.ts"
import type { SegmentContent } from "../segment/SegmentContent.ts"
import { readStart } from "../segment/SegmentReader.ts"

/** Bytes that are searched at once: the content of one block of our frames, and a multiple of `blockAlignment`. */
const windowBytes = pieceBytes

/** The last id in a segment, as far as it can be read; 0 when it shows none. */
export const lastIdIn = (file: SegmentFile): Effect.Effect<number, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const start = yield* Effect.result(readStart(file))
    if (Result.isSuccess(start) && start.success.header.closedNanos !== 0n) return start.success.header.lastEventId
    const opened = yield* openScoped(file.path, "read")
    const content = yield* seekable(file, opened, yield* opened.stat)
    if (content === undefined) return yield* highestFromTheFront(yield* openContent(file))
    const window = new Uint8Array(windowBytes)
    for (let at = Math.floor(content.bytes / windowBytes) * windowBytes; at >= 0; at -= windowBytes) {
      const read = yield* Effect.result(content.from(at).read(window))
      const highest = Result.isSuccess(read) ? highestIn(window.subarray(0, read.success)) : 0
      if (highest > 0) return highest
    }
    return 0
  })).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(0)))

/** For content that cannot be read from its end: up to where it is damaged. */
const highestFromTheFront = Effect.fnUntraced(function*(content: SegmentContent) {
  const window = new Uint8Array(windowBytes)
  let highest = 0
  while (true) {
    const read = yield* Effect.result(content.read(window))
    if (Result.isFailure(read) || read.success === 0) return highest
    highest = Math.max(highest, highestIn(window.subarray(0, read.success)))
  }
})

/** In both formats every block starts on a multiple of 64 bytes, and its ids stand in the same place. */
const highestIn = (bytes: Uint8Array): number => {
  let highest = 0
  for (let at = 0; at + blockHeaderBytes <= bytes.length; at += blockAlignment) {
    const { lastEventId = 0 } = readBlockHeader(2, bytes, at) ?? {}
    if (lastEventId > highest) highest = lastEventId
  }
  return highest
}
