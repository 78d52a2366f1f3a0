/**
 * Format 1 has room for a fixed number of blocks, and a block that a flush has sealed short takes the room of a whole
 * one. The last block of every flush is short. So every flush takes room from later events. The writer knows no blocks,
 * so its limit is lowered and it stops earlier.
 *
 * What is guaranteed: whatever the writer does between the steps of a flush, every event that it has published, and the
 * event or batch that it may be publishing at the moment, finds room in the file.
 *
 * Why. A flush that begins with `blockCount` blocks over the first `sealedBytes` first lowers the limit to
 *
 * ```text
 * sealedBytes + (blocks - 2 - blockCount) whole blocks
 * ```
 *
 * and reads the watermark afterwards. A flush of n whole blocks and a rest, which may be nothing, takes n + 1 blocks.
 * Batches, which are not split, leave blocks shorter; by how much at most, the writer subtracts from the limit itself:
 * for each batch its own bytes, since one that does not fit leaves less room than it needs.
 * So each flush lowers the limit by what its last block is short of, at most one block. The writer loads the limit once
 * for each event and publishes the watermark after it. What can need room beyond the new limit needs no more than the
 * two blocks kept back:
 *
 * 1. Events up to the limit before this one, which was higher by at most a block. With the short block at their end
 *    they are at most two blocks more. After them no new event passes, since the writer is beyond its limit.
 * 2. One event or batch that was let through before the limit was lowered and is published after the watermark was
 *    read. It is below the limit before this one, too, so the blocks before it are at most one more; and it begins a
 *    block of its own, which it does not fill. While it is on its way no other flush has anything to seal.
 * 3. Nothing else: an event after that one loads the limit again, and sees it lowered.
 */
import { format1BlocksOf, format1Layout } from "../../format/SegmentLayout.ts"
import type { SealState } from "../../format/SegmentSealer.ts"
import * as Arena from "../../shared/Arena.ts"

/** Blocks that are kept back for what has gone past the limit. */
const blocksKeptBack = 2

/** Where the writer must stop, in a slot of `slotBytes` that is sealed up to `state`. */
export const limitAfter = (slotBytes: number, state: SealState): number => {
  const blocksLeft = format1BlocksOf(slotBytes) - blocksKeptBack - state.blockCount
  return state.sealedBytes + blocksLeft * format1Layout.blockBytesMax
}

/**
 * Maintainer: keeps the writer within the room that is left after `state`. To be called before reading the watermark up
 * to which a flush seals.
 */
export const keepRoomUnsafe = (arena: Arena.Arena, slot: number, state: SealState): void =>
  Arena.lowerLimitUnsafe(arena, slot, limitAfter(arena.slotBytes, state))
