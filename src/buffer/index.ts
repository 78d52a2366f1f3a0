/**
 * Logs and telemetry of an application, kept in a log until they are read or sent. Imported from `effect-wal/buffer`.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category buffers */
export * as WalLogger from "./WalLogger.ts"
/** @since 0.1.0 @category buffers */
export * as WalOtlp from "./WalOtlp.ts"
