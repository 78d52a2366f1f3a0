/** What a call of the telemetry updater costs whoever makes it. The loop's own cost is in the figure. */
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "operation", unit: "ns per call", better: "less" },
  { name: "with clock", unit: "ns per call", better: "less" },
  { name: "count", unit: "ns per call", better: "less" }
]

const nanosPerCall = (calls: number, startedMillis: number): number => (performance.now() - startedMillis) * 1e6 / calls

const contestant = (name: string, writersMax: number, note: string): Contestant => ({
  name,
  note,
  open: async ({ quick }) => {
    const { makeBuffer } = await import("../../src/telemetry/TelemetryBuffer.ts")
    const { attach } = await import("../../src/telemetry/Telemetry.ts")
    const { monotonicNanos } = await import("../../src/telemetry/SegmentMaintainerUpdater.ts")
    const calls = quick ? 100_000 : 5_000_000
    const buffer = makeBuffer(writersMax)
    // A clock that is only a counter: the updater alone. And the real one.
    let now = 1e9
    const updater = attach(buffer, () => now += 37).updater(0)
    const clocked = attach(buffer, monotonicNanos).updater(0)
    return {
      // Loops of their own, so that each call can be compiled for what it calls.
      round: async () => {
        const operationStarted = performance.now()
        for (let i = 0; i < calls; i++) updater.onAppend(true, now - (i & 0xffff))
        const operation = nanosPerCall(calls, operationStarted)
        const clockedStarted = performance.now()
        for (let i = 0; i < calls; i++) clocked.onCommit(true, clocked.nowNanos())
        const withClock = nanosPerCall(calls, clockedStarted)
        const countStarted = performance.now()
        for (let i = 0; i < calls; i++) updater.count("bytesWritten", 64)
        const count = nanosPerCall(calls, countStarted)
        return { measures: { operation, "with clock": withClock, count } }
      },
      close: async () => {}
    }
  }
})

export const suite: Suite = {
  name: "telemetry",
  tables: [{
    name: "telemetry",
    title: "one call of the updater",
    metrics,
    reference: "updater",
    contestants: [
      contestant("updater", 1, "onAppend; onCommit with the real clock, read twice; count(bytesWritten)"),
      contestant("no-op", 0, "the same calls where telemetry is off")
    ]
  }]
}
