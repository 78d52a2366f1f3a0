/**
 * Reads along with the recorder of this process: every event once and in order, as soon as it is durable and never
 * before, across rotation and freezing.
 *
 * A hold moves with the reader, so retention deletes nothing that the reader still has to read. A reader that stops
 * taking events therefore keeps every later segment on disk. The maintainer's status shows the hold under the given
 * name; it ends with the stream.
 *
 * The hold begins before the reader looks for the first segment. Events that were deleted before that, or whose
 * deletion had begun, fail the stream with `EventsDeleted`; there is never a gap (promises 9 and 22 of
 * docs/RELIABILITY.md).
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Disk } from "../disk/Disk.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as Replay from "../reading/Replay.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import type { RecordedEvent } from "../reading/segment/BlockEvents.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { Recorder } from "./Recorder.ts"

/** What to follow. */
interface FollowOptions {
  /** The name of the hold; it tells in the maintainer's status why segments are kept. */
  readonly name: string
  /** Default: `oldest`. */
  readonly from?: Replay.ReplayFrom
  /** Default: none; the stream continues until it is interrupted. */
  readonly to?: Replay.ReplayTo
}

/** The events of the recorder of this process; see `Replay.events`. */
export const events = (
  { name, ...range }: FollowOptions
): Stream.Stream<RecordedEvent, ReplayFailure, Recorder | SegmentMaintainer | SegmentArena | Disk> =>
  Stream.unwrap(Effect.gen(function*() {
    // The arena knows what is durable only after the recorder is open.
    yield* Recorder
    const arena = yield* SegmentArena
    const { directory, hold, naming } = yield* SegmentMaintainer
    const held = yield* hold({ name, fromSegmentIndex: 0 })
    // What is durable tells where the log ends, without reading it.
    const from = range.from === "latest" ? { from: { id: Arena.durableEventId(arena) + 1 } } : {}
    return Replay.events({ ...range, ...from, directory, naming, follow: durableOf(arena), onSegment: held.advanceTo })
  }))

/** What is durable. Asks for no flush: a reader has no influence on when events become durable. */
export const durableOf = (arena: Arena.Arena): Replay.Durable => {
  const above = (id: number): Effect.Effect<number> =>
    Effect.suspend(() => {
      const seen = Doorbell.readUnsafe(arena.durable)
      const durableId = Arena.durableEventId(arena)
      return durableId > id
        ? Effect.succeed(durableId)
        : Effect.flatMap(Doorbell.wait(arena.durable, seen), () => above(id))
    })
  return { above }
}
