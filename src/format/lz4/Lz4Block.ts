/**
 * Single LZ4 blocks: one block out of a frame, and the block file, which is a u32 content size and one block of the
 * whole content.
 *
 * A block does not tell how long its content is. The native decoder takes an upper bound, allocates that much, and
 * gives back what it does not need; so the bound is what limits the memory, and it is always the least of what the
 * format, the caller and the block's own length allow: no byte of a block yields more than 255 bytes of content.
 *
 * Linked blocks use the same decoder with the content before them as its dictionary: a match reaches at most 65,535
 * bytes back. A decoder written in JavaScript was measured against it on 64 MiB in 1 MiB blocks: 600 MB/s of 64-byte
 * events where the native one decodes 2,000 MB/s, with a dictionary or without. So there is one decoder.
 */
import { uncompressSync } from "lz4-napi"
import { types } from "node:util"
import { invariant } from "../../internal/invariant.ts"
import { blockField, Lz4FrameError } from "./Lz4Frame.ts"

/** How far back a linked block can refer, rounded up to a power of two: 64 KiB. */
export const historyBytesMax = 65_536

/** A length byte of 255 adds 255 bytes to a match; nothing in the format adds more per byte. */
export const contentBytesPerDataByteMax = 255

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/**
 * Decodes one block of a frame into fresh memory. `block` is the size field and the data, without a block checksum;
 * `blockBytesMax` comes from the frame's header. A linked block needs `history`: the last `historyBytesMax` bytes of
 * the content before it, or all of it when there is less. `offset` is where the block starts in its file, for the
 * errors.
 *
 * The decoder wants a number in the size field's place, so the field is overwritten during the call and put back after
 * it.
 *
 * Throws `Lz4FrameError` with `BadBlock`.
 */
export const decodeBlock = (
  block: Uint8Array,
  blockBytesMax: number,
  offset: number,
  history?: Uint8Array
): Uint8Array => {
  const view = viewOf(block)
  const word = view.getUint32(0, true)
  const contentBytesMax = contentBytesMaxOf(block, blockBytesMax, offset)
  if (contentBytesMax === undefined) return new Uint8Array(block.subarray(4))
  view.setUint32(0, contentBytesMax, true)
  try {
    return uncompressSync(block, history)
  } catch (cause) {
    throw new Lz4FrameError("BadBlock", offset, "the block cannot be decoded; the file is damaged here", { cause })
  } finally {
    view.setUint32(0, word, true)
  }
}

/**
 * The most content that a block of a frame can have, which is what the native decoder wants in the size field's place;
 * `undefined` when its data is stored as it is. Throws `Lz4FrameError` with `BadBlock`.
 */
export const contentBytesMaxOf = (block: Uint8Array, blockBytesMax: number, offset: number): number | undefined => {
  const field = blockField(viewOf(block).getUint32(0, true))
  invariant(field !== undefined && block.length === 4 + field.dataBytes, "a block is its size field and its data")
  if (field.dataBytes > blockBytesMax) {
    throw new Lz4FrameError("BadBlock", offset, `${field.dataBytes} bytes in a block of at most ${blockBytesMax}`)
  }
  return field.storedRaw ? undefined : Math.min(blockBytesMax, field.dataBytes * contentBytesPerDataByteMax)
}

/**
 * Frees the memory of decoded or compressed bytes at once, instead of at the next garbage collection. Every view on it
 * is empty then. Only for results of the native library, each of which has memory of its own.
 */
export const releaseNative = (result: Uint8Array): void => {
  if (types.isArrayBuffer(result.buffer)) result.buffer.transfer(0)
}
