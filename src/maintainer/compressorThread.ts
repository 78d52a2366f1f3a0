/**
 * The entry of a compressing thread: compresses what it is handed, one piece after the other, into memory that it is
 * handed too. See `Compressor` for why this is not done on Node's thread pool.
 *
 * @since 0.1.0
 */
import { compressSync } from "lz4-napi"
import { parentPort } from "node:worker_threads"
import { releaseNative } from "../format/Lz4Block.ts"
import { invariant } from "../internal/invariant.ts"
import { yieldToOtherThreads } from "../internal/threadPriority.ts"

/**
 * One piece to compress.
 *
 * @since 0.1.0
 * @category models
 */
export interface CompressRequest {
  readonly id: number
  readonly input: Uint8Array
  /** Shared memory with room for the result. */
  readonly output: Uint8Array
}

/**
 * How it went: the length of the result, or what was thrown.
 *
 * @since 0.1.0
 * @category models
 */
export type CompressReply =
  | { readonly id: number; readonly length: number }
  | { readonly id: number; readonly error: string }

const port = parentPort
invariant(port !== null, "compressorThread is run by Compressor")

// Recording never waits for compression.
yieldToOtherThreads()

const compress = ({ id, input, output }: CompressRequest): CompressReply => {
  try {
    const result = compressSync(Buffer.from(input.buffer, input.byteOffset, input.byteLength))
    output.set(result)
    const { length } = result
    // Given back at once, not when the garbage collector comes by.
    releaseNative(result)
    return { id, length }
  } catch (error) {
    return { id, error: String(error) }
  }
}

// Not in the message's own turn of the event loop: a port hands out whatever has come meanwhile without a turn between, and
// Node gives the memory of released results back only at one. Under load that would be hundreds of results.
port.on("message", (request: CompressRequest) => setImmediate(() => port.postMessage(compress(request))))
