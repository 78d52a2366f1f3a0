/**
 * The cost of a rotation, from the rotation until the segment is durable and the one before is frozen, in a directory with
 * few segments and in one with many. Nothing is ever deleted here.
 */
import { makeSegments } from "../harness/Segments.ts"
import { median, percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "rotation", unit: "ms", better: "less" },
  { name: "rotate p50", unit: "µs", better: "less" },
  { name: "rotate p99", unit: "µs", better: "less" }
]

const contestant = (segments: number): Contestant => ({
  name: `${segments.toLocaleString("en-GB")} segments`,
  note: "thread; each round: append 4 KiB, rotate, wait until nothing is left to persist or freeze, many times",
  open: async ({ directory, quick }) => {
    const { freezeAll, openWal } = await import("../harness/Wal.ts")
    makeSegments({
      directory,
      form: "cold",
      segments: quick ? Math.min(segments, 100) : segments,
      segmentBytes: 65_536,
      eventSize: 64,
      payload: new Uint8Array(4096).fill(0x61)
    })
    const opened = await openWal("thread", { directory, limits: freezeAll, segmentBytesMax: 65_536, eventSize: 64 })
    const { writer } = opened.recorder
    const event = new Uint8Array(64).fill(0x61)
    return {
      round: async () => {
        const times = quick ? 5 : 60
        const millis: Array<number> = []
        const micros: Array<number> = []
        for (let i = 0; i < times; i++) {
          for (let events = 0; events < 64; events++) writer.appendUnsafe(event)
          const begun = performance.now()
          if (!writer.rotateUnsafe()) throw new Error("no blank slot")
          micros.push((performance.now() - begun) * 1000)
          await opened.run(opened.maintainer.drain)
          millis.push(performance.now() - begun)
        }
        const { p50 = 0, p99 = 0 } = percentiles(Float64Array.from(micros))
        return { measures: { "rotation": median(millis), "rotate p50": p50, "rotate p99": p99 } }
      },
      close: opened.close
    }
  }
})

export const suite: Suite = {
  name: "rotation",
  tables: [{
    name: "rotation",
    title: "one rotation, until its segment is durable and frozen",
    metrics,
    reference: "10 segments",
    contestants: [contestant(10), contestant(10_000)]
  }]
}
