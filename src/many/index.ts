/**
 * Many logs in one process: a log for each key, and all of them as one stream. Imported from `effect-wal/many`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category logs */
export * as LogSet from "./LogSet.ts"
/** @since 0.1.0 @category reading */
export * as Follow from "./Follow.ts"
