/** What a store of keys and values does, of whatever kind: what `KeyValueStore` of Effect documents. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import { subjects } from "./subjects.ts"

const odd = ["", "/", "a/b", "é\u0000\"\\", "__proto__", "\ud83d\ude00", "a".repeat(1000)]
const bytes = Uint8Array.of(0, 255, 128, 10)
const base64 = Buffer.from(bytes).toString("base64")

describe.each(subjects)("a store of keys and values ($name)", ({ isAtomic, layer, ownsValues }) => {
  const rulingIf = (holds: boolean) =>
  (
    name: string,
    test: (store: KeyValueStore.KeyValueStore) => Effect.Effect<void, KeyValueStore.KeyValueStoreError>
  ) =>
    holds
      ? it.effect(name, () => KeyValueStore.KeyValueStore.use(test).pipe(Effect.provide(Layer.fresh(layer))))
      : it.skip(`${name} (it does not)`, () => {})
  const ruling = rulingIf(true)

  ruling(
    "gives what was set last",
    Effect.fnUntraced(function*(store) {
      yield* store.set("key", "one")
      yield* store.set("key", "two")
      assert.strictEqual(yield* store.get("key"), "two")
      assert.isUndefined(yield* store.get("other"))
      assert.isUndefined(yield* store.getUint8Array("other"))
    })
  )

  ruling(
    "has a key from when it is set until it is removed",
    Effect.fnUntraced(function*(store) {
      assert.isTrue(yield* store.isEmpty)
      yield* store.set("key", "")
      assert.isTrue(yield* store.has("key"))
      assert.strictEqual(yield* store.get("key"), "")
      yield* store.remove("key")
      yield* store.remove("key")
      assert.isFalse(yield* store.has("key"))
      assert.isUndefined(yield* store.get("key"))
      assert.isTrue(yield* store.isEmpty)
    })
  )

  ruling(
    "gives bytes as text in base64, and text as bytes in UTF-8",
    Effect.fnUntraced(function*(store) {
      yield* store.set("bytes", bytes)
      yield* store.set("text", "é")
      assert.deepStrictEqual(Array.from((yield* store.getUint8Array("bytes"))!), Array.from(bytes))
      assert.strictEqual(yield* store.get("bytes"), base64)
      assert.deepStrictEqual(Array.from((yield* store.getUint8Array("text"))!), [0xc3, 0xa9])
      yield* store.set("bytes", "text now")
      assert.strictEqual(yield* store.get("bytes"), "text now")
    })
  )

  ruling(
    "keeps every key and value apart, whatever characters they have",
    Effect.fnUntraced(function*(store) {
      for (const key of odd) yield* store.set(key, `value of ${key}`)
      for (const key of odd) assert.strictEqual(yield* store.get(key), `value of ${key}`)
      assert.strictEqual(yield* store.size, odd.length)
      assert.sameMembers([...(yield* store.keys)], odd)
    })
  )

  ruling(
    "removes everything with clear, and what begins with a prefix with clearPrefix",
    Effect.fnUntraced(function*(store) {
      for (const key of ["a", "a%1", "a_1", "A1", "b"]) yield* store.set(key, key)
      yield* store.clearPrefix("a%")
      assert.sameMembers([...(yield* store.keys)], ["a", "a_1", "A1", "b"])
      yield* store.clearPrefix("a")
      assert.sameMembers([...(yield* store.keys)], ["A1", "b"])
      yield* store.set("c", "c")
      yield* store.clearPrefix("")
      assert.strictEqual(yield* store.size, 0)
      yield* store.set("c", "again")
      yield* store.clear
      assert.isTrue(yield* store.isEmpty)
      yield* store.set("c", "at last")
      assert.strictEqual(yield* store.get("c"), "at last")
    })
  )

  ruling(
    "changes with modify what is there, and only that",
    Effect.fnUntraced(function*(store) {
      yield* store.set("key", "1")
      assert.strictEqual(yield* store.modify("key", (value) => `${value}2`), "12")
      assert.strictEqual(yield* store.get("key"), "12")
      assert.isUndefined(yield* store.modify("other", () => "never"))
      assert.isFalse(yield* store.has("other"))
      yield* store.set("bytes", bytes)
      const modified = yield* store.modifyUint8Array("bytes", (value) => value.map((byte) => byte ^ 255))
      assert.deepStrictEqual(Array.from(modified!), [255, 0, 127, 245])
      assert.deepStrictEqual(Array.from((yield* store.getUint8Array("bytes"))!), [255, 0, 127, 245])
      assert.isUndefined(yield* store.modifyUint8Array("other", (value) => value))
    })
  )

  ruling(
    "is a view of itself with a prefix",
    Effect.fnUntraced(function*(store) {
      const view = KeyValueStore.prefix(store, "view/")
      yield* store.set("key", "outside")
      yield* view.set("key", "inside")
      assert.strictEqual(yield* store.get("view/key"), "inside")
      assert.deepStrictEqual([...(yield* view.keys)], ["key"])
      yield* view.clear
      assert.deepStrictEqual([...(yield* store.keys)], ["key"])
    })
  )

  ruling(
    "gives the one set last of many at once",
    Effect.fnUntraced(function*(store) {
      const values = Array.from({ length: 50 }, (_, index) => String(index))
      yield* Effect.forEach(values, (value) => store.set("key", value), { concurrency: "unbounded", discard: true })
      assert.strictEqual(yield* store.get("key"), "49")
    })
  )

  rulingIf(isAtomic)(
    "loses no change to another that is made at once",
    Effect.fnUntraced(function*(store) {
      yield* store.set("count", "0")
      const increment = store.modify("count", (value) => String(Number(value) + 1))
      yield* Effect.all(Array.from({ length: 50 }, () => increment), { concurrency: "unbounded", discard: true })
      assert.strictEqual(yield* store.get("count"), "50")
    })
  )

  rulingIf(ownsValues)(
    "keeps bytes that nobody else can change",
    Effect.fnUntraced(function*(store) {
      const given = Uint8Array.from(bytes)
      yield* store.set("key", given)
      given.fill(7)
      const first = (yield* store.getUint8Array("key"))!
      assert.deepStrictEqual(Array.from(first), Array.from(bytes))
      first.fill(7)
      assert.deepStrictEqual(Array.from((yield* store.getUint8Array("key"))!), Array.from(bytes))
    })
  )
})
