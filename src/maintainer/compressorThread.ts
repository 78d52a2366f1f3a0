/**
 * The entry of a compressing thread: compresses or decodes one piece after the other, into memory that comes with the
 * request. Each thread that asks has a line of its own. See `Compressor` for why this is not done on Node's thread
 * pool.
 */
import { compressSync, uncompressSync } from "lz4-napi"
import { parentPort } from "node:worker_threads"
import { releaseNative } from "../format/lz4/Lz4Block.ts"
import { invariant } from "../internal/invariant.ts"
import type { CompressorMessage } from "./compressor/CompressingThread.ts"
import * as CompressorAnswer from "./compressor/CompressorAnswer.ts"
import type { CompressorRequest } from "./compressor/CompressorLine.ts"
import { monotonicMillis } from "./compressor/monotonicMillis.ts"
import { runOnlyWhenIdle, yieldToOtherThreads } from "./compressor/threadPriority.ts"

const port = parentPort
invariant(port !== null, "compressorThread is run by Compressor")

// Recording never waits for compression.
yieldToOtherThreads()

let isOnlyWhenIdle = false
let freeMillis = monotonicMillis()

const tasks = { compress: compressSync, uncompress: uncompressSync }

const done = ({ input, output, task }: CompressorRequest) => {
  try {
    const result = tasks[task](Buffer.from(input.buffer, input.byteOffset, input.byteLength))
    output.set(result)
    const { length } = result
    // Given back at once, not at the next garbage collection.
    releaseNative(result)
    return { length }
  } catch (error) {
    return { error: String(error) }
  }
}

const work = (request: CompressorRequest): void => {
  if (request.onlyWhenIdle && !isOnlyWhenIdle) {
    isOnlyWhenIdle = true
    runOnlyWhenIdle()
  }
  const since = Math.max(request.askedMillis, freeMillis)
  const result = done(request)
  freeMillis = monotonicMillis()
  CompressorAnswer.put(request.answer, { millis: freeMillis - since, ...result })
}

const take = (message: CompressorMessage): void => {
  // From now on the open lines alone keep this thread alive. The port is not closed: in Deno it cannot be.
  if (message._tag === "NoMore") return void port.off("message", take)
  // Not in the message's own turn of the event loop. A port hands out all waiting messages in one turn, and Node gives
  // the memory of released results back only between turns: under load that would be hundreds of results.
  message.port.on("message", (request: CompressorRequest) => setImmediate(() => work(request)))
}

port.on("message", take)
