/**
 * Tells other processes how a recorder is doing: what `effect-wal stats` and `top` show.
 *
 * @since 0.1.0
 */
export { layer, read } from "./recorder/monitor/Monitor.ts"
export { MonitorError } from "./recorder/monitor/MonitorError.ts"
/**
 * Why a monitor gives no answer.
 *
 * @since 0.1.0
 * @category errors
 */
export * as MonitorReason from "./recorder/monitor/MonitorReason.ts"
export { MonitorReport } from "./recorder/monitor/MonitorReport.ts"
