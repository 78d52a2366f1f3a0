/** How much smaller a cold file is than what it holds, as its header claims. */
import * as Effect from "effect/Effect"
import { openScoped, readFully } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { frameHeaderBytesMax, Lz4FrameError, parseFrameHeader } from "../format/lz4/Lz4Frame.ts"

/** The ratio of the length that a cold file claims to the bytes it has; 0 if it claims none. */
export const claimedRatio = (claimedBytes: number | undefined, bytes: number): number =>
  claimedBytes === undefined ? 0 : Number((claimedBytes / bytes).toFixed(3))

/**
 * Gives the ratio uncompressed to compressed of a cold file, as its frame's header claims; `verify` checks the claim. 0
 * if the header has no length.
 */
export const ratioOf = (file: SegmentFile, bytes: number) =>
  Effect.scoped(Effect.gen(function*() {
    if (file.compression !== "frame") return 0
    const opened = yield* openScoped(file.path, "read")
    const beginning = new Uint8Array(frameHeaderBytesMax)
    const count = yield* readFully(opened, beginning, 0)
    try {
      return claimedRatio(parseFrameHeader(beginning.subarray(0, count)).contentBytes, bytes)
    } catch (error) {
      if (error instanceof Lz4FrameError) return 0
      throw error
    }
  }))
