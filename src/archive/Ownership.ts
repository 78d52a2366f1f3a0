/**
 * Who owns a log that is opened for failover: it was claimed before its directory was opened, so the archive above it
 * goes on with that claim and makes none of its own. `effect-wal/failover` gives this service.
 */
import * as Context from "effect/Context"

/** The claim of a log. */
export class Ownership extends Context.Service<Ownership, {
  readonly log: string
  /** The absolute path of the log's directory. Beside several logs, the claim may be another one's. */
  readonly directory: string
  /** Of the manifest, as the claim has left it. */
  readonly epoch: number
}>()("effect-wal/archive/Ownership") {}
