/**
 * Learns the lengths, times and weights of segments that were there before the maintainer. Retention needs them for the
 * limits in bytes and age, and for that of cold segments when there are more than it counts; nothing waits for them at
 * the start.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import { readUsedBytes } from "../../reading/segment/UsedBytes.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"
import type { CatalogEntry } from "../retention/SegmentCatalog.ts"

/**
 * Asks the disk for the unknown lengths, times and weights of segments, oldest first. What the disk does not tell stays
 * unknown.
 */
export const learnSizes = (state: MaintainerState, disk: Disk["Service"]): Effect.Effect<void> =>
  Effect.andThen(learnLengths(state, disk), learnWeights(state, disk))

const learnLengths = ({ ages, catalog, directory }: MaintainerState, disk: Disk["Service"]): Effect.Effect<void> =>
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
          ages.found(entry.segmentIndex, modifiedMillis)
        }
      }),
      Effect.ignore
    )
  }, { discard: true }).pipe(Effect.andThen(Effect.sync(() => ages.settle())))

/** Files that are read side by side. */
const filesAtOnce = 16

/**
 * Learns what the closed segments count that were found at the start. To be run again when the disk has failed. A file
 * that does not tell what it uses counts as a full one.
 */
export const learnWeights = (state: MaintainerState, disk: Disk["Service"]): Effect.Effect<void> =>
  weigh(state, disk, state.catalog.list().filter((entry) => entry.weight === undefined && entry.state !== "open"))

/** Learns what the open segments up to this index count, which are closed by now. */
export const learnWeightsOfClosed = (state: MaintainerState, disk: Disk["Service"], segmentIndex: number) =>
  weigh(state, disk, state.catalog.openThrough(segmentIndex))

const weigh = (
  state: MaintainerState,
  disk: Disk["Service"],
  entries: ReadonlyArray<CatalogEntry>
): Effect.Effect<void> => {
  const { arena, catalog, directory } = state
  if (arena === undefined) return Effect.void
  return Effect.forEach(entries, ({ compression, isHot, segmentIndex }) => {
    const file = directory.filesOf({ segmentIndex, hot: isHot, cold: isHot ? [] : [compression] })[0]
    if (file === undefined) return Effect.void
    return readUsedBytes(file, arena.layout.version, arena.slotBytes).pipe(
      Effect.map((bytes) => {
        // Its form may have changed meanwhile, and that told its weight.
        if (catalog.get(segmentIndex)?.weight !== undefined) return
        catalog.update(segmentIndex, { weight: bytes === undefined ? 1 : state.weightOf(bytes) })
      }),
      Effect.provideService(Disk, disk),
      Effect.ignore
    )
  }, { discard: true, concurrency: filesAtOnce })
}
