/** A compressing thread that says it took 100 ms, and whose result is whether it runs on idle processors only. */
import { parentPort, workerData } from "node:worker_threads"
import * as CompressorAnswer from "../../src/maintainer/CompressorAnswer.ts"
import type { CompressorRequest, CompressorStart } from "../../src/maintainer/compressorThread.ts"

const { onlyWhenIdle }: CompressorStart = workerData

parentPort?.on("message", ({ answer, output }: CompressorRequest) => {
  output[0] = onlyWhenIdle ? 1 : 0
  CompressorAnswer.put(answer, { length: 1, millis: 100 })
})
