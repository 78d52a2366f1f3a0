/**
 * Effect's event log over logs: the journal of a client, and what a server stores. Imported from `effect-wal/eventlog`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category journals */
export * as WalEventJournal from "./WalEventJournal.ts"
/** @since 0.1.0 @category storages */
export * as WalEventLogServerEncrypted from "./WalEventLogServerEncrypted.ts"
/** @since 0.1.0 @category storages */
export * as WalEventLogServerUnencrypted from "./WalEventLogServerUnencrypted.ts"
