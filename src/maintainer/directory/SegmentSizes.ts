/**
 * Learns the lengths and times of segments that were there before the maintainer. Retention needs them for the limits
 * in bytes and age; nothing waits for them at the start.
 */
import * as Effect from "effect/Effect"
import type { Disk } from "../../disk/Disk.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"

/**
 * Asks the disk for the unknown lengths and times of segments, oldest first. What the disk does not tell stays unknown.
 */
export const learnSizes = ({ ages, catalog, directory }: MaintainerState, disk: Disk["Service"]): Effect.Effect<void> =>
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
