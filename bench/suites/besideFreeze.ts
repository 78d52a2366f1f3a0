/**
 * Whether persisting waits for freezing: the time from handing an event over until it is durable, idle and while the same
 * maintainer freezes one large segment. Every 1,024th event fills a segment, so persisting is among what is measured.
 */
import { mkdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Scale, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const mebibyte = 2 ** 20
const metrics: ReadonlyArray<Metric> = [
  { name: "p99 to idle", unit: "x", better: "less" },
  ...["idle p50", "idle p99", "beside p50", "beside p99"].map((name): Metric => ({ name, unit: "µs", better: "less" })),
  { name: "freeze", unit: "s", better: "less" }
]

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note:
    "events of 1,020 bytes committed one after the other; segments of 1 MiB, the frozen one of 512 MiB of real text",
  open: async ({ directory, quick }: Scale) => {
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const { copyDurably } = await import("../harness/copyDurably.ts")
    const { prepareSegment } = await import("../harness/prepareSegment.ts")
    const { warmPages } = await import("../harness/warmPages.ts")
    const Effect = await import("effect/Effect")
    const TaskQueue = await import("../../src/shared/TaskQueue.ts")
    const { SegmentsToFreeze } = await import("../../src/shared/SegmentQueues.ts")
    const original = prepareSegment(join(directory, "original"), (quick ? 16 : 512) * mebibyte)
    const { size } = statSync(original)
    const event = Buffer.alloc(1020, "e")
    return {
      round: async () => {
        const log = join(directory, "log")
        mkdirSync(log)
        const opened = await openWal(host, { directory: log, limits: keepHot, segmentBytesMax: mebibyte })
        const commit = Effect.gen(function*() {
          const begun = performance.now()
          yield* opened.recorder.appendDurable(event)
          return (performance.now() - begun) * 1000
        })
        await opened.settle()
        // In place of the first segment, which is closed and of which nobody reads.
        copyDurably(original, join(log, "FS.00000000.wal"))
        warmPages(directory, size)
        for (let warm = 0; warm < 200; warm++) await opened.run(commit)
        const measured = await opened.run(Effect.gen(function*() {
          const idle: Array<number> = []
          for (let count = quick ? 200 : 2000; count > 0; count--) idle.push(yield* commit)
          const beside: Array<number> = []
          const begun = performance.now()
          yield* TaskQueue.offer(yield* SegmentsToFreeze, { segmentIndex: 0, bytes: size })
          while ((yield* opened.maintainer.status).coldSegments === 0) {
            const [failure] = yield* opened.maintainer.failures
            if (failure !== undefined) return yield* Effect.die(failure)
            beside.push(yield* commit)
          }
          return { idle, beside, freezeSeconds: (performance.now() - begun) / 1000 }
        }))
        await opened.close()
        rmSync(log, { recursive: true })
        const idle = percentiles(Float64Array.from(measured.idle))
        const beside = percentiles(Float64Array.from(measured.beside))
        return {
          measures: {
            "p99 to idle": beside["p99"]! / idle["p99"]!,
            "idle p50": idle["p50"]!,
            "idle p99": idle["p99"]!,
            "beside p50": beside["p50"]!,
            "beside p99": beside["p99"]!,
            "freeze": measured.freezeSeconds
          }
        }
      },
      close: async () => {}
    }
  }
})

export const suite: Suite = {
  name: "besideFreeze",
  tables: [{
    name: "beside a freeze",
    title: "handing over until durable, beside a freeze of 512 MiB",
    metrics,
    reference: "effect-wal, thread",
    contestants: [wal("thread"), wal("fiber"), wal("pool")]
  }]
}
