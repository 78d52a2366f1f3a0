/**
 * A log that outlives its machine: commits that are in an object store too, and takeover by another machine. Imported
 * from `effect-wal/failover`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category failover */
export * as Failover from "./Failover.ts"
/** @since 0.1.0 @category standing by */
export * as Standby from "./Standby.ts"
/** @since 0.1.0 @category models */
export type { LocalChanges } from "./LocalLog.ts"
