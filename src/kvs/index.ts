/**
 * Keys and values over a log. Imported from `effect-wal/kvs`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category stores */
export * as WalKvs from "./WalKvs.ts"
