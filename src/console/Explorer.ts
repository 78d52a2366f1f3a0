/** What the explorer shows: a page of events, one event, and the blocks of a segment with their checksums. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { hex } from "../format/SegmentHeader.ts"
import { makeDirectoryReader } from "../reading/DirectoryReader.ts"
import { findRawBlock } from "../reading/recovery/RawBlock.ts"
import * as Replay from "../reading/Replay.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { newestEventId } from "../report/DirectoryReport.ts"
import { lastShownId } from "./ConsoleLog.ts"
import type { ConsoleLog } from "./ConsoleLog.ts"
import { viewOf } from "./EventView.ts"
import type { EventView } from "./EventView.ts"

/** So much of an event is on a page of events, in bytes; the whole event is asked for by its id. */
const shownBytesMax = 4096

/** A page of events. */
interface EventPage {
  readonly events: ReadonlyArray<EventView>
  /** Why there are no more; null when the page is full, or the log ends. */
  readonly fault: string | null
  /** Where to read on when what was asked for is deleted or lost; null otherwise. */
  readonly continueAt: number | null
}

/** Where a page begins: at an event, at a time, or so that it ends with the newest event. */
export type PageFrom = { readonly id: number } | { readonly time: DateTime.DateTime } | "newest"

/** Reads a page of events. */
export const pageOf = Effect.fnUntraced(function*(log: ConsoleLog, from: PageFrom, count: number) {
  const lastId = yield* lastShownId(log)
  const start = from === "newest" ? { id: yield* newestStart(log, count, lastId) } : from
  const events: Array<EventView> = []
  const directory = log.directory.path
  const reading = Stream.runForEach(
    Stream.takeWhile(Stream.take(Replay.events({ directory, from: start }), count), ({ id }) => id <= lastId),
    (event) => Effect.sync(() => events.push(viewOf(event, shownBytesMax)))
  )
  const page = (fault: string | null, continueAt: number | null): EventPage => ({ events, fault, continueAt })
  return yield* reading.pipe(
    Effect.as(page(null, null)),
    Effect.catchTags({
      EventsDeleted: (error) => Effect.succeed(page(error.message, error.firstAvailableId ?? null)),
      EventsLost: (error) =>
        Effect.succeed(page(error.message, error.hole.lastEventId === undefined ? null : error.hole.lastEventId + 1)),
      SegmentMissing: (error) => Effect.succeed(page(error.message, null)),
      // The river shows it, too.
      SegmentCorrupt: (error) =>
        Effect.as(Effect.ignore(log.cells.verify(error.segmentIndex)), page(error.message, null))
    })
  )
})

/** The first event of the last page. */
const newestStart = Effect.fnUntraced(function*({ directory: { path } }: ConsoleLog, count: number, lastId: number) {
  const newest = Math.min(lastId, yield* Effect.orElseSucceed(newestEventId(path), () => 0))
  const oldest = Option.getOrElse(yield* Replay.firstAvailableId(path), () => 1)
  return Math.max(oldest, newest - count + 1, 1)
})

/** One event as a whole; `undefined` when there is none with this id. */
export const eventOf = Effect.fnUntraced(function*(log: ConsoleLog, id: number) {
  if (id > (yield* lastShownId(log))) return undefined
  const directory = log.directory.path
  const found = yield* Stream.runHead(Replay.events({ directory, from: { id }, to: { id } }))
  return Option.getOrUndefined(Option.map(found, (event) => viewOf(event, Number.MAX_SAFE_INTEGER)))
})

/** A block as it lies in its segment. */
interface BlockView {
  readonly index: number
  readonly offset: number
  readonly events: number
  readonly firstEventId: number
  readonly lastEventId: number
  readonly payloadBytes: number
  /** ISO 8601, UTC; null in format 1. */
  readonly written: string | null
  readonly checksum: string
  readonly chain: string
  readonly isHeaderIntact: boolean
  readonly isPayloadIntact: boolean
}

/** The blocks of a segment, from one on; `undefined` when there is no such segment. */
export const blocksOf = (
  { directory }: ConsoleLog,
  segmentIndex: number,
  from: number,
  count: number
): Effect.Effect<
  { readonly blocks: ReadonlyArray<BlockView>; readonly isMore: boolean } | undefined,
  DiskError | SegmentCorrupt,
  Disk
> =>
  Effect.gen(function*() {
    const reader = yield* makeDirectoryReader(directory)
    return yield* reader.use(segmentIndex, (file) => {
      const blocks: Array<BlockView> = []
      let index = -1
      return Effect.map(
        findRawBlock(file, ({ header, headerHolds, offset, payloadHolds }) => {
          index += 1
          if (index >= from + count) return true
          if (index < from) return false
          const { blockChecksum, chainedChecksum, eventCount, firstEventId, flushNanos, lastEventId, payloadBytes } =
            header
          blocks.push({
            index,
            offset,
            events: eventCount,
            firstEventId,
            lastEventId,
            payloadBytes,
            written: writtenOf(flushNanos),
            checksum: hex(blockChecksum),
            chain: hex(chainedChecksum),
            isHeaderIntact: headerHolds,
            isPayloadIntact: payloadHolds
          })
          return false
        }),
        ({ block }) => ({ blocks, isMore: block !== undefined })
      )
    })
  })

/** A damaged header may claim any time. */
const writtenOf = (nanos: bigint): string | null =>
  nanos === 0n ? null : Option.match(DateTime.make(Number(nanos / 1_000_000n)), {
    onNone: () => null,
    onSome: (time) => DateTime.formatIso(time)
  })
