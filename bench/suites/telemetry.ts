/**
 * What a call of the telemetry updater costs whoever makes it: a loop of calls, less the same loop without them, which
 * reads the clock and makes the arguments all the same.
 */
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "operation", unit: "ns per call", better: "less" },
  { name: "count", unit: "ns per call", better: "less" }
]

const nanosPerCall = (calls: number, startedMillis: number): number => (performance.now() - startedMillis) * 1e6 / calls

const contestant = (name: string, writersMax: number, note: string, isRealClock = false): Contestant => ({
  name,
  note,
  open: async ({ quick }) => {
    const { makeBuffer } = await import("../../src/telemetry/TelemetryBuffer.ts")
    const { attach } = await import("../../src/telemetry/Telemetry.ts")
    const { monotonicNanos } = await import("../../src/telemetry/SegmentMaintainerUpdater.ts")
    const calls = quick ? 100_000 : 5_000_000
    // A clock that is only a counter, so that the updater's own cost is seen.
    const counter = new Float64Array([1e9])
    const clock = isRealClock ? monotonicNanos : (): number => counter[0]! += 37
    const updater = attach(makeBuffer(writersMax), { nowNanos: clock }).updater(0)
    return {
      // Loops of their own, so that each call can be compiled for what it calls.
      round: async () => {
        let sum = 0
        const begun = clock()
        const loopStarted = performance.now()
        for (let i = 0; i < calls; i++) sum += clock() - begun
        const loop = nanosPerCall(calls, loopStarted)
        if (sum === 0) throw new Error("the loop was not run")
        const operationStarted = performance.now()
        for (let i = 0; i < calls; i++) updater.onAppend(true, begun)
        const operation = Math.max(0, nanosPerCall(calls, operationStarted) - loop)
        const countStarted = performance.now()
        for (let i = 0; i < calls; i++) updater.count("bytesWritten", 64)
        return { measures: { operation, count: nanosPerCall(calls, countStarted) } }
      },
      close: async () => {}
    }
  }
})

export const suite: Suite = {
  name: "telemetry",
  tables: [{
    name: "telemetry",
    title: "one call of the updater, without its clock",
    metrics,
    reference: "updater",
    contestants: [
      contestant(
        "updater",
        1,
        "onAppend, less the loop and its clock, a counter; count(bytesWritten), the loop included"
      ),
      contestant("updater, real clock", 1, "the same with performance.now()", true),
      contestant("no-op", 0, "the same calls where telemetry is off")
    ]
  }]
}
