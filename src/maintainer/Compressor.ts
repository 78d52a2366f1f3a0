/**
 * The door to the compressor. The default runs on Node's thread pool, so the thread that asks goes on; `blocking` runs
 * at once on the asking thread, which makes a test or a simulation deterministic.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { compress, compressSync, uncompress, uncompressSync } from "lz4-napi"

/**
 * Raw LZ4 blocks with their u32 size in front, as the native library makes them. A failure is whatever it threw.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawCompressor {
  /** u32 content size + one LZ4 block. The bytes must not change until it is done. */
  readonly compress: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array
  /** The content of what `compress` made. */
  readonly uncompress: (bytes: Uint8Array) => Promise<Uint8Array> | Uint8Array
}

/**
 * On Node's thread pool.
 *
 * @since 0.1.0
 * @category compressors
 */
export const pooled: RawCompressor = { compress: (bytes) => compress(bytes), uncompress: (bytes) => uncompress(bytes) }

/**
 * On the asking thread.
 *
 * @since 0.1.0
 * @category compressors
 */
export const blocking: RawCompressor = {
  compress: (bytes) => compressSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  uncompress: (bytes) => uncompressSync(bytes)
}

/**
 * The compressor that freezing uses; `pooled` unless another is provided.
 *
 * @since 0.1.0
 * @category services
 */
export const Compressor: Context.Reference<RawCompressor> = Context.Reference<RawCompressor>(
  "effect-wal/maintainer/Compressor",
  { defaultValue: () => pooled }
)

/**
 * Waits for a result that is there already, or for the thread pool.
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
