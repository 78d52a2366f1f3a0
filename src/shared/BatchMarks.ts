/**
 * Batch marks: one bit for each place of a slot where an event may begin. It is set when that event continues a batch,
 * and so must lie in one block with the event before it. The writer sets the marks before it publishes the batch, the
 * flusher reads them when it cuts a slot into blocks. They stay with the slot: one that is written again is cut as well
 * as before.
 */
import type { SegmentLayout } from "../format/SegmentLayout.ts"
import * as Arena from "./Arena.ts"

/**
 * Writer: the event that begins at this offset of a slot's payload continues a batch. `marks` are those of the slot, of
 * which `Arena.putHasBatchesUnsafe` has told.
 */
export const putUnsafe = (marks: Uint8Array, layout: SegmentLayout, offset: number): void => {
  const bit = Math.floor(offset / Arena.batchMarkUnit(layout))
  marks[bit >> 3]! |= 1 << (bit & 7)
}

/**
 * Whether the event that begins at an offset of the slot's payload continues a batch; `undefined` when none does.
 */
export const reader = (arena: Arena.Arena, slot: number): ((offset: number) => boolean) | undefined => {
  if (!Arena.hasBatches(arena, slot)) return undefined
  const marks = Arena.batchMarks(arena, slot)
  const unit = Arena.batchMarkUnit(arena.layout)
  return (offset) => {
    const bit = Math.floor(offset / unit)
    return (marks[bit >> 3]! >> (bit & 7) & 1) === 1
  }
}
