/**
 * The storages of Effect's cluster in a log: entities and workflows that survive a crash, without a database. Imported
 * from `effect-wal/cluster-storage`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category storages */
export * as WalMessageStorage from "./WalMessageStorage.ts"
/** @since 0.1.0 @category storages */
export * as WalRunnerStorage from "./WalRunnerStorage.ts"
/** @since 0.1.0 @category runners */
export * as WalSingleRunner from "./WalSingleRunner.ts"
