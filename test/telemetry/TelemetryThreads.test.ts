import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { Worker } from "node:worker_threads"
import { countOf } from "../../src/telemetry/LatencyHistogram.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import { playSample } from "../samples.ts"
import { faultsOf, makeRound, sleepNanos, updatesPerRound, valueNanos } from "./telemetryWorkload.ts"

const writersMax = 3
const updatesMin = 200_000
const snapshotsMin = 3000
/** In so many of them the workers must have written since the one before. */
const movedMin = 30

const burst = Effect.gen(function*() {
  const telemetry = yield* Telemetry.Telemetry
  const stop = new Int32Array(new SharedArrayBuffer(4))
  const roundsMin = Math.ceil(updatesMin / writersMax / updatesPerRound)
  const workers = [1, 2].map((writer) => {
    const url = new URL("./telemetryWriter.worker.ts", import.meta.url)
    return new Worker(url, { workerData: { buffer: telemetry.buffer, writer, roundsMin, stop } })
  })
  yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all(workers.map((worker) => worker.terminate()))))
  yield* Effect.promise(() => Promise.all(workers.map((worker) => once(worker, "message"))))
  const finished = workers.map((worker) => once(worker, "message"))

  const round = makeRound(telemetry.buffer, 0)
  const roundsPerSnapshot = Math.ceil(roundsMin / snapshotsMin)
  let rounds = 0
  let faults = 0
  let firstFault = ""
  let moved = 0
  let previous = telemetry.snapshotUnsafe()
  // With one processor the workers move only when this thread has used up its time.
  for (let taken = 0; taken < snapshotsMin || moved < movedMin; taken++) {
    for (let i = 0; i < roundsPerSnapshot; i++) round()
    rounds += roundsPerSnapshot
    const own = telemetry.snapshotUnsafe()
    const fault = faultsOf(own, previous, writersMax)
    if (fault !== "") {
      faults++
      firstFault ||= fault
    }
    if (own.lifecycle.cycles - previous.lifecycle.cycles > roundsPerSnapshot) moved++
    previous = own
  }
  Atomics.store(stop, 0, 1)
  const workerRounds = (yield* Effect.promise(() => Promise.all(finished))).map(([count]) => Number(count))
  const all = workerRounds.reduce((sum, count) => sum + count, rounds)

  assert.strictEqual(faults, 0, firstFault)
  assert.isAtLeast(all * updatesPerRound, updatesMin)
  const { counters, lifecycle, operations } = telemetry.snapshotUnsafe()
  assert.strictEqual(lifecycle.cycles, all)
  assert.strictEqual(lifecycle.cycleNanos, all * valueNanos)
  assert.strictEqual(lifecycle.activeNanos, all * (valueNanos - sleepNanos))
  assert.strictEqual(operations.iteration.samples, all)
  assert.strictEqual(countOf(operations.iteration.latency), all)
  assert.strictEqual(operations.retention.samples, all)
  assert.strictEqual(operations.retention.totalNanos, all * valueNanos)
  assert.strictEqual(operations.persist.samples, all * 2)
  assert.strictEqual(operations.persist.totalNanos, all * 2 * valueNanos)
  assert.strictEqual(operations.persist.minNanos, valueNanos - writersMax)
  assert.strictEqual(operations.persist.maxNanos, valueNanos + writersMax)
  assert.strictEqual(countOf(operations.persist.latency), all * 2)
  assert.strictEqual(counters.bytesWritten, all * valueNanos)
}).pipe(Effect.scoped, Effect.provide(Telemetry.layer({ writersMax })))

describe("Telemetry with two workers and this thread writing at once", () => {
  it("loses no count, and tears no snapshot", ({ annotate }) =>
    playSample("telemetry", annotate, () => Effect.runPromise(burst)))
})
