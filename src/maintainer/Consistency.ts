/**
 * Holds what the maintainer believes against the directory.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { filesOf, scan, segmentsOf } from "../disk/SegmentDirectory.ts"
import type { MaintainerState } from "./MaintainerState.ts"

/**
 * What the limits, the lists and the directory say about each other.
 *
 * @since 0.1.0
 * @category models
 */
export interface Consistency {
  readonly isConsistent: boolean
  /** One line each, empty when all is well. */
  readonly faults: ReadonlyArray<string>
}

/**
 * Limits held, no empty file, the lists equal to the directory.
 *
 * @since 0.1.0
 * @category verification
 */
export const verifyConsistency = (
  state: MaintainerState,
  disk: Disk["Service"]
): Effect.Effect<Consistency, DiskError> =>
  Effect.gen(function*() {
    const faults: Array<string> = []
    const { catalog, limits } = state
    const { directory, naming } = state.options
    const listing = yield* Effect.provideService(scan(directory, naming), Disk, disk)
    const segments = segmentsOf(listing)
    if (catalog.hotCount > limits.maxSegments) {
      faults.push(`${catalog.hotCount} hot segments where ${limits.maxSegments} are allowed`)
    }
    if (limits.maxCompressedSegments !== "unlimited" && catalog.coldCount > limits.maxCompressedSegments) {
      faults.push(`${catalog.coldCount} cold segments where ${limits.maxCompressedSegments} are allowed`)
    }
    const onDisk = new Set<number>()
    for (const segment of segments) {
      const { segmentIndex } = segment
      onDisk.add(segmentIndex)
      const known = catalog.get(segmentIndex)
      if (known === undefined) faults.push(`segment ${segmentIndex} is on disk but not known`)
      else if (known.isHot !== segment.hot) faults.push(`segment ${segmentIndex} is known in another form than on disk`)
      for (const file of filesOf(directory, naming, segment)) {
        if ((yield* disk.stat(file.path)).bytes === 0) faults.push(`${file.path} is empty`)
      }
    }
    for (const entry of catalog.list()) {
      if (!onDisk.has(entry.segmentIndex)) faults.push(`segment ${entry.segmentIndex} is known but not on disk`)
    }
    return { isConsistent: faults.length === 0, faults }
  })
