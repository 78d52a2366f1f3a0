/**
 * What appends and commits. A log has one inside it: `log.recorder`.
 *
 * @since 0.1.0
 */
export type { Positions } from "./recorder/Recorder.ts"
export { layer, Recorder, RecorderOptions } from "./recorder/Recorder.ts"
export { RecorderError } from "./recorder/RecorderError.ts"
/**
 * Why an append or a commit fails.
 *
 * @since 0.1.0
 * @category errors
 */
export * as RecorderReason from "./recorder/RecorderReason.ts"
