/** The manifest: its size, what is no manifest, and that writers who meet are told apart. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import {
  decodeManifest,
  encodeManifest,
  manifestKey,
  pageKey,
  segmentKey,
  thinPlaces
} from "../../src/archive/Manifest.ts"
import type { PageRef, Row } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import type { ManifestContent } from "../../src/archive/ManifestStore.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import { etagOf, makeMemoryStore } from "./memoryStore.ts"

const log = "orders"
const walId = "0123456789abcdef0123456789abcdef"

const empty = (firstIndex = 0, epoch = 1): ManifestContent => ({
  walId,
  naming: defaultNaming,
  epoch,
  owner: "here (process 1)",
  livedSeconds: 0,
  firstIndex,
  nextIndex: firstIndex,
  removedBefore: firstIndex,
  expired: [],
  storedBytes: 0,
  chain: null,
  pages: [],
  rows: []
})

/** A row as a segment of 16 MiB has it: ten digits of ids, half of its size stored, 17 blocks. */
const rowOf = (index: number): Row => ({
  index,
  firstId: index * 262_144 + 1,
  lastId: (index + 1) * 262_144,
  closedMillis: 1_790_000_000_000 + index * 1000,
  storedBytes: 8_388_608 + index % 999,
  wholeBytes: 16_779_392,
  epoch: 1 + index % 97,
  etag: etagOf(Buffer.from(`${index}`)),
  storedXxh64: index.toString(16).padStart(16, "a"),
  contentXxh64: index.toString(16).padStart(16, "b"),
  form: "lz4",
  livedSeconds: index * 10,
  ...thinPlaces(Array.from({ length: 17 }, (_, block) => 15 + block * 524_288)),
  hole: null
})

const rowsOf = (from: number, to: number): ReadonlyArray<Row> =>
  Array.from({ length: to - from }, (_, position) => rowOf(from + position))

describe("Manifest", () => {
  it.effect("is what it was when it is read again, holes and places of blocks too", () =>
    Effect.gen(function*() {
      const hole = { firstSegmentIndex: 1, lastSegmentIndex: 2, firstEventId: 7, lastEventId: 9, quarantine: ["q/1"] }
      const rows: ReadonlyArray<Row> = [
        { ...rowOf(0), form: "lz4b", blocks: [], blocksEvery: 1 },
        { ...rowOf(1), hole },
        { index: 2, form: "none", livedSeconds: 3, hole },
        { ...rowOf(3), ...thinPlaces([7, 5_000_000, 2 ** 40]) }
      ] as ReadonlyArray<Row>
      const manifest = { ...empty(), rows, nextIndex: 4, chain: "00000000000000ff", counter: 5, nonce: "abc" }
      assert.deepStrictEqual(yield* decodeManifest("m", encodeManifest(manifest)), manifest)
    }))

  it("names few enough blocks, at even distances", () => {
    for (const blocks of [0, 1, 17, 20, 21, 65, 1025]) {
      const places = Array.from({ length: blocks }, (_, block) => 15 + block * 700_000)
      const thinned = thinPlaces(places)
      assert.isAtMost(thinned.blocks.length, 20)
      thinned.blocks.forEach((place, at) => assert.strictEqual(place, places[at * thinned.blocksEvery]))
      assert.isAtLeast(thinned.blocks.length * thinned.blocksEvery, blocks)
    }
    assert.strictEqual(thinPlaces(Array.from({ length: 17 }, (_, at) => at)).blocksEvery, 1)
  })

  it.effect("tells in one line what is no manifest, what is cut off, rotten, or of a newer format", () =>
    Effect.gen(function*() {
      const bytes = encodeManifest({ ...empty(), rows: rowsOf(0, 3), nextIndex: 3, counter: 1, nonce: "n" })
      const reasonOf = (bytes: Uint8Array) =>
        Effect.map(Effect.flip(decodeManifest(manifestKey(log), bytes)), ({ message, reason }) => {
          assert.notInclude(message, "\n")
          assert.include(message, "orders/manifest: ")
          return reason._tag
        })
      const text = Buffer.from(bytes).toString()
      for (const cut of [1, 12, 60, 200, bytes.length - 3]) {
        assert.strictEqual(yield* reasonOf(bytes.subarray(0, cut)), "Damaged", `${cut} bytes`)
      }
      assert.strictEqual(yield* reasonOf(Buffer.from(text.replace("8388609", "8388608"))), "Damaged")
      assert.strictEqual(yield* reasonOf(Buffer.from(text.replace("\"format\":1", "\"format\":2"))), "NewerFormat")
      for (const other of ["", "{}", "<html>404</html>", "null", "[1]", "\u0000\u0001"]) {
        assert.strictEqual(yield* reasonOf(Buffer.from(other)), "NotManifest", other)
      }
      // One row too many, one missing, and one out of its place: none is believed.
      const spoilt: ReadonlyArray<ReadonlyArray<Row>> = [
        rowsOf(0, 256),
        [rowOf(0), rowOf(2)],
        rowsOf(0, 2)
      ]
      for (const rows of spoilt) {
        const nextIndex = rows.length === 256 ? 256 : 3
        const manifest = { ...empty(), rows, nextIndex, counter: 1, nonce: "n" }
        const made = yield* Effect.result(Effect.try({ try: () => encodeManifest(manifest), catch: String }))
        if (made._tag === "Success") assert.strictEqual(yield* reasonOf(made.success), "Damaged")
        else assert.include(made.failure, "255")
      }
    }))
})

describe("ManifestStore", () => {
  it("keeps a manifest of a million segments within 80 KiB", () => {
    // The largest on the way: 14 pages of pages, 255 pages, 255 rows.
    for (const segments of [1_000_000, 983_039]) {
      const refs = (level: number, from: number, to: number): ReadonlyArray<PageRef> =>
        Array.from({ length: (to - from) / 256 ** level }, (_, at) => {
          const first = from + at * 256 ** level
          return { epoch: 1 + at % 97, first, etag: etagOf(Buffer.from(`${first}`)), xxh64: "0123456789abcdef" }
        })
      const paged = segments - segments % 256
      const pagedTwice = segments - segments % 65_536
      const manifest = {
        ...empty(),
        pages: [refs(1, pagedTwice, paged), refs(2, 0, pagedTwice)],
        rows: rowsOf(paged, segments),
        nextIndex: segments,
        counter: segments,
        nonce: "0123456789abcd"
      }
      assert.isAtMost(encodeManifest(manifest).length, 80 * 1024)
      assert.deepStrictEqual(Effect.runSync(decodeManifest("m", encodeManifest(manifest))), manifest)
    }
  })

  it.effect("finds every segment through pages and pages of pages, with two requests at most", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const store = yield* ManifestStore.make(log)
      const segments = 65_536 + 3 * 256 + 255
      const content = yield* store.append(empty(), rowsOf(0, segments))
      assert.deepStrictEqual(content.pages.map((refs) => refs.length), [3, 1])
      assert.strictEqual(content.rows.length, 255)
      assert.strictEqual(memory.objects.size, 256 + 3 + 1)
      for (const index of [0, 255, 256, 40_000, 65_535, 65_536, 66_303, 66_304, segments - 1]) {
        const fresh = yield* ManifestStore.make(log)
        memory.requests.length = 0
        assert.deepStrictEqual(yield* fresh.rowFor(content, index), rowOf(index), `${index}`)
        assert.isAtMost(memory.requests.length, 2)
        memory.requests.length = 0
        yield* fresh.rowFor(content, index)
        assert.strictEqual(memory.requests.length, 0)
      }
      assert.isUndefined(yield* store.rowFor(content, segments))
      const tail = yield* Stream.runCollect(store.rows(content, 65_000))
      assert.deepStrictEqual(
        tail.map(({ index }) => index),
        rowsOf(65_000, segments).map(({ index }) => index)
      )
      const expired = { ...content, firstIndex: 30_000 }
      assert.isUndefined(yield* store.rowFor(expired, 29_999))
      const kept = yield* Stream.runCollect(Stream.take(store.rows(expired, 5), 2))
      assert.deepStrictEqual(kept.map(({ index }) => index), [30_000, 30_001])
    }).pipe(Effect.provide(memory.layer))
  })

  it.effect("looks a lost answer up, and knows its own write from an earlier one of its own that came late", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const store = yield* ManifestStore.make(log)
      memory.fate = ({ operation }) => operation === "put" ? "lost" : "done"
      const first = yield* store.write(empty(), undefined)
      assert.strictEqual(first.manifest.counter, 1)
      assert.deepStrictEqual((yield* store.read)?.manifest, first.manifest)
      memory.fate = ({ operation }) => operation === "put" ? "late" : "done"
      const one = yield* store.append(first.manifest, rowsOf(0, 1))
      const lost = yield* Effect.flip(store.write(one, first))
      assert.deepInclude(lost, { _tag: "StoreError", isApplied: "unknown" })
      memory.fate = () => "done"
      memory.deliver()
      const two = yield* store.append(first.manifest, rowsOf(0, 2))
      const refused = yield* Effect.flip(store.write(two, first))
      assert.strictEqual(refused.reason._tag, "Outdated")
      const now = yield* store.read
      assert.strictEqual(now?.manifest.nextIndex, 1)
      const again = yield* store.write(yield* store.append(now!.manifest, rowsOf(1, 2)), now)
      assert.strictEqual(again.manifest.counter, 3)
      assert.strictEqual(again.manifest.nextIndex, 2)
    }).pipe(Effect.provide(memory.layer))
  })

  it.effect("is fenced by a later epoch, whichever way it learns of it", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const store = yield* ManifestStore.make(log)
      const mine = yield* store.write(empty(), undefined)
      const theirs = yield* store.write({ ...mine.manifest, epoch: 2, owner: "there" }, mine)
      const mineAgain = yield* Effect.flip(store.write(yield* store.append(mine.manifest, rowsOf(0, 1)), mine))
      assert.strictEqual(mineAgain.reason._tag, "Fenced")
      assert.include(mineAgain.message, "epoch 2, there")
      memory.fate = ({ operation }) => operation === "put" ? "late" : "done"
      assert.strictEqual((yield* Effect.flip(store.write(mine.manifest, mine))).reason._tag, "Fenced")
      memory.deliver()
      assert.deepStrictEqual(yield* store.read, theirs)
    }).pipe(Effect.provide(memory.layer))
  })

  it.effect("writes a page again if it is the same, and never replaces another", () => {
    const memory = makeMemoryStore()
    return Effect.gen(function*() {
      const store = yield* ManifestStore.make(log)
      const filled = yield* store.append(empty(), rowsOf(0, 256))
      assert.deepStrictEqual(yield* store.append(empty(), rowsOf(0, 256)), filled)
      memory.fate = ({ operation }) => operation === "put" ? "lost" : "done"
      assert.deepStrictEqual(yield* store.append(empty(), rowsOf(0, 256)), filled)
      memory.fate = () => "done"
      const key = pageKey(log, 1, { epoch: 1, first: 0 })
      assert.strictEqual(key, "orders/index/1/1/0")
      const other = rowsOf(0, 256).map((row) => ({ ...row, livedSeconds: 7 }))
      const failed = yield* Effect.flip(store.append(empty(), other))
      assert.strictEqual(failed.reason._tag, "Different")
      // The copy of an owner that lost is in nobody's way.
      const theirs = yield* store.append(empty(0, 2), other)
      assert.strictEqual(theirs.pages[0]?.[0]?.epoch, 2)
      const fresh = yield* ManifestStore.make(log)
      assert.deepStrictEqual(yield* fresh.rowFor(filled, 9), rowOf(9))
      memory.objects.set(key, Uint8Array.from(memory.objects.get(key)!).fill(32, 90, 91))
      const rotten = yield* Effect.flip(Effect.flatMap(ManifestStore.make(log), (store) => store.rowFor(filled, 9)))
      assert.strictEqual(rotten.reason._tag, "Damaged")
      assert.include(rotten.message, key)
    }).pipe(Effect.provide(memory.layer))
  })

  it("has keys as the opening of its module lists them", () => {
    assert.strictEqual(
      segmentKey(log, defaultNaming, { epoch: 3, form: "lz4", index: 12 }),
      "orders/segments/3/FS.00000012.wal.lz4"
    )
    assert.strictEqual(
      segmentKey(log, defaultNaming, { epoch: 3, form: "lz4b", index: 12 }),
      "orders/segments/3/FS.00000012.wal.lz4b"
    )
  })
})
