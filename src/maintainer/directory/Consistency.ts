/**
 * Compares the catalog with the directory, and each segment with its predecessor: each must continue where the one
 * before it ends. Only headers are read; `verify` checks content.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { formatFault, isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { mayStayOpen } from "../../format/SegmentLayout.ts"
import { holeBetween } from "../../reading/HoleBetween.ts"
import { endOf, faultBetween, firstIdOf } from "../../reading/segment/SegmentChain.ts"
import { readStart } from "../../reading/segment/SegmentReader.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"

/** Whether the limits, the catalog and the directory agree. */
export interface Consistency {
  readonly isConsistent: boolean
  /** One line for each fault. */
  readonly faults: ReadonlyArray<string>
}

/**
 * Checks that the limits are kept (but for what is held and what waits for the archive), no file is empty, the catalog
 * equals the directory, and the chain is unbroken from segment to segment. Segments of another format than ours have no
 * chain. A file that a running step removes meanwhile is left out.
 */
export const verifyConsistency = (
  state: MaintainerState,
  disk: Disk["Service"]
): Effect.Effect<Consistency, DiskError> =>
  Effect.gen(function*() {
    const faults: Array<string> = []
    const { catalog, directory, limits } = state
    const listing = yield* Effect.provideService(directory.scan, Disk, disk)
    const segments = segmentsOf(listing)
    if (catalog.hotCount > limits.maxSegments) {
      faults.push(`${catalog.hotCount} hot segments where ${limits.maxSegments} are allowed`)
    }
    const isTooMuch = limits.maxCompressedSegments !== "unlimited" &&
      catalog.coldWeight > limits.maxCompressedSegments
    // What is held, or waits for the archive, exceeds the limit as it may.
    if (isTooMuch && (catalog.at("cold", 0)?.segmentIndex ?? 0) < state.keptFrom) {
      const worth = catalog.coldWeight < catalog.coldCount ? `, ${catalog.coldWeight.toFixed(1)} full ones' worth,` : ""
      faults.push(`${catalog.coldCount} cold segments${worth} where ${limits.maxCompressedSegments} are allowed`)
    }
    const onDisk = new Set<number>()
    const beginnings: Array<Beginning> = []
    for (const segment of segments) {
      const { segmentIndex } = segment
      onDisk.add(segmentIndex)
      const known = catalog.get(segmentIndex)
      if (known === undefined) faults.push(`segment ${segmentIndex} is on disk but not known`)
      else if (known.isHot !== segment.hot) faults.push(`segment ${segmentIndex} is known in another form than on disk`)
      for (const file of directory.filesOf(segment)) {
        const bytes = yield* unlessGone(Effect.map(disk.stat(file.path), (stat) => stat.bytes))
        if (bytes === 0) faults.push(`${file.path} is empty`)
      }
      const file = directory.filesOf(segment)[0]
      const beginning = file === undefined
        ? undefined
        : yield* unlessGone(Effect.provideService(readBeginning(file), Disk, disk))
      if (beginning !== undefined) beginnings.push(beginning)
    }
    faults.push(...chainFaults(beginnings, state.holes))
    for (const entry of catalog.list()) {
      if (!onDisk.has(entry.segmentIndex)) faults.push(`segment ${entry.segmentIndex} is known but not on disk`)
    }
    return { isConsistent: faults.length === 0, faults }
  })

const unlessGone = <A>(effect: Effect.Effect<A, DiskError>): Effect.Effect<A | undefined, DiskError> =>
  Effect.catchReason(effect, "DiskError", "NotFound", () => Effect.succeed(undefined))

/** The header of a segment; a fault when the file cannot be decoded or has no header of ours. */
interface Beginning {
  readonly file: SegmentFile
  readonly header: SegmentHeader | SegmentFault
}

const readBeginning = (file: SegmentFile): Effect.Effect<Beginning, DiskError, Disk> =>
  readStart(file).pipe(
    Effect.map(({ header }): Beginning => ({ file, header })),
    Effect.catchTag("SegmentCorrupt", ({ fault }) => Effect.succeed({ file, header: fault }))
  )

const chainFaults = (
  beginnings: ReadonlyArray<Beginning>,
  holes: ReadonlyArray<AcknowledgedHole>
): ReadonlyArray<string> => {
  if (beginnings.every(({ header }) => isSegmentFault(header))) return []
  const faults: Array<string> = []
  let before: SegmentHeader | undefined
  let indexBefore: number | undefined
  for (const { file: { path, segmentIndex }, header } of beginnings) {
    const isNext = indexBefore !== undefined && indexBefore + 1 === segmentIndex
    const lastEventId = before !== undefined && before.lastEventId > 0 ? before.lastEventId : undefined
    const firstEventId = isSegmentFault(header) || header.firstEventId === 0 ? undefined : header.firstEventId
    const hole = indexBefore === undefined
      ? undefined
      : holeBetween(holes, { segmentIndex: indexBefore, lastEventId }, { segmentIndex, firstEventId })
    if (indexBefore !== undefined && !isNext && hole === undefined) {
      faults.push(`segments ${indexBefore + 1} to ${segmentIndex - 1} are missing`)
    }
    indexBefore = segmentIndex
    if (isSegmentFault(header)) {
      faults.push(`${path}: ${formatFault(header)}`)
      before = undefined
      continue
    }
    if (header.segmentIndex !== segmentIndex) {
      faults.push(`${path}: the header is that of segment ${header.segmentIndex}`)
    } else if (before !== undefined && isNext && hole === undefined) faults.push(...linkFaults(path, before, header))
    before = header
  }
  return faults
}

/** Why a segment does not continue the one before it. */
const linkFaults = (path: string, before: SegmentHeader, header: SegmentHeader): ReadonlyArray<string> => {
  const faults: Array<string> = []
  const firstEventId = firstIdOf(header)
  const fault = faultBetween(endOf(before), header, firstEventId)
  // Lost events leave a gap in the ids and an unbroken chain: `verify` reports that.
  const isGap = fault?.kind === "BadOrder" && firstEventId !== undefined && firstEventId > before.lastEventId
  if (fault !== undefined && !isGap) faults.push(`${path}: ${formatFault(fault)}`)
  if (before.closedNanos === 0n && !mayStayOpen(header.version)) {
    faults.push(`${path}: the segment before it is not closed`)
  }
  return faults
}
