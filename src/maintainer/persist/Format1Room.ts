/**
 * Format 1 has room for a fixed number of blocks, and a block that a flush has sealed short takes the room of a whole
 * one. The last block of every flush is short. So every flush takes room from later events. The writer knows no blocks,
 * so its limit is lowered and it stops earlier.
 *
 * What is guaranteed: whatever the writer does between the steps of a flush, every event that it has published, and the
 * one that it may be publishing at the moment, finds room in the file.
 *
 * Why. A flush that begins with `blockCount` blocks over the first `sealedBytes` first lowers the limit to
 *
 * ```text
 * sealedBytes + (blocks - 3 - blockCount) whole blocks
 * ```
 *
 * and reads the watermark afterwards. The writer loads the limit once for each event and publishes the watermark after
 * it. What can need room beyond the new limit is this, and together it needs no more than the three blocks kept back:
 *
 * 1. What is sealed up to the limit ends with a short block, which may be one more than whole blocks would be.
 * 2. Events up to the limit before this one, which was higher by at most a block: the flush between the two has sealed
 *    one block short, and a file has two blocks more than a full slot needs. This is at most one more block; after it
 *    no new event passes, since the writer is beyond its limit.
 * 3. One event that was let through before the limit was lowered and is published after the watermark was read. It
 *    begins a block of its own in the next flush, or at the end.
 * 4. Nothing else: an event after that one loads the limit again, and sees it lowered.
 */
import { format1BlocksOf, format1Layout } from "../../format/SegmentLayout.ts"
import type { SealState } from "../../format/SegmentSealer.ts"
import * as Arena from "../../shared/Arena.ts"

/** Blocks that are kept back for what has gone past the limit. */
const blocksKeptBack = 3

/**
 * Maintainer: keeps the writer within the room that is left after `state`. To be called before reading the watermark up
 * to which a flush seals.
 */
export const keepRoomUnsafe = (arena: Arena.Arena, slot: number, state: SealState): void => {
  const blocksLeft = format1BlocksOf(arena.slotBytes) - blocksKeptBack - state.blockCount
  Arena.lowerLimitUnsafe(arena, slot, state.sealedBytes + blocksLeft * format1Layout.blockBytesMax)
}
