/** A compressing thread that reports 100 ms, and whose result is whether it is to run on idle processors only. */
import { parentPort } from "node:worker_threads"
import type { CompressorMessage } from "../../../src/maintainer/compressor/CompressingThread.ts"
import * as CompressorAnswer from "../../../src/maintainer/compressor/CompressorAnswer.ts"
import type { CompressorRequest } from "../../../src/maintainer/compressor/CompressorLine.ts"

parentPort?.on("message", (message: CompressorMessage) => {
  if (message._tag === "NoMore") return parentPort?.close()
  message.port.on("message", ({ answer, onlyWhenIdle, output }: CompressorRequest) => {
    output[0] = onlyWhenIdle ? 1 : 0
    CompressorAnswer.put(answer, { length: 1, millis: 100 })
  })
})
