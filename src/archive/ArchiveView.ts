/**
 * What a reader knows of an archive: the manifest as it was last read, the rows that it asked for, and the tail of a
 * replicated log.
 *
 * The tail is read before the manifest. What the manifest then names as its beginning was not removed before, and what
 * the tail lacks because it was archived meanwhile is in the manifest. So the two fit together.
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
import { contentOf } from "./tail/TailContent.ts"
import type { TailContent } from "./tail/TailContent.ts"
import type { TailObject } from "./tail/TailObject.ts"
import * as TailStore from "./tail/TailStore.ts"

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
  /** What the tail has after the newest archived segment, as of the manifest that was last read. */
  readonly tail: Effect.Effect<TailContent, DiskError>
  /** The holes in rows that are known. */
  readonly holes: Effect.Effect<ReadonlyArray<AcknowledgedHole>, DiskError>
}

const noTail: TailContent = { run: 0, segments: [], lastEventId: 0 }

/** The objects of a tail from its beginning on, as far as they were read. */
interface TailObjects {
  readonly from: number
  readonly objects: ReadonlyArray<TailObject>
}

/** The archive of a log, shown as this directory; with its tail, or without. */
export const makeArchiveView = Effect.fnUntraced(function*(log: string, directory: string, showsTail: boolean) {
  const manifests = yield* ManifestStore.make(log)
  const tailStore = yield* TailStore.make(log)
  let manifest: Manifest | undefined
  let tailObjects: TailObjects | undefined
  let tail = noTail
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

  /** The tail from its beginning on. Objects never change, so those that were read before are not read again. */
  const readTail = Effect.fnUntraced(function*(from: number) {
    const known = tailObjects?.objects.slice(Math.max(0, from - tailObjects.from)) ?? []
    const next = from + known.length
    const first = yield* tailStore.get(next)
    const read: TailObjects = {
      from,
      objects: first === undefined ? known : [...known, first, ...yield* tailStore.from(next + 1)]
    }
    return read
  })

  const readBoth = Effect.gen(function*() {
    let from = showsTail ? manifest?.tailFrom : undefined
    while (true) {
      const objects: TailObjects | undefined = from === undefined ? undefined : yield* readTail(from)
      const found = yield* manifests.read
      const begins = showsTail ? found?.manifest.tailFrom : undefined
      if (found === undefined || begins === undefined) return { found, objects: undefined, tail: noTail }
      // One that was begun anew meanwhile is whole when its new beginning was reached: no gap comes before that.
      if (objects !== undefined && (begins === objects.from || begins < objects.from + objects.objects.length)) {
        const left = { from: begins, objects: objects.objects.slice(begins - objects.from) }
        return { found, objects: left, tail: yield* contentOf(log, left.objects, found.manifest.nextIndex) }
      }
      from = begins
    }
  })

  const lookNow = Effect.gen(function*() {
    // Before the request: what the answer tells is at least as new.
    const nowMillis = yield* elapsedMillis
    const read = yield* Effect.mapError(readBoth, failed("list", directory))
    const { found } = read
    // An answer that was overtaken by a later one tells nothing new.
    if (found === undefined || manifest === undefined || found.manifest.counter >= manifest.counter) {
      manifest = found?.manifest
      tail = read.tail
      tailObjects = read.objects
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
    tail: Effect.map(last, () => tail),
    holes: Effect.map(last, () => HoleStore.merge([], [...holes.values()]))
  }
  return view
})

const isSegment = (row: Row): row is SegmentRow => row.form !== "none"
