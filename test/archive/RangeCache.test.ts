/** Ranges of objects: where they begin, what is asked for, and what is kept. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { makeRangeCache, rangesOf } from "../../src/archive/RangeCache.ts"
import type { RangedObject } from "../../src/archive/RangeCache.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { makeRandom } from "../fixtures/segments.ts"
import { countedStore, Gets } from "./archived.ts"

const mebibyte = 2 ** 20

const content = (bytes: number): Buffer => {
  const random = makeRandom(bytes)
  const made = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) made.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
  return made
}

const put = Effect.fnUntraced(function*(key: string, bytes: Buffer) {
  const etag = yield* (yield* ObjectStore).put(key, bytes)
  const object: RangedObject = { key, etag, bytes: bytes.length, begins: rangesOf(bytes.length, []) }
  return object
})

const key = "orders/segments/1/FS.00000000.wal.lz4"

describe("the ranges of an object", () => {
  it("begin where blocks begin, are about a mebibyte long, and are all of it", () => {
    const random = makeRandom(5)
    for (let round = 0; round < 200; round++) {
      const blocks: Array<number> = []
      let at = 15
      const blockBytesMax = round % 2 === 0 ? mebibyte + 4 : 200_000
      for (let block = 0; block < round % 40; block++) {
        blocks.push(at)
        at += 5 + Math.floor(random() * blockBytesMax)
      }
      const bytes = at + 8
      const begins = rangesOf(bytes, blocks)
      assert.strictEqual(begins[0], 0)
      for (const [range, begin] of begins.entries()) {
        const length = (begins[range + 1] ?? bytes) - begin
        assert.isAbove(length, 0)
        assert.isAtMost(length, mebibyte + 4096)
        assert.isTrue(begin === 0 || blocks.includes(begin), "a range begins with a block")
        // Small blocks share a range: two neighbours are together longer than one may be.
        if (range + 1 < begins.length) assert.isAbove((begins[range + 2] ?? bytes) - begin, mebibyte + 4096)
      }
    }
  })

  it("begin at every mebibyte where no block is known, or blocks are longer", () => {
    assert.deepStrictEqual(rangesOf(100, []), [0])
    assert.deepStrictEqual(rangesOf(3 * mebibyte, []), [0, mebibyte, 2 * mebibyte])
    assert.deepStrictEqual(rangesOf(5 * mebibyte, [15, 3 * mebibyte]), [
      0,
      mebibyte,
      2 * mebibyte,
      3 * mebibyte,
      4 * mebibyte
    ])
  })
})

describe("a cache of ranges", () => {
  it.effect("gives every byte, however it is read, and asks for neighbours in one request", () =>
    Effect.gen(function*() {
      const bytes = content(5 * mebibyte + 77)
      const object = yield* put(key, bytes)
      const { take } = yield* Gets
      const cache = yield* makeRangeCache(16 * mebibyte)
      const read = Effect.fnUntraced(function*(from: number, length: number) {
        const target = Buffer.alloc(length)
        yield* cache.read(object, target, from)
        assert.isTrue(target.equals(bytes.subarray(from, from + length)), `${from} + ${length}`)
      })
      yield* read(mebibyte + 5, 3 * mebibyte)
      assert.deepStrictEqual((yield* take).segments, [{ key, from: mebibyte, bytes: 4 * mebibyte + 77 }])
      yield* read(3 * mebibyte, 10)
      yield* read(0, bytes.length)
      assert.deepStrictEqual((yield* take).segments, [{ key, from: 0, bytes: mebibyte }])
      const random = makeRandom(1)
      for (let round = 0; round < 100; round++) {
        const from = Math.floor(random() * (bytes.length - 1))
        yield* read(from, 1 + Math.floor(random() * (bytes.length - from)))
      }
      assert.deepStrictEqual((yield* take).segments, [])
    }).pipe(Effect.scoped, Effect.provide(countedStore())))

  it.effect("is bounded: what was used longest ago is asked for again", () =>
    Effect.gen(function*() {
      const object = yield* put(key, content(6 * mebibyte))
      const { take } = yield* Gets
      const cache = yield* makeRangeCache(4 * mebibyte)
      const read = (range: number) => cache.read(object, new Uint8Array(10), range * mebibyte)
      for (const range of [0, 1, 2, 3]) yield* read(range)
      // Used again, so another one goes.
      yield* read(0)
      yield* read(4)
      yield* take
      for (const range of [0, 2, 3, 4]) yield* read(range)
      assert.deepStrictEqual((yield* take).segments, [])
      yield* read(1)
      assert.deepStrictEqual((yield* take).segments, [{ key, from: mebibyte, bytes: mebibyte }])
      // More than fits, at once: its end is kept.
      const large = yield* put(`${key}.large`, content(7 * mebibyte))
      yield* cache.read(large, new Uint8Array(7 * mebibyte), 0)
      yield* take
      yield* cache.read(large, new Uint8Array(10), 6 * mebibyte)
      assert.strictEqual((yield* take).segments.length, 0)
      yield* cache.read(large, new Uint8Array(10), 0)
      assert.strictEqual((yield* take).segments.length, 1)
    }).pipe(Effect.scoped, Effect.provide(countedStore())))

  it.effect("asks once for what several readers want, and for what is under way", () =>
    Effect.gen(function*() {
      const bytes = content(4 * mebibyte)
      const object = yield* put(key, bytes)
      const { setFaults } = yield* SimulatedStore.SimulatedStore
      yield* setFaults({ slowRate: 1 })
      const { atOnce, take } = yield* Gets
      const cache = yield* makeRangeCache(16 * mebibyte)
      yield* cache.ahead(object, 1, 9)
      const target = Buffer.alloc(bytes.length)
      const readers = yield* Effect.forEach([0, 1, 2], () => Effect.forkChild(cache.read(object, target, 0)))
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forEach(readers, Fiber.join)
      assert.isTrue(target.equals(bytes))
      assert.strictEqual((yield* take).segments.length, 4)
      assert.strictEqual(atOnce(), 4)
    }).pipe(Effect.scoped, Effect.provide(countedStore())))

  it.effect("fails every reader of a range that fails, and asks again for the next one", () =>
    Effect.gen(function*() {
      const bytes = content(mebibyte)
      const object = yield* put(key, bytes)
      const gets = yield* Gets
      const cache = yield* makeRangeCache(4 * mebibyte)
      const target = Buffer.alloc(10)
      const other = { ...object, etag: "another" }
      const changed = yield* Effect.flip(cache.read(other, target, 0))
      assert.strictEqual(changed.reason._tag, "Changed")
      gets.cutBytes = 1000
      const cut = yield* Effect.flip(cache.read(object, target, 0))
      assert.strictEqual(cut.reason._tag, "Corrupt")
      assert.include(cut.message, "the object ends after 1000 bytes")
      gets.cutBytes = Infinity
      yield* cache.read(object, target, 0)
      assert.isTrue(target.equals(bytes.subarray(0, 10)))
    }).pipe(Effect.scoped, Effect.provide(countedStore())))
})
