/**
 * A log for other processes: they append, commit and follow over HTTP, also through a Unix socket. Imported from
 * `effect-wal/rpc`; it loads Effect's HTTP and RPC modules.
 *
 * @since 0.1.0
 */

/** @since 0.1.0 @category layers */
export { layer } from "./LogServer.ts"
/** @since 0.1.0 @category models */
export type { ServerOptions } from "./LogServer.ts"
/** @since 0.1.0 @category models */
export type { AccessOptions } from "../console/Access.ts"
/** @since 0.1.0 @category constructors */
export { connect } from "./LogClient.ts"
/** @since 0.1.0 @category models */
export type { ConnectOptions, RemoteLog } from "./LogClient.ts"
/** @since 0.1.0 @category models */
export type { RemoteRange } from "./EventBatches.ts"
/** @since 0.1.0 @category errors */
export { RemoteDiskFailed } from "./LogRpcs.ts"
