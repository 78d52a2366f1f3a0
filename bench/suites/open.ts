/** Opening a directory: from building the layer until the recorder takes events. */
import { makeSegments } from "../harness/Segments.ts"
import type { Contestant, Metric, Suite } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"

const metrics: ReadonlyArray<Metric> = [{ name: "open", unit: "ms", better: "less" }]

const contestant = (host: Host, segments: number): Contestant => ({
  name: `${segments.toLocaleString("en-GB")} segments, ${host}`,
  note: "cold segments of 4 KiB; until the first event can be appended",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const References = await import("effect/References")
    const Scope = await import("effect/Scope")
    const Exit = await import("effect/Exit")
    const NodeDisk = await import("../../src/disk/NodeDisk.ts")
    const Wal = await import("../../src/recorder/WalParts.ts")
    makeSegments({
      directory,
      form: "cold",
      segments: quick ? Math.min(segments, 200) : segments,
      segmentBytes: 65_536,
      eventSize: 64,
      payload: new Uint8Array(4096).fill(0x61)
    })
    const options = {
      directory,
      segmentBytesMax: 65_536,
      eventSize: 64,
      limits: { maxSegments: 4, maxCompressedSegments: "unlimited" }
    } as const
    const layer = (host === "thread" ? Wal.layerWorker(options) : Wal.layer(options)).pipe(
      Layer.provide(NodeDisk.layer),
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
    return {
      round: async () => {
        const scope = Scope.makeUnsafe()
        const started = performance.now()
        await Effect.runPromise(Layer.buildWithScope(Layer.fresh(layer), scope))
        const millis = performance.now() - started
        await Effect.runPromise(Scope.close(scope, Exit.void))
        return { measures: { open: millis } }
      },
      close: async () => {}
    }
  }
})

export const suite: Suite = {
  name: "open",
  tables: [{
    name: "open",
    title: "opening a directory of closed segments",
    metrics,
    reference: "10 segments, fiber",
    contestants: [
      contestant("fiber", 10),
      contestant("fiber", 1000),
      contestant("fiber", 10_000),
      contestant("thread", 10),
      contestant("thread", 10_000)
    ]
  }]
}
