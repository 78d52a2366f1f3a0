/**
 * The server of `record --metrics PORT`: it serves the telemetry of a recorder at `http://127.0.0.1:PORT/metrics`. It
 * listens on the loopback address only; for access from other machines, put a proxy in front that checks who may ask.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"
import * as PrometheusRoute from "../../telemetry/PrometheusRoute.ts"
import type { Telemetry } from "../../telemetry/Telemetry.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"

/** Serves the metrics, and writes their address to standard error. */
export const layer = (port: number): Layer.Layer<never, OperatingFailure, Telemetry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    yield* say(`metrics at ${HttpServer.formatAddress(address)}/metrics`)
  })).pipe(
    Layer.provideMerge(HttpRouter.serve(PrometheusRoute.layer(), { disableLogger: true, disableListenLog: true })),
    Layer.provide(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port, gracefulShutdownTimeout: "1 second" })),
    Layer.catch((error) =>
      Layer.effectDiscard(Effect.fail(
        new OperatingFailure({
          message: `metrics cannot be served at 127.0.0.1:${port} (${String(error.cause)}); give --metrics another port`
        })
      ))
    )
  )
