/**
 * What the limits of an archive do. A segment that they no longer allow expires: first the manifest no longer counts it
 * (`firstIndex`), and its object is removed a day later, so that a reader with an older manifest can finish. The row
 * stays until then, because it tells the key.
 *
 * Age is the time that archives of this log have lived since the segment was archived, by elapsed time. A wall clock
 * that was set changes nothing. The price: the time in which no archive of the log ran does not count, so a segment may
 * be kept longer than the limit, and never shorter. The newest segment never expires.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { duration, size } from "../internal/options.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import { pageEntries, pageKey, segmentKey, segmentsOfPage } from "./Manifest.ts"
import type { Expired, PageRef } from "./Manifest.ts"
import type { ManifestContent, ManifestFailure, ManifestStore } from "./ManifestStore.ts"

/**
 * What an archive keeps. Without a limit it keeps everything.
 *
 * @since 0.1.0
 * @category models
 */
export const ArchiveLimits = Schema.Struct({
  /** In the time that archives of the log have lived since the segment was archived. */
  ageMax: Schema.optional(duration(0, Number.MAX_SAFE_INTEGER)),
  /** Of the objects of segments. */
  bytesMax: Schema.optional(size(0, Number.MAX_SAFE_INTEGER))
})

/**
 * The type of {@link ArchiveLimits} as it is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveLimits extends Schema.Codec.Encoded<typeof ArchiveLimits> {}

/** The limits as they are used. */
export type ResolvedArchiveLimits = typeof ArchiveLimits.Type

/** How long the object of an expired segment stays. */
const removalDelaySeconds = 24 * 60 * 60

/** So many are told apart in a manifest; the last of them takes in what expires further. */
const expiredMax = 24

/** The content in which everything past the limits has expired; `undefined` when nothing is. */
export const expire = Effect.fnUntraced(function*(
  manifests: ManifestStore,
  content: ManifestContent,
  { ageMax, bytesMax }: ResolvedArchiveLimits
) {
  if (ageMax === undefined && bytesMax === undefined) return undefined
  const { livedSeconds, nextIndex } = content
  const ageSecondsMax = ageMax === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(ageMax) / 1000
  let { firstIndex, storedBytes } = content
  yield* manifests.rows(content, firstIndex).pipe(
    Stream.takeWhile((row) => {
      const isDue = storedBytes > (bytesMax ?? storedBytes) || livedSeconds - row.livedSeconds > ageSecondsMax
      if (!isDue || row.index >= nextIndex - 1) return false
      firstIndex = row.index + 1
      if (row.form !== "none") storedBytes -= row.storedBytes
      return true
    }),
    Stream.runDrain
  )
  if (firstIndex === content.firstIndex) return undefined
  const added: Expired = { before: firstIndex, livedSeconds }
  const isFull = content.expired.length >= expiredMax
  const expired = [...(isFull ? content.expired.slice(0, -1) : content.expired), added]
  const next: ManifestContent = { ...content, firstIndex, storedBytes, expired }
  return next
})

/** The content in which what expired last has expired only now. */
export const expiredNow = (content: ManifestContent, livedSeconds: number): ManifestContent => ({
  ...content,
  livedSeconds,
  expired: content.expired.map((one, index) => index === content.expired.length - 1 ? { ...one, livedSeconds } : one)
})

/** What is due to be removed, and the content after that. */
interface Removal {
  readonly content: ManifestContent
  /** Pages that the content no longer names, to be removed after it was written. */
  readonly pages: ReadonlyArray<string>
}

/**
 * Removes the objects of segments that expired a day ago; `undefined` when there are none. The caller writes the
 * content and then removes the pages.
 */
export const removeDue = Effect.fnUntraced(function*(
  manifests: ManifestStore,
  content: ManifestContent
): Effect.fn.Return<Removal | undefined, ManifestFailure, ObjectStore> {
  const store = yield* ObjectStore
  const due = content.expired.filter(({ livedSeconds }) => content.livedSeconds - livedSeconds >= removalDelaySeconds)
  const before = due.at(-1)?.before
  if (before === undefined) return undefined
  yield* manifests.rowsBetween(content, content.removedBefore, before).pipe(
    Stream.filter((row) => row.form !== "none"),
    Stream.map((row) => segmentKey(manifests.log, content.naming, row)),
    Stream.grouped(256),
    Stream.runForEach((keys) => store.remove(keys))
  )
  const pages: Array<string> = []
  const kept: Array<ReadonlyArray<PageRef>> = []
  for (const [position, refs] of content.pages.entries()) {
    const level = position + 1
    const isOver = ({ first }: PageRef): boolean => first + segmentsOfPage(level) <= before
    for (const ref of refs.filter(isOver)) pages.push(...(yield* keysOf(manifests, level, ref)))
    kept.push(refs.filter((ref) => !isOver(ref)))
  }
  const expired = content.expired.slice(due.length)
  return { content: { ...content, removedBefore: before, expired, pages: kept }, pages }
})

/** The keys of a page and of all pages below it. */
const keysOf = Effect.fnUntraced(function*(
  manifests: ManifestStore,
  level: number,
  ref: PageRef
): Effect.fn.Return<ReadonlyArray<string>, ManifestFailure> {
  const keys: Array<string> = []
  let refs: ReadonlyArray<PageRef> = [ref]
  for (let below = level; below > 0; below--) {
    keys.push(...refs.map((ref) => pageKey(manifests.log, below, ref)))
    if (below === 1) break
    const pages = yield* Effect.forEach(refs, (ref) => manifests.page(below, ref))
    refs = pages.flatMap((page) => page.pages)
  }
  return keys
})

/** Removes pages that no manifest names any more. */
export const removePages = Effect.fnUntraced(function*(
  pages: ReadonlyArray<string>
): Effect.fn.Return<void, StoreError, ObjectStore> {
  const store = yield* ObjectStore
  for (let from = 0; from < pages.length; from += pageEntries) {
    yield* store.remove(pages.slice(from, from + pageEntries))
  }
})
