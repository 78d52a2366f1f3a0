/**
 * Logs on the runners of Effect's cluster, which decides where each of them is open. Imported from
 * `effect-wal/cluster`; it loads Effect's cluster modules.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category entities */
export * as LogEntity from "./LogEntity.ts"
