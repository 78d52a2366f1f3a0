/**
 * Walks over the segments of a directory in the order of their indices, hot and cold mixed, and gives their checked
 * blocks. From one segment to the next the wal_id, the chain and the event ids must go on; where they do not, or where a
 * segment is missing, damaged or deleted, it says so and does not go on as if nothing were.
 *
 * An open segment is the end when nothing follows it but segments without events. One that others follow must have been closed
 * meanwhile (format 2), or must be whole, its successor going on with the next id (format 1; its engine leaves several
 * unclosed after a crash).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { segmentFault } from "../format/SegmentFault.ts"
import type { SegmentExpectations, SegmentSummary, VerifiedBlock } from "../format/SegmentVerifier.ts"
import { trimBlock } from "./BlockEvents.ts"
import type { BlockMemory } from "./BlockMemory.ts"
import { Deleted, SegmentMissing } from "./ReplayError.ts"
import type { ReplayFailure } from "./ReplayError.ts"
import { corrupt } from "./SegmentCorrupt.ts"
import type { SegmentCorrupt } from "./SegmentCorrupt.ts"
import type { SegmentDirectoryReader } from "./SegmentDirectoryReader.ts"
import { oldestEventId, startOf } from "./SegmentDirectoryReader.ts"
import type { SegmentCursor } from "./SegmentReader.ts"
import { openSegment } from "./SegmentReader.ts"
import { openSegmentAt } from "./SegmentSeek.ts"

/**
 * Where a walk begins and which ids it is about.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplayStart {
  readonly reader: SegmentDirectoryReader
  /** `undefined`: the oldest there is, whatever was deleted before it. */
  readonly segmentIndex: number | undefined
  readonly fromId: number
  readonly toId: number
  readonly memory: BlockMemory
}

/**
 * A walk. `next` gives the blocks of one read, `undefined` at the end of what there is now; later calls may find more.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplayCursor {
  readonly next: Effect.Effect<ReadonlyArray<VerifiedBlock> | undefined, ReplayFailure, Disk>
  /** Leaves the segment at hand and goes on with the next one, asking nothing of it. For a reader that lives with holes. */
  readonly skipSegment: Effect.Effect<void>
  /** The last event that was handed out; `fromId - 1` before the first. */
  readonly lastEventId: () => number
}

/** A segment being read, in a scope of its own. */
interface Current {
  readonly cursor: SegmentCursor
  readonly scope: Scope.Closeable
}

/** What the segment before leaves to the next one. */
interface Inheritance {
  readonly expectations: SegmentExpectations
  /** An unclosed segment before it, of format 1: it is whole only when the next id follows. */
  readonly unclosed: { readonly file: SegmentFile; readonly offset: number } | undefined
}

const nothing: Inheritance = { expectations: {}, unclosed: undefined }

/**
 * Begins a walk. What is open when the scope closes is closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeReplayCursor = Effect.fnUntraced(function*(start: ReplayStart) {
  const { fromId, memory, reader, toId } = start
  const outer = yield* Effect.scope
  let nextIndex = start.segmentIndex
  let current: Current | undefined
  let inherited = nothing
  let lastEventId = fromId - 1

  const leave = Effect.suspend(() => {
    const left = current
    current = undefined
    return left === undefined ? Effect.void : Scope.close(left.scope, Exit.void)
  })

  /** Opens the segment that comes next; false at the end of what there is. */
  const enter = Effect.fnUntraced(function*() {
    while (true) {
      const wanted: number | undefined = nextIndex ?? reader.segments()[0]?.segmentIndex
      if (wanted === undefined) return false
      const expectations = { ...inherited.expectations, segmentIndex: wanted }
      const opened = yield* reader.use(
        wanted,
        (file) => openInScope(outer, file, expectations, lastEventId + 1, memory)
      )
      if (opened !== undefined) {
        nextIndex = wanted
        current = opened
        return true
      }
      const segments = reader.segments()
      const oldest = segments[0]
      const newest = segments.at(-1)
      if (oldest === undefined || newest === undefined || wanted > newest.segmentIndex) return false
      if (wanted > oldest.segmentIndex) {
        const following = segments.find((entry) => entry.segmentIndex > wanted)
        const lastMissingIndex = (following?.segmentIndex ?? wanted + 1) - 1
        return yield* new SegmentMissing({ directory: reader.directory, firstMissingIndex: wanted, lastMissingIndex })
      }
      if (nextIndex !== undefined) {
        const firstAvailableId = (yield* oldestEventId(reader)) ?? 0
        return yield* new Deleted({ directory: reader.directory, wanted: `segment ${wanted}`, firstAvailableId })
      }
    }
  })

  /** The segment at hand has no more blocks. True when the walk goes on with another, or with this one anew. */
  const pass = Effect.fnUntraced(function*({ cursor }: Current) {
    const summary = cursor.summary()
    const { file } = cursor
    yield* leave
    if (!summary.closed) {
      const isFollowed = yield* successorHasEvents(reader, file.segmentIndex)
      if (!isFollowed) return false
      const now = yield* startOf(reader, file.segmentIndex)
      if (now !== undefined && now.header.closedNanos !== 0n) return true
      if (summary.header.version === 2) {
        const fault = segmentFault("BadHeader", 40, "a closed segment, for another one follows", "an open one")
        return yield* corrupt(file, fault)
      }
      if (summary.torn !== undefined) return yield* corrupt(file, summary.torn)
    }
    inherited = inheritanceOf(summary, file, inherited)
    nextIndex = file.segmentIndex + 1
    return true
  })

  const next: ReplayCursor["next"] = Effect.gen(function*() {
    while (true) {
      if (lastEventId >= toId) return undefined
      if (current === undefined && !(yield* enter())) return undefined
      const at: Current | undefined = current
      if (at === undefined) continue
      const blocks = yield* at.cursor.next
      if (blocks.length === 0) {
        if (!(yield* pass(at))) return undefined
        continue
      }
      yield* checkUnclosed(inherited, blocks[0]!)
      if (inherited.unclosed !== undefined) inherited = { ...inherited, unclosed: undefined }
      const wanted = trimBlocks(blocks, lastEventId + 1, toId)
      if (wanted.length > 0) {
        lastEventId = wanted.at(-1)!.lastEventId
        return wanted
      }
      if (blocks.at(-1)!.lastEventId >= toId) return undefined
    }
  })

  const skipSegment = Effect.suspend(() => {
    inherited = nothing
    nextIndex = (current?.cursor.file.segmentIndex ?? nextIndex ?? -1) + 1
    return leave
  })

  const cursor: ReplayCursor = { next, skipSegment, lastEventId: () => lastEventId }
  return cursor
})

const openInScope = (
  outer: Scope.Scope,
  file: SegmentFile,
  expectations: SegmentExpectations,
  fromId: number,
  memory: BlockMemory
): Effect.Effect<Current, DiskError | SegmentCorrupt, Disk> =>
  Effect.flatMap(Scope.fork(outer), (scope) => {
    const isBegun = fromId > (expectations.previousEventId ?? 0) + 1
    const opening = isBegun
      ? openSegmentAt(file, expectations, fromId, memory)
      : openSegment(file, expectations, memory)
    return opening.pipe(
      Scope.provide(scope),
      Effect.map((cursor) => ({ cursor, scope })),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
  })

/** Segments behind an open one that hold no event were prepared and never used; they end nothing and prove nothing. */
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
  const previousEventId = summary.eventCount > 0 ? summary.lastEventId : before.expectations.previousEventId
  const ids = previousEventId === undefined ? {} : { previousEventId }
  const expectations = header.version === 1
    ? ids
    : { ...ids, walId: header.walId, previousChainedChecksum: summary.chainedChecksum }
  return { expectations, unclosed: summary.closed ? undefined : { file, offset: summary.validBytes } }
}

const checkUnclosed = (
  { expectations, unclosed }: Inheritance,
  block: VerifiedBlock
): Effect.Effect<void, SegmentCorrupt> => {
  const { previousEventId } = expectations
  if (unclosed === undefined || previousEventId === undefined || block.firstEventId === previousEventId + 1) {
    return Effect.void
  }
  const expected = `events up to id ${block.firstEventId - 1}, for the next segment begins after it`
  return corrupt(unclosed.file, segmentFault("Truncated", unclosed.offset, expected, `last id ${previousEventId}`))
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
