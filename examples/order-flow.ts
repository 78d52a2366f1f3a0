/**
 * Typed events of 64 bytes, in format 1. The fields are written where they
 * will lie: no object, no copy, no allocation per event. Then they are read back, typed.
 *
 *     node examples/order-flow.ts
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Replay, Wal } from "../src/index.ts"

const orderBytes = 64

interface Order {
  readonly eventId: number
  readonly timestampNanos: bigint
  /** In the smallest unit of the currency. */
  readonly price: bigint
  readonly quantity: bigint
  readonly userId: number
  readonly orderId: number
  readonly request: "new" | "cancel" | "modify"
  readonly kind: "limit" | "market"
  readonly side: "buy" | "sell"
}

const requests = ["new", "cancel", "modify"] as const
const kinds = ["limit", "market"] as const
const sides = ["buy", "sell"] as const

/** Where each field lies in the event; bytes 43 to 64 are zero. */
const offset = {
  timestampNanos: 8,
  price: 16,
  quantity: 24,
  userId: 32,
  orderId: 36,
  request: 40,
  kind: 41,
  side: 42
} as const

/** The first 8 bytes are the event's id; the recorder writes it. */
const writeOrder = (view: DataView, at: number, order: Omit<Order, "eventId">): void => {
  view.setBigUint64(at + offset.timestampNanos, order.timestampNanos, true)
  view.setBigInt64(at + offset.price, order.price, true)
  view.setBigInt64(at + offset.quantity, order.quantity, true)
  view.setUint32(at + offset.userId, order.userId, true)
  view.setUint32(at + offset.orderId, order.orderId, true)
  view.setUint8(at + offset.request, requests.indexOf(order.request))
  view.setUint8(at + offset.kind, kinds.indexOf(order.kind))
  view.setUint8(at + offset.side, sides.indexOf(order.side))
}

const readOrder = (eventId: number, view: DataView, at: number): Order => ({
  eventId,
  timestampNanos: view.getBigUint64(at + offset.timestampNanos, true),
  price: view.getBigInt64(at + offset.price, true),
  quantity: view.getBigInt64(at + offset.quantity, true),
  userId: view.getUint32(at + offset.userId, true),
  orderId: view.getUint32(at + offset.orderId, true),
  request: requests[view.getUint8(at + offset.request)] ?? "new",
  kind: kinds[view.getUint8(at + offset.kind)] ?? "limit",
  side: sides[view.getUint8(at + offset.side)] ?? "buy"
})

const ordersWanted = 200_000

class Orders extends Wal.Service<Orders>()("example/Orders") {}

const record = Effect.gen(function*() {
  const { commit, recorder: { writer } } = yield* Orders
  const startMillis = performance.now()
  let orderId = 1
  while (orderId <= ordersWanted) {
    const at = writer.reserveUnsafe(orderBytes)
    if (at <= 0) {
      // Every slot waits for the disk: let it catch up, then reserve again.
      yield* commit
      continue
    }
    writeOrder(writer.view, at, {
      timestampNanos: BigInt(Date.now()) * 1_000_000n,
      price: 10_000n + BigInt(orderId % 50),
      quantity: 1n + BigInt(orderId % 10),
      userId: orderId % 7,
      orderId,
      request: requests[orderId % 3] ?? "new",
      kind: kinds[orderId % 2] ?? "limit",
      side: sides[(orderId >> 1) % 2] ?? "buy"
    })
    writer.publishUnsafe()
    orderId += 1
  }
  const durable = yield* commit
  const millis = performance.now() - startMillis
  console.log(`recorded ${durable} orders in ${millis.toFixed(0)} ms, all of them durable`)
})

/** Replays the blocks, which are checked, and reads each order where it lies. */
const report = (directory: string) =>
  Effect.gen(function*() {
    const volume = { buy: 0n, sell: 0n }
    let orders = 0
    let last: Order | undefined
    yield* Stream.runForEachArray(Replay.blocks({ directory }), (blocks) =>
      Effect.sync(() => {
        for (const block of blocks) {
          const view = new DataView(block.payload.buffer, block.payload.byteOffset, block.payload.byteLength)
          Replay.forEachEvent(block, (id, _bytes, start) => {
            last = readOrder(id, view, start)
            volume[last.side] += last.price * last.quantity
            orders += 1
          })
        }
      }))
    console.log(`read back ${orders} orders; bought for ${volume.buy}, sold for ${volume.sell}`)
    console.log("the last one:", last)
  })

const directory = mkdtempSync(join(tmpdir(), "order-flow-"))
const ordersIn = Orders.layerWorker({
  directory,
  format: 1,
  segmentBytesMax: "2MiB",
  limits: { maxSegments: 4, maxCompressedSegments: 64 }
})

await Effect.runPromise(
  Effect.scoped(Effect.provide(record, ordersIn)).pipe(
    Effect.andThen(report(directory)),
    Effect.provide(NodeDisk.layer),
    Effect.ensuring(Effect.sync(() => rmSync(directory, { recursive: true })))
  )
)
