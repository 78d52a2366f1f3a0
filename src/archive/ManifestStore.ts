/**
 * Reads and writes the manifest of a log, and its pages.
 *
 * A write replaces exactly the version that was read (If-Match), or nothing at all. A lost answer is looked up: every
 * write has a nonce of its own, so a manifest with that nonce is this very write. A request may arrive late, even
 * after its sender has died; it names a version that is gone by then, so it changes nothing.
 *
 * A page never changes. It is written before the manifest that names it; to write it again is fine if it is the same.
 * Nothing here is tried again: that is the caller's business.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { invariant } from "../internal/invariant.ts"
import { xxh64 } from "../internal/xxh64.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { Damaged, Different, Fenced, Outdated } from "./ArchiveReason.ts"
import {
  decodeManifest,
  decodePage,
  encodeManifest,
  encodePage,
  hexOf,
  manifestKey,
  pageEntries,
  pageKey,
  segmentsOfPage
} from "./Manifest.ts"
import type { Manifest, Page, PageRef, Row } from "./Manifest.ts"

/** A manifest, and which version of the object it is. */
export interface StoredManifest {
  readonly manifest: Manifest
  readonly etag: string
}

/** What a writer decides; counter and nonce are this module's. */
export type ManifestContent = Omit<Manifest, "counter" | "nonce">

/** The content of a log's first manifest, which has no segment yet: the first one will be `first`. */
export const beginningWith = (
  first: number,
  log: Pick<Manifest, "walId" | "naming" | "owner" | "tailFrom">
): ManifestContent => ({
  ...log,
  epoch: 1,
  livedSeconds: 0,
  firstIndex: first,
  nextIndex: first,
  removedBefore: first,
  expired: [],
  storedBytes: 0,
  chain: null,
  pages: [],
  rows: []
})

/** What can go wrong. */
export type ManifestFailure = StoreError | ArchiveError

/** The manifest of one log in a store. */
export interface ManifestStore {
  readonly log: string
  /** The manifest as it is now; `undefined` when there is none. */
  readonly read: Effect.Effect<StoredManifest | undefined, ManifestFailure>
  /**
   * Replaces the version that was read, or writes the first one. Fails with `Fenced` when a later epoch has written,
   * with `Outdated` when something else has; the caller reads again. After a failure of the store nothing is known:
   * the same may be tried again.
   */
  readonly write: (
    content: ManifestContent,
    before: StoredManifest | undefined
  ) => Effect.Effect<StoredManifest, ManifestFailure>
  /** The content with more rows, after the pages that they fill were written. */
  readonly append: (
    content: ManifestContent,
    rows: ReadonlyArray<Row>
  ) => Effect.Effect<ManifestContent, ManifestFailure>
  /** The row of a segment that is kept; `undefined` when it is not archived, or has expired. */
  readonly rowFor: (manifest: ManifestContent, segmentIndex: number) => Effect.Effect<Row | undefined, ManifestFailure>
  /** The rows of this segment and of later ones, in order; of the oldest kept one, when this one has expired. */
  readonly rows: (manifest: ManifestContent, from: number) => Stream.Stream<Row, ManifestFailure>
  /** A page that a manifest, or a page above it, names. */
  readonly page: (level: number, ref: PageRef) => Effect.Effect<Page, ManifestFailure>
  /** The rows of these segments, of expired ones too. `to` is not among them. */
  readonly rowsBetween: (
    manifest: ManifestContent,
    from: number,
    to: number
  ) => Stream.Stream<Row, ManifestFailure>
}

/** A page of 256 rows takes some 60 KiB of JSON. */
const pagesCached = 8

/** The manifest of `log` in the store. */
export const make = Effect.fnUntraced(function*(log: string) {
  const store = yield* ObjectStore
  const key = manifestKey(log)
  const cache = new Map<string, Page>()

  const remember = (key: string, page: Page): Page => {
    cache.delete(key)
    cache.set(key, page)
    for (const oldest of cache.keys()) {
      if (cache.size <= pagesCached) break
      cache.delete(oldest)
    }
    return page
  }

  const read: ManifestStore["read"] = Effect.gen(function*() {
    const found = yield* store.get(key).pipe(
      Effect.catchReason("StoreError", "NotFound", () => Effect.succeed(undefined))
    )
    if (found === undefined) return undefined
    return { manifest: yield* decodeManifest(key, found.bytes), etag: found.etag }
  })

  const write: ManifestStore["write"] = Effect.fnUntraced(function*(content, before) {
    const nonce = yield* makeNonce
    const manifest: Manifest = { ...content, counter: (before?.manifest.counter ?? 0) + 1, nonce }
    const onlyIf = before === undefined ? "absent" : { etag: before.etag }
    const written = yield* Effect.result(store.put(key, encodeManifest(manifest), { onlyIf }))
    if (written._tag === "Success") return { manifest, etag: written.success }
    const error = written.failure
    const isLost = error.reason._tag === "Changed" || error.reason._tag === "Taken"
    if (!isLost && error.isApplied === "no") return yield* error
    const found = yield* read
    if (found?.manifest.nonce === nonce) return found
    if (found !== undefined && found.manifest.epoch > content.epoch) {
      const { epoch, owner } = found.manifest
      return yield* new ArchiveError({ reason: new Fenced({ detail: `epoch ${epoch}, ${owner}` }), key })
    }
    if (!isLost && found?.etag === before?.etag) return yield* error
    const detail = found === undefined ? "it is gone" : `counter ${found.manifest.counter}, ${found.manifest.owner}`
    return yield* new ArchiveError({ reason: new Outdated({ detail }), key })
  })

  /** Writes an object that never changes, and gives its ETag. */
  const putPage = Effect.fnUntraced(function*(epoch: number, page: Page) {
    const key = pageKey(log, page.level, { epoch, first: page.first })
    const bytes = encodePage(page)
    const written = yield* Effect.result(store.put(key, bytes, { onlyIf: "absent" }))
    const ref = (etag: string): PageRef => {
      remember(key, page)
      return { epoch, first: page.first, etag, xxh64: hexOf(xxh64(bytes)) }
    }
    if (written._tag === "Success") return ref(written.success)
    const error = written.failure
    if (error.reason._tag !== "Taken" && error.isApplied === "no") return yield* error
    const found = yield* store.get(key).pipe(
      Effect.catchReason("StoreError", "NotFound", () => Effect.fail(error))
    )
    if (Buffer.compare(found.bytes, bytes) === 0) return ref(found.etag)
    const detail = `a page of ${found.bytes.length} bytes where ${bytes.length} are written`
    return yield* new ArchiveError({ reason: new Different({ detail }), key })
  })

  const append: ManifestStore["append"] = Effect.fnUntraced(function*(content, added) {
    const pages = content.pages.map((refs) => [...refs])
    let rows = [...content.rows]
    let next = content.nextIndex
    for (const row of added) {
      invariant(row.index === next++, "the rows of a manifest are consecutive")
      rows.push(row)
      if (rows.length < pageEntries) continue
      const { epoch, walId } = content
      let ref = yield* putPage(epoch, { walId, level: 1, first: rows[0]!.index, rows, pages: [] })
      rows = []
      for (let level = 1;; level++) {
        const refs = pages[level - 1] ??= []
        refs.push(ref)
        if (refs.length < pageEntries) break
        ref = yield* putPage(epoch, { walId, level: level + 1, first: refs[0]!.first, rows: [], pages: refs })
        pages[level - 1] = []
      }
    }
    return { ...content, pages, rows, nextIndex: content.nextIndex + added.length }
  })

  const pageAt = Effect.fnUntraced(function*(level: number, ref: PageRef) {
    const key = pageKey(log, level, ref)
    const known = cache.get(key)
    if (known !== undefined) return remember(key, known)
    const { bytes } = yield* store.get(key)
    if (hexOf(xxh64(bytes)) !== ref.xxh64) {
      const detail = "it is not the page that the manifest names"
      return yield* new ArchiveError({ reason: new Damaged({ detail }), key })
    }
    return remember(key, yield* decodePage(key, bytes, { level, first: ref.first }))
  })

  /** The rows of the page of level 1 that has this segment, or those of the manifest itself. */
  const rowsWith = Effect.fnUntraced(function*(manifest: ManifestContent, segmentIndex: number) {
    for (let level = 1; level <= manifest.pages.length; level++) {
      const found = manifest.pages[level - 1]?.findLast(({ first }) => first <= segmentIndex)
      if (found === undefined || segmentIndex >= found.first + segmentsOfPage(level)) continue
      let ref: PageRef = found
      for (let below = level; below > 1; below--) {
        const page: Page = yield* pageAt(below, ref)
        ref = page.pages[Math.floor((segmentIndex - ref.first) / segmentsOfPage(below - 1))]!
      }
      return (yield* pageAt(1, ref)).rows
    }
    return manifest.rows
  })

  const rowsBetween: ManifestStore["rowsBetween"] = (manifest, from, to) =>
    Stream.paginate(from, (next) =>
      Effect.gen(function*() {
        if (next >= Math.min(to, manifest.nextIndex)) return [[], Option.none<number>()] as const
        const rows = (yield* rowsWith(manifest, next)).filter(({ index }) => index >= next && index < to)
        const last = rows.at(-1)
        return [rows, last === undefined ? Option.none<number>() : Option.some(last.index + 1)] as const
      }))

  const self: ManifestStore = {
    log,
    read,
    write,
    append,
    page: pageAt,
    rowFor: Effect.fnUntraced(function*(manifest, segmentIndex) {
      if (segmentIndex < manifest.firstIndex || segmentIndex >= manifest.nextIndex) return undefined
      return (yield* rowsWith(manifest, segmentIndex)).find(({ index }) => index === segmentIndex)
    }),
    rows: (manifest, from) => rowsBetween(manifest, Math.max(from, manifest.firstIndex), manifest.nextIndex),
    rowsBetween
  }
  return self
})

/** 13 digits and letters: 64 random bits, as far as the random numbers are. */
const makeNonce = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 32), Random.nextIntBetween(0, 2 ** 32)]),
  (words) => words.map((word) => word.toString(36).padStart(7, "0")).join("")
)
