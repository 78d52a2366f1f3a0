/** Retries: what a lost answer hides is looked up, and nothing is concluded that is not known. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { StoreError } from "../../src/store/ObjectStore.ts"
import type { ObjectStore } from "../../src/store/ObjectStore.ts"
import { requestSchedule, retrying } from "../../src/store/Retrying.ts"
import { storeReason } from "../../src/store/StoreReason.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { isLong } from "../samples.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content)

const patient = retrying(Schedule.recurs(5))

/** A store that does nothing wrong unless it is told. */
const ruling = (
  name: string,
  body: (
    simulated: SimulatedStore.SimulatedStore["Service"],
    store: ObjectStore["Service"]
  ) => Effect.Effect<void, unknown>
) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedStore.make({ seed: 1 })
      yield* body(simulated, patient(simulated.store))
    }))

const contentOf = (simulated: SimulatedStore.SimulatedStore["Service"], key: string) =>
  Effect.map(simulated.contents, (objects) => {
    const object = objects.get(key)
    return object === undefined ? undefined : text(object.bytes)
  })

describe("a store with retries", () => {
  ruling(
    "has done what was done although its answer was lost, and sends it no second time",
    (simulated, store) =>
      Effect.gen(function*() {
        for (const onlyIf of ["absent", undefined] as const) {
          yield* simulated.failNext("put", "lostAnswer")
          const key = `a ${onlyIf}`
          const etag = yield* store.put(key, bytes("mine"), onlyIf === undefined ? {} : { onlyIf })
          assert.strictEqual((yield* store.head(key)).etag, etag)
        }
        const etag = (yield* store.head("a absent")).etag
        yield* simulated.failNext("put", "lostAnswer")
        yield* store.put("a absent", bytes("next"), { onlyIf: { etag } })
        assert.strictEqual(yield* contentOf(simulated, "a absent"), "next")
        assert.strictEqual((yield* store.usage).requests.put, 3)
      })
  )

  ruling("sends again what was lost on its way", (simulated, store) =>
    Effect.gen(function*() {
      yield* simulated.failNext("put", "lostRequest")
      const etag = yield* store.put("a", bytes("first"), { onlyIf: "absent" })
      yield* simulated.failNext("put", "lostRequest")
      yield* simulated.failNext("put", "busy")
      yield* store.put("a", bytes("second"), { onlyIf: { etag } })
      assert.strictEqual(yield* contentOf(simulated, "a"), "second")
    }))

  ruling(
    "has done what a proxy has sent twice, although the second one was refused",
    (simulated, store) =>
      Effect.gen(function*() {
        let etag = yield* store.put("a", bytes("0"))
        // Half of them are answered with the second answer.
        for (let round = 1; round <= 20; round++) {
          yield* simulated.failNext("put", "doubled")
          etag = yield* store.put("a", bytes(`${round}`), { onlyIf: { etag } })
          yield* simulated.failNext("put", "doubled")
          yield* store.put(`b ${round}`, bytes(`${round}`), { onlyIf: "absent" })
        }
        assert.strictEqual(yield* contentOf(simulated, "a"), "20")
      })
  )

  ruling("finds what another writer has done meanwhile", (simulated, store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("a", bytes("other"))
      yield* simulated.failAlways("put", "lostRequest")
      const taken = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: "absent" }))
      assert.deepStrictEqual([taken.reason._tag, taken.isApplied], ["Taken", "unknown"])
      const changed = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: { etag: "another" } }))
      assert.deepStrictEqual([changed.reason._tag, changed.isApplied], ["Changed", "unknown"])
      const gone = yield* Effect.flip(store.put("b", bytes("mine"), { onlyIf: { etag } }))
      assert.deepStrictEqual([gone.reason._tag, gone.isApplied], ["Changed", "unknown"])
      assert.strictEqual(yield* contentOf(simulated, "a"), "other")
    }))

  ruling(
    "does not know whether a version was there that is not there any more",
    (simulated, store) =>
      Effect.gen(function*() {
        yield* store.put("a", bytes("another"))
        const error = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: { etag: "before" } }))
        assert.deepStrictEqual([error.reason._tag, error.isApplied], ["Changed", "unknown"])
        const taken = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: "absent" }))
        assert.deepStrictEqual([taken.reason._tag, taken.isApplied], ["Taken", "no"])
        assert.strictEqual(yield* contentOf(simulated, "a"), "another")
      })
  )

  ruling(
    "gives up after the schedule, and keeps in mind that the first may come later",
    (simulated, store) =>
      Effect.gen(function*() {
        yield* simulated.failNext("put", "late")
        yield* simulated.failAlways("put", "busy")
        const error = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: "absent" }))
        assert.deepStrictEqual([error.reason._tag, error.isApplied, error.operation], ["Busy", "unknown", "put"])
        assert.strictEqual((yield* store.usage).requests.put, 6)
        assert.isUndefined(yield* contentOf(simulated, "a"))
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(yield* contentOf(simulated, "a"), "mine")
      })
  )

  ruling("knows that nothing was done when all were refused", (simulated, store) =>
    Effect.gen(function*() {
      yield* simulated.failAlways("put", "busy")
      const error = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: "absent" }))
      assert.deepStrictEqual([error.reason._tag, error.isApplied], ["Busy", "no"])
    }))

  ruling("concludes nothing when it cannot look", (simulated, store) =>
    Effect.gen(function*() {
      yield* simulated.failNext("put", "lostAnswer")
      yield* simulated.failNext("get", "busy")
      yield* store.put("a", bytes("mine"), { onlyIf: "absent" })
      yield* simulated.failNext("put", "lostAnswer")
      yield* simulated.failAlways("get", "denied")
      const error = yield* Effect.flip(store.put("b", bytes("mine"), { onlyIf: "absent" }))
      assert.deepStrictEqual([error.reason._tag, error.isApplied, error.operation], ["Denied", "unknown", "put"])
      // A refusal may be that of a second time.
      const refused = yield* Effect.flip(store.put("a", bytes("mine"), { onlyIf: "absent" }))
      assert.deepStrictEqual([refused.reason._tag, refused.isApplied], ["Denied", "unknown"])
    }))

  ruling("sends nothing again that will fail again", (simulated, store) =>
    Effect.gen(function*() {
      yield* simulated.failAlways("put", "denied")
      assert.strictEqual((yield* Effect.flip(store.put("a", bytes("a")))).reason._tag, "Denied")
      assert.strictEqual((yield* Effect.flip(store.get("a"))).reason._tag, "NotFound")
      assert.strictEqual(yield* simulated.requestCount, 2)
    }))

  ruling("reads, looks and removes until the store answers", (simulated, store) =>
    Effect.gen(function*() {
      yield* store.put("a", bytes("a"))
      for (const operation of ["get", "head", "list", "remove"] as const) {
        yield* simulated.failNext(operation, "busy")
        yield* simulated.failNext(operation, "lostRequest")
      }
      assert.strictEqual(text((yield* store.get("a")).bytes), "a")
      assert.strictEqual((yield* store.head("a")).bytes, 1)
      assert.strictEqual((yield* Stream.runCollect(store.list(""))).length, 1)
      yield* store.remove(["a"])
      assert.isUndefined(yield* contentOf(simulated, "a"))
    }))

  it.effect("continues a listing after what it has shown", () =>
    Effect.gen(function*() {
      const { store } = yield* SimulatedStore.make({ seed: 1 })
      yield* Effect.forEach(["a", "b", "c", "d"], (key) => store.put(key, bytes(key)), { discard: true })
      let pages = 0
      const broken = new StoreError({ reason: storeReason("Busy", ""), operation: "list", key: "", isApplied: "no" })
      // The first two pages break off after their first object.
      const breaking = {
        ...store,
        list: (prefix: string, options?: { readonly startAfter?: string }) =>
          Stream.unwrap(Effect.sync(() => {
            pages++
            return pages > 2
              ? store.list(prefix, options)
              : Stream.concat(Stream.take(store.list(prefix, options), 1), Stream.fail(broken))
          }))
      }
      const found = yield* Stream.runCollect(patient(breaking).list(""))
      assert.deepStrictEqual(found.map(({ key }) => key), ["a", "b", "c", "d"])
      assert.strictEqual(pages, 3)
    }))

  it.effect("waits longer and longer, ten seconds at most, and for a minute in all", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedStore.make({ seed: 1 })
      yield* simulated.failAlways("get", "busy")
      const fiber = yield* Effect.forkChild(Effect.flip(retrying(requestSchedule)(simulated.store).get("a")))
      yield* TestClock.adjust("1 second")
      const early = yield* simulated.requestCount
      assert.isAtLeast(early, 3)
      yield* TestClock.adjust("90 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Busy")
      assert.isAtMost(yield* simulated.requestCount, 24)
    }))

  it.effect("never claims more than is true, whatever goes wrong", () =>
    Effect.gen(function*() {
      const seen = { done: 0, refused: 0, unknown: 0 }
      for (let seed = 1; seed <= (isLong ? 5000 : 60); seed++) {
        const simulated = yield* SimulatedStore.make({ seed })
        const random = new SeededRandom(seed)
        const history: Array<string> = []
        const store = retrying(Schedule.recurs(1))(simulated.store)
        yield* simulated.store.put("list", bytes(""))
        yield* simulated.setFaults({
          rates: { busy: 0.1, failed: 0.1, lostRequest: 0.1, lostAnswer: 0.1, late: 0.1, doubled: 0.1, damaged: 0.05 },
          slowRate: 0.3
        })
        /** Appends its own word to the list by compare-and-swap, and notes what it was told. */
        const append = (word: string) =>
          Effect.gen(function*() {
            const found = yield* store.get("list")
            const result = yield* Effect.result(
              store.put("list", bytes(`${text(found.bytes)} ${word}`), { onlyIf: { etag: found.etag } })
            )
            if (Result.isSuccess(result)) history.push(`done ${word}`)
            else if (result.failure.isApplied === "no") history.push(`refused ${word}`)
            else history.push(`unknown ${word}`)
          }).pipe(Effect.ignore)
        const writer = (name: string) =>
          Effect.gen(function*() {
            for (let round = 0; round < 8; round++) yield* append(`${name}${round}`)
          })
        const fiber = yield* Effect.forkChild(
          Effect.all(["a", "b", "c"].map(writer), { concurrency: "unbounded" })
        )
        while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(50 + random.below(100))
        yield* TestClock.adjust("20 minutes")
        const words = ((yield* contentOf(simulated, "list")) ?? "").split(" ").slice(1)
        const context = `seed ${seed}: ${history.join(", ")}; there: ${words.join(" ")}`
        assert.strictEqual(new Set(words).size, words.length, context)
        for (const line of history) {
          const [told, word = ""] = line.split(" ")
          if (told === "done") assert.include(words, word, context)
          if (told === "refused") assert.notInclude(words, word, context)
          seen[told as keyof typeof seen]++
        }
      }
      for (const count of Object.values(seen)) assert.isAbove(count, 10)
    }))
})
