/**
 * A recorder behind HTTP, put together from Layers. `POST /events` takes NDJSON, one order a line, records the lines, and
 * answers with their ids when all of them are durable; requests that wait at the same time share one sync. `GET /events`
 * gives them back.
 *
 *     PORT=8080 node examples/recorder-app.ts ./log
 *     curl --data-binary $'{"customer":"ada","cents":120}\n' http://127.0.0.1:8080/events
 *
 * On SIGTERM the layers close in order: no new requests, those that run are answered, then the last segment, then the
 * drain. Started again with the same directory, the ids go on.
 *
 * Without `PORT` it is its own client: it sends some requests, ends, and counts what a replay finds.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"

const port = Number(process.env["PORT"] ?? 0)
const given = process.argv[2]
const directory = given ?? mkdtempSync(join(tmpdir(), "effect-wal-app-"))

const Order = Schema.Struct({ customer: Schema.NonEmptyString, cents: Schema.Int })

class Orders extends Wal.Service<Orders>()("example/Orders", { event: Order }) {}

/** Succeeds with the orders' ids when all of them are durable. */
const place = Effect.fn("place")(function*(orders: ReadonlyArray<typeof Order.Type>) {
  const log = yield* Orders
  const ids = yield* Effect.forEach(orders, log.append)
  yield* log.commitTo(ids.at(-1) ?? 0)
  return ids
})

const decodeLine = Schema.decodeEffect(Schema.fromJsonString(Order))

/** A request is looked at as a whole first, so one with a wrong line records nothing. */
const post = Effect.gen(function*() {
  const request = yield* HttpServerRequest.HttpServerRequest
  const orders = yield* request.stream.pipe(
    Stream.decodeText,
    Stream.splitLines,
    Stream.filter((line) => line.trim() !== ""),
    Stream.mapEffect((line) => decodeLine(line)),
    Stream.runCollect
  )
  return HttpServerResponse.jsonUnsafe({ ids: yield* place(orders) })
}).pipe(
  Effect.catchReason(
    "RecorderError",
    "TooLarge",
    ({ message }) => Effect.succeed(HttpServerResponse.jsonUnsafe({ error: message }, { status: 413 }))
  ),
  Effect.catchTags({
    SchemaError: (error) => Effect.succeed(HttpServerResponse.jsonUnsafe({ error: error.message }, { status: 400 })),
    RecorderError: (error) =>
      Effect.succeed(
        HttpServerResponse.jsonUnsafe({ error: error.message }, { status: error.isRetryable ? 503 : 500 })
      )
  })
)

/** Up to what is durable now, so the answer ends. */
const get = Effect.map(Orders, (log) => {
  const lines = Stream.map(log.events(), ({ event, id }) => Buffer.from(`${id} ${JSON.stringify(event)}\n`))
  return HttpServerResponse.stream(lines, { contentType: "text/plain" })
})

const Routes = Layer.mergeAll(HttpRouter.add("POST", "/events", post), HttpRouter.add("GET", "/events", get))

const HttpLive = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "10 seconds" })

const OrdersLive = Orders.layerWorker({ directory, segmentBytesMax: "1MiB" })

/** What is provided last closes last: the server ends before the recorder. */
const App = HttpRouter.serve(Routes, { disableLogger: true }).pipe(
  Layer.provideMerge(HttpLive),
  Layer.provide(OrdersLive),
  Layer.provide(NodeDisk.layer)
)

const send = (url: string, lines: string) =>
  Effect.promise(async () => {
    const response = await fetch(url, { method: "POST", body: lines })
    return `${response.status} ${await response.text()}`
  })

/** A client with some requests at a time. */
const client = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const url = `${HttpServer.formatAddress(address)}/events`
  const orders = (request: number) =>
    Array.from({ length: 3 }, (_, i) => JSON.stringify({ customer: `customer ${request}`, cents: 100 + i })).join("\n")
  yield* Console.log(yield* send(url, orders(0)))
  yield* Console.log(yield* send(url, `{"customer":"ada","cents":"a lot"}`))
  yield* Effect.forEach(Array.from({ length: 99 }, (_, i) => i + 1), (request) => send(url, orders(request)), {
    concurrency: 20,
    discard: true
  })
  const listed = yield* Effect.promise(async () => (await fetch(url)).text())
  yield* Console.log(`GET /events gives ${listed.trim().split("\n").length} lines`)
})

const demonstration = Effect.gen(function*() {
  yield* Effect.provide(client, App)
  const recorded = yield* Stream.runCount(Orders.reader({ directory }).events()).pipe(Effect.provide(NodeDisk.layer))
  yield* Console.log(`after the shutdown a replay finds ${recorded} orders in ${directory}`)
  if (given === undefined) {
    rmSync(directory, { recursive: true })
    if (recorded !== 300) return yield* Effect.die(new Error("300 orders were answered for"))
  }
})

NodeRuntime.runMain(port === 0 ? demonstration : Layer.launch(App))
