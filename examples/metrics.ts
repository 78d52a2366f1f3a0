/**
 * A recorder whose numbers reach two monitoring systems: Prometheus scrapes them over HTTP, and an OpenTelemetry
 * collector gets them pushed, together with the application's own metrics and spans.
 *
 *     node examples/metrics.ts
 *
 * It stands in for both systems itself: it scrapes once, and it listens where a collector would. Then it ends.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as OtlpTracer from "effect/observability/OtlpTracer"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Monitor, NodeDisk, Telemetry, TelemetryExport, Wal } from "../src/index.ts"
import * as PrometheusRoute from "../src/PrometheusRoute.ts"

/** Stands in for an OpenTelemetry collector: counts what arrives, by path. */
const startCollector = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly received: Map<string, string>; readonly close: () => void }>(
    (resume) => {
      const received = new Map<string, string>()
      const server = createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8").on("data", (text: string) => (body += text)).on("end", () => {
          received.set(request.url ?? "", (received.get(request.url ?? "") ?? "") + body)
          response.end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, received, close: () => server.close() }))
      })
    }
  ),
  ({ close }) => Effect.sync(close)
)

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-wal-metrics-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** `GET /metrics`; read when it is asked for. */
const prometheus = HttpRouter.serve(PrometheusRoute.layer(), { disableLogger: true, disableListenLog: true })
  .pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 }))
  )

const resource = { serviceName: "metrics-example" }
const otlpTransport = Layer.merge(OtlpSerialization.layerJson, FetchHttpClient.layer)

/**
 * Pushes Effect's metrics, into which `layerMetrics` puts the recorder's: every second, and once more when it closes.
 * It lies beneath the log, together with the log's telemetry, so the last push shows what the drain did.
 */
const pushedMetrics = (url: string, log: string) =>
  OtlpMetrics.layer({ url: `${url}/v1/metrics`, resource, exportInterval: "1 second" }).pipe(
    Layer.provide(otlpTransport),
    Layer.provideMerge(TelemetryExport.layerMetrics()),
    Layer.provideMerge(Telemetry.layer({ log }))
  )

/** Pushes the spans of the maintainer's steps. */
const pushedSpans = (url: string) =>
  OtlpTracer.layer({ url: `${url}/v1/traces`, resource }).pipe(Layer.provide(otlpTransport))

class Events extends Wal.Service<Events>()("example/Events") {}

/** The value of a metric in the last of several pushes; `undefined` when it is in none. */
const lastValue = (pushes: string, name: string): number | undefined => {
  const last = pushes.lastIndexOf(`"${name}"`)
  const value = /"as(?:Int|Double)":"?([\d.]+)/.exec(pushes.slice(last))?.[1]
  return last < 0 || value === undefined ? undefined : Number(value)
}

/** The work: events that fill a few segments. */
const work = Effect.gen(function*() {
  const { append, commit } = yield* Events
  const event = new TextEncoder().encode("an event that says nothing in particular, again and again")
  for (let count = 0; count < 20_000; count++) yield* append(event)
  yield* commit
})

const scrape = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const text = yield* Effect.promise(async () => (await fetch(`${HttpServer.formatAddress(address)}/metrics`)).text())
  const wanted = /^effect_wal_(written_events_total|durable_lag_seconds|recorder_commit_samples_total|hot_segments)/
  yield* Console.log("Prometheus scrapes:")
  for (const line of text.split("\n").filter((line) => wanted.test(line))) yield* Console.log(`  ${line}`)
})

const main = Effect.gen(function*() {
  const collector = yield* startCollector
  const limits = { maxSegments: 2, maxCompressedSegments: 64 }
  const log = yield* directory
  const events = Events.layer({ directory: log, segmentBytesMax: "256KiB", limits })
  const layer = Layer.mergeAll(Monitor.layer, prometheus).pipe(
    Layer.provide(Events.parts),
    Layer.provideMerge(events),
    Layer.provide(pushedMetrics(collector.url, log)),
    Layer.provideMerge(NodeDisk.layer)
  )
  const appended = yield* Effect.andThen(work, scrape).pipe(
    Effect.andThen(Events.use(({ append }) => append(new TextEncoder().encode("left to the drain")))),
    Effect.provide(layer),
    // Outermost, so that it outlives the drain and pushes its spans too.
    Effect.provide(pushedSpans(collector.url))
  )
  const spans = collector.received.get("/v1/traces")?.match(/\bSegmentMaintainer\.(?:persist|freeze|free)\b/g) ??
    []
  const pushed = collector.received.get("/v1/metrics") ?? ""
  const metrics = new Set(pushed.match(/effect_wal_\w+/g))
  const lag = lastValue(pushed, "effect_wal_durable_lag_events")
  yield* Console.log(`The last push, after the drain: ${lag} events are not durable, of ${appended}.`)
  yield* Console.log(`The collector received ${metrics.size} metrics, and spans of ${[...new Set(spans)].join(", ")}.`)
  if (metrics.size === 0 || spans.length === 0 || lag !== 0) {
    return yield* Effect.die(new Error("the collector did not receive what it should"))
  }
})

NodeRuntime.runMain(Effect.scoped(main))
