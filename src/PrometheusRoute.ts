/**
 * Serves telemetry as Prometheus text. It is no module of the index, which loads nothing of HTTP.
 *
 * @since 0.1.0
 */
export { layer } from "./telemetry/PrometheusRoute.ts"
