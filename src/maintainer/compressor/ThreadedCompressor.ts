/**
 * Compresses in a thread of its own, and keeps that thread at the right priority (see `CompressorPriority`): a thread
 * that died, or that must leave the idle class, is replaced.
 */
import { uncompressSync } from "lz4-napi"
import { types } from "node:util"
import { releaseNative } from "../../format/lz4/Lz4Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { CompressingThread } from "./CompressingThread.ts"
import { CompressorPriority } from "./CompressorPriority.ts"
import { compressedBytesMax, keepPiece, takePiece } from "./PieceMemory.ts"

/**
 * How much a result is wanted. A compressor may ignore it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompressOptions {
  /**
   * - `true`: something waits for the result
   * - `false`: it may take as long as processors are wanted for anything else, and the asking thread has other work to
   *   do
   * - not given: neither
   */
  readonly urgent?: boolean
}

/** As the native library writes it in front of a block. */
const contentBytesOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)

/** A compressor whose thread runs `module`. The thread starts with `start` or with the first piece, and stays. */
export const make = (module: () => URL) => {
  const priority = new CompressorPriority()
  let thread: CompressingThread | undefined
  const begin = (): CompressingThread => {
    const begun = new CompressingThread(module(), (millis) => {
      if (begun.onlyWhenIdle) priority.tookWhenIdle(millis)
    })
    return begun
  }
  const threadFor = (urgent: boolean | undefined): CompressingThread => {
    const onlyWhenIdle = priority.onlyWhenIdle(urgent, thread?.onlyWhenIdle === true)
    if (thread !== undefined && thread.onlyWhenIdle && !onlyWhenIdle) {
      thread.retire()
      thread = undefined
    }
    if (thread === undefined || !thread.isAlive) thread = begin()
    thread.onlyWhenIdle = onlyWhenIdle
    return thread
  }
  const release = (result: Uint8Array): void => {
    if (types.isSharedArrayBuffer(result.buffer)) keepPiece(result)
    else releaseNative(result)
  }
  return {
    // The first piece makes the native library take the memory that it keeps.
    start: async (): Promise<void> => {
      const piece = takePiece()
      const content = piece.subarray(0, pieceBytes)
      release(await threadFor(undefined).ask("compress", content, compressedBytesMax(pieceBytes), false))
      keepPiece(piece)
    },
    compress: (bytes: Uint8Array, { urgent }: CompressOptions = {}): Promise<Uint8Array> =>
      threadFor(urgent).ask("compress", bytes, compressedBytesMax(bytes.length)),
    uncompress: (bytes: Uint8Array, { urgent }: CompressOptions = {}): Promise<Uint8Array> | Uint8Array =>
      urgent === false && thread?.isAlive === true
        ? thread.ask("uncompress", bytes, contentBytesOf(bytes))
        : uncompressSync(bytes),
    release
  }
}
