/**
 * A log for programs without Effect: promises, async iterables and Node's streams. Imported from `effect-wal/promise`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category opening */
export { open, read } from "./PromiseLog.ts"
/** @since 0.1.0 @category models */
export type { EventRange, OpenOptions, PromiseEvent, PromiseLog, ReadOptions } from "./PromiseLog.ts"
