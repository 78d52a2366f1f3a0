/** Exports with their types written out, as `isolatedDeclarations` demands of a package of a monorepo. */
import { type Config, Effect, Layer, Schema, type Stream } from "effect"
import { type Disk, NodeDisk, type Recorder, type Replay, Verify, Wal, WalConfig } from "effect-wal"
import { SegmentMaintainer } from "effect-wal/SegmentMaintainer"
import { SimulatedDisk } from "effect-wal/testing"

export interface Order {
  readonly cents: number
}

const OrdersBase: Wal.LogClass<Orders, "app/Orders", Order> = Wal.Service<Orders>()("app/Orders", {
  event: Schema.Struct({ cents: Schema.Int })
})
export class Orders extends OrdersBase {}

export const OrdersLive: Layer.Layer<Orders, Wal.WalError, Disk.Disk> = Orders.layer({ directory: "./orders" })

export const InThreads: Layer.Layer<Orders, Wal.WalError> = Orders.layerWorker({ directory: "./orders" }).pipe(
  Layer.provide(NodeDisk.layer)
)

export const Configured: Layer.Layer<Orders, Wal.WalError | Config.ConfigError, Disk.Disk> = Orders.layerConfig(
  WalConfig.config
)

export const record: (order: Order) => Effect.Effect<number, Recorder.RecorderError, Orders> = (order) =>
  Orders.use(({ appendDurable }) => appendDurable(order))

export const read: Stream.Stream<Wal.LogEvent<Order>, Replay.ReplayFailure | Wal.EventUndecodable, Disk.Disk> = Orders
  .reader({ directory: "./orders" }).events()

export const verified: Effect.Effect<Verify.VerifyReport, Disk.DiskError, Disk.Disk> = Verify.verify({
  directory: "./orders"
})

export const segments: Effect.Effect<number, never, SegmentMaintainer> = Effect.flatMap(
  SegmentMaintainer,
  ({ status }) => Effect.map(status, ({ hotSegments }) => hotSegments)
)

export const OnSimulatedDisk: Layer.Layer<Disk.Disk | SimulatedDisk.SimulatedDisk> = SimulatedDisk.layer({ seed: 1 })
