/**
 * A page that shows a log, live. Imported from `effect-wal/console`; it loads Effect's HTTP modules.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category layers */
export { layer, layerDirectory } from "./Console.ts"
/** @since 0.1.0 @category models */
export type { ConsoleOptions } from "./Console.ts"
/** @since 0.1.0 @category models */
export type { AccessOptions } from "./Access.ts"
