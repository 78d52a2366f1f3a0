/**
 * The layers of an application that records: a service of its own on top of the recorder, a disk below it.
 *
 *     node examples/recorder-app.ts [directory]
 *
 * Orders are recorded by several fibers at once; each is durable before its fiber goes on, and all that wait at the same
 * time share one sync. On SIGTERM, or at the end, the layers close in order: no more orders, then the last segment, then
 * the drain. Run it again with the same directory and the ids go on.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { RecorderError } from "../src/index.ts"
import { NodeDisk, Recorder, Replay, Wal } from "../src/index.ts"

const directory = process.argv[2] ?? mkdtempSync(join(tmpdir(), "effect-wal-app-"))

interface Order {
  readonly customer: string
  readonly cents: number
}

class Orders extends Context.Service<Orders, {
  /** Succeeds with the order's number when the order is durable. */
  readonly place: (order: Order) => Effect.Effect<number, RecorderError.RecorderError>
}>()("example/Orders") {
  static readonly layer = Layer.effect(
    Orders,
    Effect.map(Recorder.Recorder, (recorder) => {
      const encoder = new TextEncoder()
      return { place: (order: Order) => recorder.appendDurable(encoder.encode(JSON.stringify(order))) }
    })
  )
}

const RecorderLive = Wal.layerWorker({
  directory,
  segmentBytesMax: 1024 * 1024,
  limits: { maxSegments: 4, maxCompressedSegments: 16 }
}).pipe(Layer.provide(NodeDisk.layer))

const placeOrders = Effect.gen(function*() {
  const orders = yield* Orders
  yield* Effect.forEach(
    Array.from({ length: 1000 }, (_, index) => ({ customer: `customer ${index % 7}`, cents: 100 + index })),
    orders.place,
    { concurrency: 50, discard: true }
  )
}).pipe(Effect.provide(Orders.layer), Effect.provide(RecorderLive))

const sumUp = Stream.runFold(
  Replay.events({ directory }),
  () => ({ orders: 0, cents: 0 }),
  (sum, { bytes }) => ({
    orders: sum.orders + 1,
    cents: sum.cents + (JSON.parse(Buffer.from(bytes).toString()) as Order).cents
  })
).pipe(Effect.provide(NodeDisk.layer))

NodeRuntime.runMain(Effect.gen(function*() {
  yield* placeOrders
  const { cents, orders } = yield* sumUp
  yield* Console.log(`${orders} orders of ${cents / 100} in ${directory}`)
}))
