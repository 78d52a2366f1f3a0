/** Writes the manifest of a log of any length, without its pages: nothing reads those before an old segment is read. */
import * as Effect from "effect/Effect"
import type { PageRef, SegmentRow } from "../../src/archive/Manifest.ts"
import { pageEntries, segmentsOfPage } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"

const mebibyte = 2 ** 20
const blocks = 16

/** Digits as those of a hash, of this length, another for each number. */
const digits = (number: number, length: number): string =>
  (Math.imul(number + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0").repeat(length / 8)

const rowOf = (index: number): SegmentRow => ({
  index,
  firstId: 1 + index * 65_536,
  lastId: (index + 1) * 65_536,
  closedMillis: 1_700_000_000_000 + index,
  storedBytes: 9 * mebibyte + index % 4096,
  wholeBytes: blocks * mebibyte,
  epoch: 1,
  etag: digits(index, 32),
  storedXxh64: digits(index, 16),
  contentXxh64: digits(index + 1, 16),
  form: "lz4",
  livedSeconds: index,
  blocksEvery: 1,
  blocks: Array.from({ length: blocks }, (_, block) => 15 + block * 600_000 + index % 4096),
  hole: null
})

const refOf = (first: number): PageRef => ({ epoch: 1, first, etag: digits(first, 32), xxh64: digits(first, 16) })

/** Writes it, of `segments` segments from index 0 on. */
export const generateManifest = Effect.fnUntraced(function*(log: string, segments: number) {
  const manifests = yield* ManifestStore.make(log)
  const pages: Array<Array<PageRef>> = []
  let rest = segments
  let first = 0
  const levels = Math.floor(Math.log(segments) / Math.log(pageEntries))
  for (let level = levels; level > 0; level--) {
    const refs: Array<PageRef> = []
    for (; rest >= segmentsOfPage(level); rest -= segmentsOfPage(level)) {
      refs.push(refOf(first))
      first += segmentsOfPage(level)
    }
    pages[level - 1] = refs
  }
  yield* manifests.write({
    walId: digits(7, 32),
    naming: defaultNaming,
    epoch: 1,
    owner: "bench",
    livedSeconds: segments,
    firstIndex: 0,
    nextIndex: segments,
    removedBefore: 0,
    expired: [],
    storedBytes: 0,
    chain: digits(3, 16),
    pages,
    rows: Array.from({ length: rest }, (_, position) => rowOf(first + position))
  }, undefined)
})
