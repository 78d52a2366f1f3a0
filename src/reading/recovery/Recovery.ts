/**
 * What happens when a recorder opens a directory: the true end is found, the torn tail of a crash is cut, and the segment
 * that was open is closed, so that recording goes on with the next id.
 *
 * The caller holds the directory's lock. What is read is bounded however many segments there are: the names, the newest
 * segment, and the beginning of the one before it.
 *
 * - No closed segment is ever cut or deleted. A newest segment that is damaged is an error, open or closed.
 * - Of an open segment only what one flush wrote is cut: see `OpenEnd` for what tells a torn write from damage.
 * - An open segment without a block held nothing that was promised; it is removed.
 * - What recovery returns is durable, whatever the syncs of its predecessors and its own earlier attempts have lost. So
 *   the open segment is written to a fresh file, which needs as much space as it has bytes.
 * - A crash at any point of recovery leaves a directory that opens again to the same events. The fresh file takes the name
 *   of the old one when it is durable; removing is one unlink.
 * - An id that was durable once is not given out again, as far as the meta file knows. Where that is ahead of the directory,
 *   events are lost, by a repair, by hand or by a device that lied; recording goes on behind their ids and segments, so
 *   verification and replay find the gap.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Disk, DiskError, openScoped, readFully, removeIfThere, writeFully } from "../../disk/Disk.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { SegmentEntry, SegmentFile } from "../../disk/SegmentDirectory.ts"
import { SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { FormatVersion, SegmentHeader } from "../../format/SegmentHeader.ts"
import { headerBytesOf } from "../../format/SegmentHeader.ts"
import { chainsSegments, fileBytesOf, keepsFileLength } from "../../format/SegmentLayout.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import type { SegmentSummary } from "../../format/SegmentVerifier.ts"
import { makeDirectoryReader } from "../DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../DirectoryReader.ts"
import { endOf, faultBetween, faultOfFollowed, sameLog } from "../segment/SegmentChain.ts"
import { corrupt } from "../segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../segment/SegmentReader.ts"
import { writePrefix } from "./SegmentPrefix.ts"

/**
 * The newest segment has another format than the one to be written. One directory holds one format.
 *
 * @since 0.1.0
 * @category errors
 */
export class FormatMismatch extends Schema.TaggedError<FormatMismatch>()("FormatMismatch", {
  path: Schema.String,
  wantedVersion: Schema.Int,
  foundVersion: Schema.Int
}) {
  override get message(): string {
    return `${this.path} has format ${this.foundVersion}; open the directory with it, or record format ` +
      `${this.wantedVersion} into another directory`
  }
  /** The format of a file does not change. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * From where recording goes on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Origin {
  /** 16 bytes; `undefined` in an empty directory and in format 1. */
  readonly walId: Uint8Array | undefined
  /** The last index that was used, whether or not its segment is still there; -1 when none was. */
  readonly lastSegmentIndex: number
  /** What the chain of the next segment starts from. */
  readonly chainedChecksum: bigint
  /** The last id that was durable once, whether or not its event is still there; 0 when there was none. */
  readonly lastEventId: number
  /** When the last block was flushed; 0 when that is not known, and in format 1. */
  readonly lastFlushNanos: bigint
}

/**
 * What recovery found and did.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecoveryReport {
  readonly directory: string
  /** Segments that remain. */
  readonly segmentCount: number
  readonly lastSegmentIndex: number
  readonly lastEventId: number
  /** Recording goes on behind this id. It is above `lastEventId` when events between them are lost. */
  readonly lastGivenId: number
  /** The segment that was open and is closed now. */
  readonly closedSegmentIndex: number | undefined
  /** Bytes behind the last whole block that were cut, up to the end of the file. */
  readonly cutBytes: number
  /** Why the first of the bytes that were cut was no block; empty when none were cut. */
  readonly cutBecause: string
  /** Open segments without an event, newest first; they were removed. */
  readonly removedSegmentIndices: ReadonlyArray<number>
  /** Indices that are missing between others. Recovery leaves that to `verify`. */
  readonly missingSegmentCount: number
}

/**
 * What to open.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecoveryOptions {
  readonly directory: string
  readonly naming: SegmentNaming
  /** The format that will be written. */
  readonly version: FormatVersion
}

/**
 * What opening gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recovered {
  readonly origin: Origin
  readonly report: RecoveryReport
}

/**
 * Opens a directory for recording. Fails with `SegmentCorrupt` when the newest segment is damaged, has no header, or
 * does not go on from the one before; with `FormatMismatch`; with `DiskError` (`Unsafe` when a segment's name
 * stands for a link or a directory).
 *
 * @since 0.1.0
 * @category recovery
 */
export const open: (
  options: RecoveryOptions
) => Effect.Effect<Recovered, DiskError | SegmentCorrupt | FormatMismatch, Disk> = Effect.fn("Recovery.open")(
  function*(options: RecoveryOptions) {
    const { version } = options
    const directory = new SegmentDirectory(options.directory, options.naming)
    const listing = yield* directory.scan
    // The maintainer is at work already, and may freeze a segment between the listing and the opening of its file.
    const reader = yield* makeDirectoryReader(directory)
    const unsafe = listing.unsafe[0]
    if (unsafe !== undefined) {
      const path = directory.pathOf(unsafe)
      return yield* new DiskError({ operation: "recover", path, reason: "Unsafe", detail: "" })
    }
    const segments = segmentsOf(listing)
    const removed: Array<number> = []
    let end: End | undefined
    let position = segments.length - 1
    for (; position >= 0; position--) {
      const { segmentIndex } = segments[position]!
      const found = yield* reader.use(segmentIndex, (newest) => findEnd(newest, reader, version))
      if (found === undefined) {
        const path = directory.hotPath(segmentIndex)
        return yield* new DiskError({ operation: "recover", path, reason: "NotFound", detail: "deleted meanwhile" })
      }
      if (found !== "empty") {
        end = found
        break
      }
      removed.push(segmentIndex)
    }
    const isChained = chainsSegments(version)
    const walId = end === undefined || !isChained ? undefined : end.header.walId
    const lastSegmentIndex = end === undefined ? -1 : end.header.segmentIndex
    const { lastEventId, lastFlushNanos } = yield* lastOf(end, segments.slice(0, Math.max(0, position)), reader)
    const given = yield* lastGiven(directory.path, lastSegmentIndex, lastEventId)
    const report: RecoveryReport = {
      directory: directory.path,
      segmentCount: position + 1,
      lastSegmentIndex,
      lastEventId,
      lastGivenId: given.lastEventId,
      closedSegmentIndex: end?.wasOpen === true ? lastSegmentIndex : undefined,
      cutBytes: end?.cutBytes ?? 0,
      cutBecause: end?.cutBecause ?? "",
      removedSegmentIndices: removed,
      missingSegmentCount: missingCount(segments.slice(0, position + 1))
    }
    const chainedChecksum = end === undefined || !isChained ? 0n : end.chainedChecksum
    return { origin: { walId, chainedChecksum, lastFlushNanos: believable(lastFlushNanos), ...given }, report }
  }
)

/** A time that leaves no room for later ones is none. */
const believable = (flushNanos: bigint): bigint => flushNanos < flushNanosEnd ? flushNanos : 0n

/** Unix time in the year 2262, less than 2^63. */
const flushNanosEnd = 9_214_646_400_000_000_000n

/** How far the log had come, by what is there and by its meta file. One that cannot be read knows nothing. */
const lastGiven = Effect.fnUntraced(function*(directory: string, lastSegmentIndex: number, lastEventId: number) {
  const meta = yield* Effect.orElseSucceed(MetaStore.read(directory), () => undefined)
  const isAhead = meta !== undefined && meta.lastEventId > lastEventId && meta.lastSegmentIndex >= lastSegmentIndex
  return isAhead
    ? { lastSegmentIndex: meta.lastSegmentIndex, lastEventId: meta.lastEventId }
    : { lastSegmentIndex, lastEventId }
})

/**
 * One line for people.
 *
 * @since 0.1.0
 * @category formatting
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, Recorder, Recovery, Wal } from "effect-wal"
 *
 * const open = Effect.gen(function*() {
 *   const { append, recovery } = yield* Recorder.Recorder
 *   yield* Console.log(Recovery.formatReport(recovery))
 *   yield* append(Buffer.from("hello"))
 *   return recovery.lastEventId
 * }).pipe(Effect.provide(Wal.layer({ directory: "./log" })))
 *
 * const program = Effect.gen(function*() {
 *   yield* open
 *   yield* Console.log(`goes on after event ${yield* open}`) // => goes on after event 1
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(NodeDisk.layer)))
 * ```
 */
export const formatReport = (report: RecoveryReport): string => {
  const parts = [
    report.lastSegmentIndex < 0
      ? "no segments"
      : `${report.segmentCount} segments to index ${report.lastSegmentIndex}, last event ${report.lastEventId}`
  ]
  if (report.closedSegmentIndex !== undefined) parts.push(`closed segment ${report.closedSegmentIndex}`)
  if (report.lastGivenId > report.lastEventId) {
    parts.push(`ids ${report.lastEventId + 1} to ${report.lastGivenId} are lost and not used again`)
  }
  if (report.cutBytes > 0) parts.push(`cut ${report.cutBytes} bytes (${report.cutBecause})`)
  if (report.removedSegmentIndices.length > 0) {
    parts.push(`removed without events: ${report.removedSegmentIndices.join(", ")}`)
  }
  if (report.missingSegmentCount > 0) parts.push(`${report.missingSegmentCount} segments missing, see verify`)
  return `${report.directory}: ${parts.join("; ")}`
}

/** The end of the newest segment, which is closed by now. */
interface End {
  readonly header: SegmentHeader
  readonly chainedChecksum: bigint
  /** 0 when the segment has no event. */
  readonly lastEventId: number
  readonly lastFlushNanos: bigint
  readonly wasOpen: boolean
  readonly cutBytes: number
  readonly cutBecause: string
}

/** Finds the end of the newest segment, and closes it; one that is open and holds nothing is removed: `empty`. */
const findEnd = Effect.fnUntraced(function*(
  newest: SegmentFile,
  reader: SegmentDirectoryReader,
  version: FormatVersion
) {
  const { header } = yield* readStart(newest)
  if (header.version !== version) {
    return yield* new FormatMismatch({ path: newest.path, wantedVersion: version, foundVersion: header.version })
  }
  const isClosed = header.closedNanos !== 0n
  if (isClosed && newest.form === "cold") return endOfClosed(header)
  const summary = yield* verifySegment(newest, { segmentIndex: newest.segmentIndex })
  if (!isClosed && summary.eventCount === 0 && newest.form === "hot") {
    yield* remove(reader.directory.path, newest.path)
    return "empty" as const
  }
  yield* checkContinues(newest, summary, reader)
  if (isClosed) {
    yield* makeDurable(reader.directory.path, newest, version)
    return endOfClosed(header)
  }
  if (newest.form === "cold") {
    const { chainedChecksum, lastEventId, lastFlushNanos } = summary
    return { ...endOfClosed(header), chainedChecksum, lastEventId, lastFlushNanos }
  }
  return yield* close(reader, newest, summary)
})

/**
 * What a killed predecessor wrote is seen by every reader, and may not have reached the device. It must, before it is
 * believed. The blocks of a closed segment are durable: a header says closed only after they were synced. The header itself
 * is written once more, since a sync that has failed, here or in a predecessor, says ok the next time without writing
 * anything.
 */
const makeDurable = Effect.fnUntraced(function*(directory: string, file: SegmentFile, version: FormatVersion) {
  const disk = yield* Disk
  yield* Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "write")
    const bytes = new Uint8Array(headerBytesOf(version))
    yield* readFully(opened, bytes, 0)
    yield* writeFully(opened, [bytes], 0)
    yield* opened.sync
  }))
  yield* disk.syncDirectory(directory)
})

const endOfClosed = (header: SegmentHeader): End => ({
  header,
  chainedChecksum: header.lastChainedChecksum,
  lastEventId: header.lastEventId,
  lastFlushNanos: header.lastFlushNanos,
  wasOpen: false,
  cutBytes: 0,
  cutBecause: ""
})

/** The newest segment must go on from the one before it, if that one is there and can say how it ended. */
const checkContinues = Effect.fnUntraced(function*(
  newest: SegmentFile,
  summary: SegmentSummary,
  reader: SegmentDirectoryReader
) {
  const before = newest.segmentIndex - 1
  if (!chainsSegments(summary.header.version) || !reader.segments().some((entry) => entry.segmentIndex === before)) {
    return
  }
  yield* reader.use(
    before,
    Effect.fnUntraced(function*(file: SegmentFile) {
      const { header } = yield* readStart(file)
      if (header.closedNanos === 0n) {
        const fault = faultOfFollowed({ header, torn: undefined })
        if (fault !== undefined) return yield* corrupt(file, fault)
      }
      const end = endOf(header)
      const { previousEventId } = end.expectations
      const firstEventId = summary.eventCount === 0 ? undefined : summary.firstEventId
      // Between them events are lost, as after a segment that was repaired. Verification reports it; no id is given out twice.
      const isLossBetween = previousEventId !== undefined && firstEventId !== undefined &&
        firstEventId > previousEventId + 1
      const before = isLossBetween ? { ...end, expectations: sameLog(end.expectations) } : end
      const fault = faultBetween(before, summary.header, firstEventId)
      if (fault !== undefined) return yield* corrupt(newest, fault)
    })
  )
})

/**
 * Writes the whole blocks, under a header that says closed, to a fresh file that takes the place of the old one. A sync of
 * the old file would prove nothing: one that has failed, here or in a predecessor, says ok the next time although the
 * device has not got what readers see. Format 1 keeps its preallocated length, of zeros.
 */
const close = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, file: SegmentFile, summary: SegmentSummary) {
  const { directory } = reader
  const disk = yield* Disk
  const { header, torn, validBytes } = summary
  const { bytes } = yield* disk.stat(file.path)
  const now = yield* Clock.currentTimeNanos
  const closedNanos = now > 0n ? now : 1n
  const fresh = directory.preparingPath(file.segmentIndex)
  yield* removeIfThere(fresh)
  yield* Effect.gen(function*() {
    yield* writePrefix(file, { ...summary, bytes: validBytes }, fresh, closedNanos)
    if (keepsFileLength(header.version)) yield* extend(fresh, Math.max(bytes, fileBytesOf(header.version, 0)))
    yield* disk.rename(fresh, file.path)
  }).pipe(Effect.onError(() => Effect.ignore(disk.unlink(fresh))))
  yield* disk.syncDirectory(directory.path)
  const end: End = {
    header: { ...header, closedNanos },
    chainedChecksum: summary.chainedChecksum,
    lastEventId: summary.lastEventId,
    lastFlushNanos: summary.lastFlushNanos,
    wasOpen: true,
    cutBytes: torn === undefined ? 0 : bytes - validBytes,
    cutBecause: torn === undefined ? "" : `${torn.kind} at offset ${torn.offset}`
  }
  return end
})

const extend = (path: string, bytes: number) =>
  Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(path, "write")
    yield* opened.truncate(bytes)
    yield* opened.sync
  }))

const remove = (directory: string, path: string) =>
  Disk.use((disk) => Effect.andThen(disk.unlink(path), disk.syncDirectory(directory)))

/** A segment that remains without events has no last id and no last flush; an older one has. */
const lastOf = Effect.fnUntraced(function*(
  end: End | undefined,
  older: ReadonlyArray<SegmentEntry>,
  reader: SegmentDirectoryReader
) {
  if (end !== undefined && end.lastEventId > 0) return end
  for (const { segmentIndex } of end === undefined ? [] : older.toReversed()) {
    const last = yield* reader.use(segmentIndex, lastIn)
    if (last === undefined) break
    if (last.lastEventId > 0) return last
  }
  return { lastEventId: 0, lastFlushNanos: 0n }
})

const lastIn = Effect.fnUntraced(function*(file: SegmentFile) {
  const { header } = yield* readStart(file)
  return header.closedNanos === 0n ? yield* verifySegment(file) : header
})

const missingCount = (segments: ReadonlyArray<SegmentEntry>): number => {
  const first = segments[0]
  const last = segments.at(-1)
  return first === undefined || last === undefined ? 0 : last.segmentIndex - first.segmentIndex + 1 - segments.length
}
