/**
 * Holds what the maintainer believes against the directory, and the segments against each other: each must go on where the
 * one before it ends. Of every segment only the header is read; that its content holds is what `verify` tells.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, readFully } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { decompressWhole } from "../../format/lz4/Lz4Block.ts"
import { pieceBytes } from "../../format/lz4/Lz4Frame.ts"
import { Lz4FrameDecoder } from "../../format/lz4/Lz4FrameDecoder.ts"
import { formatFault, isSegmentFault } from "../../format/SegmentFault.ts"
import { decodeHeader, headerBytesMax, hex } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { chainsSegments } from "../../format/SegmentLayout.ts"
import type { MaintainerState } from "../retention/MaintainerState.ts"

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
 * Limits held, no empty file, the lists equal to the directory, the chain unbroken from segment to segment. Segments that
 * are none of our formats have no chain; a file that a step under way removes meanwhile is left out.
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
    const { catalog, directory, limits } = state
    const listing = yield* Effect.provideService(directory.scan, Disk, disk)
    const segments = segmentsOf(listing)
    if (catalog.hotCount > limits.maxSegments) {
      faults.push(`${catalog.hotCount} hot segments where ${limits.maxSegments} are allowed`)
    }
    if (limits.maxCompressedSegments !== "unlimited" && catalog.coldCount > limits.maxCompressedSegments) {
      faults.push(`${catalog.coldCount} cold segments where ${limits.maxCompressedSegments} are allowed`)
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
      const bytes = file === undefined
        ? undefined
        : yield* unlessGone(Effect.provideService(readBeginning(file), Disk, disk))
      if (file !== undefined && bytes !== undefined) beginnings.push({ file, bytes })
    }
    faults.push(...chainFaults(beginnings))
    for (const entry of catalog.list()) {
      if (!onDisk.has(entry.segmentIndex)) faults.push(`segment ${entry.segmentIndex} is known but not on disk`)
    }
    return { isConsistent: faults.length === 0, faults }
  })

const unlessGone = <A>(effect: Effect.Effect<A, DiskError>): Effect.Effect<A | undefined, DiskError> =>
  Effect.catchIf(effect, (error) => error.reason === "NotFound", () => Effect.succeed(undefined))

/** The first bytes of a segment, decompressed; none when the cold file cannot be decoded. */
interface Beginning {
  readonly file: SegmentFile
  readonly bytes: Uint8Array
}

/** The largest segment that is decompressed from the block form: 1 GiB. */
const blockFileBytesMax = 1024 * 1024 * 1024

const readBeginning = (file: SegmentFile): Effect.Effect<Uint8Array, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const opened = yield* openScoped(file.path, "read")
    const { bytes } = yield* opened.stat
    const isWhole = file.form === "cold" && file.compression === "block"
    // The first block of a frame has at most 1 MiB of content and is no longer than that and its few bytes of header.
    const wanted = file.form === "hot" ? headerBytesMax : isWhole ? bytes : 2 * pieceBytes
    const buffer = new Uint8Array(Math.min(bytes, wanted))
    const head = buffer.subarray(0, yield* readFully(opened, buffer, 0))
    if (file.form === "hot") return head
    return yield* Effect.try({
      try: () => (isWhole ? decompressWhole(head, blockFileBytesMax) : firstPiece(head)).subarray(0, headerBytesMax),
      catch: () => undefined
    }).pipe(Effect.orElseSucceed(() => new Uint8Array(0)))
  }))

const firstPiece = (head: Uint8Array): Uint8Array => {
  for (const piece of new Lz4FrameDecoder().push(head)) return piece
  return new Uint8Array(0)
}

const chainFaults = (beginnings: ReadonlyArray<Beginning>): ReadonlyArray<string> => {
  const headers = beginnings.map(({ bytes }) => decodeHeader(bytes))
  if (headers.every(isSegmentFault)) return []
  const faults: Array<string> = []
  let before: SegmentHeader | undefined
  let indexBefore: number | undefined
  for (const [position, header] of headers.entries()) {
    const { path, segmentIndex } = beginnings[position]!.file
    const isNext = indexBefore !== undefined && indexBefore + 1 === segmentIndex
    if (indexBefore !== undefined && !isNext) {
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
    } else if (before !== undefined && isNext) faults.push(...linkFaults(path, before, header))
    before = header
  }
  return faults
}

/** What keeps a segment from being the one that follows. */
const linkFaults = (path: string, before: SegmentHeader, header: SegmentHeader): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (header.version !== before.version) return [`${path}: another format than the segment before it`]
  const isBeforeClosed = before.closedNanos !== 0n
  if (chainsSegments(header.version)) {
    if (header.walId.some((byte, at) => byte !== before.walId[at])) faults.push(`${path}: a segment of another wal`)
    if (!isBeforeClosed) faults.push(`${path}: the segment before it is not closed`)
    else if (header.previousChainedChecksum !== before.lastChainedChecksum) {
      faults.push(
        `${path}: the chain begins with ${hex(header.previousChainedChecksum)}, ` +
          `and ended with ${hex(before.lastChainedChecksum)}`
      )
    }
  }
  const bothSay = isBeforeClosed && before.eventCount > 0 && header.eventCount > 0
  if (bothSay && header.firstEventId <= before.lastEventId) {
    faults.push(`${path}: begins with event ${header.firstEventId}, after event ${before.lastEventId}`)
  }
  return faults
}
