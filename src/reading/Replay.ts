/**
 * Reads the events of a directory as a `Stream`, in order, checked: over hot and cold segments, across rotation, while
 * a maintainer freezes and deletes older ones. There is never a silent gap. Each of these ends the stream, after
 * everything before it was handed out:
 *
 * - `EventsDeleted`: retention has deleted the events
 * - `EventsLost`: the events were in a damaged segment that was moved away, which is acknowledged
 * - `SegmentMissing`: a segment is missing
 * - `SegmentCorrupt`: a segment is damaged; the error names the place
 *
 * These are promises 9, 12, 21 and 22 of docs/RELIABILITY.md.
 *
 * While the consumer is busy with one read (4 MiB, or what the largest block needs), the next one is made in the
 * background, also from one segment to the next. No more is read ahead.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { eventIdMax, segmentIndexMax } from "../format/Limits.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import type { VerifiedBlock } from "../format/SegmentVerifier.ts"
import { epochMillisOf } from "../internal/instant.ts"
import { callback, instant, requireOptions, whole } from "../internal/options.ts"
import {
  damagedBeforeOldest,
  lastSegmentUpTo,
  makeDirectoryReader,
  oldestEventId,
  segmentSince
} from "./DirectoryReader.ts"
import type { SegmentDirectoryReader } from "./DirectoryReader.ts"
import { readingFields } from "./ReadingOptions.ts"
import { makeReplayCursor } from "./ReplayCursor.ts"
import type { ReplayCursor, ReplayStart } from "./ReplayCursor.ts"
import { EventsDeleted } from "./ReplayError.ts"
import type { EventsLost, ReplayFailure, SegmentMissing } from "./ReplayError.ts"
import type { RecordedEvent } from "./segment/BlockEvents.ts"
import { eventsIn } from "./segment/BlockEvents.ts"
import type { BlockMemory } from "./segment/BlockMemory.ts"
import { freshMemory, rotatingMemory } from "./segment/BlockMemory.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"
import { forReplay } from "./segment/SegmentReader.ts"

/**
 * Where to start.
 *
 * **Details**
 *
 * - `oldest`: with the oldest event that is left
 * - `latest`: after the newest event, so only with `follow` is there anything
 * - `id`: with this event; `EventsDeleted` when retention has deleted it
 * - `segmentIndex`: with the first event of this segment; `EventsDeleted` when it is gone
 * - `time`: with the first event whose `RecordedEvent.time` is this or later; with the oldest one when all are. It is
 *   found by seeking. Events of format 1 have no time: there the first event is that of the oldest segment that was
 *   closed at this time or later, or after which another was begun later; of the newest segment when there is none. So
 *   an event of format 1 is left out only when its segment was closed before this time, and so was every older one,
 *   also when the clock was set back meanwhile.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayFrom =
  | "oldest"
  | "latest"
  | { readonly id: number }
  | { readonly segmentIndex: number }
  | { readonly time: DateTime.DateTime.Input }

/**
 * Where to end.
 *
 * **Details**
 *
 * - `id`: with this event
 * - `time`: before the first event whose `RecordedEvent.time` is later. A replay that follows ends when it comes to
 *   that event. Events of format 1 have no time, so this does not end a replay of them.
 *
 * @since 0.1.0
 * @category models
 */
export type ReplayTo = { readonly id: number } | { readonly time: DateTime.DateTime.Input }

/**
 * What to replay.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplayOptions {
  readonly directory: string
  readonly naming?: SegmentNaming
  /** Default: `oldest`. */
  readonly from?: ReplayFrom
  /** By default there is no limit. */
  readonly to?: ReplayTo
  /**
   * Waits for more events instead of ending, across rotation, freezing and deletion; also for a directory that is not
   * there yet, and for a first event or segment that is still to come.
   *
   * - `Durable` (what the recorder of this process has made durable): only durable events are handed out.
   * - `poll`, for the segments of another process: looks again after 10 ms, then less and less often, at least every
   *   250 ms. Every whole block in the file is handed out, durable or not.
   */
  readonly follow?: "poll" | Durable
  /**
   * When given, the replay continues after an acknowledged hole, and reports here what is lost, before the events after
   * it. Everything else that is missing or damaged still ends the replay. By default a hole ends it with `EventsLost`.
   */
  readonly onLost?: (hole: AcknowledgedHole) => Effect.Effect<void>
  /**
   * When given, the replay does not stop at damage: it continues with the next block that verifies, and reports here
   * what lies between. For looking at what is left: the events after a hole are intact, but some may be missing, see
   * `SegmentSalvage`. By default the first fault ends the replay. `EventsDeleted` and a failing disk always end it.
   */
  readonly onHole?: (hole: Hole) => Effect.Effect<void>
  /**
   * Called with each segment that is opened: from then on no older one is needed. So a hold can move with the replay.
   */
  readonly onSegment?: (segmentIndex: number) => Effect.Effect<void>
}

/**
 * Damage that a replay passed, between two events that it handed out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hole {
  /** The id after the last event before the hole. */
  readonly firstMissingId: number
  /**
   * The id before the first event after the hole, below `firstMissingId` when no event is missing; `undefined` at the
   * end.
   */
  readonly lastMissingId: number | undefined
  readonly damage: ReadonlyArray<Damage>
}

/**
 * One fault of a hole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Damage {
  readonly error: SegmentCorrupt | SegmentMissing | EventsLost
  /** Where in the uncompressed segment reading continued; `undefined` when it continued in a later segment. */
  readonly resumedAt: number | undefined
}

export type { AcknowledgedHole } from "../disk/HoleStore.ts"

/**
 * What a recorder has made durable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Durable {
  /** Waits until an event above `id` is durable, then gives the last durable id. */
  readonly above: (id: number) => Effect.Effect<number>
}

const id = whole("number", 0, eventIdMax)

const Options = Schema.Struct({
  ...readingFields,
  from: Schema.optional(Schema.Union([
    Schema.Literals(["oldest", "latest"]),
    Schema.Struct({ id }),
    Schema.Struct({ segmentIndex: whole("number", 0, segmentIndexMax) }),
    Schema.Struct({ time: instant })
  ])),
  to: Schema.optional(Schema.Union([Schema.Struct({ id }), Schema.Struct({ time: instant })])),
  follow: Schema.optional(Schema.Union([
    Schema.Literal("poll"),
    Schema.Struct({ above: callback<Durable["above"]>() })
  ])),
  onLost: Schema.optional(callback<NonNullable<ReplayOptions["onLost"]>>()),
  onHole: Schema.optional(callback<NonNullable<ReplayOptions["onHole"]>>()),
  onSegment: Schema.optional(callback<NonNullable<ReplayOptions["onSegment"]>>())
})

const pollMillisMin = 10
const pollMillisMax = 250

/**
 * Reads the events as verified blocks.
 *
 * **When to use**
 *
 * For speed: use `forEachEvent` to go over the events of a block without an object for each.
 *
 * **Gotchas**
 *
 * The blocks lie in memory that is used again: a block is valid until the next chunk is pulled. So consume chunk by
 * chunk (`Stream.runForEachArray`, `Stream.map`), and put no operator after this stream that holds elements back.
 *
 * **Example** (Summing bytes without an object for each event)
 *
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { NodeDisk, Replay, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.gen(function*() {
 *   const { appendEach } = yield* Events
 *   yield* appendEach(Array.from({ length: 1000 }, (_, i) => new Uint8Array(i % 100)))
 * }).pipe(Effect.provide(Events.layer({ directory: "./log" })))
 *
 * let bytes = 0
 * const sum = Stream.runForEachArray(Replay.blocks({ directory: "./log" }), (blocks) =>
 *   Effect.sync(() => {
 *     // Nothing is allocated for an event; a block is valid until the next chunk.
 *     for (const block of blocks) Replay.forEachEvent(block, (_id, _bytes, start, end) => (bytes += end - start))
 *   }))
 *
 * await Effect.runPromise(Effect.andThen(record, sum).pipe(Effect.provide(NodeDisk.layer)))
 * await Effect.runPromise(Console.log(bytes)) // => 49500
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const blocks = (options: ReplayOptions): Stream.Stream<VerifiedBlock, ReplayFailure, Disk> =>
  // One read is being consumed, the other one is being made.
  blocksIn("blocks", options, () => rotatingMemory(2))

/**
 * Reads the events, in chunks of at most 1,024. They may be kept, and never change.
 *
 * **Gotchas**
 *
 * Keeping one event keeps the memory that it was read into (4 MiB), so copy the bytes when you keep only a few events.
 *
 * **Example** (Reading from an event on)
 *
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { NodeDisk, Replay, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.gen(function*() {
 *   const { appendAll } = yield* Events
 *   yield* appendAll(["one", "two", "three"].map((text) => Buffer.from(text)))
 * }).pipe(Effect.provide(Events.layer({ directory: "./log" })))
 *
 * const replay = Replay.events({ directory: "./log", from: { id: 2 } }).pipe(
 *   Stream.runForEach(({ bytes, id }) => Console.log(id, Buffer.from(bytes).toString())), // => 2 two
 *   Effect.catchTag("EventsDeleted", (error) => Console.log(`begin at ${error.firstAvailableId} instead`))
 * )
 *
 * await Effect.runPromise(Effect.andThen(record, replay).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category streams
 */
export const events = (options: ReplayOptions): Stream.Stream<RecordedEvent, ReplayFailure, Disk> =>
  Stream.transformPull(
    blocksIn("events", options, freshMemory),
    (pullBlocks) => Effect.sync(() => eventsPull(pullBlocks))
  )

/** Of one chunk. Its objects fit into the youngest part of the heap: 16 times as many took three times as long each. */
const chunkEventsMax = 1024

/** Gives the events of the blocks that `pullBlocks` gives, which it runs again only after the last of them. */
const eventsPull = <E, R>(
  pullBlocks: Pull.Pull<Arr.NonEmptyReadonlyArray<VerifiedBlock>, E, void, R>
): Pull.Pull<Arr.NonEmptyReadonlyArray<RecordedEvent>, E, void, R> => {
  let blocks: Iterator<VerifiedBlock> | undefined
  let take: ((countMax: number) => Array<RecordedEvent>) | undefined
  return Effect.gen(function*() {
    while (true) {
      const events = take?.(chunkEventsMax) ?? []
      if (Arr.isArrayNonEmpty(events)) return events
      blocks ??= (yield* pullBlocks)[Symbol.iterator]()
      const block = blocks.next()
      if (block.done === true) blocks = undefined
      take = block.done === true ? undefined : eventsIn(block.value)
    }
  })
}

const blocksIn = (name: "blocks" | "events", options: ReplayOptions, makeMemory: () => BlockMemory) =>
  Stream.unwrap(Effect.gen(function*() {
    requireOptions("options", Options, options)
    const log = new SegmentDirectory(options.directory).path
    yield* Effect.makeSpanScoped(`Replay.${name}`, { attributes: { log } })
    const { to } = options
    const cursor = yield* makeReplayCursor({
      ...(yield* (options.follow === undefined ? locate(options) : locateWhenThere(options))),
      toNanos: to !== undefined && "time" in to ? nanosOf(to.time) + nanosPerMilli - 1n : nanosMax,
      reading: forReplay(makeMemory(), options.follow === undefined ? "checked" : "left"),
      onSegment: options.onSegment ?? (() => Effect.void)
    })
    const toId = to !== undefined && "id" in to ? to.id : eventIdMax
    if (options.from === "latest") yield* passAll(cursor, options.follow)
    const next = options.follow === undefined ? cursor.next(toId) : nextToFollow(cursor, options.follow, toId)
    const { onHole, onLost } = options
    const isPassed = (error: Damage["error"]) =>
      error._tag === "EventsLost" && onLost !== undefined || onHole !== undefined
    const pull = Effect.flatMap(
      readAhead(nextPastDamage(cursor, next, isPassed), yield* Effect.scope),
      Effect.fnUntraced(function*({ blocks, hole }: Read) {
        for (const { error } of hole?.damage ?? []) {
          if (error._tag === "EventsLost" && onLost !== undefined) yield* onLost(error.hole)
        }
        if (hole !== undefined && onHole !== undefined) yield* onHole(hole)
        return yield* blocks !== undefined && Arr.isReadonlyArrayNonEmpty(blocks)
          ? Effect.succeed(blocks)
          : Cause.done()
      })
    )
    return Stream.fromPull(Effect.succeed(pull))
  }))

/** Passes everything that is there now. */
const passAll = Effect.fnUntraced(function*(cursor: ReplayCursor, follow: ReplayOptions["follow"]) {
  const toId = typeof follow === "object" ? yield* follow.above(-1) : eventIdMax
  const pass = nextPastDamage(cursor, cursor.next(toId), ({ _tag }) => _tag === "EventsLost")
  while ((yield* pass).blocks !== undefined);
})

/** As `locate`, but waits until the directory is there. */
const locateWhenThere = Effect.fnUntraced(function*(options: ReplayOptions) {
  const { path } = new SegmentDirectory(options.directory)
  let sleepMillis = pollMillisMin
  while (true) {
    const located = yield* Effect.catchIf(
      locate(options),
      (error) => error._tag === "DiskError" && error.reason._tag === "NotFound" && error.path === path,
      () => Effect.undefined
    )
    if (located !== undefined) return located
    yield* Effect.sleep(sleepMillis)
    sleepMillis = Math.min(pollMillisMax, sleepMillis * 2)
  }
})

/** As `next`, but waits when there are no events yet; `undefined` only after `toId`, or after the last time. */
const nextToFollow = Effect.fnUntraced(function*(cursor: ReplayCursor, follow: "poll" | Durable, toId: number) {
  let sleepMillis = pollMillisMin
  while (cursor.lastEventId() < toId && !cursor.isPastEnd()) {
    const limitId = follow === "poll" ? toId : Math.min(toId, yield* follow.above(cursor.lastEventId()))
    const blocks = yield* cursor.next(limitId)
    if (blocks !== undefined) return blocks
    if (cursor.isPastEnd()) return undefined
    // With a recorder this happens only while its segment is replaced or renamed.
    yield* Effect.sleep(sleepMillis)
    sleepMillis = Math.min(pollMillisMax, sleepMillis * 2)
  }
  return undefined
})

/** The result of one pull: a hole, and the blocks after it; no blocks at the end. */
interface Read {
  readonly blocks: ReadonlyArray<VerifiedBlock> | undefined
  readonly hole: Hole | undefined
}

/** As `next`, but passes the damage and the holes that are to be passed. */
const nextPastDamage = Effect.fnUntraced(function*(
  cursor: ReplayCursor,
  next: ReturnType<ReplayCursor["next"]>,
  isPassed: (error: Damage["error"]) => boolean
) {
  const firstMissingId = cursor.lastEventId() + 1
  const damage: Array<Damage> = []
  let skipping: Effect.Effect<number | undefined, ReplayFailure, Disk> | undefined
  while (true) {
    const result = yield* Effect.result(skipping === undefined ? next : Effect.andThen(skipping, next))
    if (Result.isSuccess(result)) {
      const blocks = result.success
      const lastMissingId = blocks?.[0] === undefined ? undefined : blocks[0].firstEventId - 1
      const read: Read = { blocks, hole: damage.length === 0 ? undefined : { firstMissingId, lastMissingId, damage } }
      return read
    }
    const error = result.failure
    if (error._tag === "DiskError" || error._tag === "EventsDeleted" || !isPassed(error)) {
      return yield* Effect.fail(error)
    }
    skipping = Effect.tap(cursor.skip(error), (resumedAt) => Effect.sync(() => damage.push({ error, resumedAt })))
  }
})

/** Each pull gives what was read since the last one, and starts the next read, unless there are no more blocks. */
const readAhead = <E, R>(read: Effect.Effect<Read, E, R>, scope: Scope.Scope): Effect.Effect<Read, E, R> => {
  let ahead: Fiber.Fiber<Read, E> | undefined
  return Effect.gen(function*() {
    const done = yield* (ahead === undefined ? read : Fiber.join(ahead))
    if (done.blocks !== undefined) ahead = yield* Effect.forkIn(read, scope)
    return done
  })
}

/**
 * The oldest event in a directory, if there is one.
 *
 * @since 0.1.0
 * @category locating
 */
export const firstAvailableId = (
  directory: string,
  naming?: SegmentNaming
): Effect.Effect<Option.Option<number>, DiskError, Disk> =>
  Effect.suspend(() => {
    requireOptions("arguments", Schema.Struct(readingFields), { directory, naming })
    return Effect.flatMap(
      makeDirectoryReader(new SegmentDirectory(directory, naming)),
      (reader) => Effect.map(oldestEventId(reader), Option.fromUndefinedOr)
    )
  })

/** No event was flushed later. */
const nanosMax = 2n ** 64n - 1n

const nanosPerMilli = 1_000_000n

const nanosOf = (time: DateTime.DateTime.Input): bigint =>
  BigInt(Option.getOrThrow(epochMillisOf(time))) * nanosPerMilli

type Located = Omit<ReplayStart, "toNanos" | "reading" | "onSegment">

/** Finds where to start. */
const locate = Effect.fnUntraced(function*(options: ReplayOptions) {
  const reader = yield* makeDirectoryReader(new SegmentDirectory(options.directory, options.naming))
  const start = { reader, fromId: 1, isBeforeFirst: false, segmentIndex: undefined, fromNanos: 0n }
  const { from } = options
  if (from === undefined || from === "oldest") return start
  if (from === "latest") {
    const segmentIndex = yield* lastSegmentUpTo(reader, eventIdMax)
    return { ...start, segmentIndex } satisfies Located
  }
  if ("segmentIndex" in from) return { ...start, segmentIndex: from.segmentIndex } satisfies Located
  if ("time" in from) {
    const fromNanos = nanosOf(from.time)
    return { ...start, fromNanos, segmentIndex: yield* segmentSince(reader, fromNanos) } satisfies Located
  }
  return yield* locateId(reader, { ...start, fromId: Math.max(1, from.id) })
})

const locateId = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, start: Located) {
  const { fromId } = start
  const segmentIndex = yield* lastSegmentUpTo(reader, fromId)
  if (segmentIndex !== undefined) return { ...start, segmentIndex } satisfies Located
  // The damaged segment may hold the event. Reading it reports the damage, or that it was deleted meanwhile.
  const damaged = yield* damagedBeforeOldest(reader)
  if (damaged !== undefined) return { ...start, segmentIndex: damaged } satisfies Located
  const oldest = yield* oldestEventId(reader)
  if (oldest === undefined) return { ...start, isBeforeFirst: true }
  // Lost, not deleted, when the damaged segment that held it was moved away. The walk from there reports that.
  const { holes } = yield* HoleStore.read(reader.directory.path)
  const lost = holes.find((hole) => hole.firstEventId <= fromId && hole.lastEventId === oldest - 1)
  if (lost !== undefined) return { ...start, segmentIndex: lost.firstSegmentIndex } satisfies Located
  return yield* new EventsDeleted({
    directory: reader.directory.path,
    wanted: `event ${fromId}`,
    firstAvailableId: oldest
  })
})
