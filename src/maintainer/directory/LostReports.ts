/**
 * Learns what became of the tasks of an executor that died before it could report. The arena knows what was persisted;
 * the disk shows what was frozen or deleted.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import * as Arena from "../../shared/Arena.ts"
import { SlotState } from "../../shared/Arena.ts"
import * as TaskRing from "../../shared/TaskRing.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"
import type { CatalogEntry } from "../retention/SegmentCatalog.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"

/**
 * Gives `apply` an outcome for each segment that the lead had persisted and whose report died with it, in order. To be
 * run before the successor of the lead starts. What is still in its slot is left to the successor, which does it again
 * and reports it.
 */
export const learnPersisted = Effect.fnUntraced(function*(
  state: MaintainerState,
  arena: Arena.Arena,
  disk: Disk["Service"],
  apply: (outcome: StepOutcome) => void
) {
  const { catalog, directory, queues: { toPersist } } = state
  const task = new TaskRing.TaskRecord()
  const isInSlot = TaskRing.claimUnsafe(toPersist.ring, toPersist.consumer, task) && task.slot >= 0 &&
    Arena.stateOf(arena, task.slot) === SlotState.Full &&
    Arena.segmentIndexOf(arena, task.slot) === task.segmentIndex
  const closedIndex = Arena.closed(arena).index
  const through = isInSlot ? Math.min(closedIndex, task.segmentIndex - 1) : closedIndex
  const lost = catalog.list().filter((entry) => entry.state === "open" && entry.segmentIndex <= through)
    .map((entry) => entry.segmentIndex)
  // Of these not even the opening was reported.
  for (let index = catalog.newestIndex + 1; index <= through; index++) lost.push(index)
  for (const segmentIndex of lost) {
    // What killed the executor may strike here too; an unknown length is asked for later.
    const stat = yield* Effect.exit(disk.stat(directory.hotPath(segmentIndex)))
    const { bytes, modifiedMillis } = Exit.isSuccess(stat) ? stat.value : { bytes: 0, modifiedMillis: 0 }
    const unknown = { usedBytes: undefined, firstEventId: undefined, lastEventId: undefined, millis: undefined }
    apply({ _tag: "Persisted", segmentIndex, bytes, ...unknown, closedMillis: modifiedMillis })
  }
})

/**
 * Whether a freeze or a deletion was handed to an executor and has no outcome. When nothing is under way any more, that
 * outcome is lost.
 */
export const isAnythingLost = ({ catalog, gate }: MaintainerState): boolean =>
  gate.arriving.size + catalog.count("freeing") > 0

/**
 * Gives `apply` an outcome for each freeze and deletion whose report died with its executor, as the disk shows it. To
 * be run when nothing is under way and no report is still to come. Without this a segment would stay under way for
 * ever, and no younger one would be deleted.
 */
export const learnLost = (
  { catalog, directory, gate, options }: MaintainerState,
  disk: Disk["Service"],
  apply: (outcome: StepOutcome) => void
): Effect.Effect<void, DiskError> => {
  const bytesOf = (path: string): Effect.Effect<number | undefined, DiskError> =>
    disk.stat(path).pipe(
      Effect.map(({ bytes }) => bytes),
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined))
    )
  // The next deletion must not become durable before this one.
  const settled = disk.syncDirectory(directory.path)

  const learnFreed = Effect.fnUntraced(function*({ compression, segmentIndex }: Readonly<CatalogEntry>) {
    const bytes = yield* bytesOf(directory.coldPath(segmentIndex, compression))
    yield* settled
    if (catalog.get(segmentIndex)?.state !== "freeing") return
    if (bytes === undefined) apply({ _tag: "Freed", segmentIndex, millis: undefined })
    else catalog.update(segmentIndex, { state: "cold" })
  })
  const learnFrozen = Effect.fnUntraced(function*(segmentIndex: number) {
    const hotBytes = yield* bytesOf(directory.hotPath(segmentIndex))
    const coldBytes = yield* bytesOf(directory.coldPath(segmentIndex, options.compression))
    yield* settled
    gate.ended(segmentIndex)
    const known = catalog.get(segmentIndex)
    if (hotBytes !== undefined || coldBytes === undefined) {
      if (known?.state === "freezing") catalog.update(segmentIndex, { state: "hot" })
      return
    }
    const { bytes = 0, closedMillis = 0, firstEventId, lastEventId } = known ?? {}
    const ids = { firstEventId, lastEventId }
    apply({ _tag: "Frozen", segmentIndex, hotBytes: bytes, coldBytes, ...ids, closedMillis, millis: undefined })
  })

  return Effect.suspend(() => {
    const freeing = catalog.list().filter(({ state }) => state === "freeing")
    return Effect.andThen(
      Effect.forEach(freeing, learnFreed, { discard: true }),
      Effect.forEach([...gate.arriving], learnFrozen, { discard: true })
    )
  })
}
