/**
 * Puts a directory in order before the maintainer begins: what a crash left half-way is finished or removed, without
 * losing an event.
 *
 * - `.tmp` files are garbage, since nothing in them was ever promised. They are removed.
 * - A segment that exists hot and cold was interrupted between the rename and the unlink of its freeze. It is to be
 *   frozen again, and that step proves the cold file before it removes the hot one.
 * - An empty `.wal` at the newest end never held an event: it is removed. Anywhere else it is a fault and stays.
 * - The newest segment, and those right before it that were never closed, are open: they are left alone until the
 *   service is told that they are closed.
 * - More segments than the limits allow are left to retention, as always.
 *
 * The caller holds the lock of the directory, so files that others left when they took the lock are removed too.
 *
 * Where another process writes, its `.tmp` files and its empty newest file are its own: only unfinished freezes are
 * removed, and every hot segment counts as open until it is persisted.
 *
 * Reads names, the length of hot files, and the headers of the newest ones up to the first that is closed.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import { removeName } from "../../disk/DurableNames.ts"
import { isPrivateOfLock, isUnfinishedPosition, isUnfinishedSnapshot, unfinishedNames } from "../../disk/FileNames.ts"
import { nameIn, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentDirectory, SegmentEntry } from "../../disk/SegmentDirectory.ts"
import { readHeader } from "../../reading/segment/SegmentReader.ts"
import type { CatalogEntry } from "../retention/SegmentCatalog.ts"

/** What was found and done. */
export interface Reconciled {
  readonly entries: ReadonlyArray<CatalogEntry>
  /**
   * When the hot files were last written, in Unix time, by segment: before a recovery writes the newest of them again.
   */
  readonly written: ReadonlyMap<number, number>
  /** Names that were removed. */
  readonly removed: ReadonlyArray<string>
  /** Segments whose freeze must be finished. */
  readonly unfinished: ReadonlyArray<number>
  /** Empty files among older segments. */
  readonly empty: ReadonlyArray<number>
  /** Names that are not ours; they are left alone. */
  readonly foreign: ReadonlyArray<string>
  /** Links and directories with the name of a segment; they are left alone. */
  readonly unsafe: ReadonlyArray<string>
}

/** Reconciles a directory. */
export const reconcile = Effect.fn("SegmentMaintainer.reconcile")(
  function*(directory: SegmentDirectory, writer: "ours" | "other") {
    yield* Effect.annotateCurrentSpan("log", directory.path)
    const disk = yield* Disk
    const listing = yield* directory.scan
    const removed: Array<string> = []
    const remove = Effect.fnUntraced(function*(path: string) {
      yield* disk.unlink(path)
      removed.push(nameIn(path))
    })

    for (const entry of listing.entries) {
      if (entry.preparing && writer === "ours") yield* remove(directory.preparingPath(entry.segmentIndex))
      const isRemoved = !entry.hot && entry.cold.length === 0
      for (const compression of entry.freezing) {
        const path = directory.freezingPath(entry.segmentIndex, compression)
        // Nothing else is left of the segment: its removal was interrupted, perhaps before its name had gone for good.
        if (isRemoved) yield* removeName(directory.path, directory.coldPath(entry.segmentIndex, compression), path)
        else yield* remove(path)
      }
    }
    for (const name of listing.foreign) {
      const isUnfinished = writer === "ours" &&
        (unfinishedNames.includes(name) || isUnfinishedPosition(name) || isUnfinishedSnapshot(name))
      // Its owner may still run, as one that takes the lock in vain, or verifies, and remove the file first.
      if (isUnfinished || isPrivateOfLock(name)) {
        yield* Effect.catchReason(remove(directory.pathOf(name)), "DiskError", "NotFound", () => Effect.void)
      }
    }

    const segments = segmentsOf(listing)
    const openFrom = writer === "other" ? 0 : yield* firstOpenPosition(directory, segments)
    const entries: Array<CatalogEntry> = []
    const written = new Map<number, number>()
    const unfinished: Array<number> = []
    const empty: Array<number> = []
    for (const [position, segment] of segments.entries()) {
      const { segmentIndex } = segment
      const isNewest = position === segments.length - 1
      const isStillOpen = isNewest || position >= openFrom
      let bytes = 0
      if (segment.hot) {
        const path = directory.hotPath(segmentIndex)
        const stat = yield* disk.stat(path)
        bytes = stat.bytes
        if (bytes === 0 && isNewest && segment.cold.length === 0 && writer === "ours") {
          yield* remove(path)
          continue
        }
        written.set(segmentIndex, stat.modifiedMillis)
        if (bytes === 0 && writer === "ours") empty.push(segmentIndex)
        if (segment.cold.length > 0) unfinished.push(segmentIndex)
      }
      entries.push({
        segmentIndex,
        state: !segment.hot ? "cold" : empty.at(-1) === segmentIndex ? "faulty" : isStillOpen ? "open" : "hot",
        isHot: segment.hot,
        compression: segment.cold[0] ?? "frame",
        bytes,
        closedMillis: 0,
        firstEventId: undefined,
        lastEventId: undefined,
        weight: undefined
      })
    }
    if (removed.length > 0) yield* disk.syncDirectory(directory.path)
    const reconciled: Reconciled = {
      entries,
      written,
      removed,
      unfinished,
      empty,
      foreign: listing.foreign.filter((name) => !removed.includes(name)),
      unsafe: listing.unsafe
    }
    return reconciled
  }
)

/** Logs what the operator should know of. */
export const logReconciled = (reconciled: Reconciled): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (reconciled.removed.length > 0) {
      yield* Effect.logInfo(`removed what a crash left unfinished: ${reconciled.removed.join(", ")}`)
    }
    for (const segmentIndex of reconciled.empty) {
      yield* Effect.logWarning(`segment ${segmentIndex} is an empty file; it is left alone`)
    }
    for (const name of reconciled.unsafe) {
      yield* Effect.logWarning(`${name} has the name of a segment but is no regular file; it is left alone`)
    }
  })

/** Where the open segments at the newest end begin. An empty file is neither open nor closed. */
const firstOpenPosition = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  segments: ReadonlyArray<SegmentEntry>
) {
  const disk = yield* Disk
  let first = segments.length
  while (first > 0) {
    const { cold, hot, segmentIndex } = segments[first - 1]!
    if (!hot || cold.length > 0) break
    const path = directory.hotPath(segmentIndex)
    const { bytes } = yield* disk.stat(path)
    if (bytes > 0 && (yield* readHeader(path))?.closedNanos !== 0n) break
    first -= 1
  }
  return first
})
