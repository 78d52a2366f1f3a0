/**
 * For tests of an application: a disk and an object store in memory, which crash, fail and fill up as their seed or the
 * test tells them to. Imported from `effect-wal/testing`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category testing */
export * as SimulatedDisk from "./SimulatedDisk.ts"

/** @since 0.1.0 @category testing */
export * as SimulatedStore from "./SimulatedStore.ts"
