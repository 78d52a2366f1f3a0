/**
 * Counters in shared memory, merged when they are read.
 *
 * @since 0.1.0
 */
export type { SegmentMaintainerUpdater } from "./telemetry/Telemetry.ts"
export { layer, layerNoop, Telemetry } from "./telemetry/Telemetry.ts"
export { dump } from "./telemetry/TelemetryDump.ts"
export { OperationSnapshot, TelemetrySnapshot } from "./telemetry/TelemetrySnapshot.ts"
