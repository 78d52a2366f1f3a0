/**
 * The events of a directory as a `Stream`, in order, checked: over hot and cold segments, across rotation, while a
 * maintainer freezes and deletes behind it. There is never a silent gap. What retention has deleted is `Deleted`, a missing
 * segment is `SegmentMissing`, damage is `SegmentCorrupt`; everything before the fault was handed out.
 *
 * While the consumer is busy with one read (4 MiB, or what the largest block needs), the next one is made in the
 * background, across the borders of segments. No more is read ahead.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import { defaultNaming } from "../format/SegmentName.ts"
import type { VerifiedBlock } from "../format/SegmentVerifier.ts"
import type { RecordedEvent } from "./BlockEvents.ts"
import { eventsOf } from "./BlockEvents.ts"
import type { BlockMemory } from "./BlockMemory.ts"
import { freshMemory, rotatingMemory } from "./BlockMemory.ts"
import { makeReplayCursor } from "./ReplayCursor.ts"
import type { ReplayStart } from "./ReplayCursor.ts"
import { Deleted } from "./ReplayError.ts"
import type { ReplayFailure } from "./ReplayError.ts"
import { lastSegmentWhere, makeDirectoryReader, oldestEventId } from "./SegmentDirectoryReader.ts"
import type { SegmentDirectoryReader } from "./SegmentDirectoryReader.ts"

/**
 * Where to begin.
 *
 * - `id`: with this event; `Deleted` when retention has deleted it
 * - `segmentIndex`: with the first event of this segment; `Deleted` when it is gone
 * - `timeMillis` (Unix time): with the newest segment that was created at this time or before, from its first event; with
 *   the oldest segment when all are newer. Events carry no time, so this is as fine as segments are.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayFrom =
  | { readonly id: number }
  | { readonly segmentIndex: number }
  | { readonly timeMillis: number }

/**
 * What to replay.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplayOptions {
  readonly directory: string
  readonly naming?: SegmentNaming
  /** The oldest event there is, when not given. */
  readonly from?: ReplayFrom
  /** The last event, included. To the end, when not given. */
  readonly to?: { readonly id: number }
}

/**
 * The checked blocks, for speed, in chunks of one read: take the events with `forEachEvent`. They lie in memory that is
 * used again: a block is valid until the next chunk is pulled. So consume chunk by chunk (`Stream.runForEachArray`, `Stream.map`),
 * and put nothing behind this stream that holds elements back.
 *
 * @since 0.1.0
 * @category streams
 */
export const blocks = (options: ReplayOptions): Stream.Stream<VerifiedBlock, ReplayFailure, Disk> =>
  // One read is being consumed, the other made.
  blocksIn(options, () => rotatingMemory(2))

/**
 * The events, in chunks of one block. They may be kept; keeping one event keeps the memory it was read with (4 MiB), so
 * who keeps few copies their bytes.
 *
 * @since 0.1.0
 * @category streams
 */
export const events = (options: ReplayOptions): Stream.Stream<RecordedEvent, ReplayFailure, Disk> =>
  blocksIn(options, freshMemory).pipe(
    Stream.map(eventsOf),
    Stream.filter(Arr.isArrayNonEmpty),
    Stream.flattenArray
  )

const blocksIn = (options: ReplayOptions, makeMemory: () => BlockMemory) =>
  Stream.unwrap(Effect.gen(function*() {
    const start = yield* locate(options)
    if (start === undefined) return Stream.empty
    const cursor = yield* makeReplayCursor({ ...start, memory: makeMemory() })
    const read = Effect.flatMap(
      cursor.next,
      (blocks) => blocks !== undefined && Arr.isReadonlyArrayNonEmpty(blocks) ? Effect.succeed(blocks) : Cause.done()
    )
    return Stream.fromPull(Effect.succeed(readAhead(read, yield* Effect.scope)))
  }))

/** Each pull gives what was read since the last one, and begins the next read. */
const readAhead = <A, E, R>(read: Effect.Effect<A, E, R>, scope: Scope.Scope): Effect.Effect<A, E, R> => {
  let ahead: Fiber.Fiber<A, E> | undefined
  return Effect.gen(function*() {
    const blocks = yield* (ahead === undefined ? read : Fiber.join(ahead))
    ahead = yield* Effect.forkIn(read, scope)
    return blocks
  })
}

/**
 * The oldest event in a directory; 0 when there is none.
 *
 * @since 0.1.0
 * @category locating
 */
export const firstAvailableId = (
  directory: string,
  naming: SegmentNaming = defaultNaming
): Effect.Effect<number, DiskError, Disk> =>
  Effect.flatMap(makeDirectoryReader(directory, naming), (reader) => Effect.map(oldestEventId(reader), (id) => id ?? 0))

type Located = Omit<ReplayStart, "memory">

/** Finds where to begin; `undefined` when there is nothing there. */
const locate = Effect.fnUntraced(function*(options: ReplayOptions) {
  const reader = yield* makeDirectoryReader(options.directory, options.naming ?? defaultNaming)
  const start = { reader, fromId: 1, toId: options.to?.id ?? Number.MAX_SAFE_INTEGER, segmentIndex: undefined }
  const { from } = options
  if (from === undefined) return start
  if ("segmentIndex" in from) return { ...start, segmentIndex: from.segmentIndex } satisfies Located
  if ("timeMillis" in from) {
    const nanos = BigInt(Math.floor(from.timeMillis)) * 1_000_000n
    const segmentIndex = yield* lastSegmentWhere(reader, ({ header }) => header.createdNanos <= nanos)
    return { ...start, segmentIndex } satisfies Located
  }
  return yield* locateId(reader, { ...start, fromId: Math.max(1, from.id) })
})

const locateId = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, start: Located) {
  const { fromId } = start
  const segmentIndex = yield* lastSegmentWhere(
    reader,
    ({ firstEventId }) => firstEventId === undefined ? undefined : firstEventId <= fromId
  )
  if (segmentIndex !== undefined) return { ...start, segmentIndex } satisfies Located
  const oldest = yield* oldestEventId(reader)
  if (oldest === undefined) return undefined
  return yield* new Deleted({ directory: reader.directory, wanted: `event ${fromId}`, firstAvailableId: oldest })
})
