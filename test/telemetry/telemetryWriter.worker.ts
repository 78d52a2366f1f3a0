/** A writer in a thread of its own: makes rounds until it has made enough and is told to stop, and reports how many. */
import { parentPort, workerData } from "node:worker_threads"
import { makeRound } from "./telemetryWorkload.ts"

const { buffer, roundsMin, stop, writer } = workerData as {
  readonly buffer: SharedArrayBuffer
  readonly writer: number
  readonly roundsMin: number
  readonly stop: Int32Array
}

const round = makeRound(buffer, writer)
round()
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage("started")
let rounds = 1
while (rounds < roundsMin || Atomics.load(stop, 0) === 0) {
  round()
  rounds++
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(rounds)
