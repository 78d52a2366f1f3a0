/**
 * What the directory of a log has, as its archive asks for it: which segments come next, whether they are those of the
 * log that is archived, and what is lost.
 */
import * as Effect from "effect/Effect"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { chainsSegments } from "../format/SegmentLayout.ts"
import type { CatalogEntry } from "../maintainer/retention/SegmentCatalog.ts"
import type { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import { readStart } from "../reading/segment/SegmentReader.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { BadSegment } from "./ArchiveReason.ts"
import type { Ready } from "./Continuity.ts"
import type { Manifest, Row } from "./Manifest.ts"
import type { ManifestStore } from "./ManifestStore.ts"

/** So many rows at most enter the manifest with one write. */
const rowsAtOnce = 16

/** What comes next in the archive. */
export type Candidate =
  | {
    readonly _tag: "Segment"
    readonly index: number
    readonly bytes: number
    readonly isHot: boolean
    readonly hole: AcknowledgedHole | undefined
  }
  | { readonly _tag: "Hole"; readonly index: number; readonly hole: AcknowledgedHole }
  | { readonly _tag: "Missing"; readonly index: number; readonly next: number }

/** The segments of a directory that a maintainer has, for an archive that it waits for. */
export const makeLocalSegments = (
  maintainer: SegmentMaintainer["Service"],
  directory: SegmentDirectory,
  onBehind: "keep" | "free"
) => {
  const badSegment = (detail: string) => new ArchiveError({ reason: new BadSegment({ detail }), key: directory.path })

  const fileOf = ({ compression, isHot, segmentIndex }: Readonly<CatalogEntry>): SegmentFile => ({
    segmentIndex,
    path: isHot ? directory.hotPath(segmentIndex) : directory.coldPath(segmentIndex, compression),
    form: isHot ? "hot" : "cold",
    compression
  })

  /** The beginning of a segment; `undefined` when it went, or was frozen, since it was listed. */
  const startOf = (entry: Readonly<CatalogEntry>) =>
    readStart(fileOf(entry)).pipe(
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined))
    )

  /** The id of the log; `undefined` while nothing is recorded. Zeros where the segments are not of our formats. */
  const walId = Effect.gen(function*() {
    const newest = (yield* maintainer.segments).at(-1)
    if (newest === undefined) return undefined
    const start = yield* startOf(newest).pipe(
      Effect.catchTag("SegmentCorrupt", () => Effect.succeed({ header: { walId: new Uint8Array(16) } }))
    )
    return start === undefined ? undefined : Buffer.from(start.header.walId).toString("hex")
  })

  /**
   * Fails when a local segment is not the one that an earlier archive has archived, as after an old copy of the
   * directory was put in its place. A log that has gone two ways has one name too few.
   */
  const confirm = Effect.fnUntraced(function*(manifest: Manifest, manifests: ManifestStore) {
    const { holes } = yield* maintainer.status
    const entries = yield* maintainer.segments
    const newest = entries.at(-1)?.segmentIndex ?? -1
    // The newest segment always stays, so this log would give the same indices again.
    if (newest < manifest.nextIndex - 1) {
      return yield* badSegment(
        `the log ends with segment ${newest}, and the archive with ${manifest.nextIndex - 1}: they are two logs`
      )
    }
    for (const entry of entries) {
      const { segmentIndex } = entry
      if (segmentIndex >= manifest.nextIndex) break
      // Of a segment that was damaged since, whole blocks may stand here.
      if (holes.some((hole) => hole.firstSegmentIndex <= segmentIndex && segmentIndex <= hole.lastSegmentIndex)) {
        continue
      }
      const row = yield* manifests.rowFor(manifest, segmentIndex)
      const start = row === undefined ? undefined : yield* Effect.catchTag(
        startOf(entry),
        "SegmentCorrupt",
        () => Effect.succeed(undefined)
      )
      // It has expired, is gone, or is damaged since: what is archived is good.
      if (row === undefined || start === undefined) continue
      const { closedNanos, lastEventId } = start.header
      const archived = row.form === "none" ? "a hole" : `event ${row.lastId}`
      // Another writer of format 1 leaves segments without an end in their headers.
      const isOpenByAnother = row.form !== "none" && closedNanos === 0n && !chainsSegments(start.header.version)
      const isSame = row.form !== "none" && lastEventId === row.lastId &&
        Number(closedNanos / 1_000_000n) === row.closedMillis
      if (isSame || isOpenByAnother) continue
      return yield* badSegment(
        `segment ${segmentIndex} ends with event ${lastEventId}, and in the archive with ${archived}: they are two logs`
      )
    }
  })

  /** What comes next in the archive, in order, as far as no start continues it any more. */
  const candidates = Effect.fnUntraced(function*(from: number) {
    const entries = yield* maintainer.segments
    const { holes } = yield* maintainer.status
    const newest = entries.at(-1)
    const end = newest === undefined ? 0 : newest.isHot ? newest.segmentIndex : newest.segmentIndex + 1
    const found: Array<Candidate> = []
    let position = entries.findIndex(({ segmentIndex }) => segmentIndex >= from)
    for (let index = from; index < end && position >= 0 && found.length < rowsAtOnce; index++) {
      const entry = entries[position]
      if (entry === undefined) break
      const hole = holes.find((hole) => hole.firstSegmentIndex <= index && index <= hole.lastSegmentIndex)
      if (entry.segmentIndex === index) {
        if (entry.state === "open") break
        found.push({ _tag: "Segment", index, bytes: entry.bytes, isHot: entry.isHot, hole })
        position++
      } else if (hole !== undefined) found.push({ _tag: "Hole", index, hole })
      else found.push({ _tag: "Missing", index, next: entry.segmentIndex })
    }
    return found
  })

  /**
   * The hole of a segment that went before it was archived: allowed, or our end. Those that are lost together have one
   * hole. `last` is the row before it, and `lastId` the event with which the archive ends there.
   */
  const lostHole = Effect.fnUntraced(function*(
    index: number,
    next: number,
    last: Row | undefined,
    lastId: number,
    ready: ReadonlyMap<number, Ready>
  ) {
    if (last?.form === "none" && last.hole.quarantine.length === 0 && last.hole.lastSegmentIndex >= index) {
      return last.hole
    }
    const following = (yield* maintainer.segments).find(({ segmentIndex }) => segmentIndex === next)
    if (onBehind === "keep" || following === undefined) {
      return yield* badSegment(
        `segment ${index} is neither in the directory nor in the archive, and its loss is not acknowledged`
      )
    }
    // What was uploaded before it was deleted is not lost, and ends the hole.
    const uploaded = Math.min(next, ...[...ready.keys()].filter((other) => other > index))
    const row = ready.get(uploaded)?.row
    const nextId = row === undefined || row.form === "none"
      ? (yield* startOf(following))?.firstEventId ?? lastId + 1
      : row.firstId
    const hole: AcknowledgedHole = {
      firstSegmentIndex: index,
      lastSegmentIndex: uploaded - 1,
      firstEventId: lastId + 1,
      lastEventId: nextId - 1,
      quarantine: []
    }
    return hole
  })

  return { badSegment, walId, confirm, candidates, lostHole }
}
