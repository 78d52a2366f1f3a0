/**
 * Makes the directory of a machine say what the archive and the tail say, before its log is opened there.
 *
 * ```text
 * segments that are the same stay → what is not the same, copied to quarantine/diverged-EPOCH/ with a report
 *   → removed, newest first → the holes with which the archive ends, if there is no tail after them
 *   → the segments of the tail, or the newest of the archive, oldest first → the last id that is lost
 * ```
 *
 * Each arrow means "durable before". After a crash at any point the next opening finds a directory that is behind, and
 * does the rest. Events that only this disk has go on being a part of the log as long as nobody has written others in
 * their place: then they follow the newest segment of the tail, and nothing is changed.
 *
 * The directory's lock is held.
 */
import * as Effect from "effect/Effect"
import type { ArchiveError } from "../archive/ArchiveError.ts"
import { segmentFileName } from "../archive/Manifest.ts"
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
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import * as MetaStore from "../disk/MetaStore.ts"
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
  const end = segments.length > 0 ? noHoles : yield* archivedEnd(truth)
  const restoredFrom = end.row?.index ?? manifest.nextIndex
  const gone = entries.filter(({ segmentIndex }) => segmentIndex >= keepBefore)
  const quarantine = isDiverged
    ? yield* keepDiverged(directory, epoch, gone, truth)
    : undefined
  // A gap stands for a loss. What comes before it is in the archive.
  const replaced = firstMissing < restoredFrom ? entries : gone
  for (const entry of replaced.toReversed()) yield* remove(directory, entry)
  const { holes } = yield* HoleStore.read(directory.path)
  let left = holes
  if (replaced.length > 0) {
    // It tells of events that are not here any more.
    yield* removeIfThere(directory.pathOf(metaName))
    left = holes.filter((hole) => replaced === gone && hole.lastSegmentIndex < keepBefore)
  }
  if (end.holes.length > 0 || left.length < holes.length) {
    yield* HoleStore.write(directory.path, HoleStore.merge(left, end.holes))
  }
  const restored: Array<number> = []
  for (const segment of segments) {
    if (segment.segmentIndex < firstMissing) continue
    yield* put(directory, directory.hotPath(segment.segmentIndex), segment.segmentIndex, fileOf(segment))
    restored.push(segment.segmentIndex)
  }
  const { row } = end
  if (row !== undefined && row.index >= firstMissing) {
    const path = directory.pathOf(segmentFileName(directory.naming, row))
    yield* put(directory, path, row.index, yield* truth.fetch(row))
    restored.push(row.index)
  }
  if (end.lostId !== undefined) {
    // What only this machine has lost is not forgotten.
    const { meta } = yield* MetaStore.read(directory.path)
    yield* MetaStore.write(directory.path, {
      lastOffset: 0,
      lastSegmentIndex: Math.max(manifest.nextIndex - 1, meta?.lastSegmentIndex ?? 0),
      lastEventId: Math.max(end.lostId, meta?.lastEventId ?? 0)
    })
  }
  return { quarantine, removed: replaced.map(({ segmentIndex }) => segmentIndex), restored }
})

/** How the archive ends: with a segment, or with acknowledged holes after one. */
interface ArchivedEnd {
  /** The newest segment; `undefined` when there is none. */
  readonly row: SegmentRow | undefined
  readonly holes: ReadonlyArray<AcknowledgedHole>
  /** The last event of the holes: the ids up to it are used. */
  readonly lostId: number | undefined
}

const noHoles: ArchivedEnd = { row: undefined, holes: [], lostId: undefined }

/**
 * The end of the archive. A hole tells which ids and which segments are lost, so what is written down here is what a
 * quarantine of the newest segment writes down.
 */
const archivedEnd = Effect.fnUntraced(function*({ manifest, rowFor }: Truth) {
  const holes: Array<AcknowledgedHole> = []
  let row: Row | undefined
  for (let index = manifest.nextIndex - 1; index >= manifest.firstIndex; index--) {
    row = yield* rowFor(index)
    if (row === undefined) break
    if (row.hole !== null) holes.push(row.hole)
    if (row.form !== "none") break
    // Its rows say the same, but for the first: whole blocks may stand there.
    index = Math.min(index, row.hole.firstSegmentIndex + 1)
  }
  const end: ArchivedEnd = {
    row: row?.form === "none" ? undefined : row,
    holes: HoleStore.merge([], holes),
    lostId: holes[0]?.lastEventId
  }
  return end
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
