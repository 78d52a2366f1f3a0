/**
 * Opens a directory for recording: finds the true end of the log, cuts the torn tail of a crash, and closes the segment
 * that was open, so that recording continues with the next id.
 *
 * The caller holds the directory's lock. What is read is bounded however many segments there are: the names, the newest
 * segment, and the start of the one before it.
 *
 * It keeps promises 3, 4, 14 and 15 of docs/RELIABILITY.md:
 *
 * - No closed segment is ever cut or deleted. A newest segment that is damaged is an error, open or closed.
 * - Of an open segment only what one flush wrote is cut. `OpenEnd` tells a torn write from damage (promise 34).
 * - An open segment without a block had nothing that was promised; it is removed.
 * - What recovery returns is durable, whatever the syncs of earlier processes and earlier attempts have lost. So the
 *   open segment is written to a fresh file, which needs as much space as the segment has bytes; on a full disk, once
 *   more in its place.
 * - A crash at any point of recovery leaves a directory that opens again to the same events. The fresh file takes the
 *   name of the old one when it is durable; removing is one unlink.
 * - An id that was durable once is not used again, as far as the meta file knows. Where the meta file is ahead of the
 *   directory, events are lost: by a repair, by hand or by a device that lied. Recording continues after their ids and
 *   segments, so verification and replay find the gap.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, DiskError, openScoped, readFully, removeIfThere, writeFully } from "../../disk/Disk.ts"
import { NotFound, Unsafe } from "../../disk/DiskReason.ts"
import * as HoleStore from "../../disk/HoleStore.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { SegmentEntry, SegmentFile } from "../../disk/SegmentDirectory.ts"
import { SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import { closedNanosOf } from "../../format/Limits.ts"
import { headerFault } from "../../format/SegmentExpectations.ts"
import type { FormatVersion, SegmentHeader } from "../../format/SegmentHeader.ts"
import { headerBytesOf } from "../../format/SegmentHeader.ts"
import { chainsSegments, fileBytesOf, keepsFileLength } from "../../format/SegmentLayout.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import type { SegmentSummary } from "../../format/SegmentVerifier.ts"
import { plainText } from "../../internal/plainText.ts"
import { makeDirectoryReader } from "../DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../DirectoryReader.ts"
import { endOf, faultBetween, faultOfFollowed, firstIdOf, sameLog } from "../segment/SegmentChain.ts"
import { corrupt } from "../segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../segment/SegmentReader.ts"
import { hasRoom, judge, LogExhausted, passAcknowledged } from "./HintedEnd.ts"
import { closePrefixInPlace, writePrefix } from "./SegmentPrefix.ts"

export { LogExhausted } from "./HintedEnd.ts"

/**
 * The newest segment has another format than the one to be written. A directory has one format.
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
    return plainText(
      `${this.path} has format ${this.foundVersion}; open the directory with it, or record format ` +
        `${this.wantedVersion} into another directory`
    )
  }
  /** The format of a file does not change. */
  get isRetryable(): boolean {
    return false
  }
}

/** Where recording continues. */
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
  /** Segments that are left. */
  readonly segmentCount: number
  readonly lastSegmentIndex: number
  readonly lastEventId: number
  /** Recording continues after this id. It is above `lastEventId` when events between them are lost. */
  readonly lastGivenId: number
  /** The segment that was open and is closed now. */
  readonly closedSegmentIndex: number | undefined
  /** Bytes after the last whole block that were cut, up to the end of the file. */
  readonly cutBytes: number
  /** Why the bytes that were cut were no block; empty when none were cut. */
  readonly cutBecause: string
  /** Open segments without an event, newest first; they were removed. */
  readonly removedSegmentIndices: ReadonlyArray<number>
  /** Indices that are missing between others. Recovery leaves that to `verify`. */
  readonly missingSegmentCount: number
  /** Why the meta file was not believed; empty when it was, and when it is absent or older than the directory. */
  readonly ignoredHint: string
}

/** What to open. */
export interface RecoveryOptions {
  readonly directory: string
  readonly naming: SegmentNaming
  /** The format that will be written. */
  readonly version: FormatVersion
}

/** What opening gives. */
export interface Recovered {
  readonly origin: Origin
  readonly report: RecoveryReport
}

/**
 * Opens a directory for recording. Fails with:
 *
 * - `SegmentCorrupt`: the newest segment is damaged, has no header, or does not continue its predecessor
 * - `FormatMismatch`: the newest segment has another format
 * - `LogExhausted`: too few segment indices or event ids are left
 * - `DiskError`; `Unsafe` when the name of a segment stands for a link or a directory
 */
export const open: (
  options: RecoveryOptions
) => Effect.Effect<Recovered, DiskError | SegmentCorrupt | FormatMismatch | LogExhausted, Disk> = Effect.fn(
  "Recovery.open"
)(
  function*(options: RecoveryOptions) {
    const { version } = options
    const directory = new SegmentDirectory(options.directory, options.naming)
    yield* Effect.annotateCurrentSpan("log", directory.path)
    const listing = yield* directory.scan
    // The maintainer is working already, and may freeze a segment between the listing and the opening of its file.
    const reader = yield* makeDirectoryReader(directory)
    const unsafe = listing.unsafe[0]
    if (unsafe !== undefined) {
      const path = directory.pathOf(unsafe)
      return yield* new DiskError({ operation: "recover", path, reason: new Unsafe({ detail: "" }) })
    }
    const segments = segmentsOf(listing)
    const removed: Array<number> = []
    let end: End | undefined
    let position = segments.length - 1
    for (; position >= 0; position--) {
      const { segmentIndex } = segments[position]!
      const found = yield* reader.use(segmentIndex, (newest) => findEnd(newest, reader, version))
      if (found === undefined) {
        // Retention, which is at work already, deletes a segment after all that are older.
        if (segmentsOf(yield* directory.scan).length === 0) {
          position = -1
          break
        }
        const path = directory.hotPath(segmentIndex)
        return yield* new DiskError({
          operation: "recover",
          path,
          reason: new NotFound({ detail: "deleted meanwhile" })
        })
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
    const found = yield* MetaStore.read(directory.path)
    const isClosed = end?.wasOpen === false
    const { end: hinted, ignored } = judge(found, { lastSegmentIndex, lastEventId, isClosed })
    const given = passAcknowledged(hinted, (yield* HoleStore.read(directory.path)).holes)
    if (!hasRoom(given)) return yield* new LogExhausted({ directory: directory.path, ...given })
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
      missingSegmentCount: missingCount(segments.slice(0, position + 1)),
      ignoredHint: ignored
    }
    const chainedChecksum = end === undefined || !isChained ? 0n : end.chainedChecksum
    return { origin: { walId, chainedChecksum, lastFlushNanos: believable(lastFlushNanos), ...given }, report }
  }
)

/** A time that leaves no room for later ones is none. */
const believable = (flushNanos: bigint): bigint => flushNanos < flushNanosEnd ? flushNanos : 0n

/** Unix time in the year 2262, less than 2^63. */
const flushNanosEnd = 9_214_646_400_000_000_000n

/** Formats a report as one line for people. */
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
  if (report.ignoredHint !== "") parts.push(`${report.ignoredHint}; ignored`)
  return plainText(`${report.directory}: ${parts.join("; ")}`)
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

/** Finds the end of the newest segment, and closes it. One that is open and has no event is removed: `empty`. */
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
  if (isClosed && newest.form === "cold") {
    // Its blocks were proven before it replaced its hot file. Its name was given from outside when it is another's.
    const fault = headerFault({ segmentIndex: newest.segmentIndex }, header)
    if (fault !== undefined) return yield* corrupt(newest, fault)
    yield* checkContinues(newest, { header, firstEventId: firstIdOf(header) }, reader)
    return endOfClosed(header)
  }
  const summary = yield* verifySegment(newest, { segmentIndex: newest.segmentIndex })
  if (!isClosed && summary.eventCount === 0 && newest.form === "hot") {
    yield* remove(reader.directory.path, newest.path)
    return "empty" as const
  }
  // One that was closed without events names the id that comes next.
  const firstEventId = summary.eventCount === 0 ? firstIdOf(header) : summary.firstEventId
  yield* checkContinues(newest, { header: summary.header, firstEventId }, reader)
  if (isClosed) {
    yield* makeDurable(reader.directory, newest, header)
    return endOfClosed(header)
  }
  if (newest.form === "cold") {
    const { chainedChecksum, lastEventId, lastFlushNanos } = summary
    return { ...endOfClosed(header), chainedChecksum, lastEventId, lastFlushNanos }
  }
  return yield* close(reader, newest, summary)
})

/**
 * Makes the header and the name of a closed segment durable. Every reader sees what a killed process wrote, but it may
 * not have reached the device, and must before it is believed. The blocks of a closed segment are durable: a header is
 * closed only after they were synced. The header itself is written once more, because a sync after a failed one (here
 * or in an earlier process) succeeds without writing anything. For the same reason the name is given to a fresh copy,
 * unless the meta file knows the segment with all its events: that is written only after the name was durable. (The
 * older file of a segment that was continued since has fewer.) On a full disk there is no room for a copy, and the name
 * is believed.
 */
const makeDurable = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  file: SegmentFile,
  { lastEventId, segmentIndex, version }: SegmentHeader
) {
  const disk = yield* Disk
  const writeHeaderAgain = Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "write")
    const bytes = new Uint8Array(headerBytesOf(version))
    yield* readFully(opened, bytes, 0)
    yield* writeFully(opened, [bytes], 0)
    yield* opened.sync
  }))
  const inPlace = disk.changeNames(directory.path, writeHeaderAgain)
  const found = yield* MetaStore.read(directory.path)
  const { meta } = found
  const isKnown = meta !== undefined && (meta.lastSegmentIndex > segmentIndex ||
    meta.lastSegmentIndex === segmentIndex && meta.lastEventId >= lastEventId)
  if (isKnown) return yield* inPlace
  const fresh = directory.preparingPath(file.segmentIndex)
  yield* removeIfThere(fresh)
  yield* copyFile(file.path, fresh).pipe(
    Effect.andThen(disk.changeNames(directory.path, disk.rename(fresh, file.path))),
    Effect.onError(() => Effect.ignore(removeIfThere(fresh))),
    Effect.catchReason("DiskError", "Full", () => inPlace)
  )
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

/** The newest segment must continue its predecessor, if that one is there and tells how it ended. */
const checkContinues = Effect.fnUntraced(function*(
  newest: SegmentFile,
  begin: { readonly header: SegmentHeader; readonly firstEventId: number | undefined },
  reader: SegmentDirectoryReader
) {
  const { firstEventId } = begin
  const before = newest.segmentIndex - 1
  if (!chainsSegments(begin.header.version) || !reader.segments().some((entry) => entry.segmentIndex === before)) {
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
      // Between them events are lost, as after a segment that was repaired. Verification reports it; no id is used
      // twice.
      const isLossBetween = previousEventId !== undefined && firstEventId !== undefined &&
        firstEventId > previousEventId + 1
      const before = isLossBetween ? { ...end, expectations: sameLog(end.expectations) } : end
      const fault = faultBetween(before, begin.header, firstEventId)
      if (fault !== undefined) return yield* corrupt(newest, fault)
    })
  )
})

/**
 * Writes the whole blocks, under a closed header, to a fresh file that replaces the old one. A sync of the old file
 * would prove nothing: a sync after a failed one (here or in an earlier process) succeeds although the device does not
 * have what readers see. Format 1 keeps the length of its file, with zeros at the end.
 *
 * On a full disk there is no room for a fresh file. Then every byte is written again in its place, and the name is
 * believed.
 */
const close = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, file: SegmentFile, summary: SegmentSummary) {
  const { directory } = reader
  const disk = yield* Disk
  const { header, torn, validBytes } = summary
  const { bytes } = yield* disk.stat(file.path)
  const closedNanos = closedNanosOf(yield* Clock.currentTimeMillis)
  const fresh = directory.preparingPath(file.segmentIndex)
  const prefix = { ...summary, bytes: validBytes }
  const fileBytes = keepsFileLength(header.version) ? Math.max(bytes, fileBytesOf(header.version, 0)) : validBytes
  yield* removeIfThere(fresh)
  yield* Effect.gen(function*() {
    yield* writePrefix(file, prefix, fresh, closedNanos)
    if (fileBytes > validBytes) yield* extend(fresh, fileBytes)
    yield* disk.changeNames(directory.path, disk.rename(fresh, file.path))
  }).pipe(
    Effect.onError(() => Effect.ignore(disk.unlink(fresh))),
    Effect.catchReason(
      "DiskError",
      "Full",
      () => disk.changeNames(directory.path, closePrefixInPlace(file.path, prefix, closedNanos, fileBytes))
    )
  )
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

const remove = (directory: string, path: string) => Disk.use((disk) => disk.changeNames(directory, disk.unlink(path)))

/** A segment that is left without events has no last id and no last flush; an older one has. */
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
