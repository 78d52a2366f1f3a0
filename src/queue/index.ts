/**
 * Persisted queues over a log. Imported from `effect-wal/queue`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category stores */
export * as WalQueue from "./WalQueue.ts"
