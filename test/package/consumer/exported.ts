/** Exports with the types that TypeScript infers: whatever a package of a monorepo may export. */
import { Effect, Layer, Schema, Stream } from "effect"
import {
  Backup,
  Compressor,
  Disk,
  EventCodec,
  Monitor,
  NodeDisk,
  Recorder,
  Repair,
  Replay,
  Retention,
  SegmentArena,
  SegmentMaintainer,
  SegmentMaintainerWorker,
  SegmentName,
  SegmentProof,
  SegmentQueues,
  TaskQueue,
  Telemetry,
  TelemetryExport,
  ThreadAppender,
  Verify,
  Wal,
  WalConfig
} from "effect-wal"

export class Orders extends Wal.Service<Orders>()("app/Orders", { event: Schema.Struct({ cents: Schema.Int }) }) {}
export class Events extends Wal.Service<Events>()("app/Events") {}
export const OrdersLive = Orders.layer({ directory: "./orders" })
export const EventsLive = Layer.provide(Events.layerWorker({ directory: "./events" }), NodeDisk.layer)
export const Configured = Events.layerConfig(WalConfig.config)
export const program = Effect.gen(function*() {
  const orders = yield* Orders
  return yield* orders.appendDurable({ cents: 1 })
})
/** Every member of a service, with its type written out. */
export const order = Effect.map(Orders, (log) => ({ ...log }))
export const parts = Effect.map(Orders, (log) => log.parts)
export const reader = Effect.sync(() => ({ ...Orders.reader({ directory: "." }) }))
export const recorder = Effect.map(Recorder.Recorder, (service) => ({ ...service }))
export const positions = Effect.map(Orders, (log) => log.positions)
export const writer = Effect.map(Recorder.Recorder, ({ writer }) => ({ ...writer }))
export const maintainer = Effect.map(SegmentMaintainer.SegmentMaintainer, (service) => ({ ...service }))
export const status = Effect.flatMap(
  SegmentMaintainer.SegmentMaintainer,
  (service) => Effect.map(service.status, (s) => ({ ...s }))
)
export const disk = Effect.map(Disk.Disk, (service) => ({ ...service }))
export const arena = SegmentArena.SegmentArena.use(Effect.succeed)
export const telemetry = Effect.map(Telemetry.Telemetry, (service) => ({ ...service }))
export const snapshot = Effect.flatMap(Telemetry.Telemetry, (service) => service.snapshot)
export const compressor = Effect.map(Compressor.Compressor, (service) => ({ ...service }))
export const proof = SegmentProof.anyBytes
export const offered = Effect.flatMap(
  SegmentQueues.SegmentsToFreeze,
  (queue) => TaskQueue.offer(queue, { segmentIndex: 1, slot: 0, bytes: 1 })
)
export const backup = Backup.backup({ directory: ".", to: "x" })
export const repaired = Repair.repair({ directory: ".", apply: false })
export const verified = Verify.verify({ directory: "." })
export const faults = Effect.map(verified, (report) => ({ ...report }))
export const replayed = Replay.events({ directory: "." })
export const blocks = Stream.runCollect(Replay.blocks({ directory: "." }))
export const report = Monitor.read("x")
export const monitor = Monitor.layer
export const limits = Retention.defaultLimits
export const worker = SegmentMaintainerWorker.layer({ directory: "." })
export const metrics = TelemetryExport.layerMetrics
export const codec = EventCodec.make(Schema.String)
export const appender = ThreadAppender.open
export const attached = ThreadAppender.attach
export const segments = Effect.flatMap(SegmentMaintainer.SegmentMaintainer, ({ segments }) => segments)
export const state = Effect.map(SegmentMaintainer.SegmentMaintainer, (service) => ({ ...service }))
export const appendErrors = Effect.map(Orders, (orders) => orders.append({ cents: 1 }))
export const naming = SegmentName.defaultNaming
export const opened = Effect.map(Orders, ({ recovery }) => ({ ...recovery }))
export const counters = Effect.flatMap(Telemetry.Telemetry, ({ snapshot }) => Effect.map(snapshot, (s) => ({ ...s })))
export const held = Effect.flatMap(
  SegmentMaintainer.SegmentMaintainer,
  (service) => Effect.map(service.hold({ name: "x", fromSegmentIndex: 0 }), (hold) => ({ ...hold }))
)
/** Reasons in the place of their errors. */
export const appendReasons = Effect.map(
  Orders,
  (orders) => Effect.unwrapReason(orders.append({ cents: 1 }), "RecorderError")
)
export const readReasons = Replay.firstAvailableId(".").pipe(Effect.unwrapReason("DiskError"))
export const replayReasons = Stream.runDrain(Replay.events({ directory: "." })).pipe(
  Effect.unwrapReason("SegmentCorrupt"),
  Effect.unwrapReason("DiskError")
)
export const monitorReasons = Effect.unwrapReason(Monitor.read("x"), "MonitorError")
export const isFull = Effect.map(
  Orders,
  (orders) =>
    Effect.catchReason(orders.append({ cents: 1 }), "RecorderError", "TooLarge", (reason) => Effect.succeed(reason))
)
