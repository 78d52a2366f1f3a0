/**
 * Cold segments whose deletion failed for good. Nothing newer is deleted meanwhile, since that would leave a hole. They
 * are looked at again from time to time: where no regular file of that name stands any more, readers see no segment, so
 * the segment is gone and no hole arises. Otherwise the deletion is due again.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"

/** Looks at the segments that could not be deleted, and lets retention continue where it can. */
export const reconsiderUndeletable = (
  state: MaintainerState,
  disk: Disk["Service"]
): Effect.Effect<void, DiskError> =>
  Effect.suspend(() => {
    const segmentIndices = [...state.undeletable]
    if (segmentIndices.length === 0) return Effect.void
    return Effect.gen(function*() {
      const listing = yield* Effect.provideService(state.directory.scan, Disk, disk)
      const there = new Set(segmentsOf(listing).map(({ segmentIndex }) => segmentIndex))
      for (const segmentIndex of segmentIndices) {
        state.undeletable.delete(segmentIndex)
        if (there.has(segmentIndex)) {
          state.makeDueAgain(segmentIndex)
          continue
        }
        state.remove(segmentIndex)
        yield* Effect.logWarning(
          `segment ${segmentIndex} of ${state.directory.path} could not be deleted, and is no regular file any more; ` +
            "deletion continues after it"
        )
      }
    })
  })
