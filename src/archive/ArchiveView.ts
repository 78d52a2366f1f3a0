/**
 * What a reader knows of an archive: the manifest as it was last read, and the rows that it asked for.
 *
 * The names of archived segments follow from the manifest alone, without a page: rows are consecutive. What only a row
 * tells is the form of its segment, and whether there is one at all. Until a row was read its segment is taken to have
 * the usual form. A reader that finds no file of that name lists the directory again, and by then the row is known.
 */
import * as Effect from "effect/Effect"
import { DiskError } from "../disk/Disk.ts"
import { diskReason } from "../disk/DiskReason.ts"
import type { DiskReason } from "../disk/DiskReason.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import { parseName } from "../format/SegmentName.ts"
import type { ParsedName } from "../format/SegmentName.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import type { ArchiveError } from "./ArchiveError.ts"
import { segmentFileName } from "./Manifest.ts"
import type { Manifest, Row, SegmentRow } from "./Manifest.ts"
import * as ManifestStore from "./ManifestStore.ts"

/** A manifest is read again at most so often, unless more is needed: a follower looks some four times a second. */
const lookMillis = 1000

/** What a file of this directory, or the directory itself, failed for in the store. */
export const failed = (operation: string, path: string) => (cause: StoreError | ArchiveError): DiskError =>
  new DiskError({ operation, path, reason: diskReason(reasonOf(cause), cause.message), cause })

const reasonOf = (cause: StoreError | ArchiveError): DiskReason["_tag"] => {
  if (cause._tag === "ArchiveError") return "BadArchive"
  switch (cause.reason._tag) {
    case "Busy":
    case "Unreachable":
      return "Away"
    case "Denied":
      return "Denied"
    case "Unsuitable":
      return "Unsupported"
    default:
      return "BadArchive"
  }
}

/** An archive as a reader sees it. */
interface ArchiveView {
  /** The manifest, read at most a second ago; `undefined` while there is none. */
  readonly look: Effect.Effect<Manifest | undefined, DiskError>
  /** The manifest as it is now. */
  readonly lookNow: Effect.Effect<Manifest | undefined, DiskError>
  /** The manifest as it was last read; read for the first time when it never was. */
  readonly last: Effect.Effect<Manifest | undefined, DiskError>
  /** The row of a segment; `undefined` when there is none, or one of a hole. */
  readonly rowOf: (segmentIndex: number) => Effect.Effect<SegmentRow | undefined, DiskError>
  /** The row of the segment that has this file name; `undefined` when the archive has no file of that name. */
  readonly rowNamed: (name: string) => Effect.Effect<SegmentRow | undefined, DiskError>
  /** Reads a name as the log's naming gives it. */
  readonly parse: (name: string) => Effect.Effect<ParsedName | undefined, DiskError>
  /** The name of a segment's file, as far as it is known; `undefined` of a hole. The manifest has been read. */
  readonly nameOf: (manifest: Manifest, segmentIndex: number) => string | undefined
  /** The holes in rows that are known. */
  readonly holes: Effect.Effect<ReadonlyArray<AcknowledgedHole>, DiskError>
}

/** The archive of a log, shown as this directory. */
export const makeArchiveView = Effect.fnUntraced(function*(log: string, directory: string) {
  const manifests = yield* ManifestStore.make(log)
  let manifest: Manifest | undefined
  let readMillis: number | undefined
  /** The form of the newest segment when the manifest was first read, and the rows that have another one. */
  let usual: Row["form"] | undefined
  const forms = new Map<number, Row["form"]>()
  const holes = new Map<number, AcknowledgedHole>()

  const note = (row: Row): void => {
    if (row.form !== usual) forms.set(row.index, row.form)
    if (row.hole === null) return
    holes.set(row.index, row.hole)
    // Deleted before they were archived, all of them: their rows need not be read.
    if (row.form !== "none" || row.hole.quarantine.length > 0) return
    for (let index = row.index + 1; index <= row.hole.lastSegmentIndex; index++) forms.set(index, "none")
  }

  const lookNow = Effect.gen(function*() {
    // Before the request: what the answer tells is at least as new.
    const nowMillis = yield* elapsedMillis
    const found = yield* Effect.mapError(manifests.read, failed("list", directory))
    // An answer that was overtaken by a later one tells nothing new.
    if (found === undefined || manifest === undefined || found.manifest.counter >= manifest.counter) {
      manifest = found?.manifest
    }
    readMillis = nowMillis
    usual ??= manifest?.rows.findLast(isSegment)?.form
    for (const row of manifest?.rows ?? []) if (row.form === "none" || row.hole !== null) note(row)
    return manifest
  })

  const look = Effect.flatMap(
    elapsedMillis,
    (nowMillis) => readMillis === undefined || nowMillis - readMillis >= lookMillis ? lookNow : Effect.succeed(manifest)
  )

  const last = Effect.suspend(() => readMillis === undefined ? lookNow : Effect.succeed(manifest))

  const rowOf: ArchiveView["rowOf"] = Effect.fnUntraced(function*(segmentIndex) {
    const known = yield* last
    if (known === undefined) return undefined
    const row = yield* Effect.mapError(manifests.rowFor(known, segmentIndex), failed("open", directory))
    if (row === undefined) return undefined
    note(row)
    return row.form === "none" ? undefined : row
  })

  const parse: ArchiveView["parse"] = (name) =>
    Effect.map(last, (known) => known === undefined ? undefined : parseName(known.naming, name))

  const view: ArchiveView = {
    look,
    lookNow,
    last,
    rowOf,
    rowNamed: Effect.fnUntraced(function*(name) {
      const parsed = yield* parse(name)
      if (manifest === undefined || parsed?.form !== "cold") return undefined
      const row = yield* rowOf(parsed.index)
      return row !== undefined && segmentFileName(manifest.naming, row) === name ? row : undefined
    }),
    parse,
    nameOf: (shown, index) => {
      const form = forms.get(index) ?? usual ?? "lz4"
      return form === "none" ? undefined : segmentFileName(shown.naming, { form, index })
    },
    holes: Effect.map(last, () => HoleStore.merge([], [...holes.values()]))
  }
  return view
})

const isSegment = (row: Row): row is SegmentRow => row.form !== "none"
