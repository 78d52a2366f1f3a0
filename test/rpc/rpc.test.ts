/** A log that another process uses: over HTTP and through a Unix socket. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { EventCodec, Wal } from "../../src/index.ts"
import { connect, layer } from "../../src/rpc/index.ts"
import { asks, served } from "../console/serving.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"

const Order = Schema.Struct({ customer: Schema.String, cents: Schema.Int })

class Orders extends Wal.Service<Orders>()("test/RpcOrders", { event: Order }) {}

const small = { segmentBytesMax: 65_536, limits: { maxSegments: 4, maxCompressedSegments: 512 } } as const

/** A log in a directory that goes away with the scope. */
const ordersLive = (options: Omit<Wal.WalOptions, "directory"> = {}) =>
  Layer.unwrap(Effect.map(temporaryDirectory, (directory) => Orders.layer({ ...small, ...options, directory }))).pipe(
    Layer.provideMerge(NodeDisk.layer)
  )

const routes = (options: Parameters<typeof layer>[0] = {}) => Layer.provide(layer(options), Orders.parts)

const codec = EventCodec.make(Order)

const overHttp = Effect.gen(function*() {
  const port = yield* served(routes())
  return yield* Effect.provide(connect({ url: `http://127.0.0.1:${port}/log`, codec }), FetchHttpClient.layer)
})

const overSocket = Effect.gen(function*() {
  const socketPath = join(yield* temporaryDirectory, "log.sock")
  yield* served(routes(), socketPath)
  const client = NodeHttpClient.layerUndiciOptions({ connect: { socketPath } })
  return yield* Effect.provide(connect({ url: "http://localhost/log", codec }), yield* Layer.build(client))
})

const order = (n: number): typeof Order.Type => ({ customer: `c${n}`, cents: n })

describe.each([["over HTTP", overHttp], ["through a Unix socket", overSocket]] as const)("a log %s", (_, remote) => {
  it.live("records what another process appends, once and in order, and tells what is durable", () =>
    Effect.gen(function*() {
      const orders = yield* remote
      assert.strictEqual(yield* orders.append(order(1)), 1)
      assert.strictEqual(yield* orders.appendAll([order(2), order(3), order(4)]), 4)
      assert.strictEqual(yield* orders.commitTo(4), 4)
      const ids = yield* Effect.forEach(Array.from({ length: 50 }, (_, i) => i), () => orders.append(order(5)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(ids.toSorted((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i + 5))
      assert.strictEqual(yield* orders.commit, 54)
      assert.deepStrictEqual(yield* orders.positions, { appended: 54, durable: 54, compressed: 0, deletedBefore: 1 })
      const own = yield* Orders
      const recorded = yield* Stream.runCollect(own.events())
      const read = yield* Stream.runCollect(orders.events())
      assert.deepStrictEqual(read, recorded)
      assert.deepStrictEqual(read.slice(0, 4).map(({ event }) => event), [1, 2, 3, 4].map(order))
      const some = yield* Stream.runCollect(orders.events({ from: { id: 3 }, toId: 5 }))
      assert.deepStrictEqual(some.map(({ id }) => id), [3, 4, 5])
    }).pipe(Effect.scoped, Effect.provide(ordersLive())))
})

describe("a reader in another process", () => {
  it.live("gets each event when it is durable, and none before", () =>
    Effect.gen(function*() {
      const orders = yield* overHttp
      const own = yield* Orders
      const got: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(orders.events({ follow: true, toId: 200, name: "far" }), ({ id }) =>
          Effect.map(own.positions, ({ durable }) => {
            assert.isAtMost(id, durable)
            got.push(id)
          }))
      )
      yield* own.appendAll([order(1), order(2)])
      assert.deepStrictEqual(yield* Stream.runCollect(orders.events()), [], "nothing is durable yet")
      yield* own.flush
      for (let n = 3; n <= 200; n++) {
        yield* orders.append(order(n))
        if (n % 20 === 0) {
          yield* own.flush
        }
      }
      yield* Fiber.join(reader)
      assert.deepStrictEqual(
        got,
        Array.from({ length: 200 }, (_, i) =>
          i + 1)
      )
    }).pipe(Effect.scoped, Effect.provide(ordersLive({ commit: "onRotate" }))))

  it.live("that takes nothing is sent nothing more, keeps what it has not read, and lets go of it when it goes", () =>
    Effect.gen(function*() {
      const orders = yield* overHttp
      const own = yield* Orders
      const big = { customer: "x".repeat(20_000), cents: 1 }
      for (let n = 0; n < 3200; n++) yield* own.append(big)
      yield* own.commit
      const reading = yield* Scope.make()
      const pull = yield* Scope.provide(Stream.toPull(orders.events({ name: "slow" })), reading)
      yield* pull
      const held = Effect.map(own.maintainer.status, ({ holds }) => holds.find(({ name }) => name === "slow"))
      const last = (yield* own.maintainer.segments).at(-1)?.segmentIndex ?? 0
      const isFar: Effect.Effect<void> = Effect.flatMap(
        held,
        (hold) =>
          hold !== undefined && hold.fromSegmentIndex > last * 3 / 4
            ? Effect.void
            : Effect.andThen(Effect.sleep(5), isFar)
      )
      // 64 MB were recorded. What waits on the way is a few batches, a read ahead, and what the sockets take: 11 MB were
      // seen on a quiet machine, and over 22 MB once on a busy one.
      const far = yield* Effect.timeoutOption(isFar, "1 second")
      assert.strictEqual(far._tag, "None", "the log was read on, although nobody took what was read")
      yield* Scope.close(reading, Exit.void)
      const gone: Effect.Effect<void> = Effect.flatMap(
        held,
        (hold) => hold === undefined ? Effect.void : Effect.andThen(Effect.sleep(10), gone)
      )
      yield* gone
    }).pipe(
      Effect.scoped,
      Effect.provide(ordersLive({ segmentBytesMax: 1 << 20, limits: { maxSegments: 128, maxCompressedSegments: 512 } }))
    ))

  it.live("is told which event does not fit its schema, and sends none that does not", () =>
    Effect.gen(function*() {
      const port = yield* served(routes())
      const own = yield* Orders
      yield* own.appendDurable(order(1))
      const url = `http://127.0.0.1:${port}/log`
      const numbers = yield* Effect.provide(connect({ url, codec: EventCodec.make(Schema.Int) }), FetchHttpClient.layer)
      const error = yield* Effect.flip(Stream.runDrain(numbers.events()))
      assert.deepInclude(error, { _tag: "EventUndecodable", eventId: 1 })
      const refused = yield* Effect.flip(numbers.append(1.5))
      assert.strictEqual(refused._tag, "RecorderError")
    }).pipe(Effect.scoped, Effect.provide(ordersLive())))
})

describe("who may use a log from another process", () => {
  it.live("brings the token, names this host, and is no other site", () =>
    Effect.gen(function*() {
      const token = Redacted.make("of this test")
      const port = yield* served(routes({ token }))
      const url = `http://127.0.0.1:${port}/log`
      const trying = (options: object) =>
        Effect.exit(
          Effect.flatMap(
            Effect.provide(connect({ url, codec, ...options }), FetchHttpClient.layer),
            (orders) => orders.append(order(1))
          )
        )
      assert.isTrue(Exit.isFailure(yield* trying({})))
      assert.isTrue(Exit.isFailure(yield* trying({ token: Redacted.make("wrong") })))
      assert.strictEqual((yield* Orders.use(({ positions }) => positions)).appended, 0)
      assert.deepStrictEqual(yield* trying({ token }), Exit.succeed(1))
      const open = yield* served(routes())
      assert.strictEqual((yield* asks(open, "/log", { host: "evil.example" }, "POST")).status, 403)
      assert.strictEqual((yield* asks(open, "/log", { "sec-fetch-site": "cross-site" }, "POST")).status, 403)
    }).pipe(Effect.scoped, Effect.provide(ordersLive())))

  it.live("is told when nobody answers", () =>
    Effect.gen(function*() {
      const server = yield* Scope.make()
      const port = yield* Scope.provide(served(routes()), server)
      const orders = yield* Effect.provide(
        connect({ url: `http://127.0.0.1:${port}/log`, codec }),
        FetchHttpClient.layer
      )
      assert.strictEqual(yield* orders.append(order(1)), 1)
      yield* Scope.close(server, Exit.void)
      const exit = yield* Effect.exit(orders.append(order(2)))
      assert.match(String(exit), /RpcClientError/)
    }).pipe(Effect.scoped, Effect.provide(ordersLive())))

  it.effect("is not left to wrong arguments: they are a defect that names them", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [object, RegExp]> = [
        [{ url: "127.0.0.1:80", codec }, /options\.url/],
        [{ url: "http://127.0.0.1/", codec }, /options\.url/],
        [{ url: "http://127.0.0.1/log", codec: Order }, /options\.codec/],
        [{ url: "http://127.0.0.1/log", codec, token: "plain" }, /options\.token/]
      ]
      for (const [options, message] of wrong) {
        const exit = yield* Effect.exit(Effect.scoped(connect(options as Parameters<typeof connect>[0])))
        assert.match(String(exit), message)
      }
      const orders = yield* connect({ url: "http://127.0.0.1:1/log", codec })
      for (const range of [{ from: { id: -1 } }, { toId: 1.5 }, { follow: "yes" }, { form: "oldest" }]) {
        const exit = yield* Effect.exit(Stream.runDrain(orders.events(range as object)))
        assert.match(String(exit), /WrongOptions.*range\./)
      }
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer)))
})
