/**
 * Makes the directory of a machine say what the archive and the tail say, before its log is opened there.
 *
 * ```text
 * segments that are the same stay → what is not the same, copied to quarantine/diverged-EPOCH/ with a report
 *   → removed, newest first → the segments of the tail, or the newest of the archive, oldest first
 * ```
 *
 * Each arrow means "durable before". After a crash at any point the next opening finds a directory that is behind, and
 * does the rest. Events that only this disk has go on being a part of the log as long as nobody has written others in
 * their place: then they follow the newest segment of the tail, and nothing is changed.
 *
 * The directory's lock is held.
 */
import * as Effect from "effect/Effect"
import { ArchiveError } from "../archive/ArchiveError.ts"
import { BadSegment } from "../archive/ArchiveReason.ts"
import { manifestKey, segmentFileName } from "../archive/Manifest.ts"
import type { Manifest, Row, SegmentRow } from "../archive/Manifest.ts"
import { walkBlocks } from "../archive/tail/Blocks.ts"
import { fileOf } from "../archive/tail/TailContent.ts"
import type { TailContent } from "../archive/tail/TailContent.ts"
import { copyFile } from "../disk/CopyFile.ts"
import { Disk, openScoped, readFully, removeIfThere, writeFully } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { moveName, removeName } from "../disk/DurableNames.ts"
import { metaName, quarantineName, repairReportName } from "../disk/FileNames.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import { makeDirectoryIn, nameIn, pathIn, segmentsOf } from "../disk/SegmentDirectory.ts"
import type { SegmentDirectory, SegmentEntry, SegmentFile } from "../disk/SegmentDirectory.ts"
import { isSegmentFault } from "../format/SegmentFault.ts"
import { decodeHeader, headerBytesOf } from "../format/SegmentHeader.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import { openContent } from "../reading/segment/SegmentContent.ts"
import { readStart } from "../reading/segment/SegmentReader.ts"
import type { StoreError } from "../store/ObjectStore.ts"

/** Where the log truly ends, and how it is read. */
export interface Truth {
  readonly log: string
  readonly manifest: Manifest
  readonly content: TailContent
  readonly rowFor: (segmentIndex: number) => Effect.Effect<Row | undefined, StoreError | ArchiveError>
  /** The cold file of an archived segment, proved. */
  readonly fetch: (row: SegmentRow) => Effect.Effect<Uint8Array, StoreError | ArchiveError>
  /** The content of an archived segment, proved. */
  readonly fetchContent: (row: SegmentRow) => Effect.Effect<Uint8Array, StoreError | ArchiveError>
}

/**
 * What was done to a directory. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalChanges {
  /** Where what diverged is; `undefined` when nothing did. */
  readonly quarantine: string | undefined
  /** Segments that were removed here, because they are in the store as they are to be. */
  readonly removed: ReadonlyArray<number>
  /** Segments that were written here. */
  readonly restored: ReadonlyArray<number>
}

type Failure = DiskError | StoreError | ArchiveError

/** Blocks of a segment, whole and checked, and its header. */
interface Blocks {
  readonly header: SegmentHeader
  readonly blocks: Uint8Array
  readonly lastEventId: number
}

/** How a local segment stands to the true one. */
type Standing = "same" | "behind" | "ahead" | "other"

/** Compares the directory, and changes what must be changed. */
export const adapt = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  epoch: number,
  truth: Truth
): Effect.fn.Return<LocalChanges, Failure, Disk> {
  const { content: { segments }, manifest } = truth
  const entries = segmentsOf(yield* directory.scan)
  const ends = manifest.nextIndex + segments.length
  if (ends === manifest.firstIndex && manifest.nextIndex === manifest.firstIndex) return unchanged
  let keepBefore = Number.POSITIVE_INFINITY
  let isDiverged = false
  for (const entry of entries) {
    const standing = yield* standingOf(directory, entry, truth, ends - 1)
    if (standing === "same") continue
    if (standing === "ahead") break
    keepBefore = entry.segmentIndex
    const newest = entries.at(-1)!.segmentIndex
    // What follows a segment that is behind was never a part of the log.
    isDiverged = standing === "other" || newest > entry.segmentIndex
    break
  }
  const newestHere = entries.at(-1)?.segmentIndex ?? -1
  // Segments that follow the newest of the tail are ahead: each continues the one before.
  if (keepBefore === Number.POSITIVE_INFINITY && newestHere >= ends - 1) return unchanged
  const firstMissing = Math.min(keepBefore, newestHere + 1)
  const restoredFrom = segments.length > 0 ? manifest.nextIndex : manifest.nextIndex - 1
  const row = segments.length > 0 ? undefined : yield* truth.rowFor(restoredFrom)
  if (segments.length === 0 && (row === undefined || row.form === "none" || row.hole !== null)) {
    const detail = "the newest segment of the archive is lost, so nothing tells where the log goes on; " +
      "open it where it was recorded last"
    return yield* new ArchiveError({ reason: new BadSegment({ detail }), key: manifestKey(truth.log) })
  }
  const gone = entries.filter(({ segmentIndex }) => segmentIndex >= keepBefore)
  const quarantine = isDiverged
    ? yield* keepDiverged(directory, epoch, gone, truth)
    : undefined
  // A gap stands for a loss. What comes before it is in the archive.
  const replaced = firstMissing < restoredFrom ? entries : gone
  for (const entry of replaced.toReversed()) yield* remove(directory, entry)
  if (replaced.length > 0) {
    // It tells of events that are not here any more.
    yield* removeIfThere(directory.pathOf(metaName))
    const { holes } = yield* HoleStore.read(directory.path)
    const left = holes.filter((hole) => replaced === gone && hole.lastSegmentIndex < keepBefore)
    if (left.length < holes.length) yield* HoleStore.write(directory.path, left)
  }
  const restored: Array<number> = []
  for (const segment of segments) {
    if (segment.segmentIndex < firstMissing) continue
    yield* put(directory, directory.hotPath(segment.segmentIndex), segment.segmentIndex, fileOf(segment))
    restored.push(segment.segmentIndex)
  }
  if (row !== undefined && row.form !== "none") {
    const path = directory.pathOf(segmentFileName(directory.naming, row))
    yield* put(directory, path, row.index, yield* truth.fetch(row))
    restored.push(row.index)
  }
  return { quarantine, removed: replaced.map(({ segmentIndex }) => segmentIndex), restored }
})

const unchanged: LocalChanges = { quarantine: undefined, removed: [], restored: [] }

/** How a local segment stands to the true one. `newest` is the last one of the tail, or of the archive. */
const standingOf = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  entry: SegmentEntry,
  { content: { segments }, fetchContent, manifest, rowFor }: Truth,
  newest: number
): Effect.fn.Return<Standing, Failure, Disk> {
  const { segmentIndex } = entry
  if (segmentIndex > newest) return "ahead"
  if (segmentIndex < manifest.firstIndex) return "same"
  const inTail = segments.find((segment) => segment.segmentIndex === segmentIndex)
  if (inTail !== undefined) return compare(yield* blocksIn(directory, entry), inTail, segmentIndex === newest)
  const row = yield* rowFor(segmentIndex)
  // What an acknowledged loss left here is settled between the directory and its archive.
  if (row === undefined || row.form === "none" || row.hole !== null) return "same"
  const start = yield* Effect.catchTag(
    readStart(directory.filesOf(entry)[0]!),
    "SegmentCorrupt",
    () => Effect.succeed(undefined)
  )
  // Damaged since it was archived: readers take the archive's.
  if (start === undefined) return "same"
  const { closedNanos, lastEventId } = start.header
  if (lastEventId === row.lastId && Number(closedNanos / 1_000_000n) === row.closedMillis) return "same"
  const archived = walked(yield* fetchContent(row))
  return compare(yield* blocksIn(directory, entry), archived, false)
})

const compare = (here: Blocks | undefined, there: Blocks | undefined, isNewest: boolean): Standing => {
  if (there === undefined) return "same"
  if (here === undefined || here.header.previousChainedChecksum !== there.header.previousChainedChecksum) return "other"
  const length = Math.min(here.blocks.length, there.blocks.length)
  if (Buffer.compare(here.blocks.subarray(0, length), there.blocks.subarray(0, length)) !== 0) return "other"
  if (here.blocks.length < there.blocks.length) return "behind"
  // A recorder that starts continues the newest segment, even one that was closed.
  if (here.blocks.length > there.blocks.length) return isNewest ? "ahead" : "other"
  const mustBeClosed = !isNewest && there.header.closedNanos !== 0n
  return mustBeClosed && here.header.closedNanos === 0n ? "behind" : "same"
}

/** The header and the whole blocks of a segment's content. */
const walked = (content: Uint8Array): Blocks | undefined => {
  const header = decodeHeader(content)
  if (isSegmentFault(header) || header.version !== 2) return undefined
  const blocks = content.subarray(headerBytesOf(header.version))
  const { bytes, lastEventId } = walkBlocks(header, blocks)
  return { header, blocks: blocks.subarray(0, bytes), lastEventId }
}

/** The whole blocks of a local segment; `undefined` when it has no header. */
const blocksIn = (
  directory: SegmentDirectory,
  entry: SegmentEntry
): Effect.Effect<Blocks | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const content = yield* openContent(directory.filesOf(entry)[0]!)
    const chunks: Array<Uint8Array> = []
    while (true) {
      const chunk = new Uint8Array(Math.max(1, Math.min(1024 * 1024, content.restBytesMax())))
      const count = yield* content.read(chunk)
      if (count === 0) break
      chunks.push(chunk.subarray(0, count))
    }
    return walked(Buffer.concat(chunks))
  })).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(undefined)))

/** Copies what diverged, with a report, before it goes. */
const keepDiverged = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  epoch: number,
  entries: ReadonlyArray<SegmentEntry>,
  { content, log, manifest }: Truth
) {
  const disk = yield* Disk
  const parent = yield* makeDirectoryIn(directory.path, quarantineName)
  const quarantine = yield* makeDirectoryIn(parent, `diverged-${epoch}`)
  const files: ReadonlyArray<SegmentFile> = entries.flatMap((entry) => directory.filesOf(entry))
  const report = {
    directory: directory.path,
    log,
    epoch,
    quarantine,
    segments: entries.map(({ segmentIndex }) => segmentIndex),
    because: "another recorder has recorded other events in their place; none of these was acknowledged as replicated",
    archivedBefore: manifest.nextIndex,
    lastReplicatedEventId: content.lastEventId
  }
  yield* Effect.forEach(files, (file) =>
    Effect.gen(function*() {
      const path = pathIn(quarantine, nameIn(file.path))
      yield* removeIfThere(path)
      yield* copyFile(file.path, path)
    }))
  const path = pathIn(quarantine, repairReportName)
  yield* removeIfThere(path)
  yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(path, "create")
    yield* writeFully(file, [Buffer.from(`${JSON.stringify(report, undefined, 2)}\n`)], 0)
    yield* file.sync
  }))
  yield* disk.syncDirectory(quarantine)
  return quarantine
})

/** Removes every file of a segment. */
const remove = Effect.fnUntraced(function*(directory: SegmentDirectory, entry: SegmentEntry) {
  for (const file of directory.filesOf(entry)) {
    yield* removeName(directory.path, file.path, directory.freezingPath(entry.segmentIndex, file.compression))
  }
})

/** Gives a segment these bytes, durably, under a name that is free. */
const put = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  path: string,
  segmentIndex: number,
  bytes: Uint8Array
) {
  const prepared = directory.preparingPath(segmentIndex)
  yield* removeIfThere(prepared)
  yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(prepared, "create")
    yield* writeFully(file, [bytes], 0)
    yield* file.sync
  }))
  yield* Effect.onError(moveName(directory.path, prepared, path), () => Effect.ignore(removeIfThere(prepared)))
})

/** The id of the log that lies here; `undefined` when none does. */
export const walIdIn = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  const entry = segmentsOf(yield* directory.scan).at(-1)
  if (entry === undefined) return undefined
  return yield* Effect.scoped(Effect.gen(function*() {
    const file = yield* openContent(directory.filesOf(entry)[0]!)
    const bytes = new Uint8Array(128)
    const count = yield* readFully({ read: (target) => file.read(target) }, bytes, 0)
    const header = decodeHeader(bytes.subarray(0, count))
    return isSegmentFault(header) ? undefined : header.walId
  })).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(undefined)))
})
