/**
 * Serves telemetry as Prometheus text. An entry of its own, because it loads Effect's HTTP modules: the index does not.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { Telemetry } from "./Telemetry.ts"
import { prometheusText } from "./TelemetryExport.ts"
import type { ExportOptions } from "./TelemetryExport.ts"

/**
 * Serves `TelemetryExport.prometheusText` at `GET /metrics`, with a new snapshot for each request. The application
 * provides the router and its server: `HttpRouter.serve(PrometheusRoute.layer())` over `NodeHttpServer.layer(…)`.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServer from "effect/http/HttpServer"
 * import { NodeDisk, Wal } from "effect-wal"
 * import * as PrometheusRoute from "effect-wal/PrometheusRoute"
 * import { createServer } from "node:http"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const MetricsLive = HttpRouter.serve(PrometheusRoute.layer(), { disableListenLog: true }).pipe(
 *   Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const scrape = Effect.gen(function*() {
 *   const { address } = yield* HttpServer.HttpServer
 *   const url = `${HttpServer.formatAddress(address)}/metrics`
 *   return yield* Effect.promise(async () => (await fetch(url)).text())
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(scrape, MetricsLive))) // => effect_wal_hot_segments
 * ```
 */
export const layer = (
  options: ExportOptions & { readonly path?: HttpRouter.PathInput | undefined } = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Telemetry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const telemetry = yield* Telemetry
    yield* router.add(
      "GET",
      options.path ?? "/metrics",
      Effect.map(telemetry.snapshot, (snapshot) =>
        HttpServerResponse.text(prometheusText(snapshot, { ...options, log: options.log ?? telemetry.log }), {
          contentType: "text/plain; version=0.0.4; charset=utf-8"
        }))
    )
  }))
