/**
 * Recording with every segment frozen as soon as it is closed, from the first append until nothing is left to freeze,
 * beside the freeze step alone on the same segments.
 */
import { readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { throughput } from "../harness/Suite.ts"
import type { Contestant, Metric, Scale, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const mebibyte = 2 ** 20
const eventBytes = 256
const segmentBytes = 16 * mebibyte
const segmentsOf = (quick: boolean): number => (quick ? 2 : 12)
const metrics: ReadonlyArray<Metric> = [throughput, { name: "hot segments left", unit: "segments", better: "less" }]

const payloadOf = async (quick: boolean): Promise<Uint8Array> => {
  const { realBytes } = await import("../harness/RealBytes.ts")
  return realBytes(segmentsOf(quick) * segmentBytes)
}

const wal = (host: Host): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "events of 256 bytes, segments of 16 MiB, maxSegments 2: what is closed is frozen at once",
  open: async ({ directory, quick }: Scale) => {
    const { appendPayload } = await import("../harness/appendMany.ts")
    const { openWal } = await import("../harness/Wal.ts")
    const limits = { maxSegments: 2, maxCompressedSegments: "unlimited" } as const
    const opened = await openWal(host, { directory, limits, segmentBytesMax: segmentBytes, eventSize: eventBytes })
    const payload = await payloadOf(quick)
    return {
      round: async () => {
        await opened.rest()
        for (const name of readdirSync(directory).filter((name) => name.endsWith(".lz4")).sort().slice(0, -2)) {
          rmSync(join(directory, name))
        }
        const started = performance.now()
        await opened.run(appendPayload(opened, payload, eventBytes))
        await opened.rest()
        const seconds = (performance.now() - started) / 1000
        const { hotSegments } = await opened.run(opened.maintainer.status)
        return { measures: { "throughput": payload.length / 1e6 / seconds, "hot segments left": hotSegments } }
      },
      close: opened.close
    }
  }
})

const stepAlone: Contestant = {
  name: "freeze step alone",
  note: "the same segments, already closed and durable, one after the other",
  open: async ({ directory, quick }: Scale) => {
    const { defaultNaming, hotName } = await import("../../src/format/SegmentName.ts")
    const { freezeStep } = await import("../harness/freezeStep.ts")
    const { makeSegments } = await import("../harness/Segments.ts")
    const payload = await payloadOf(quick)
    return {
      round: async () => {
        for (let i = 0; i < segmentsOf(quick); i++) {
          // Each is the first segment of a directory of its own, moved here; the step proves a segment by itself.
          const aside = join(directory, "aside")
          const part = payload.subarray(i * segmentBytes, (i + 1) * segmentBytes)
          makeSegments({
            directory: aside,
            form: "hot",
            segments: i + 1,
            segmentBytes,
            eventSize: eventBytes,
            payload: part
          })
          renameSync(join(aside, hotName(defaultNaming, i)), join(directory, hotName(defaultNaming, i)))
          rmSync(aside, { recursive: true })
        }
        const started = performance.now()
        for (let i = 0; i < segmentsOf(quick); i++) {
          await freezeStep(directory, i)
        }
        const seconds = (performance.now() - started) / 1000
        for (const name of readdirSync(directory)) rmSync(join(directory, name))
        return { measures: { throughput: payload.length / 1e6 / seconds } }
      },
      close: async () => {}
    }
  }
}

export const suite: Suite = {
  name: "sustained",
  tables: [{
    name: "sustained",
    title: "recording real text, every segment frozen",
    metrics,
    reference: "freeze step alone",
    contestants: [wal("thread"), wal("fiber"), stepAlone]
  }]
}
