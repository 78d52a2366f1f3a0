/**
 * The door to the compressor. The default compresses in one thread of its own, so the thread that asks goes on;
 * `blocking` does it at once on the asking thread, which makes a test or a simulation deterministic. Decoding takes 0.5 to 1
 * ms a MiB and is done on the asking thread by both, except where that must not be kept waiting (see `FreezePace`).
 *
 * Why not on Node's thread pool: the native library's allocator keeps what it frees for the thread that allocated it, so
 * every pool thread that ever compresses keeps about 13 MiB, and every one that decodes more. Measured while a segment of
 * 512 MiB was frozen: 195 MiB with both on the pool and results left to the garbage collector, 40 MiB with decoding on the
 * asking thread and results released at once, 15 and 2 MiB with a pool of two threads and of one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { compressSync, uncompressSync } from "lz4-napi"
import { releaseNative } from "../format/lz4/Lz4Block.ts"
import { pieceBytes } from "../format/lz4/Lz4Frame.ts"
import { moduleBeside } from "../internal/moduleBeside.ts"
import { CompressingThread } from "./compressor/CompressingThread.ts"
import { CompressorPriority } from "./compressor/CompressorPriority.ts"
import { keepPiece, takePiece } from "./compressor/PieceMemory.ts"
import { keepResultMemory } from "./compressor/ResultMemory.ts"
import type { Pace } from "./steps/FreezePace.ts"

/**
 * Raw LZ4 blocks with their u32 size in front, as the native library makes them. A failure is whatever it threw. A result
 * belongs to whoever asked for it until it is given to `release`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawCompressor {
  /**
   * Starts what compressing needs, so that the first freeze finds it there: a maintainer takes its memory when it opens and
   * not at some later time. Rejects or throws when it cannot start; then every compression fails too.
   */
  readonly start: () => Promise<void> | void
  /**
   * u32 content size + one LZ4 block. The bytes must not change until it is done. At a pace that gives way it takes as long
   * as processors are wanted for something else.
   */
  readonly compress: (bytes: Uint8Array, pace: Pace) => Promise<Uint8Array> | Uint8Array
  /**
   * The content of what `compress` made. At a pace that gives way the compressing thread decodes, if there is one: it has less
   * time to compress, the asking thread goes on, and the bytes must not change until it is done.
   */
  readonly uncompress: (bytes: Uint8Array, pace: Pace) => Promise<Uint8Array> | Uint8Array
  /** Gives the memory of a result back at once, and not when the garbage collector comes by. Its bytes are gone then. */
  readonly release: (result: Uint8Array) => void
}

/**
 * On the asking thread.
 *
 * @since 0.1.0
 * @category compressors
 */
export const blocking: RawCompressor = {
  start: () => {},
  compress: (bytes) => compressSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  uncompress: (bytes) => uncompressSync(bytes),
  release: releaseNative
}

/** The longest result for so much content: LZ4's own bound, and the u32 in front. */
const resultBytesMax = (contentBytes: number): number => 4 + contentBytes + Math.ceil(contentBytes / 255) + 16

/** As the native library writes it in front of a block. */
const contentBytesOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true)

const threadedBy = (module: () => URL): RawCompressor => {
  const priority = new CompressorPriority()
  let thread: CompressingThread | undefined
  const begin = (): CompressingThread => {
    const begun = new CompressingThread(module(), (millis) => {
      if (begun.onlyWhenIdle) priority.tookWhenIdle(millis)
    })
    return begun
  }
  const threadFor = (pace: Pace): CompressingThread => {
    const onlyWhenIdle = priority.onlyWhenIdle(pace, thread?.onlyWhenIdle === true)
    if (thread !== undefined && thread.onlyWhenIdle && !onlyWhenIdle) {
      thread.retire()
      thread = undefined
    }
    if (thread === undefined || !thread.isAlive) thread = begin()
    thread.onlyWhenIdle = onlyWhenIdle
    return thread
  }
  const release = (result: Uint8Array): void => {
    if (result.buffer instanceof SharedArrayBuffer) keepResultMemory(result.buffer)
    else releaseNative(result)
  }
  return {
    // The first piece makes the native library take the memory that it keeps.
    start: () => {
      const piece = takePiece()
      const content = piece.subarray(0, pieceBytes)
      return threadFor("free").ask("compress", content, resultBytesMax(pieceBytes), false).then((result) => {
        release(result)
        keepPiece(piece)
      })
    },
    compress: (bytes, pace) => threadFor(pace).ask("compress", bytes, resultBytesMax(bytes.length)),
    uncompress: (bytes, pace) =>
      pace === "givesWay" && thread?.isAlive === true
        ? thread.ask("uncompress", bytes, contentBytesOf(bytes))
        : uncompressSync(bytes),
    release
  }
}

/**
 * In a thread of its own, one for each thread that asks. It is begun by `start`, or with the first piece, and stays; one that
 * died, or has the wrong priority (see `CompressorPriority`), is replaced. A thread costs about 16 MiB of resident memory.
 *
 * @since 0.1.0
 * @category compressors
 */
export const threaded: RawCompressor = threadedBy(() => moduleBeside("compressorThread", import.meta.url))

/**
 * As `threaded`, for bundled applications: `module` is where the bundle has `effect-wal/compressorThread`.
 *
 * @since 0.1.0
 * @category compressors
 */
export const threadedFrom = (module: URL): RawCompressor => threadedBy(() => module)

/**
 * The compressor that freezing uses; `threaded` unless another is provided.
 *
 * @since 0.1.0
 * @category services
 */
export const Compressor: Context.Reference<RawCompressor> = Context.Reference<RawCompressor>(
  "effect-wal/maintainer/Compressor",
  { defaultValue: () => threaded }
)

/**
 * Waits for a result that is there already, or for another thread.
 *
 * @since 0.1.0
 * @category running
 */
export const settle = <A, E>(
  run: () => Promise<A> | A,
  onFailure: (cause: unknown) => E
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    try {
      const result = run()
      return result instanceof Promise
        ? Effect.tryPromise({ try: () => result, catch: onFailure })
        : Effect.succeed(result)
    } catch (cause) {
      return Effect.fail(onFailure(cause))
    }
  })
