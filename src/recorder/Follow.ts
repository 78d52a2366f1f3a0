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
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Disk } from "../disk/Disk.ts"
import type { VerifiedBlock } from "../format/SegmentVerifier.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as Replay from "../reading/Replay.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import type { RecordedEvent } from "../reading/segment/BlockEvents.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { Recorder } from "./Recorder.ts"

/**
 * What to follow.
 *
 * @since 0.1.0
 * @category models
 */
export interface FollowOptions {
  /** The name of the hold; it tells in the maintainer's status why segments are kept. */
  readonly name: string
  /** Default: `oldest`. */
  readonly from?: Replay.ReplayFrom
  /** Default: none; the stream continues until it is interrupted. */
  readonly to?: Replay.ReplayTo
}

/**
 * What following needs: a recorder in this process.
 *
 * @since 0.1.0
 * @category models
 */
export type Followed = Recorder | SegmentMaintainer | SegmentArena | Disk

/**
 * The events as verified blocks, for speed; see `Replay.blocks` for how long a block is valid.
 *
 * @since 0.1.0
 * @category streams
 */
export const blocks = (options: FollowOptions): Stream.Stream<VerifiedBlock, ReplayFailure, Followed> =>
  follow(options, Replay.blocks)

/**
 * The events; see `Replay.events`.
 *
 * @since 0.1.0
 * @category streams
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { Follow, NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { appendAll, commit } = yield* Events
 *   yield* appendAll(["one", "two", "three"].map((text) => Buffer.from(text)))
 *   yield* commit
 *   // Without `to` it continues until it is interrupted.
 *   yield* Stream.runForEach(Follow.events({ name: "mailer", from: { id: 2 }, to: { id: 3 } }), ({ bytes, id }) =>
 *     Console.log(id, Buffer.from(bytes).toString())) // => 3 three
 * }).pipe(Effect.provide(Events.parts))
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
export const events = (options: FollowOptions): Stream.Stream<RecordedEvent, ReplayFailure, Followed> =>
  follow(options, Replay.events)

const follow = <A>(
  { name, ...range }: FollowOptions,
  replay: (options: Replay.ReplayOptions) => Stream.Stream<A, ReplayFailure, Disk>
): Stream.Stream<A, ReplayFailure, Followed> =>
  Stream.unwrap(Effect.gen(function*() {
    // The arena knows what is durable only after the recorder is open.
    yield* Recorder
    const arena = yield* SegmentArena
    const { directory, hold, naming } = yield* SegmentMaintainer
    const held = yield* hold({ name, fromSegmentIndex: 0 })
    // What is durable tells where the log ends, without reading it.
    const from = range.from === "latest" ? { from: { id: Arena.durableEventId(arena) + 1 } } : {}
    return replay({ ...range, ...from, directory, naming, follow: durableOf(arena), onSegment: held.advanceTo })
  }))

/** Asks for no flush: a reader has no influence on when events become durable. */
const durableOf = (arena: Arena.Arena): Replay.Durable => {
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
