/**
 * Memory for the pieces of a freeze, kept from one freeze to the next: what is compressed, what is read back, and what
 * the compressing thread makes of either. V8 learns late of memory outside its heap: with new memory for every piece, a
 * busy maintainer held tens of MiB that nothing used any more.
 */
import { types } from "node:util"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"

/** Two pieces are compressed, one is read back, two results wait, one is decoded and one is being written. */
const keptMax = 7

/** The largest result of compressing so much content: LZ4's own bound, and the u32 in front. */
export const compressedBytesMax = (contentBytes: number): number =>
  4 + contentBytes + Math.ceil(contentBytes / 255) + 16

const usualBytes = compressedBytesMax(pieceBytes)

const kept: Array<SharedArrayBuffer> = []

/**
 * Room for one piece of content, for its block in the file, or for any result of at most `bytes`. Shared memory, so
 * that another thread reads and writes it where it is.
 */
export const takePiece = (bytes: number = usualBytes): Uint8Array =>
  new Uint8Array((bytes <= usualBytes ? kept.pop() : undefined) ?? new SharedArrayBuffer(Math.max(bytes, usualBytes)))

/**
 * Gives memory back that no thread reads or writes any more: a piece, or any part of it. A piece for which this is not
 * known, as after an interruption, is left to the garbage collector; so is one of an unusual size, as the only block of
 * a segment in block compression.
 */
export const keepPiece = ({ buffer }: Uint8Array): void => {
  if (types.isSharedArrayBuffer(buffer) && buffer.byteLength === usualBytes && kept.length < keptMax) {
    kept.push(buffer)
  }
}

/** Leaves all kept memory to the garbage collector. */
export const forgetPieces = (): void => {
  kept.length = 0
}
