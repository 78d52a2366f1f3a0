/**
 * Five minutes of recording at a steady rate, with every closed segment frozen and old ones deleted: whether memory, lag
 * and throughput at the end are what they were in the beginning.
 */
import { percentiles } from "../harness/Statistics.ts"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const mebibyte = 2 ** 20
const eventBytes = 256
/** Appended every tick: 20 MiB/s, less than one core freezes. */
const tickMillis = 25
const tickBytes = mebibyte / 2

const metrics: ReadonlyArray<Metric> = [
  throughput,
  { name: "lag p50", unit: "ms", better: "less" },
  { name: "lag p99", unit: "ms", better: "less" },
  { name: "lag max", unit: "ms", better: "less" },
  { name: "memory, first minute", unit: "MiB", better: "less" },
  { name: "memory, last minute", unit: "MiB", better: "less" }
]

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "events of 256 bytes, 20 MiB/s, segments of 16 MiB; the lag is the age of the oldest event that is not durable",
  open: async ({ directory, quick }) => {
    const { appendPayload } = await import("../harness/appendMany.ts")
    const { freezeAll, openWal } = await import("../harness/Wal.ts")
    const { realBytes } = await import("../harness/RealBytes.ts")
    const limits = { ...freezeAll, maxCompressedSegments: 8 }
    const opened = await openWal(host, { directory, limits, eventSize: eventBytes, flushEvery: 100 })
    const payload = realBytes(tickBytes)
    return {
      round: async () => {
        const seconds = quick ? 1 : 300
        const minute = quick ? 0.2 : 60
        const series: Array<{ readonly seconds: number; readonly mebibytes: number }> = []
        const lags: Array<number> = []
        const started = performance.now()
        const elapsed = (): number => (performance.now() - started) / 1000
        let bytes = 0
        let sampled = 0
        while (elapsed() < seconds) {
          const due = elapsed() * 1000 / tickMillis * tickBytes
          if (bytes < due) {
            await opened.run(appendPayload(opened, payload, eventBytes))
            bytes += payload.length
          } else await new Promise((resolve) => setTimeout(resolve, 5))
          if (elapsed() - sampled < 0.1) continue
          sampled = elapsed()
          series.push({ seconds: sampled, mebibytes: process.memoryUsage.rss() / mebibyte })
          lags.push((await opened.run(opened.telemetry.snapshot)).gauges.durableLagMillis)
        }
        const took = elapsed()
        await opened.rest()
        const most = (from: number, to: number): number =>
          series.reduce((most, at) => at.seconds >= from && at.seconds < to ? Math.max(most, at.mebibytes) : most, 0)
        const { p50 = 0, p99 = 0 } = percentiles(Float64Array.from(lags))
        return {
          measures: {
            "throughput": bytes / 1e6 / took,
            "lag p50": p50,
            "lag p99": p99,
            "lag max": Math.max(...lags),
            "memory, first minute": most(0, minute),
            "memory, last minute": most(took - minute, took)
          },
          series
        }
      },
      close: opened.close
    }
  }
})

export const suite: Suite = {
  name: "soak",
  tables: [{
    name: "soak",
    title: "five minutes of recording, every segment frozen and old ones deleted",
    metrics,
    reference: "effect-wal, thread",
    contestants: [wal("thread")],
    roundsMax: 1
  }]
}
