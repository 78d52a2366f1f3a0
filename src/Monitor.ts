/**
 * Tells other processes how a recorder is doing: what `effect-wal stats` and `top` show.
 *
 * @since 0.1.0
 */
export type { MonitorError } from "./recorder/monitor/Monitor.ts"
export { layer, read } from "./recorder/monitor/Monitor.ts"
export { MonitorReport } from "./recorder/monitor/MonitorReport.ts"
