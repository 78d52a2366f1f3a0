/**
 * The tail: what a single append takes while segments are being compressed all the time, and what the append takes that
 * rotates. Times contain the clock's own cost, about 0.05 µs.
 */
import { percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const eventBytes = 256
const metrics: ReadonlyArray<Metric> = [
  ...["p99.9", "p50", "p99", "p99.99", "rotation p50", "rotation p99", "max"]
    .map((name): Metric => ({ name, unit: "µs", better: "less" })),
  { name: "frozen", unit: "segments", better: "more" }
]

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: `256-byte events of real text, segments of 2 MiB, each frozen at once; ${
    host === "fiber" ? "the maintainer shares the thread" : "the maintainer has a thread"
  }`,
  open: async ({ directory, quick }) => {
    const { freezeAll, openWal } = await import("../harness/Wal.ts")
    const { realBytes } = await import("../harness/RealBytes.ts")
    const opened = await openWal(host, { directory, limits: freezeAll, segmentBytesMax: 2 ** 21, slots: 16 })
    const payload = realBytes(8 * 2 ** 20)
    const total = (quick ? 8 : 160) * 2 ** 20 / eventBytes
    const { writer } = opened.recorder
    const micros = new Float64Array(total)
    const rotations: Array<number> = []
    /** So many appends, then the thread is given up, as an application does between two messages. */
    const burst = 200
    return {
      round: async () => {
        await opened.rest()
        const before = (await opened.run(opened.maintainer.status)).coldSegments
        rotations.length = 0
        let count = 0
        let segmentIndex = writer.activeSegmentIndex
        while (count < total) {
          for (let i = 0; i < burst && count < total; i++) {
            const at = count * eventBytes % payload.length
            const event = payload.subarray(at, at + eventBytes)
            const begun = performance.now()
            const id = writer.appendUnsafe(event)
            const taken = (performance.now() - begun) * 1000
            if (id === 0) break
            micros[count++] = taken
            if (writer.activeSegmentIndex !== segmentIndex) {
              segmentIndex = writer.activeSegmentIndex
              rotations.push(taken)
            }
          }
          await new Promise((resolve) => setImmediate(resolve))
        }
        const after = (await opened.run(opened.maintainer.status)).coldSegments
        const rotating = percentiles(Float64Array.from(rotations))
        return {
          measures: {
            ...percentiles(micros),
            "rotation p50": rotating["p50"]!,
            "rotation p99": rotating["p99"]!,
            "max": micros.reduce((most, value) => Math.max(most, value), 0),
            "frozen": after - before
          }
        }
      },
      close: opened.close
    }
  }
})

export const suite: Suite = {
  name: "tail",
  tables: [{
    name: "tail",
    title: "one append while segments are compressed",
    metrics,
    reference: "effect-wal, thread",
    contestants: [wal("thread"), wal("fiber")]
  }]
}
