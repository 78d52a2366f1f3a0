/**
 * The flag `record --metrics PORT`. Its server is loaded only if the flag is given: otherwise a third of what each
 * command loads would be an HTTP server that it does not use.
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const portMax = 65_535

/** `--metrics PORT`, or `EFFECT_WAL_METRICS_PORT`. With port 0 the system chooses a free one. */
export const metricsFlag = Flag.Int("metrics").pipe(
  Flag.withMetavar("PORT"),
  Flag.withDescription("Serve Prometheus metrics at http://127.0.0.1:PORT/metrics; 0 = any free port"),
  Flag.withFallbackConfig(Config.Int("EFFECT_WAL_METRICS_PORT")),
  Flag.filter((port) => port >= 0 && port <= portMax, () => `a port from 0 to ${portMax}`),
  Flag.optional
)

/** Loads `MetricsServer.ts` and serves the metrics. */
export const layerMetrics = (port: number) =>
  Layer.unwrap(Effect.map(Effect.promise(() => import("./MetricsServer.ts")), (server) => server.layer(port)))
