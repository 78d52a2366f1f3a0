/**
 * Tells where the log stands: what was appended, what is durable, what was compressed and what was deleted. No position
 * goes back, and the durable one is never ahead of the device (promise 2 of docs/RELIABILITY.md).
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "../internal/elapsed.ts"
import { heldBackStatus } from "../maintainer/HeldBackStatus.ts"
import type { HeldBackStatus } from "../maintainer/HeldBackStatus.ts"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type { RecoveryReport } from "../reading/recovery/Recovery.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import type { Replication } from "./Replication.ts"
import type { SegmentWriter } from "./SegmentWriter.ts"

/**
 * Where the log stands. All are event ids.
 *
 * @since 0.1.0
 * @category models
 */
export interface Positions {
  /** The newest event. */
  readonly appended: number
  /** Every event up to this one is on disk. */
  readonly durable: number
  /** Every event up to this one is in the object store, too; absent where the log has no second place. */
  readonly replicated?: number
  /** No event up to this one lies in a hot segment any more: it was compressed or deleted. 0 when none was. */
  readonly compressed: number
  /** Events before this one were deleted by retention. */
  readonly deletedBefore: number
  /** What keeps events from becoming durable; absent when nothing does. */
  readonly heldBack?: HeldBackStatus
}

/**
 * The positions as the arena, the writer and the maintainer's catalog give them. The oldest segment tells what was
 * deleted before this run. The ids of a segment that was found on disk are not known at once: until they are, the
 * positions stay as they were.
 */
export const make = (
  arena: Arena.Arena,
  writer: SegmentWriter,
  maintainer: SegmentMaintainer["Service"],
  report: RecoveryReport,
  replication:
    | (Pick<Replication["Service"], "heldBackUnsafe" | "replicatedUnsafe"> & { readonly holdsBack: boolean })
    | undefined
): Effect.Effect<Positions> => {
  let deletedBefore = 1
  let compressed = 0
  return Effect.map(Effect.all([maintainer.segments, elapsedMillis]), ([segments, now]) => {
    const oldest = segments[0]
    const firstEventId = oldest === undefined ? report.lastEventId + 1 : oldest.firstEventId ?? 1
    deletedBefore = Math.max(deletedBefore, firstEventId)
    compressed = Math.max(compressed, deletedBefore - 1)
    for (const segment of segments) {
      if (segment.isHot) break
      compressed = Math.max(compressed, segment.lastEventId ?? 0)
    }
    const heldBack = heldBackStatus(arena, now) ??
      (replication?.holdsBack === true ? replication.heldBackUnsafe(now) : undefined)
    return {
      appended: writer.lastEventId,
      durable: Arena.durableEventId(arena),
      ...(replication === undefined ? {} : { replicated: replication.replicatedUnsafe() }),
      compressed,
      deletedBefore,
      ...(heldBack === undefined ? {} : { heldBack })
    }
  })
}

/** `positions` now, and again whenever one of the ids but the first has moved, or what holds events back has. */
export const changes = (arena: Arena.Arena, positions: Effect.Effect<Positions>): Stream.Stream<Positions> =>
  Stream.suspend(() => {
    // Read before the positions are, so a ring in between makes the next look come at once.
    let seen = Doorbell.readUnsafe(arena.durable)
    const look = Effect.suspend(() => {
      seen = Doorbell.readUnsafe(arena.durable)
      return positions
    })
    return Stream.concat(
      Stream.fromEffect(look),
      Stream.fromEffectRepeat(Effect.flatMap(Effect.suspend(() => Doorbell.wait(arena.durable, seen)), () => look))
    )
  }).pipe(Stream.changesWith(isSame))

const isSame = (a: Positions, b: Positions): boolean =>
  a.durable === b.durable && a.replicated === b.replicated && a.compressed === b.compressed &&
  a.deletedBefore === b.deletedBefore &&
  a.heldBack?.reason === b.heldBack?.reason
