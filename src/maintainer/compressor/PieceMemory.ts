/**
 * Memory for the pieces of a freeze, kept from one freeze to the next. V8 hears late of memory outside its heap: with new
 * pieces for each segment, a busy maintainer held tens of MiB that nobody used any more.
 *
 * @since 0.1.0
 */
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"

/** A freeze holds two pieces that are compressed and one block that is read back. */
const keptMax = 3

const kept: Array<Uint8Array> = []

/**
 * Room for one piece of content, or for its block in the file. Shared memory, so that another thread compresses it where it is.
 *
 * @since 0.1.0
 * @category memory
 */
export const takePiece = (): Uint8Array => kept.pop() ?? new Uint8Array(new SharedArrayBuffer(4 + pieceBytes))

/**
 * Gives a piece back that no thread reads or writes any more. A piece for which this is not known, as after an interruption,
 * is left to the garbage collector.
 *
 * @since 0.1.0
 * @category memory
 */
export const keepPiece = (piece: Uint8Array): void => {
  if (kept.length < keptMax) kept.push(piece)
}
