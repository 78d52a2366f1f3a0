/** Resident memory of a whole process that records real text with every segment frozen, beside the arena's size. */
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const mebibyte = 2 ** 20
const eventBytes = 256
const metrics: ReadonlyArray<Metric> = [
  { name: "over arena", unit: "MiB", better: "less" },
  { name: "peak", unit: "MiB", better: "less" },
  { name: "recorded", unit: "MB", better: "more" }
]

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "the most that was resident, sampled every 50 ms, Node and this program in TypeScript included",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const { appendPayload } = await import("../harness/appendMany.ts")
    const { freezeAll, openWal } = await import("../harness/Wal.ts")
    const { realBytes } = await import("../harness/RealBytes.ts")
    const { limits, ...options } = { limits: { ...freezeAll, maxCompressedSegments: 8 }, eventSize: eventBytes }
    const opened = await openWal(host, { directory, limits, ...options })
    // Small, for what the measuring application keeps in memory counts too.
    const payload = realBytes(mebibyte)
    const arenaMebibytes = opened.arena.buffer.byteLength / mebibyte
    return {
      round: async () => {
        const series: Array<{ readonly seconds: number; readonly mebibytes: number }> = []
        const started = performance.now()
        const sample = (): void => {
          const mebibytes = process.memoryUsage.rss() / mebibyte
          series.push({ seconds: (performance.now() - started) / 1000, mebibytes })
        }
        const timer = setInterval(sample, 50)
        let bytes = 0
        while (performance.now() - started < (quick ? 300 : 4000)) {
          await opened.run(Effect.asVoid(appendPayload(opened, payload, eventBytes)))
          bytes += payload.length
          await new Promise((resolve) => setImmediate(resolve))
        }
        await opened.rest()
        sample()
        clearInterval(timer)
        const peak = series.reduce((most, { mebibytes }) => Math.max(most, mebibytes), 0)
        return { measures: { "over arena": peak - arenaMebibytes, peak, "recorded": bytes / 1e6 }, series }
      },
      close: opened.close
    }
  }
})

export const suite: Suite = {
  name: "memory",
  tables: [{
    name: "memory",
    title: "resident memory of a recording process",
    metrics,
    reference: "effect-wal, thread",
    contestants: [wal("thread"), wal("fiber")]
  }]
}
