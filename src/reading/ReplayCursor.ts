/**
 * Walks over the segments of a directory in the order of their indices, hot and cold mixed, and gives their checked
 * blocks. From one segment to the next the wal_id, the chain and the event ids must continue. Where they do not, or
 * where a segment is missing, damaged or deleted, the walk fails with an error that names the place. At an acknowledged
 * hole (`HoleBetween`) the error is `EventsLost`.
 *
 * The walk ends at an open segment that only segments without events follow. When segments with events follow it, it
 * must have been closed meanwhile (format 2). In format 1, whose writer leaves several segments open after a crash, it
 * must be whole, and its successor must continue with the next id.
 *
 * A walk that came to the end may be asked again later, and continues after the last event that it handed out. While
 * the open segment is still the same file it continues at the byte. When the file was replaced (after a failed sync) or
 * frozen, its blocks may be cut differently, and the walk continues by event id. So it does when a recorder that was
 * started meanwhile continues the newest segment, which was closed when the walk came to its end.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Disk, DiskError } from "../disk/Disk.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import type { SegmentExpectations } from "../format/SegmentExpectations.ts"
import { mayStayOpen } from "../format/SegmentLayout.ts"
import type { SegmentPoint, SegmentSummary, VerifiedBlock } from "../format/SegmentVerifier.ts"
import type { SegmentDirectoryReader } from "./DirectoryReader.ts"
import { knownStart, oldestEventId, startOf } from "./DirectoryReader.ts"
import { expectationsAfterHole, holeAtEnd, holeBetween, isOfOrder } from "./HoleBetween.ts"
import { EventsDeleted, EventsLost, SegmentMissing } from "./ReplayError.ts"
import type { ReplayFailure } from "./ReplayError.ts"
import { trimBlock } from "./segment/BlockEvents.ts"
import { expectationsAfter, faultOfFollowed, faultOfUnclosed, sameLog } from "./segment/SegmentChain.ts"
import { corrupt } from "./segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"
import type { Reading, SegmentCursor } from "./segment/SegmentReader.ts"
import { openSegment, verifySegment } from "./segment/SegmentReader.ts"
import { openSegmentPast } from "./segment/SegmentSalvage.ts"
import { isEarlier, openSegmentAt, resumeSegment, soughtEvent, soughtTime } from "./segment/SegmentSeek.ts"
import type { Sought } from "./segment/SegmentSeek.ts"

/** Where a walk starts and which events it covers. */
export interface ReplayStart {
  readonly reader: SegmentDirectoryReader
  /** `undefined`: the oldest one, whatever was deleted before it. */
  readonly segmentIndex: number | undefined
  readonly fromId: number
  /** There was no event yet: the first one must not be above `fromId`. */
  readonly isBeforeFirst: boolean
  /** Leaves out what was flushed before this Unix time, up to the first event that was not, or does not tell. */
  readonly fromNanos: bigint
  /** Ends before the first event that was flushed after this Unix time. */
  readonly toNanos: bigint
  readonly reading: Reading
  /** Called with each segment that is opened. */
  readonly onSegment: (segmentIndex: number) => Effect.Effect<void>
}

/** A walk. */
export interface ReplayCursor {
  /**
   * The blocks of one read, up to event `limitId`; `undefined` when there are none now. Later calls may find more, and
   * may have a higher limit.
   */
  readonly next: (limitId: number) => Effect.Effect<ReadonlyArray<VerifiedBlock> | undefined, ReplayFailure, Disk>
  /**
   * Continues after damage or an acknowledged hole that `next` failed with, with the next block that verifies. Returns
   * where in the damaged segment that is; `undefined` when it is in a later one.
   */
  readonly skip: (
    damage: SegmentCorrupt | SegmentMissing | EventsLost
  ) => Effect.Effect<number | undefined, DiskError, Disk>
  /** The last event that was handed out, or left out because of its time; `fromId - 1` before the first. */
  readonly lastEventId: () => number
  /** Whether the walk has come to an event after its last time. */
  readonly isPastEnd: () => boolean
}

/** A segment being read, in a scope of its own. */
interface Current {
  readonly cursor: SegmentCursor
  readonly scope: Scope.Closeable
}

/** What the segment before leaves to the next one. */
interface Inheritance {
  readonly expectations: SegmentExpectations
  /** An open segment before it, of format 1: it is whole only when the next id follows. */
  readonly unclosed: { readonly file: SegmentFile; readonly offset: number } | undefined
}

/** How far an open segment was read. */
interface Mark {
  readonly segmentIndex: number
  readonly identity: string
  readonly point: SegmentPoint
}

/** A closed hot segment that was read to its end. When it was the newest, a recorder may continue it. */
interface Passed {
  readonly segmentIndex: number
  readonly lastEventId: number
  /** What its predecessor has left to it. */
  readonly inherited: Inheritance
}

const nothing: Inheritance = { expectations: {}, unclosed: undefined }

/** Starts a walk. A file that is open when the scope closes is closed. */
export const makeReplayCursor = Effect.fnUntraced(function*(start: ReplayStart) {
  const { fromId, reader, reading, toNanos } = start
  const outer = yield* Effect.scope
  let nextIndex = start.segmentIndex
  let current: Current | undefined
  let inherited = nothing
  let lastEventId = fromId - 1
  let { fromNanos, isBeforeFirst } = start
  let isPastEnd = false
  let mark: Mark | undefined
  let passed: Passed | undefined
  /** The segment after the last hole that was passed. */
  let passedUpTo: number | undefined
  /** Read, and above the limit so far. */
  let pending: ReadonlyArray<VerifiedBlock> = []

  const leave = Effect.suspend(() => {
    const left = current
    current = undefined
    return left === undefined ? Effect.void : Scope.close(left.scope, Exit.void)
  })

  /**
   * Whether a segment that did not continue its predecessor continues what the predecessor is now; then it is to be
   * opened again. When an executor dies after closing a segment and before reporting it, its successor writes that
   * segment once more, perhaps in other blocks, and a reader may have read the first version.
   */
  const relink = Effect.fnUntraced(function*({ fault, segmentIndex }: SegmentCorrupt) {
    const { expectations } = inherited
    if (fault.kind !== "BrokenChain" || expectations.previousChainedChecksum === undefined) return false
    const header = (yield* startOf(reader, segmentIndex - 1))?.header
    if (
      header === undefined || header.closedNanos === 0n || header.lastEventId !== expectations.previousEventId ||
      header.lastChainedChecksum === expectations.previousChainedChecksum
    ) return false
    inherited = { ...inherited, expectations: { ...expectations, previousChainedChecksum: header.lastChainedChecksum } }
    return true
  })

  /**
   * Returns to the segment before this one if it was continued since it was read: a recorder that starts opens the
   * newest segment again. As soon as another one follows, it no longer grows. One that has become shorter was damaged
   * and moved to quarantine: what it had was read.
   */
  const returnTo = Effect.fnUntraced(function*(segmentIndex: number) {
    const before = passed
    if (before === undefined || before.segmentIndex !== segmentIndex) return false
    const header = (yield* knownStart(reader, segmentIndex))?.header
    if (header === undefined || header.closedNanos !== 0n && header.lastEventId <= before.lastEventId) return false
    yield* leave
    nextIndex = segmentIndex
    inherited = before.inherited
    mark = undefined
    passed = undefined
    return true
  })

  /**
   * Whether the segment before this one, which a recorder may have continued since it was read, is deleted: then
   * nothing tells any more how it ended.
   */
  const isEndDeleted = Effect.fnUntraced(function*(segmentIndex: number) {
    if (passed === undefined || passed.segmentIndex !== segmentIndex - 1) return false
    const start = yield* Effect.result(startOf(reader, segmentIndex - 1))
    return start._tag === "Success" && start.success === undefined
  })

  /** Lets a segment that does not continue what was read be opened again when what it continues was deleted unread. */
  const forgetDeletedEnd = Effect.fnUntraced(function*(damage: SegmentCorrupt) {
    const { expectations } = inherited
    if (expectations.previousEventId === undefined || !isOfOrder(damage)) return false
    if (!(yield* isEndDeleted(damage.segmentIndex))) return false
    inherited = { expectations: sameLog(expectations), unclosed: undefined }
    return true
  })

  /** Fails with `EventsDeleted` when events before a block were deleted unread. */
  const refuseDeletedEnd = Effect.fnUntraced(function*(segmentIndex: number, firstEventId: number) {
    const nextId = lastEventId + 1
    if (fromNanos > 0n || firstEventId <= nextId || !(yield* isEndDeleted(segmentIndex))) return
    const directory = reader.directory.path
    const firstAvailableId = yield* oldestEventId(reader)
    return yield* new EventsDeleted({ directory, wanted: `event ${nextId}`, firstAvailableId })
  })

  /** Continues after an acknowledged hole. */
  const goPast = (hole: AcknowledgedHole) => {
    nextIndex = passedUpTo = hole.lastSegmentIndex + 1
    inherited = { expectations: expectationsAfterHole(hole, inherited.expectations), unclosed: undefined }
  }

  /**
   * Whether the walk may look again for what comes next: an acknowledged hole in which no event is lost explains why
   * `nextIndex` is not what was to come at `wanted`, and is passed. Fails with `EventsLost` when one does in which
   * events are.
   */
  const passHole = Effect.fnUntraced(function*(wanted: number, nextIndex: number) {
    const directory = reader.directory.path
    const { holes } = yield* HoleStore.read(directory)
    const before = { segmentIndex: wanted - 1, lastEventId: inherited.expectations.previousEventId }
    const firstEventId = (yield* knownStart(reader, nextIndex))?.firstEventId
    // It was listed, and is not there: what follows is looked for again.
    if (!reader.segments().some((entry) => entry.segmentIndex === nextIndex)) return true
    const hole = holeBetween(holes, before, { segmentIndex: nextIndex, firstEventId })
    // One that was passed already explains nothing more.
    if (hole === undefined || nextIndex === passedUpTo) return false
    if (hole.firstEventId <= hole.lastEventId) return yield* new EventsLost({ directory, hole })
    goPast(hole)
    return true
  })

  /** Fails with `EventsLost` when the log ends with an acknowledged hole: the recorder has begun nothing after it. */
  const refuseHoleAtEnd = Effect.fnUntraced(function*(wanted: number, isEmpty: boolean) {
    const directory = reader.directory.path
    const { holes } = yield* HoleStore.read(directory)
    const before = { segmentIndex: wanted - 1, lastEventId: inherited.expectations.previousEventId }
    const hole = isEmpty ? holes.at(-1) : holeAtEnd(holes, before)
    if (hole === undefined || hole.lastEventId <= lastEventId || hole.lastSegmentIndex + 1 === passedUpTo) return
    return yield* new EventsLost({ directory, hole })
  })

  /** What is left out at the beginning of the next segment; `undefined` when nothing is, as far as that is known. */
  const seekIn = ({ previousEventId = 0 }: SegmentExpectations): Sought | undefined => {
    const nextId = lastEventId + 1
    if (nextId > previousEventId + 1) return soughtEvent(nextId)
    return fromNanos === 0n ? undefined : soughtTime(fromNanos)
  }

  /** Opens the next segment; false at the end. */
  const enter = Effect.fnUntraced(function*() {
    if (nextIndex === undefined && reader.segments().length === 0) yield* reader.look
    while (true) {
      const wanted: number | undefined = nextIndex ?? reader.segments()[0]?.segmentIndex
      if (wanted === undefined) {
        yield* refuseHoleAtEnd(0, true)
        yield* reader.refuseUnsafe(-1)
        return false
      }
      const expectations = { ...inherited.expectations, segmentIndex: wanted }
      const opened = yield* reader.use(
        wanted,
        (file) => openInScope(outer, { file, expectations, mark, sought: seekIn(expectations), reading })
      )
      if (opened !== undefined) {
        nextIndex = wanted
        current = opened
        if (yield* returnTo(wanted - 1)) continue
        yield* start.onSegment(wanted)
        return true
      }
      const segments = reader.segments()
      const oldest = segments[0]
      const newest = segments.at(-1)
      if (oldest === undefined || newest === undefined || wanted > newest.segmentIndex) {
        if (yield* returnTo(wanted - 1)) continue
        yield* refuseHoleAtEnd(wanted, newest === undefined)
        yield* reader.refuseUnsafe(newest?.segmentIndex ?? -1)
        return false
      }
      if (wanted > oldest.segmentIndex) {
        const following = segments.find((entry) => entry.segmentIndex > wanted)
        const lastMissingIndex = (following?.segmentIndex ?? wanted + 1) - 1
        if (yield* passHole(wanted, lastMissingIndex + 1)) continue
        return yield* new SegmentMissing({
          directory: reader.directory.path,
          firstMissingIndex: wanted,
          lastMissingIndex
        })
      }
      if (nextIndex !== undefined) {
        if (yield* passHole(wanted, oldest.segmentIndex)) continue
        if (fromNanos > 0n) {
          // It was to be read only to find the first event that is wanted.
          nextIndex = undefined
          inherited = nothing
          continue
        }
        const firstAvailableId = yield* oldestEventId(reader)
        return yield* new EventsDeleted({
          directory: reader.directory.path,
          wanted: `segment ${wanted}`,
          firstAvailableId
        })
      }
    }
  })

  /** The current segment has no more blocks. True when the walk continues with another one, or with this one again. */
  const pass = Effect.fnUntraced(function*({ cursor }: Current) {
    const summary = cursor.summary()
    const { file, identity } = cursor
    const { segmentIndex } = file
    yield* leave
    if (!summary.closed) {
      const point = cursor.progress()?.point
      mark = point === undefined ? undefined : { segmentIndex, identity, point }
      const isFollowed = yield* successorHasEvents(reader, segmentIndex)
      if (!isFollowed) {
        yield* reader.refuseUnsafe(segmentIndex)
        return false
      }
      const now = yield* startOf(reader, segmentIndex)
      // Closed meanwhile, or deleted, which opening it will report.
      if (now === undefined || now.header.closedNanos !== 0n) return true
      // This walk may have left the end of the file unread.
      const followed = mayStayOpen(summary.header.version) ? yield* reader.use(segmentIndex, verifySegment) : summary
      const fault = followed && faultOfFollowed(followed)
      if (fault !== undefined) return yield* corrupt(file, fault)
    }
    const { lastEventId } = summary.header
    const mayGrow = summary.closed && file.form === "hot"
    passed = mayGrow ? { segmentIndex, lastEventId, inherited } : undefined
    inherited = inheritanceOf(summary, file, inherited)
    nextIndex = segmentIndex + 1
    return true
  })

  /** The blocks of one read of the current segment, which is opened if necessary; `undefined` at the end. */
  const readHere: Effect.Effect<ReadonlyArray<VerifiedBlock> | undefined, ReplayFailure, Disk> = Effect.gen(
    function*() {
      if (current === undefined && !(yield* enter())) return undefined
      return current === undefined ? [] : yield* current.cursor.next
    }
  ).pipe(Effect.catchTag("SegmentCorrupt", (damage) =>
    (current?.cursor.progress()?.point.blockIndex ?? 0) === 0
      ? Effect.gen(function*() {
        if (!(yield* relink(damage)) && !(yield* forgetDeletedEnd(damage))) return yield* refuseUnlinked(damage)
        yield* leave
        return yield* readHere
      })
      : Effect.fail(damage)))

  /** A segment that does not continue its predecessor may follow a hole. */
  const refuseUnlinked = (damage: SegmentCorrupt) =>
    inherited !== nothing && isOfOrder(damage)
      ? Effect.andThen(passHole(damage.segmentIndex, damage.segmentIndex), Effect.fail(damage))
      : Effect.fail(damage)

  /** Reads more; false when there is nothing more now. */
  const readOn = Effect.fnUntraced(function*() {
    if (isPastEnd) return false
    while (true) {
      const blocks = yield* readHere
      if (blocks === undefined) return false
      const at: Current | undefined = current
      if (at === undefined) continue
      if (blocks.length === 0) {
        if (!(yield* pass(at))) return false
        continue
      }
      const { firstEventId } = blocks[0]!
      if (isBeforeFirst && firstEventId > fromId) {
        const directory = reader.directory.path
        return yield* new EventsDeleted({ directory, wanted: `event ${fromId}`, firstAvailableId: firstEventId })
      }
      isBeforeFirst = false
      yield* refuseDeletedEnd(at.cursor.file.segmentIndex, firstEventId)
      pending = within(blocks)
      const { expectations, unclosed } = inherited
      inherited = { expectations, unclosed: undefined }
      yield* checkUnclosed(expectations.previousEventId, unclosed, firstEventId)
      if (pending.length > 0) return true
      if (isPastEnd) return false
    }
  })

  /** Those of the blocks that belong to the walk by their times. */
  const within = (blocks: ReadonlyArray<VerifiedBlock>): ReadonlyArray<VerifiedBlock> => {
    let wanted = blocks
    if (fromNanos > 0n) {
      const first = blocks.findIndex((block) => !isEarlier(block, fromNanos))
      wanted = first < 0 ? [] : blocks.slice(first)
      const leftOut = blocks.at(first < 0 ? -1 : first - 1)
      if (first !== 0 && leftOut !== undefined) lastEventId = Math.max(lastEventId, leftOut.lastEventId)
      if (first >= 0) fromNanos = 0n
    }
    const end = wanted.findIndex(({ flushNanos }) => flushNanos > toNanos)
    if (end < 0) return wanted
    isPastEnd = true
    return wanted.slice(0, end)
  }

  const next: ReplayCursor["next"] = Effect.fnUntraced(function*(limitId) {
    while (lastEventId < limitId) {
      if (pending.length === 0 && !(yield* readOn())) return undefined
      const wanted = trimBlocks(pending, lastEventId + 1, limitId)
      pending = pending.at(-1)!.lastEventId > limitId ? pending : []
      if (wanted.length > 0) {
        lastEventId = wanted.at(-1)!.lastEventId
        return wanted
      }
      if (pending.length > 0) return undefined
    }
    return undefined
  })

  const skip = Effect.fnUntraced(function*(damage: SegmentCorrupt | SegmentMissing | EventsLost) {
    if (damage._tag === "EventsLost") {
      yield* leave
      mark = undefined
      goPast(damage.hole)
      return undefined
    }
    if (damage._tag === "SegmentMissing") {
      nextIndex = damage.lastMissingIndex + 1
      inherited = nothing
      return undefined
    }
    // An open segment that was passed already: what follows it was read and waits.
    if (pending.length > 0) return undefined
    const progress = current?.cursor.progress()
    const file = current?.cursor.file
    // A segment that does not continue its predecessor, and of which nothing was read, may be intact by itself, as
    // after one that was repaired. It is tried once more, with no predecessor.
    const isUnlinked = progress === undefined && inherited !== nothing && damage.fault.kind === "BrokenChain"
    yield* leave
    mark = undefined
    passed = undefined
    inherited = nothing
    nextIndex = isUnlinked ? damage.segmentIndex : damage.segmentIndex + 1
    if (file?.segmentIndex !== damage.segmentIndex || progress === undefined) return undefined
    const scope = yield* Scope.fork(outer)
    // When looking meets damage in the same file again, nothing is left of it.
    const salvaged = yield* openSegmentPast(file, progress.header, progress.point, reading).pipe(
      Scope.provide(scope),
      Effect.catchTag("SegmentCorrupt", () => Effect.succeed(undefined)),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    if (salvaged === undefined) {
      yield* Scope.close(scope, Exit.void)
      return undefined
    }
    current = { cursor: salvaged.cursor, scope }
    pending = within(salvaged.blocks)
    nextIndex = damage.segmentIndex
    return salvaged.offset
  })

  const cursor: ReplayCursor = { next, skip, lastEventId: () => lastEventId, isPastEnd: () => isPastEnd }
  return cursor
})

interface Opening {
  readonly file: SegmentFile
  readonly expectations: SegmentExpectations
  readonly mark: Mark | undefined
  readonly sought: Sought | undefined
  readonly reading: Reading
}

const openInScope = (outer: Scope.Scope, opening: Opening): Effect.Effect<Current, DiskError | SegmentCorrupt, Disk> =>
  Effect.flatMap(Scope.fork(outer), (scope) =>
    openFrom(opening).pipe(
      Scope.provide(scope),
      Effect.map((cursor) => ({ cursor, scope })),
      Effect.onError(() => Scope.close(scope, Exit.void))
    ))

const openFrom = Effect.fnUntraced(function*({ expectations, file, mark, reading, sought }: Opening) {
  if (mark !== undefined && mark.segmentIndex === file.segmentIndex && mark.identity !== "") {
    const cursor = yield* resumeSegment(file, expectations, mark.identity, mark.point, reading)
    if (cursor !== undefined) return cursor
  }
  return yield* sought === undefined
    ? openSegment(file, expectations, reading)
    : openSegmentAt(file, expectations, sought, reading)
})

/** Segments after an open one that have no event were prepared and never used: they end nothing and prove nothing. */
const successorHasEvents = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, segmentIndex: number) {
  yield* reader.look
  for (const entry of reader.segments()) {
    if (entry.segmentIndex <= segmentIndex) continue
    const start = yield* startOf(reader, entry.segmentIndex)
    if (start?.firstEventId !== undefined) return true
  }
  return false
})

const inheritanceOf = (summary: SegmentSummary, file: SegmentFile, before: Inheritance): Inheritance => {
  const { header } = summary
  // A walk that returned to a segment that was closed meanwhile may have found nothing more in it; the header tells how
  // it ends.
  const previousEventId = summary.eventCount > 0
    ? summary.lastEventId
    : summary.closed && header.lastEventId > 0
    ? header.lastEventId
    : before.expectations.previousEventId
  const expectations = expectationsAfter(header, summary.chainedChecksum, previousEventId)
  const unclosed = summary.closed ? undefined : { file, offset: summary.validBytes }
  return { expectations, unclosed: summary.eventCount === 0 ? before.unclosed ?? unclosed : unclosed }
}

const checkUnclosed = (
  previousEventId: number | undefined,
  unclosed: Inheritance["unclosed"],
  firstEventId: number
): Effect.Effect<void, SegmentCorrupt> => {
  const fault = unclosed && faultOfUnclosed(unclosed.offset, previousEventId, firstEventId)
  return unclosed === undefined || fault === undefined ? Effect.void : corrupt(unclosed.file, fault)
}

const trimBlocks = (
  blocks: ReadonlyArray<VerifiedBlock>,
  fromId: number,
  toId: number
): ReadonlyArray<VerifiedBlock> => {
  const first = blocks[0]
  const last = blocks.at(-1)
  if (first === undefined || last === undefined) return []
  if (first.firstEventId >= fromId && last.lastEventId <= toId) return blocks
  return blocks.map((block) => trimBlock(block, fromId, toId)).filter((block) => block !== undefined)
}
