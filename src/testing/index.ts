/**
 * For tests of an application: a disk in memory that crashes, fails and fills up as its seed or the test tells it to.
 * Imported from `effect-wal/testing`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category testing */
export * as SimulatedDisk from "./SimulatedDisk.ts"
