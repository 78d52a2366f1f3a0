/** What each layer of the front door provides, how it fails, and what it asks for: held by the compiler. */
import { describe, expectTypeOf, it } from "@effect/vitest"
import type * as Config from "effect/Config"
import type * as HttpRouter from "effect/http/HttpRouter"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Wal } from "../src/index.ts"
import type * as Wals from "../src/index.ts"
import type * as PrometheusRoute from "../src/PrometheusRoute.ts"
import type { SimulatedDisk } from "../src/testing/index.ts"

type Disk = Wals.Disk.Disk
type Queues = Wals.SegmentQueues.SegmentQueues

class Orders extends Wal.Service<Orders>()("test/Orders", { event: Schema.Struct({ cents: Schema.Int }) }) {}
class Events extends Wal.Service<Events>()("test/Events") {}

describe("the layers of a log", () => {
  it("provide the one service, fail with the errors of a start, and ask for a disk", () => {
    expectTypeOf<ReturnType<typeof Orders.layer>>().toEqualTypeOf<Layer.Layer<Orders, Wals.Wal.WalError, Disk>>()
    expectTypeOf<ReturnType<typeof Orders.layerWorker>>().toEqualTypeOf<Layer.Layer<Orders, Wals.Wal.WalError, Disk>>()
    expectTypeOf<ReturnType<typeof Orders.layerConfig>>().toEqualTypeOf<
      Layer.Layer<Orders, Wals.Wal.WalError | Config.ConfigError, Disk>
    >()
    expectTypeOf<ReturnType<typeof Events.layer>>().toEqualTypeOf<Layer.Layer<Events, Wals.Wal.WalError, Disk>>()
  })

  it("give their parts to layers that need one", () => {
    expectTypeOf(Orders.parts).toEqualTypeOf<Layer.Layer<Wals.Wal.Parts, never, Orders>>()
    expectTypeOf<typeof Wals.Monitor.layer>().toEqualTypeOf<
      Layer.Layer<
        never,
        never,
        | Wals.Recorder.Recorder
        | Wals.SegmentMaintainer.SegmentMaintainer
        | Wals.SegmentArena.SegmentArena
        | Wals.Telemetry.Telemetry
        | Disk
      >
    >()
    expectTypeOf<ReturnType<typeof Wals.TelemetryExport.layerMetrics>>().toEqualTypeOf<
      Layer.Layer<never, never, Wals.Telemetry.Telemetry>
    >()
    expectTypeOf<ReturnType<typeof PrometheusRoute.layer>>().toEqualTypeOf<
      Layer.Layer<never, never, HttpRouter.HttpRouter | Wals.Telemetry.Telemetry>
    >()
  })
})

describe("the layers of which a log is made", () => {
  it("provide one part each", () => {
    expectTypeOf<ReturnType<typeof Wals.Recorder.layer>>().toEqualTypeOf<
      Layer.Layer<
        Wals.Recorder.Recorder,
        Wals.Wal.WalError,
        | Wals.SegmentMaintainer.SegmentMaintainer
        | Wals.SegmentArena.SegmentArena
        | Wals.SegmentQueues.SegmentsToPersist
        | Wals.Telemetry.Telemetry
        | Disk
      >
    >()
    type Maintainer<R> = Layer.Layer<
      Wals.SegmentMaintainer.SegmentMaintainer,
      Wals.Disk.DiskError,
      Disk | Queues | Wals.Telemetry.Telemetry | R
    >
    expectTypeOf<ReturnType<typeof Wals.SegmentMaintainer.layer>>().toEqualTypeOf<
      Maintainer<Wals.SegmentArena.SegmentArena>
    >()
    expectTypeOf<ReturnType<typeof Wals.SegmentMaintainerWorker.layer>>().toEqualTypeOf<
      Maintainer<Wals.SegmentArena.SegmentArena>
    >()
    expectTypeOf<ReturnType<typeof Wals.SegmentMaintainer.layerAlone>>().toEqualTypeOf<Maintainer<never>>()
    expectTypeOf<ReturnType<typeof Wals.SegmentMaintainerWorker.layerAlone>>().toEqualTypeOf<Maintainer<never>>()
    expectTypeOf<typeof Wals.SegmentQueues.layer>().toEqualTypeOf<Layer.Layer<Queues>>()
    expectTypeOf<ReturnType<typeof Wals.SegmentArena.layer>>().toEqualTypeOf<
      Layer.Layer<Wals.SegmentArena.SegmentArena>
    >()
    expectTypeOf<ReturnType<typeof Wals.Telemetry.layer>>().toEqualTypeOf<Layer.Layer<Wals.Telemetry.Telemetry>>()
    expectTypeOf<typeof Wals.Telemetry.layerNoop>().toEqualTypeOf<Layer.Layer<Wals.Telemetry.Telemetry>>()
    expectTypeOf<typeof Wals.NodeDisk.layer>().toEqualTypeOf<Layer.Layer<Disk>>()
    expectTypeOf<ReturnType<typeof SimulatedDisk.layer>>().toEqualTypeOf<
      Layer.Layer<Disk | SimulatedDisk.SimulatedDisk>
    >()
  })
})
