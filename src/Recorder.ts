/**
 * What appends and commits. A log has one inside it: `log.recorder`.
 *
 * @since 0.1.0
 */
export type { Positions } from "./recorder/Recorder.ts"
export { layer, Recorder, RecorderOptions } from "./recorder/Recorder.ts"
export { RecorderError } from "./recorder/RecorderError.ts"
export * as RecorderReason from "./recorder/RecorderReason.ts"
