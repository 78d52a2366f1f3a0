/**
 * The counters as Prometheus text and as Effect's metrics.
 *
 * @since 0.1.0
 */
export type { ExportOptions } from "./telemetry/TelemetryExport.ts"
export { layerMetrics, prometheusText } from "./telemetry/TelemetryExport.ts"
