/**
 * Finds segments in a directory that a maintainer changes meanwhile: a freeze renames a segment while it is being read,
 * and retention deletes it. A name that is gone proves nothing: the directory is listed again first.
 */
import * as Effect from "effect/Effect"
import { Disk, DiskError } from "../disk/Disk.ts"
import { Unsafe } from "../disk/DiskReason.ts"
import type { SegmentDirectory, SegmentEntry, SegmentFile } from "../disk/SegmentDirectory.ts"
import { segmentsOf } from "../disk/SegmentDirectory.ts"
import type { SegmentCorrupt } from "./segment/SegmentCorrupt.ts"
import type { SegmentStart } from "./segment/SegmentReader.ts"
import { readStart } from "./segment/SegmentReader.ts"

/**
 * A listing may miss a file that is renamed meanwhile, so one listing without a segment does not prove that it is gone.
 */
const looksMax = 2

/** The segments of a directory as they were last seen. */
export interface SegmentDirectoryReader {
  readonly directory: SegmentDirectory
  /** By index. */
  readonly segments: () => ReadonlyArray<SegmentEntry>
  /**
   * Fails if the name of a segment after this index stands for something else than a file (`Unsafe`): where a link or a
   * directory is, a segment was, so the log does not end before it.
   */
  readonly refuseUnsafe: (segmentIndex: number) => Effect.Effect<void, DiskError>
  /** Lists the directory again. */
  readonly look: Effect.Effect<void, DiskError, Disk>
  /** Runs `f` with the file of a segment; `undefined` when the segment has no file in any form, after several looks. */
  readonly use: <A, E, R>(
    segmentIndex: number,
    f: (file: SegmentFile) => Effect.Effect<A, E | DiskError, R>
  ) => Effect.Effect<A | undefined, E | DiskError, R | Disk>
}

/** Lists a directory for the first time. */
export const makeDirectoryReader = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  let segments: ReadonlyArray<SegmentEntry> = []
  let byIndex: ReadonlyMap<number, SegmentEntry> = new Map()
  let unsafe: ReadonlyArray<string> = []
  const look = Effect.map(directory.scan, (listing) => {
    segments = segmentsOf(listing)
    byIndex = new Map(segments.map((entry) => [entry.segmentIndex, entry]))
    unsafe = listing.unsafe
  })
  const refuseUnsafe: SegmentDirectoryReader["refuseUnsafe"] = (segmentIndex) =>
    Effect.suspend(() => {
      const name = unsafe.find((name) => {
        const parsed = directory.parse(name)
        const isFinished = parsed?.form === "hot" || parsed?.form === "cold"
        return isFinished && parsed.index > segmentIndex && !byIndex.has(parsed.index)
      })
      if (name === undefined) return Effect.void
      const path = directory.pathOf(name)
      return Effect.fail(new DiskError({ operation: "open", path, reason: new Unsafe({ detail: "" }) }))
    })
  yield* look
  const use: SegmentDirectoryReader["use"] = Effect.fnUntraced(function*(segmentIndex, f) {
    for (let looks = 0;; looks++) {
      const entry = byIndex.get(segmentIndex)
      for (const file of entry === undefined ? [] : directory.filesOf(entry)) {
        const done = yield* Effect.catchIf(
          Effect.map(f(file), (value) => ({ value })),
          (error) => isGone(error, file),
          () => Effect.succeed(undefined)
        )
        if (done !== undefined) return done.value
      }
      if (looks === looksMax) return undefined
      yield* look
    }
  })
  const reader: SegmentDirectoryReader = { directory, segments: () => segments, refuseUnsafe, look, use }
  return reader
})

const isGone = (error: unknown, file: SegmentFile): boolean =>
  error instanceof DiskError && error.reason._tag === "NotFound" && error.path === file.path

/** Segments whose beginnings are read side by side. */
const startsAtOnce = 16

/**
 * Runs `f`, which reads little of a file, with the files of all segments, some side by side. Gives the results in the
 * order of the segments, without those that are gone.
 */
export const forEachSegment = <A, E, R>(
  reader: SegmentDirectoryReader,
  f: (file: SegmentFile) => Effect.Effect<A, E | DiskError, R>
): Effect.Effect<ReadonlyArray<A>, E | DiskError, R | Disk> =>
  Effect.map(
    Effect.forEach(
      reader.segments(),
      ({ segmentIndex }) => reader.use(segmentIndex, (file) => Effect.map(f(file), (value) => ({ value }))),
      { concurrency: startsAtOnce }
    ),
    (found) => found.flatMap((one) => one === undefined ? [] : [one.value])
  )

/** Reads the start of a segment; `undefined` when the segment is gone. */
export const startOf = (
  reader: SegmentDirectoryReader,
  segmentIndex: number
): Effect.Effect<SegmentStart | undefined, DiskError | SegmentCorrupt, Disk> => reader.use(segmentIndex, readStart)

/** As `startOf`; `undefined` also when the start is damaged. */
export const knownStart = (reader: SegmentDirectoryReader, segmentIndex: number) =>
  Effect.catchTag(startOf(reader, segmentIndex), "SegmentCorrupt", () => Effect.succeed(undefined))

/**
 * The first event of a segment, from a catalogue or from its start; `undefined` when the segment is gone, has no event,
 * or its start is damaged.
 */
const firstIdOf = (reader: SegmentDirectoryReader, segmentIndex: number) =>
  reader.use(
    segmentIndex,
    Effect.fnUntraced(function*(file) {
      const { catalogued } = yield* Disk
      const known = yield* catalogued?.(file.path) ?? Effect.undefined
      if (known !== undefined) return known.firstEventId === 0 ? undefined : known.firstEventId
      return (yield* readStart(file)).firstEventId
    })
  ).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.undefined))

/**
 * The oldest event in the directory; `undefined` when there is none. Segments without events, and those whose start is
 * damaged, are passed over.
 */
export const oldestEventId = Effect.fnUntraced(function*(reader: SegmentDirectoryReader) {
  for (const { segmentIndex } of reader.segments()) {
    const firstEventId = yield* firstIdOf(reader, segmentIndex)
    if (firstEventId !== undefined) return firstEventId
  }
  return undefined
})

/**
 * A segment with a damaged start that lies before the oldest event; `undefined` when there is none. Because of it
 * nothing can tell which events were deleted.
 */
export const damagedBeforeOldest = Effect.fnUntraced(function*(reader: SegmentDirectoryReader) {
  for (const { segmentIndex } of reader.segments()) {
    const start = yield* Effect.result(startOf(reader, segmentIndex))
    if (start._tag === "Failure") {
      return start.failure._tag === "SegmentCorrupt" ? segmentIndex : yield* start.failure
    }
    if (start.success?.firstEventId !== undefined) return undefined
  }
  return undefined
})

/**
 * The newest segment for which `isNotAfter` is true; `undefined` when it is true for none. Segments for which it gives
 * `undefined` are passed over. Asks for about log2(segments) of them.
 */
const lastSegmentWhere = Effect.fnUntraced(function*<E, R>(
  reader: SegmentDirectoryReader,
  isNotAfter: (segmentIndex: number) => Effect.Effect<boolean | undefined, E, R>
) {
  const segments = reader.segments()
  let found: number | undefined
  let low = 0
  let high = segments.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    let answer: boolean | undefined
    let probe = middle
    for (; probe >= low; probe--) {
      answer = yield* isNotAfter(segments[probe]!.segmentIndex)
      if (answer !== undefined) break
    }
    if (answer === false) {
      high = probe - 1
    } else {
      if (answer === true) found = segments[probe]!.segmentIndex
      low = middle + 1
    }
  }
  return found
})

/** The newest segment that begins with an event up to this one; `undefined` when every segment begins later. */
export const lastSegmentUpTo = (reader: SegmentDirectoryReader, eventId: number) =>
  lastSegmentWhere(
    reader,
    (segmentIndex) =>
      Effect.map(
        firstIdOf(reader, segmentIndex),
        (firstEventId) => firstEventId === undefined ? undefined : firstEventId <= eventId
      )
  )

/** The segment that has this event, or the newest one before it; `undefined` when every segment begins later. */
export const segmentWith = (
  directory: SegmentDirectory,
  eventId: number
): Effect.Effect<number | undefined, DiskError, Disk> =>
  Effect.flatMap(makeDirectoryReader(directory), (reader) => lastSegmentUpTo(reader, eventId))

/**
 * The segment where the events begin that were flushed at this Unix time or later, or one before it; `undefined` for
 * the oldest one. Flush times only grow, so about log2(segments) starts are read. Where segments tell none (format 1),
 * `firstClosedSince` answers.
 */
export const segmentSince = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, nanos: bigint) {
  let isTold = false
  const found = yield* lastSegmentWhere(
    reader,
    (segmentIndex) =>
      Effect.map(knownStart(reader, segmentIndex), (start) => {
        if (start === undefined || start.flushNanos === 0n) return undefined
        isTold = true
        return start.flushNanos < nanos
      })
  )
  return isTold ? found : yield* firstClosedSince(reader, nanos)
})

/**
 * The oldest segment that was closed at this Unix time or later, or after which another was begun later; the newest one
 * when there is none, `undefined` when nothing is known of any. The wall clock may have been set back between two
 * segments, so every segment up to the one that is found is looked at. Damaged beginnings are passed over.
 */
const firstClosedSince = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, nanos: bigint) {
  const segments = reader.segments()
  let before: number | undefined
  for (let from = 0; from < segments.length; from += startsAtOnce) {
    const starts = yield* Effect.forEach(
      segments.slice(from, from + startsAtOnce),
      ({ segmentIndex }) => Effect.map(knownStart(reader, segmentIndex), (start) => ({ segmentIndex, start })),
      { concurrency: startsAtOnce }
    )
    for (const { segmentIndex, start } of starts) {
      if (start === undefined) continue
      const { closedNanos, createdNanos } = start.header
      if (createdNanos > nanos) return before ?? segmentIndex
      if (closedNanos >= nanos) return segmentIndex
      before = segmentIndex
    }
  }
  return before
})
