/**
 * Moves damaged segments out of a log and acknowledges the hole that they leave. `Repair` does it to a log at rest, and
 * a maintainer or a start with `onDamaged: "quarantine"` to one segment of a log that is recorded.
 *
 * The order of effects, each arrow meaning "durable before":
 *
 * ```text
 * report and copies of the damaged files in quarantine/ → the last id that was used in the meta file, when nothing
 *   newer tells it → the hole in wal_holes.json → the whole blocks in the segment's place, or its name removed
 * ```
 *
 * So no hole is acknowledged before the evidence is safe, and no segment is missing before that is acknowledged. A
 * crash at any point leaves the segment where it was, in quarantine, or in both, and doing it again is always right. A
 * hole that is written down while its segment still stands is not believed by readers, since the directory does not
 * show it.
 *
 * Only the holder of the directory's lock may do this, one segment after the other.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, openScoped, removeIfThere, writeFully } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { removeName } from "../../disk/DurableNames.ts"
import { quarantineName, repairReportName } from "../../disk/FileNames.ts"
import * as HoleStore from "../../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import { makeDirectoryIn, nameIn, pathIn, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentDirectory, SegmentFile } from "../../disk/SegmentDirectory.ts"
import { closedNanosOf } from "../../format/Limits.ts"
import { chainsSegments } from "../../format/SegmentLayout.ts"
import { makeDirectoryReader, startOf } from "../DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../DirectoryReader.ts"
import { beginsAfter } from "../HoleBetween.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart, verifySegment } from "../segment/SegmentReader.ts"
import { judge, lastIdTold } from "./HintedEnd.ts"
import { lastIdIn } from "./SegmentLastId.ts"
import { readPrefix, writePrefix } from "./SegmentPrefix.ts"
import type { SegmentPrefix } from "./SegmentPrefix.ts"

/** What stays readable in the place of a damaged file. */
export type Kept = "other form" | "whole blocks" | "nothing"

/** A damaged file, and what is put in its place. */
export interface Move {
  readonly file: SegmentFile
  readonly prefix: SegmentPrefix | undefined
}

/** A hole before its evidence has a place. */
export type Loss = Omit<AcknowledgedHole, "quarantine">

/**
 * Moves files away as the opening tells. `report` is written beside them. Returns the path of their directory in the
 * quarantine. When this fails before the loss is acknowledged, it removes what it has put there.
 */
export const setAside = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  moves: ReadonlyArray<Move>,
  losses: ReadonlyArray<Loss>,
  given: MetaStore.Meta | undefined,
  report: (quarantine: string) => unknown
) {
  const now = yield* Clock.currentTimeMillis
  const quarantine = yield* keepEvidence(directory, moves.map(({ file }) => file), report)
  if (given !== undefined) yield* MetaStore.write(directory.path, given)
  const place = `${quarantineName}/${nameIn(quarantine)}`
  if (losses.length > 0) yield* acknowledge(directory, losses.map((loss) => ({ ...loss, quarantine: [place] })))
  for (const { file, prefix } of moves) {
    if (prefix !== undefined) yield* putInPlace(directory, file, prefix, now)
    if (prefix !== undefined && file.form === "hot") continue
    yield* removeName(directory.path, file.path, directory.freezingPath(file.segmentIndex, file.compression))
  }
  return quarantine
})

/**
 * Copies files to a new directory in the quarantine, durably, with a report beside them. Returns its path. When this
 * fails, it removes what it has put there.
 */
export const keepEvidence = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  files: ReadonlyArray<SegmentFile>,
  report: (quarantine: string) => unknown
) {
  const disk = yield* Disk
  const quarantine = yield* makePlace(directory, yield* Clock.currentTimeMillis)
  const keep = Effect.gen(function*() {
    yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(pathIn(quarantine, repairReportName), "create")
      yield* writeFully(file, [Buffer.from(`${JSON.stringify(report(quarantine), undefined, 2)}\n`)], 0)
      yield* file.sync
    }))
    for (const file of files) yield* copyFile(file.path, pathIn(quarantine, nameIn(file.path)))
    yield* disk.syncDirectory(quarantine)
  })
  yield* Effect.onError(keep, () => Effect.ignore(removePlace(quarantine)))
  return quarantine
})

/** Makes a directory in the quarantine, named by the time. */
const makePlace = Effect.fnUntraced(function*(directory: SegmentDirectory, nowMillis: number) {
  const disk = yield* Disk
  const parent = yield* makeDirectoryIn(directory.path, quarantineName)
  const taken = new Set((yield* disk.list(parent)).map(({ name }) => name))
  const stamp = new Date(nowMillis).toISOString().replace(/[:.]/g, "-")
  let name = stamp
  for (let count = 2; taken.has(name); count++) name = `${stamp}-${count}`
  return yield* makeDirectoryIn(parent, name)
})

const removePlace = Effect.fnUntraced(function*(quarantine: string) {
  const disk = yield* Disk
  for (const { name } of yield* disk.list(quarantine)) yield* disk.unlink(pathIn(quarantine, name))
  yield* disk.removeDirectory(quarantine)
})

/** Writes holes down, and forgets those that no reader can meet any more. */
const acknowledge = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  added: ReadonlyArray<AcknowledgedHole>
) {
  const { holes } = yield* HoleStore.read(directory.path)
  const oldest = segmentsOf(yield* directory.scan)[0]?.segmentIndex ?? 0
  yield* HoleStore.write(directory.path, HoleStore.since(HoleStore.merge(holes, added), oldest))
})

/** Gives the whole blocks of a damaged file the name of the hot file, durably. */
const putInPlace = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  file: SegmentFile,
  prefix: SegmentPrefix,
  nowMillis: number
) {
  const disk = yield* Disk
  const prepared = directory.preparingPath(file.segmentIndex)
  const { closedNanos } = prefix.header
  yield* removeIfThere(prepared)
  yield* writePrefix(
    file,
    prefix,
    prepared,
    closedNanos === 0n ? closedNanosOf(nowMillis) : closedNanos
  )
  yield* disk.changeNames(directory.path, disk.rename(prepared, directory.hotPath(file.segmentIndex))).pipe(
    Effect.onError(() => Effect.ignore(removeIfThere(prepared)))
  )
})

/**
 * The whole blocks before the damage that can stay in a segment's place: in format 2, as a closed segment. Every
 * segment of format 1 starts its own chain, so a shortened one could not show that events are missing.
 */
export const prefixToKeep = (file: SegmentFile): Effect.Effect<SegmentPrefix | undefined, DiskError, Disk> =>
  Effect.map(
    readPrefix(file),
    (prefix) =>
      prefix !== undefined && chainsSegments(prefix.header.version) && prefix.eventCount > 0 ? prefix : undefined
  )

/** Where the log ends before a damaged segment and begins again after it, as far as that is known. */
interface Neighbours {
  /** The last event that stays: of the whole blocks of the segment, or of an older one. */
  readonly lastBefore: number | undefined
  /** The first event that stays. */
  readonly firstAfter: number | undefined
  /** Recording continues after this id, or did. */
  readonly lastGivenId: number
}

/**
 * What is lost with a damaged segment of which no other form is left; `undefined` when whole blocks stay and nothing
 * shows a loss. Where nothing stays and no event is lost, the hole names the segment and no event: its place is
 * acknowledged, and its index is not used again (see `passAcknowledged`).
 */
export const lossOf = Effect.fnUntraced(function*(
  { file, prefix }: Move,
  { firstAfter, lastBefore, lastGivenId }: Neighbours
) {
  const { segmentIndex } = file
  const start = lastBefore === undefined ? yield* Effect.result(readStart(file)) : undefined
  const firstShown = start !== undefined && Result.isSuccess(start) ? start.success.firstEventId : undefined
  const lastEventId = firstAfter === undefined ? lastGivenId : firstAfter - 1
  const firstEventId = lastBefore === undefined ? Math.min(firstShown ?? 1, lastEventId + 1) : lastBefore + 1
  const isNothingLost = lastEventId < firstEventId
  // Whole blocks without a loss are continued by what follows them.
  if (lastEventId + 1 < firstEventId || isNothingLost && prefix !== undefined) return undefined
  const loss: Loss = { firstSegmentIndex: segmentIndex, lastSegmentIndex: segmentIndex, firstEventId, lastEventId }
  return loss
})

/** What was done about one damaged segment. Plain data. */
export interface Quarantined {
  readonly segmentIndex: number
  readonly kept: Kept
  /** Where the damaged files are. */
  readonly quarantine: string
  /** Of what stays in the segment's place; 0 when nothing does. */
  readonly bytes: number
  readonly firstEventId: number
  readonly lastEventId: number
  /** The events that are lost; `undefined` when none are. */
  readonly hole: AcknowledgedHole | undefined
}

/**
 * Moves the damaged files of one segment to quarantine; `undefined` when none of its files is damaged by itself, and
 * then nothing was changed. Fails when the disk does.
 *
 * `recordedAfter` gives the first event of the oldest segment in memory after this one, while a recorder is at work: it
 * knows where its segments begin, which no file may tell.
 */
export const quarantineSegment = Effect.fn("SegmentMaintainer.quarantine")(
  function*(
    directory: SegmentDirectory,
    segmentIndex: number,
    recordedAfter: (segmentIndex: number) => number | undefined = () => undefined
  ) {
    yield* Effect.annotateCurrentSpan({ log: directory.path, segmentIndex })
    const reader = yield* makeDirectoryReader(directory)
    const entry = reader.segments().find((other) => other.segmentIndex === segmentIndex)
    const files = entry === undefined ? [] : directory.filesOf(entry)
    const damaged: Array<SegmentFile> = []
    for (const file of files) {
      const result = yield* Effect.result(verifySegment(file, { segmentIndex }))
      if (Result.isSuccess(result)) continue
      if (result.failure._tag === "DiskError") return yield* result.failure
      damaged.push(file)
    }
    if (damaged.length === 0) return undefined
    const hasOther = damaged.length < files.length
    const move = hasOther ? undefined : yield* moveOf(damaged)
    const moves = damaged.map((file): Move => file === move?.file ? move : { file, prefix: undefined })
    const { loss, given } = move === undefined ? noLoss : yield* lossIn(reader, move, recordedAfter)
    const prefix = move?.prefix
    const kept: Kept = hasOther ? "other form" : prefix === undefined ? "nothing" : "whole blocks"
    const step = {
      segmentIndex,
      kept,
      bytes: prefix?.bytes ?? 0,
      firstEventId: prefix?.firstEventId ?? 0,
      lastEventId: prefix?.lastEventId ?? 0
    }
    const losses = loss === undefined ? [] : [loss]
    const report = (quarantine: string) => ({ directory: directory.path, quarantine, ...step, loss: loss ?? null })
    const quarantine = yield* setAside(directory, moves, losses, given, report)
    const { holes } = yield* HoleStore.read(directory.path)
    const hole = loss === undefined ?
      undefined :
      holes.find((other) => other.firstSegmentIndex <= segmentIndex && segmentIndex <= other.lastSegmentIndex)
    const done: Quarantined = { ...step, quarantine, hole }
    return done
  }
)

const noLoss: { readonly loss: Loss | undefined; readonly given: MetaStore.Meta | undefined } = {
  loss: undefined,
  given: undefined
}

/** The damaged form of which the most whole blocks are left. */
const moveOf = Effect.fnUntraced(function*(damaged: ReadonlyArray<SegmentFile>) {
  let best: Move | undefined
  for (const file of damaged) {
    const move: Move = { file, prefix: yield* prefixToKeep(file) }
    if (best === undefined || (move.prefix?.eventCount ?? 0) > (best.prefix?.eventCount ?? 0)) best = move
  }
  return best
})

/** What is lost with a segment, and what the meta file must tell of it: the end of the log, when nothing newer does. */
const lossIn = Effect.fnUntraced(function*(
  reader: SegmentDirectoryReader,
  move: Move,
  recordedAfter: (segmentIndex: number) => number | undefined
) {
  const { file, prefix } = move
  const { segmentIndex } = file
  const { path } = reader.directory
  // First: what is in memory now and is written meanwhile is known all the same.
  const recorded = recordedAfter(segmentIndex)
  // A segment is there before the meta file names it, so a listing after the meta file shows all that it counts.
  const found = yield* MetaStore.read(path)
  yield* reader.look
  const lastBefore = prefix?.lastEventId ?? (yield* lastEventBefore(reader, segmentIndex))
  const written = yield* firstEventAfter(reader, segmentIndex)
  const firstAfter = written === undefined || recorded === undefined ? written ?? recorded : Math.min(written, recorded)
  if (firstAfter !== undefined) {
    return { loss: yield* lossOf(move, { lastBefore, firstAfter, lastGivenId: 0 }), given: undefined }
  }
  const lastSegmentIndex = reader.segments().at(-1)?.segmentIndex ?? segmentIndex
  // Held against what stays: a newer segment may have been moved away before, and its index is not used again either.
  const hinted = judge(found, { lastSegmentIndex, lastEventId: lastBefore ?? 0, isClosed: false })
  // When nothing older is left, only the meta file tells where the ids of the segment begin.
  const told = lastBefore ?? lastIdTold(found, lastSegmentIndex)
  const shown = yield* lastIdIn(file, told)
  const end = { ...hinted.end, lastEventId: Math.max(shown, told, hinted.end.lastEventId) }
  const given = end.lastEventId > (lastBefore ?? 0) ? { lastOffset: 0, ...end } : undefined
  return { loss: yield* lossOf(move, { lastBefore, firstAfter, lastGivenId: end.lastEventId }), given }
})

/**
 * The last event before a segment; `undefined` when no older segment tells one. Where the beginning of an older segment
 * is damaged, its events are lost too, so the last one before that counts.
 */
const lastEventBefore = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, segmentIndex: number) {
  const older = reader.segments().filter((entry) => entry.segmentIndex < segmentIndex)
  for (const entry of older.toReversed()) {
    const last = yield* Effect.catchTag(
      reader.use(entry.segmentIndex, lastIn),
      "SegmentCorrupt",
      () => Effect.succeed(0)
    )
    if (last !== undefined && last > 0) return yield* afterHoles(reader, entry.segmentIndex, last, segmentIndex)
  }
  return undefined
})

/** The last event before a segment, when acknowledged holes lie between it and the segment in which the log ends. */
const afterHoles = Effect.fnUntraced(function*(
  reader: SegmentDirectoryReader,
  lastIndex: number,
  lastEventId: number,
  segmentIndex: number
) {
  const { holes } = yield* HoleStore.read(reader.directory.path)
  const hole = holes.find((other) =>
    beginsAfter(other, { segmentIndex: lastIndex, lastEventId }) && other.lastSegmentIndex < segmentIndex
  )
  return hole === undefined ? lastEventId : Math.max(hole.lastEventId, lastEventId)
})

const lastIn = Effect.fnUntraced(function*(file: SegmentFile) {
  const { header } = yield* readStart(file)
  return header.closedNanos === 0n ? (yield* verifySegment(file)).lastEventId : header.lastEventId
})

/** The first event after a segment; `undefined` when no newer segment that tells has one. */
const firstEventAfter = Effect.fnUntraced(function*(reader: SegmentDirectoryReader, segmentIndex: number) {
  for (const entry of reader.segments()) {
    if (entry.segmentIndex <= segmentIndex) continue
    const start = yield* Effect.catchTag(
      startOf(reader, entry.segmentIndex),
      "SegmentCorrupt",
      () => Effect.succeed(undefined)
    )
    if (start?.firstEventId !== undefined) return start.firstEventId
  }
  return undefined
})

/** What can go wrong when a segment is moved away. */
export type QuarantineFailure = DiskError | SegmentCorrupt
