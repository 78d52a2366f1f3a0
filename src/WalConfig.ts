/**
 * The options of a log, read with Effect's `Config`.
 *
 * @since 0.1.0
 */
export { config } from "./recorder/WalConfig.ts"
