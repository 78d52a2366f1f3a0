/**
 * What only the disk can say: lengths and times of what was found at the start, and what became of the tasks of an executor
 * that died before it could report.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { Arena } from "../../shared/SegmentArena.ts"
import * as SegmentArena from "../../shared/SegmentArena.ts"
import { SlotState } from "../../shared/SegmentArena.ts"
import type * as TaskQueue from "../../shared/TaskQueue.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"
import type { CatalogEntry } from "../retention/SegmentCatalog.ts"
import type { MaintainerEvent } from "../steps/StepOutcome.ts"

/**
 * Asks for the lengths and times of the segments of which they are not known, oldest first. What cannot be asked stays
 * unknown.
 *
 * @since 0.1.0
 * @category learning
 */
export const learnSizes = ({ catalog, directory }: MaintainerState, disk: Disk["Service"]): Effect.Effect<void> =>
  Effect.forEach(catalog.list().filter((entry) => entry.closedMillis === 0), (entry) => {
    const file = directory.filesOf({
      segmentIndex: entry.segmentIndex,
      hot: entry.isHot,
      cold: entry.isHot ? [] : [entry.compression]
    })[0]
    if (file === undefined) return Effect.void
    return disk.stat(file.path).pipe(
      Effect.map(({ bytes, modifiedMillis }) => {
        const known = catalog.get(entry.segmentIndex)
        if (known !== undefined && known.isHot === entry.isHot && known.closedMillis === 0) {
          catalog.update(entry.segmentIndex, { bytes, closedMillis: modifiedMillis })
        }
      }),
      Effect.ignore
    )
  }, { discard: true })

/**
 * After a death of the lead, before its successor begins: the arena knows what was persisted, also where the report died with
 * its thread. `report` hears of each such segment, in order. What the successor will find in its slot is left to it: it
 * does that again, and reports it.
 *
 * @since 0.1.0
 * @category learning
 */
export const learnPersisted = Effect.fnUntraced(function*(
  state: MaintainerState,
  arena: Arena,
  toPersist: TaskQueue.Dequeue,
  disk: Disk["Service"],
  report: (event: MaintainerEvent) => void
) {
  const { catalog, directory } = state
  const task = new TaskRing.TaskRecord()
  const isInSlot = TaskRing.claimUnsafe(toPersist.ring, toPersist.consumer, task) && task.slot >= 0 &&
    SegmentArena.stateOf(arena, task.slot) === SlotState.Full &&
    SegmentArena.segmentIndexOf(arena, task.slot) === task.segmentIndex
  const closedIndex = SegmentArena.closed(arena).index
  const through = isInSlot ? Math.min(closedIndex, task.segmentIndex - 1) : closedIndex
  const unheard = catalog.list().filter((entry) => entry.state === "open" && entry.segmentIndex <= through)
    .map((entry) => entry.segmentIndex)
  // Nobody may have heard that these came about at all.
  for (let index = catalog.newestIndex + 1; index <= through; index++) unheard.push(index)
  for (const segmentIndex of unheard) {
    // What the executor died of may strike here too; what is not known now is asked for later.
    const stat = yield* Effect.exit(disk.stat(directory.hotPath(segmentIndex)))
    const { bytes, modifiedMillis } = Exit.isSuccess(stat) ? stat.value : { bytes: 0, modifiedMillis: 0 }
    const ids = { firstEventId: undefined, lastEventId: undefined }
    report({ _tag: "Persisted", segmentIndex, bytes, ...ids, closedMillis: modifiedMillis })
  }
})

/**
 * Whether a freeze or a deletion was given to an executor and nothing was heard of it.
 *
 * @since 0.1.0
 * @category learning
 */
export const isSomethingUnheard = ({ catalog, gate }: MaintainerState): boolean =>
  gate.arriving.size + catalog.count("freeing") > 0

/**
 * After a death, when nobody works on anything and every report that can come has come: reports that died with their
 * thread are made up for by what the disk shows. Without this a segment would stay under way for ever, and nothing younger
 * be deleted. `report` hears of each.
 *
 * @since 0.1.0
 * @category learning
 */
export const learnUnheard = (
  { catalog, directory, gate, options }: MaintainerState,
  disk: Disk["Service"],
  report: (event: MaintainerEvent) => void
): Effect.Effect<void, DiskError> => {
  const bytesOf = (path: string): Effect.Effect<number | undefined, DiskError> =>
    disk.stat(path).pipe(
      Effect.map(({ bytes }) => bytes),
      Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined))
    )
  // The next deletion must not become durable before this one.
  const settled = disk.syncDirectory(directory.path)

  const learnFreed = Effect.fnUntraced(function*({ compression, segmentIndex }: Readonly<CatalogEntry>) {
    const bytes = yield* bytesOf(directory.coldPath(segmentIndex, compression))
    yield* settled
    if (catalog.get(segmentIndex)?.state !== "freeing") return
    if (bytes === undefined) report({ _tag: "Freed", segmentIndex })
    else catalog.update(segmentIndex, { state: "cold" })
  })
  const learnFrozen = Effect.fnUntraced(function*(segmentIndex: number) {
    const hotBytes = yield* bytesOf(directory.hotPath(segmentIndex))
    const coldBytes = yield* bytesOf(directory.coldPath(segmentIndex, options.compression))
    yield* settled
    gate.heard(segmentIndex)
    const known = catalog.get(segmentIndex)
    if (hotBytes !== undefined || coldBytes === undefined) {
      if (known?.state === "freezing") catalog.update(segmentIndex, { state: "hot" })
      return
    }
    const { bytes = 0, closedMillis = 0, firstEventId, lastEventId } = known ?? {}
    report({ _tag: "Frozen", segmentIndex, hotBytes: bytes, coldBytes, firstEventId, lastEventId, closedMillis })
  })

  return Effect.suspend(() => {
    const freeing = catalog.list().filter(({ state }) => state === "freeing")
    return Effect.andThen(
      Effect.forEach(freeing, learnFreed, { discard: true }),
      Effect.forEach([...gate.arriving], learnFrozen, { discard: true })
    )
  })
}
