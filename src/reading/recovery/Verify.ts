/**
 * Checks every byte of every segment in a directory, hot and cold, and that each continues its predecessor: wal_id,
 * chain, event ids. Nothing stops it: faults come as values, at least one for each damaged segment, and all segments
 * are visited. A segment after a damaged one is checked against the damaged one's header, if that header is intact. A
 * segment that is intact but does not continue its predecessor is reported, and then checked on its own. So it finds
 * rotten bits, and segments that are missing or swapped (promises 12 and 21 of docs/RELIABILITY.md).
 *
 * The directory may be in use. A segment that is frozen meanwhile is checked in its new form; one that retention
 * deletes is left out.
 *
 * Incrementally, closed files that an earlier verification found intact are not read again: only their headers are read
 * and compared with the segment before. Damage that such a file gets later is found by verifying again.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { holesName } from "../../disk/FileNames.ts"
import * as HoleStore from "../../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { Listing, SegmentEntry, SegmentFile } from "../../disk/SegmentDirectory.ts"
import { SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentFault, SegmentFaultKind } from "../../format/SegmentFault.ts"
import { formatFault, segmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import type { SegmentSummary } from "../../format/SegmentVerifier.ts"
import { oneOf, requireOptions } from "../../internal/options.ts"
import { plainText } from "../../internal/plainText.ts"
import { expectationsAfterHole, holeAtEnd, holeBetween, isOfOrder } from "../HoleBetween.ts"
import { readingFields } from "../ReadingOptions.ts"
import {
  endOf,
  expectationsAfter,
  faultBetween,
  faultOfFollowed,
  faultOfUnclosed,
  firstIdOf,
  sameLog
} from "../segment/SegmentChain.ts"
import type { SegmentEnd } from "../segment/SegmentChain.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../segment/SegmentReader.ts"
import * as VerifiedFiles from "./VerifiedFiles.ts"

/**
 * A fault. Plain data.
 *
 * **Details**
 *
 * - `Corrupt`: a segment is damaged, or does not continue its predecessor
 * - `Unreadable`: the disk did not give the bytes
 * - `Missing`: segments are missing although older ones exist
 * - `Unsafe`: the name of a segment stands for a link, a directory or a device
 *
 * @since 0.1.0
 * @category models
 */
export type VerifyFault =
  | {
    readonly kind: "Corrupt"
    readonly path: string
    readonly segmentIndex: number
    readonly reason: SegmentFaultKind
    readonly offset: number
    readonly expected: string
    readonly found: string
  }
  | { readonly kind: "Unreadable"; readonly path: string; readonly segmentIndex: number; readonly detail: string }
  | { readonly kind: "Missing"; readonly firstSegmentIndex: number; readonly lastSegmentIndex: number }
  | { readonly kind: "Unsafe"; readonly path: string }

/**
 * A file that is intact by itself, whether or not it continues its predecessor.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifiedSegment {
  readonly segmentIndex: number
  readonly path: string
  readonly form: "hot" | "cold"
  readonly version: number
  readonly closed: boolean
  readonly blockCount: number
  readonly eventCount: number
  /** 0 when there are no events. */
  readonly firstEventId: number
  readonly lastEventId: number
  /** Uncompressed; of a remembered segment its bytes on disk. */
  readonly bytes: number
  /**
   * Of an open segment: bytes from the end of its last whole block to its end, if they are not zeros. A crash leaves
   * such a tail.
   */
  readonly tornBytes: number
  /** Found intact by an earlier verification, and not read now. */
  readonly remembered: boolean
}

/**
 * What verification found. Plain data, fit for JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifyReport {
  readonly directory: string
  /** By index; a segment that exists hot and cold comes twice. */
  readonly segments: ReadonlyArray<VerifiedSegment>
  readonly faults: ReadonlyArray<VerifyFault>
  /** Indices that exist in several forms: a freeze is under way, or a crash ended one. No fault. */
  readonly severalForms: ReadonlyArray<number>
  /** Names that the naming does not give. No fault. */
  readonly foreign: ReadonlyArray<string>
  /** Where events are lost and that is acknowledged, by segment. No fault. */
  readonly holes: ReadonlyArray<AcknowledgedHole>
  /**
   * One line for each of our own hints that is not intact or is contradicted: the meta file, the list of verified
   * files, the acknowledged holes. No fault.
   */
  readonly ignoredHints: ReadonlyArray<string>
  /**
   * Why the closed files that were found intact could not be remembered, as in a read-only directory; empty when they
   * were, and when they need not be. No fault.
   */
  readonly notRemembered: string
}

/**
 * What to verify.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifyOptions {
  readonly directory: string
  readonly naming?: SegmentNaming
  /**
   * Remembers in the directory which closed files were found intact (see `VerifiedFiles`). `onlyNew` skips those that
   * are remembered, `again` reads all. By default all are read and nothing is written.
   */
  readonly incremental?: "onlyNew" | "again"
}

const Options = Schema.Struct({ ...readingFields, incremental: Schema.optional(oneOf(["onlyNew", "again"])) })

/**
 * Verifies a directory. Fails only when the directory itself cannot be listed.
 *
 * **Example** (Verifying a directory)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Verify, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ append }) => append(Buffer.from("hello"))).pipe(
 *   Effect.provide(Events.layer({ directory: "./log" }))
 * )
 *
 * const verify = Effect.gen(function*() {
 *   const { faults, segments } = yield* Verify.verify({ directory: "./log" })
 *   for (const fault of faults) yield* Console.error(Verify.formatVerifyFault(fault))
 *   yield* Console.log(`${segments.length} segments, ${faults.length} faults`) // => 1 segments, 0 faults
 * })
 *
 * await Effect.runPromise(Effect.andThen(record, verify).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category verification
 */
export const verify: (options: VerifyOptions) => Effect.Effect<VerifyReport, DiskError, Disk> = Effect.fn(
  "Verify.verify"
)((options: VerifyOptions) => verifyWith(options, checkNothingAhead))

/** As `verify`, with help: `checkAhead` is asked for each file before it is read here. */
export const verifyWith = Effect.fnUntraced(function*(options: VerifyOptions, checkAhead: CheckAhead) {
  requireOptions("options", Options, options)
  const directory = new SegmentDirectory(options.directory, options.naming)
  yield* Effect.annotateCurrentSpan("log", directory.path)
  const listing = yield* directory.scan
  const { incremental } = options
  const list = incremental === "onlyNew" ? yield* VerifiedFiles.read(directory.path) : undefined
  const remembered = list?.keys ?? new Set()
  const entries = segmentsOf(listing)
  // Of the newest one a recorder may still change what was found. Where files are remembered, little is read.
  const closed = remembered.size > 0 ? [] : entries.slice(0, -1).flatMap((entry) => directory.filesOf(entry))
  const walk = new Walk(listing, directory, remembered)
  yield* Effect.scoped(Effect.gen(function*() {
    walk.checkedAhead = yield* checkAhead(closed)
    for (const entry of entries) yield* visit(walk, entry)
  }))
  // A file that is gone is forgotten, and so is one that has a fault.
  const notRemembered = incremental === undefined ? "" : yield* VerifiedFiles.write(directory.path, walk.whole)
  const meta = yield* MetaStore.read(directory.path)
  yield* walk.look
  const ignoredHints = [list?.fault ?? "", meta.fault].filter((fault) => fault !== "")
  return walk.report(listing, ignoredHints, notRemembered)
})

/**
 * Formats a fault as one line for people.
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatVerifyFault = (fault: VerifyFault): string => plainText(textOf(fault))

const formatContradicted = ({ firstSegmentIndex, lastSegmentIndex }: AcknowledgedHole): string =>
  `${holesName} names a hole in segments ${firstSegmentIndex} to ${lastSegmentIndex}, which the directory does not show`

const textOf = (fault: VerifyFault): string => {
  switch (fault.kind) {
    case "Corrupt":
      return `${fault.path}: ${formatFault(segmentFault(fault.reason, fault.offset, fault.expected, fault.found))}`
    case "Unreadable":
      return `${fault.path}: cannot be read: ${fault.detail}`
    case "Missing":
      return fault.firstSegmentIndex === fault.lastSegmentIndex
        ? `segment ${fault.firstSegmentIndex} is missing`
        : `segments ${fault.firstSegmentIndex} to ${fault.lastSegmentIndex} are missing`
    case "Unsafe":
      return `${fault.path}: not a regular file`
  }
}

/** How the segment before ended, as far as that is known. */
interface Before extends SegmentEnd {
  readonly segmentIndex: number
  /** The last open segment, when only segments without events followed it. */
  readonly unclosed: Unclosed | undefined
}

interface Unclosed {
  readonly file: SegmentFile
  readonly summary: SegmentSummary
}

/** What has been found so far, and what the next segment is compared with. */
class Walk {
  readonly segments: Array<VerifiedSegment> = []
  readonly faults: Array<VerifyFault> = []
  readonly severalForms: Array<number> = []
  readonly directory: SegmentDirectory
  /** Closed files that need not be read, and those that this walk found intact, by key. */
  readonly remembered: ReadonlySet<string>
  readonly whole = new Set<string>()
  /** The acknowledged holes as they were last read, and why their file was not believed. */
  acknowledged: Effect.Success<ReturnType<typeof HoleStore.read>> = { holes: [], fault: "" }
  /** Those that were found in their places. */
  readonly passed: Array<AcknowledgedHole> = []
  before: Before | undefined
  firstSegmentIndex: number | undefined
  lastSegmentIndex: number | undefined
  checkedAhead: Effect.Success<ReturnType<CheckAhead>> = () => Effect.undefined

  constructor(listing: Listing, directory: SegmentDirectory, remembered: ReadonlySet<string>) {
    this.directory = directory
    this.remembered = remembered
    for (const name of listing.unsafe) this.faults.push({ kind: "Unsafe", path: directory.pathOf(name) })
  }

  /** Reads the acknowledged holes. Beside a recorder, when they are needed: a hole comes before its gap. */
  get look(): Effect.Effect<ReadonlyArray<AcknowledgedHole>, never, Disk> {
    const read = Effect.catch(
      HoleStore.read(this.directory.path),
      ({ message }) => Effect.succeed({ holes: [], fault: message })
    )
    return Effect.map(read, (found) => {
      this.acknowledged = found
      return found.holes
    })
  }

  corrupt(file: SegmentFile, fault: SegmentFault): void {
    const { expected, found, kind: reason, offset } = fault
    const { path, segmentIndex } = file
    this.faults.push({ kind: "Corrupt", path, segmentIndex, reason, offset, expected, found })
  }

  report({ foreign }: Listing, ignoredHints: ReadonlyArray<string>, notRemembered: string): VerifyReport {
    const { directory, faults, segments, severalForms } = this
    const { fault } = this.acknowledged
    const later = HoleStore.since(this.acknowledged.holes, this.firstSegmentIndex ?? 0)
    const holes = later.filter((hole) => this.isThere(hole))
    return {
      directory: directory.path,
      segments,
      faults,
      severalForms,
      foreign,
      holes,
      ignoredHints: [
        ...ignoredHints,
        ...(fault === "" ? [] : [fault]),
        ...later.filter((hole) => !holes.includes(hole)).map(formatContradicted)
      ],
      notRemembered
    }
  }

  /** Whether the directory shows this hole: between two segments, or at one of its ends. */
  isThere(hole: AcknowledgedHole): boolean {
    const { before, firstSegmentIndex, lastSegmentIndex } = this
    if (firstSegmentIndex === undefined || lastSegmentIndex === undefined) return true
    const isAtOldEnd = firstSegmentIndex > hole.lastSegmentIndex
    // Of segments without events none is the last one, and then no id contradicts the hole.
    const isAtNewEnd = before?.segmentIndex === lastSegmentIndex &&
      holeAtEnd([hole], { segmentIndex: lastSegmentIndex, lastEventId: before.expectations.previousEventId }) !==
        undefined
    const isPassed = this.passed.some((part) =>
      hole.firstSegmentIndex <= part.firstSegmentIndex && part.lastSegmentIndex <= hole.lastSegmentIndex
    )
    return isPassed || isAtOldEnd || isAtNewEnd
  }
}

const visit = Effect.fnUntraced(function*(walk: Walk, entry: SegmentEntry) {
  const { segmentIndex } = entry
  const { before, directory } = walk
  const { expectations = {}, version } = before ?? {}
  const end: SegmentEnd = {
    version,
    expectations: {
      ...(before?.segmentIndex === segmentIndex - 1 ? expectations : sameLog(expectations)),
      segmentIndex
    }
  }
  const { lastSegmentIndex = segmentIndex } = walk
  const findHole = Effect.gen(function*() {
    const lastEventId = before?.segmentIndex === lastSegmentIndex ? expectations.previousEventId : undefined
    const start = yield* Effect.option(readStart(directory.filesOf(entry)[0]!))
    const after = { segmentIndex, firstEventId: Option.getOrUndefined(start)?.firstEventId }
    const hole = holeBetween(yield* walk.look, { segmentIndex: lastSegmentIndex, lastEventId }, after)
    if (hole === undefined) return undefined
    return { hole, end: { version, expectations: { ...expectationsAfterHole(hole, expectations), segmentIndex } } }
  })
  const ways: Ways = lastSegmentIndex < segmentIndex - 1
    ? { first: (yield* findHole) ?? { hole: undefined, end }, other: Effect.succeed(undefined) }
    : { first: { hole: undefined, end }, other: findHole }
  const files = directory.filesOf(entry)
  let visited = yield* visitFiles(walk, files, ways)
  // Frozen since the directory was listed, perhaps deleted too; a segment changes its form once, and is deleted once.
  for (let look = 0; look < 3 && visited.length === 0; look++) {
    const listing = yield* directory.scan
    const now = segmentsOf(listing).find((other) => other.segmentIndex === segmentIndex)
    if (now !== undefined) visited = yield* visitFiles(walk, directory.filesOf(now), ways)
    else if (segmentsOf(listing).every((other) => other.segmentIndex > segmentIndex)) {
      // Retention has deleted this segment and all before it: no gap, although some of them were seen.
      walk.lastSegmentIndex = segmentIndex
      return
    }
  }
  const first = visited[0]
  if (first === undefined) return
  const whole = visited.find((file) => file.summary !== undefined) ?? first
  const { hole } = whole
  if (hole !== undefined) walk.passed.push(hole)
  noteMissing(walk, segmentIndex)
  if (visited.length > 1) walk.severalForms.push(segmentIndex)
  if (whole.summary === undefined) {
    walk.before = yield* beforeOfDamaged(whole.file, end, before)
    return
  }
  checkOrder(walk, whole, whole.summary)
  walk.before = beforeOf(whole.file, whole.summary, walk.before)
})

/** How a segment may continue the one before it: with the next event, or after an acknowledged hole. */
interface Way {
  readonly hole: AcknowledgedHole | undefined
  readonly end: SegmentEnd
}

/** The way to try first, and the other one when the segment does not continue its predecessor. */
interface Ways {
  readonly first: Way
  readonly other: Effect.Effect<Way | undefined, never, Disk>
}

interface Visited extends Way {
  readonly file: SegmentFile
  readonly summary: SegmentSummary | undefined
}

/** Verifies each of the files that still exist. */
const visitFiles = Effect.fnUntraced(function*(
  walk: Walk,
  files: ReadonlyArray<SegmentFile>,
  { first, other }: Ways
) {
  const visited: Array<Visited> = []
  for (const file of files) {
    const result = yield* Effect.result(checkFile(walk, file, first.end))
    if (Result.isSuccess(result)) {
      noteWhole(walk, file, result.success)
      visited.push({ ...first, file, summary: result.success.summary })
      continue
    }
    if (isGone(result.failure)) continue
    let way = first
    let { failure } = result
    const second = isUnlinked(failure) ? yield* other : undefined
    if (second !== undefined) {
      const again = yield* Effect.result(checkFile(walk, file, second.end))
      if (Result.isSuccess(again)) {
        noteWhole(walk, file, again.success)
        visited.push({ ...second, file, summary: again.success.summary })
        continue
      }
      // It follows the hole, and is damaged besides.
      if (!isUnlinked(again.failure)) {
        way = second
        failure = again.failure
      }
    }
    noteFailure(walk, file, failure)
    if (isUnlinked(failure)) {
      const single = yield* Effect.result(checkFile(walk, file, alone(file.segmentIndex)))
      if (Result.isSuccess(single)) noteWhole(walk, file, single.success)
    }
    visited.push({ ...(isUnlinked(failure) ? { ...way, hole: undefined } : way), file, summary: undefined })
  }
  return visited
})

const isUnlinked = (error: DiskError | SegmentCorrupt): boolean => error._tag === "SegmentCorrupt" && isOfOrder(error)

/** For a segment that is checked on its own. */
const alone = (segmentIndex: number): SegmentEnd => ({ version: undefined, expectations: { segmentIndex } })

/** What an intact file turned out to be. */
interface Checked {
  readonly key: string
  readonly summary: SegmentSummary
  readonly remembered: boolean
}

const noteWhole = (walk: Walk, file: SegmentFile, { key, remembered, summary }: Checked): void => {
  if (summary.closed) walk.whole.add(key)
  walk.segments.push(verifiedSegment(file, summary, remembered))
}

/**
 * Reads a whole file. Of one that is remembered, and whose header continues the predecessor, it reads only the header.
 */
const checkFile = Effect.fnUntraced(function*(walk: Walk, file: SegmentFile, end: SegmentEnd) {
  // Before it is read: if its name passes to another file meanwhile, that one is not remembered.
  const stat = yield* Disk.use((disk) => disk.stat(file.path))
  const key = VerifiedFiles.keyOf(stat)
  if (walk.remembered.has(key)) {
    const { header } = yield* readStart(file)
    if (continuesBy(end, header)) {
      const checked: Checked = { key, summary: summaryOf(header, stat.bytes), remembered: true }
      return checked
    }
  }
  const ahead = yield* walk.checkedAhead(file)
  // What was found of a file alone is what reading it again would give, when it also continues the one before.
  const isFound = ahead !== undefined && ahead.key === key && continuesBy(end, ahead.summary.header)
  const summary = isFound ? ahead.summary : yield* verifySegment(file, end.expectations)
  const checked: Checked = { key, summary, remembered: false }
  return checked
})

const continuesBy = (end: SegmentEnd, header: SegmentHeader): boolean =>
  header.closedNanos !== 0n && faultBetween(end, header, firstIdOf(header)) === undefined

/** What a file turned out to be by itself, before the walk came to it. */
export interface CheckedAhead {
  /** As `VerifiedFiles.keyOf`, before it was read. */
  readonly key: string
  readonly summary: SegmentSummary
}

/** Checks files ahead of the walk, perhaps; the function that it gives waits for what was found of a file. */
export type CheckAhead = (
  files: ReadonlyArray<SegmentFile>
) => Effect.Effect<(file: SegmentFile) => Effect.Effect<CheckedAhead | undefined>, never, Scope.Scope>

/** No help. */
export const checkNothingAhead: CheckAhead = () => Effect.succeed(() => Effect.undefined)

/** Checks a file by itself. */
export const checkAlone = Effect.fnUntraced(function*(file: SegmentFile) {
  const key = VerifiedFiles.keyOf(yield* Disk.use((disk) => disk.stat(file.path)))
  const summary = yield* verifySegment(file, { segmentIndex: file.segmentIndex })
  return { key, summary } satisfies CheckedAhead
})

/** The summary by a closed header, of a segment whose bytes were found to agree with it. */
const summaryOf = (header: SegmentHeader, bytes: number): SegmentSummary => ({
  header,
  closed: true,
  blockCount: header.blockCount,
  eventCount: header.eventCount,
  firstEventId: header.eventCount === 0 ? 0 : header.firstEventId,
  lastEventId: header.eventCount === 0 ? 0 : header.lastEventId,
  validBytes: bytes,
  bytes,
  chainedChecksum: header.lastChainedChecksum,
  lastFlushNanos: header.lastFlushNanos,
  torn: undefined
})

const isGone = (error: DiskError | SegmentCorrupt): boolean =>
  error._tag === "DiskError" && error.reason._tag === "NotFound"

const noteFailure = (walk: Walk, file: SegmentFile, error: DiskError | SegmentCorrupt): void => {
  if (error._tag === "SegmentCorrupt") walk.corrupt(file, error.fault)
  else {
    const { path, segmentIndex } = file
    walk.faults.push({ kind: "Unreadable", path, segmentIndex, detail: error.message })
  }
}

const noteMissing = (walk: Walk, segmentIndex: number): void => {
  const { lastSegmentIndex, passed } = walk
  walk.firstSegmentIndex ??= segmentIndex
  walk.lastSegmentIndex = segmentIndex
  if (lastSegmentIndex === undefined || lastSegmentIndex === segmentIndex - 1) return
  if (passed.some((hole) => hole.lastSegmentIndex === segmentIndex - 1)) return
  walk.faults.push({
    kind: "Missing",
    firstSegmentIndex: lastSegmentIndex + 1,
    lastSegmentIndex: segmentIndex - 1
  })
}

const verifiedSegment = (file: SegmentFile, summary: SegmentSummary, remembered: boolean): VerifiedSegment => ({
  segmentIndex: file.segmentIndex,
  path: file.path,
  form: file.form,
  version: summary.header.version,
  closed: summary.closed,
  blockCount: summary.blockCount,
  eventCount: summary.eventCount,
  firstEventId: summary.firstEventId,
  lastEventId: summary.lastEventId,
  bytes: summary.bytes,
  tornBytes: summary.torn === undefined ? 0 : summary.bytes - summary.validBytes,
  remembered
})

/**
 * Checks what a segment alone cannot tell: whether its format belongs here, and whether an open predecessor may be
 * open.
 */
const checkOrder = (walk: Walk, { end, file, hole }: Visited, summary: SegmentSummary): void => {
  const { before } = walk
  if (before === undefined) return
  const misfit = faultBetween(end, summary.header, firstIdOf(summary.header))
  if (misfit !== undefined) walk.corrupt(file, misfit)
  if (before.unclosed === undefined || summary.eventCount === 0 || hole !== undefined) return
  const { file: unclosedFile, summary: unclosed } = before.unclosed
  // An open segment that others follow is whole only in format 1, and only when the next id follows.
  const fault = faultOfFollowed(unclosed) ??
    faultOfUnclosed(unclosed.validBytes, before.expectations.previousEventId, summary.firstEventId)
  if (fault !== undefined) walk.corrupt(unclosedFile, fault)
}

const beforeOf = (file: SegmentFile, summary: SegmentSummary, older: Before | undefined): Before => {
  const isEmpty = summary.eventCount === 0
  const previousEventId = summary.lastEventId > 0 ? summary.lastEventId : older?.expectations.previousEventId
  const unclosed = summary.closed ? undefined : { file, summary }
  return {
    segmentIndex: file.segmentIndex,
    version: summary.header.version,
    expectations: expectationsAfter(summary.header, summary.chainedChecksum, previousEventId),
    unclosed: isEmpty ? older?.unclosed ?? unclosed : unclosed
  }
}

/**
 * An intact closed header of a damaged segment still tells how it ended, if the segment continues its predecessor. A
 * segment that does not belong here tells nothing: what was known before it stays.
 */
const beforeOfDamaged = Effect.fnUntraced(function*(
  file: SegmentFile,
  end: SegmentEnd,
  older: Before | undefined
) {
  const unknown = older === undefined ? undefined : { ...older, unclosed: undefined }
  const start = yield* Effect.result(readStart(file))
  if (Result.isFailure(start) || start.success.header.closedNanos === 0n) return unknown
  const { header } = start.success
  // Events may be lost between the two, so ids need not continue.
  if (faultBetween(end, header, undefined) !== undefined) return unknown
  const before: Before = { ...endOf(header), segmentIndex: file.segmentIndex, unclosed: undefined }
  return before
})
