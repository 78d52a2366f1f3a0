/**
 * The flag `record --metrics PORT`. The server behind it is loaded when it is asked for: a third of what a command loads
 * would otherwise be an HTTP server that nobody uses.
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const portMax = 65_535

/**
 * `--metrics PORT`, or `EFFECT_WAL_METRICS_PORT`. Port 0 is a free one that the system chooses.
 *
 * @since 0.1.0
 * @category flags
 */
export const metricsFlag = Flag.Int("metrics").pipe(
  Flag.withMetavar("PORT"),
  Flag.withDescription("Serve Prometheus metrics at http://127.0.0.1:PORT/metrics; 0 = any free port"),
  Flag.withFallbackConfig(Config.Int("EFFECT_WAL_METRICS_PORT")),
  Flag.filter((port) => port >= 0 && port <= portMax, () => `a port from 0 to ${portMax}`),
  Flag.optional
)

/**
 * Serves the metrics, see `MetricsServer.ts`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMetrics = (port: number) =>
  Layer.unwrap(Effect.map(Effect.promise(() => import("./MetricsServer.ts")), (server) => server.layer(port)))
