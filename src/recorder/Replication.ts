/**
 * The second place of a log, as its recorder sees it: who owns the log, how far it is in that place, and whether it
 * still is ours. A recorder that finds this service in its context begins it, and asks it before each answer.
 * `effect-wal/failover` gives it; without it a log has one place, the local disk.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { HeldBackStatus } from "../maintainer/HeldBackStatus.ts"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type * as Arena from "../shared/Arena.ts"
import type { RecorderError } from "./RecorderError.ts"
import type { Closed, Fenced } from "./RecorderReason.ts"
import type { SegmentWriter } from "./SegmentWriter.ts"

/** What is replicated. */
export interface ReplicatedLog {
  readonly arena: Arena.Arena
  readonly writer: SegmentWriter
  readonly maintainer: SegmentMaintainer["Service"]
}

/** The second place of a log. */
export class Replication extends Context.Service<Replication, {
  /** The absolute path of the directory that was opened for this log. */
  readonly directory: string
  /** 16 bytes: what a log that begins now is known by. */
  readonly walId: Uint8Array
  /**
   * Begins to replicate what becomes durable. Every step forward rings the arena's `durable` doorbell, and so does the
   * end.
   */
  readonly begin: (log: ReplicatedLog) => Effect.Effect<void>
  /** Every event up to this one is in both places. */
  readonly replicatedUnsafe: () => number
  /** Why nothing is acknowledged any more; `undefined` while this log is ours. */
  readonly endedUnsafe: () => typeof Closed | typeof Fenced | undefined
  /** Never succeeds; fails with `Fenced` when another recorder has taken the log over. */
  readonly fenced: Effect.Effect<never, RecorderError>
  /** Why events wait that the local disk has; `undefined` when none do. */
  readonly heldBackUnsafe: (nowElapsed: number) => HeldBackStatus | undefined
}>()("effect-wal/recorder/Replication") {}

/** The second place of the log in this directory. Beside several logs, that of another one may be in the context. */
export const replicationOf = (directory: string): Effect.Effect<Replication["Service"] | undefined> =>
  Effect.map(
    Effect.serviceOption(Replication),
    (found) => Option.getOrUndefined(Option.filter(found, (replication) => replication.directory === directory))
  )
