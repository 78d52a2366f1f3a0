/**
 * The door to the compressor. The default, `threaded`, compresses in one thread of its own, so the asking thread
 * continues. `blocking` compresses at once on the asking thread, which makes a test or a simulation deterministic.
 * Decoding takes 0.5 to 1 ms a MiB; both decode on the asking thread, except where that thread has other work to do
 * (`urgent: false`).
 *
 * Why not on Node's thread pool: the native library's allocator keeps what it frees for the thread that allocated it.
 * So every pool thread that ever compresses keeps about 13 MiB, and every one that decodes keeps more. Measured while a
 * segment of 512 MiB was frozen:
 *
 * - 195 MiB with both on the pool and results left to the garbage collector
 * - 40 MiB with decoding on the asking thread and results released at once
 * - 15 MiB with a pool of two threads, 2 MiB with a pool of one
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { uncompressSync } from "lz4-napi"
import { types } from "node:util"
import { findThreadModule } from "../disk/ThreadModule.ts"
import { releaseNative } from "../format/lz4/Lz4Block.ts"
import type { CompressOptions } from "./compressor/ThreadedCompressor.ts"
import * as ThreadedCompressor from "./compressor/ThreadedCompressor.ts"

export type { CompressOptions } from "./compressor/ThreadedCompressor.ts"

/**
 * Makes raw LZ4 blocks with their u32 size in front, as the native library does. A failure is what that library throws.
 * A result belongs to the caller until it is given to `release`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawCompressor {
  /**
   * Called when a maintainer opens. Starts what compressing needs, before the first freeze if that is possible without
   * being in the way of the opening. Rejects or throws when it cannot start, with what follows from that, which the
   * maintainer writes to the log as a warning.
   */
  readonly start: () => Promise<void> | void
  /** Called once for each `start`, when that maintainer closes. What nobody needs any more may end. */
  readonly stop: () => void
  /** u32 content size + one LZ4 block. The bytes must not change until it is done. */
  readonly compress: (bytes: Uint8Array, options?: CompressOptions) => Promise<Uint8Array> | Uint8Array
  /** The content of what `compress` made. The bytes must not change until it is done. */
  readonly uncompress: (bytes: Uint8Array, options?: CompressOptions) => Promise<Uint8Array> | Uint8Array
  /** Gives the memory of a result back at once, before the next garbage collection. Its bytes are gone then. */
  readonly release: (result: Uint8Array) => void
}

/**
 * Compresses and decodes on the asking thread.
 *
 * @since 0.1.0
 * @category compressors
 */
export const blocking: RawCompressor = {
  start: () => {},
  stop: () => {},
  compress: ThreadedCompressor.compressHere,
  uncompress: (bytes) => uncompressSync(bytes),
  release: releaseNative
}

/**
 * Compresses in a thread of its own, one for all logs of the process, whichever threads their maintainers run in. The
 * thread starts with the first piece, or a second after the first log was opened. It ends a second after the last log
 * has closed. One that died, or that has the wrong priority, is replaced. It costs about 16 MiB of resident memory.
 * With `urgent: false` it runs only on processors that nothing else wants (on Linux), and decodes too.
 *
 * Where no such thread can start, as in a bundle of an application that does not have its module, it compresses on the
 * asking thread, as `blocking` does, and the log has a warning.
 *
 * @since 0.1.0
 * @category compressors
 */
export const threaded: RawCompressor = ThreadedCompressor.from(() =>
  findThreadModule("compressorThread", import.meta.url)
)

/**
 * As `threaded`, for bundled applications: `module` is where the bundle has `effect-wal/compressorThread`. There is one
 * thread for each module.
 *
 * @since 0.1.0
 * @category compressors
 */
export const threadedFrom = (module: URL): RawCompressor => ThreadedCompressor.from(() => module)

/**
 * The compressor that freezing uses. Unless another is provided it is `threaded`, and `blocking` on a simulated disk.
 *
 * @since 0.1.0
 * @category services
 */
export const Compressor: Context.Reference<RawCompressor> = Context.Reference<RawCompressor>(
  "effect-wal/maintainer/Compressor",
  { defaultValue: () => threaded }
)

/**
 * Waits for a result that `run` gives at once, or that comes from another thread. `onFailure` makes the error from what
 * `run` has thrown, or its promise was rejected with.
 */
export const settle = <A, E>(
  run: () => Promise<A> | A,
  onFailure: (cause: unknown) => E
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    try {
      const result = run()
      return types.isPromise(result)
        ? Effect.tryPromise({ try: () => result, catch: onFailure })
        : Effect.succeed(result)
    } catch (cause) {
      return Effect.fail(onFailure(cause))
    }
  })

/**
 * Starts what may run in another thread, for a `settle` that comes later. A promise counts as handled, also when the
 * one who would have waited for it was interrupted.
 */
export const begin = <A, E>(
  run: () => Promise<A> | A,
  onFailure: (cause: unknown) => E
): Effect.Effect<Promise<A> | A, E> =>
  Effect.try({
    try: () => {
      const result = run()
      if (types.isPromise(result)) result.catch(() => {})
      return result
    },
    catch: onFailure
  })
