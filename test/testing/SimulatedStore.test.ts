/** The simulated store: what goes wrong goes wrong as it is told, and the same seed gives the same. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { StoreError } from "../../src/store/ObjectStore.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array | undefined): string | undefined =>
  content === undefined ? undefined : new TextDecoder().decode(content)

type Simulated = SimulatedStore.SimulatedStore["Service"]

const contentOf = (simulated: Simulated, key: string) =>
  Effect.map(simulated.contents, (objects) => text(objects.get(key)?.bytes))

const tagsOf = <A>(request: Effect.Effect<A, StoreError>) =>
  Effect.map(Effect.flip(request), ({ isApplied, reason }) => [reason._tag, isApplied])

const ruling = (name: string, body: (simulated: Simulated) => Effect.Effect<void, unknown>) =>
  it.effect(name, () => Effect.flatMap(SimulatedStore.make({ seed: 1 }), body))

describe("the simulated store", () => {
  ruling("refuses when it is busy, and has done nothing", (simulated) =>
    Effect.gen(function*() {
      for (const [fault, tag] of [["busy", "Busy"], ["denied", "Denied"], ["damaged", "Corrupt"]] as const) {
        yield* simulated.failNext("put", fault)
        assert.deepStrictEqual(yield* tagsOf(simulated.store.put("a", bytes("a"))), [tag, "no"])
      }
      assert.isUndefined(yield* contentOf(simulated, "a"))
    }))

  ruling("may have done what failed", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.failAlways("put", "failed")
      const found = new Set<string | undefined>()
      for (let round = 0; round < 20; round++) {
        const key = `${round}`
        assert.deepStrictEqual(yield* tagsOf(simulated.store.put(key, bytes("a"))), ["Busy", "unknown"])
        found.add(yield* contentOf(simulated, key))
      }
      assert.deepStrictEqual(found, new Set(["a", undefined]))
    }))

  ruling("loses requests and answers", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.failNext("put", "lostRequest")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.put("a", bytes("a"))), ["Unreachable", "unknown"])
      assert.isUndefined(yield* contentOf(simulated, "a"))
      yield* simulated.failNext("put", "lostAnswer")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.put("a", bytes("a"))), ["Unreachable", "unknown"])
      assert.strictEqual(yield* contentOf(simulated, "a"), "a")
      yield* simulated.failNext("remove", "lostAnswer")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.remove(["a"])), ["Unreachable", "unknown"])
      assert.isUndefined(yield* contentOf(simulated, "a"))
      yield* simulated.failNext("get", "lostAnswer")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.get("a")), ["Unreachable", "no"])
    }))

  ruling("does late requests later, and decides their conditions then", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.failAlways("put", "late")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.put("a", bytes("late"))), ["Unreachable", "unknown"])
      yield* tagsOf(simulated.store.put("b", bytes("late"), { onlyIf: "absent" }))
      yield* simulated.heal
      yield* simulated.store.put("a", bytes("early"))
      yield* simulated.store.put("b", bytes("early"))
      assert.strictEqual(yield* simulated.lateCount, 2)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* simulated.lateCount, 0)
      assert.deepStrictEqual([yield* contentOf(simulated, "a"), yield* contentOf(simulated, "b")], ["late", "early"])
    }))

  ruling("may do later what was interrupted", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.setFaults({ slowRate: 1, slowMax: "10 seconds" })
      const early = new Set<string | undefined>()
      const later = new Set<string | undefined>()
      for (let round = 0; round < 40; round++) {
        const fiber = yield* Effect.forkChild(simulated.store.put(`${round}`, bytes("a")))
        yield* TestClock.adjust(0)
        yield* Fiber.interrupt(fiber)
        early.add(yield* contentOf(simulated, `${round}`))
      }
      const before = (yield* simulated.contents).size
      yield* TestClock.adjust("10 minutes")
      for (let round = 0; round < 40; round++) later.add(yield* contentOf(simulated, `${round}`))
      assert.deepStrictEqual(early, new Set(["a", undefined]))
      assert.deepStrictEqual(later, new Set(["a", undefined]))
      assert.isAbove((yield* simulated.contents).size, before)
    }))

  ruling("does doubled requests twice", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.failAlways("put", "doubled")
      const answers = new Set<string>()
      for (let round = 0; round < 20; round++) {
        const put = simulated.store.put(`${round}`, bytes("a"), { onlyIf: "absent" })
        answers.add(Result.match(yield* Effect.result(put), {
          onSuccess: () => "done",
          onFailure: ({ reason }) => reason._tag
        }))
        assert.strictEqual(yield* contentOf(simulated, `${round}`), "a")
      }
      assert.deepStrictEqual(answers, new Set(["done", "Taken"]))
      yield* simulated.heal
      yield* simulated.store.remove(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"])
      const before = (yield* simulated.contents).size
      yield* TestClock.adjust("10 minutes")
      // The second times of those come, and find their keys free again.
      assert.isAbove((yield* simulated.contents).size, before)
    }))

  ruling("gives wrong bits, once or for good", (simulated) =>
    Effect.gen(function*() {
      const etag = yield* simulated.store.put("a", bytes("hello"))
      yield* simulated.failNext("get", "rotten")
      const rotten = yield* simulated.store.get("a")
      assert.notStrictEqual(text(rotten.bytes), "hello")
      assert.strictEqual(rotten.etag, etag)
      assert.strictEqual(text((yield* simulated.store.get("a")).bytes), "hello")
      yield* simulated.failNext("get", "damaged")
      assert.deepStrictEqual(yield* tagsOf(simulated.store.get("a")), ["Corrupt", "no"])
      yield* simulated.rotBits("a", 1, { from: 4, to: 5 })
      const found = yield* simulated.store.get("a")
      assert.deepStrictEqual([text(found.bytes.subarray(0, 4)), found.etag], ["hell", etag])
      assert.notStrictEqual(text(found.bytes), "hello")
    }))

  ruling("is away, for as long as it is told", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.store.put("a", bytes("a"))
      yield* simulated.setAway(true)
      yield* TestClock.adjust("5 hours")
      const applied = new Set<unknown>()
      for (let round = 0; round < 20; round++) {
        const [tag, isApplied] = yield* tagsOf(simulated.store.put("a", bytes("b")))
        assert.strictEqual(tag, "Unreachable")
        applied.add(isApplied)
      }
      assert.strictEqual(applied.size, 2)
      assert.deepStrictEqual(yield* tagsOf(simulated.store.get("a")), ["Unreachable", "no"])
      yield* simulated.setAway(false)
      assert.strictEqual(text((yield* simulated.store.get("a")).bytes), "a")
    }))

  ruling("may list what was, and lists what is after the longest time", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.setFaults({ listingMax: "5 minutes" })
      const listed = Effect.map(
        Stream.runCollect(simulated.store.list("")),
        (objects) => objects.map(({ bytes, key }) => `${key} ${bytes}`)
      )
      yield* simulated.store.put("a", bytes("1"))
      yield* simulated.store.put("a", bytes("12"))
      yield* simulated.store.put("b", bytes("1"))
      assert.deepStrictEqual(yield* listed, [])
      assert.strictEqual(text((yield* simulated.store.get("a")).bytes), "12")
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* listed, ["a 2", "b 1"])
      yield* simulated.store.remove(["a"])
      assert.deepStrictEqual(yield* listed, ["a 2", "b 1"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* listed, ["b 1"])
    }))

  ruling("fails the requests that it is told to, in order, and others not", (simulated) =>
    Effect.gen(function*() {
      yield* simulated.failNext("put", "busy", /^b/)
      yield* simulated.failNext("put", "denied", /^b/)
      yield* simulated.store.put("a", bytes("a"))
      assert.deepStrictEqual(yield* tagsOf(simulated.store.put("b", bytes("b"))), ["Busy", "no"])
      assert.deepStrictEqual(yield* tagsOf(simulated.store.put("b", bytes("b"))), ["Denied", "no"])
      yield* simulated.store.put("b", bytes("b"))
      assert.deepStrictEqual((yield* simulated.log).map((line) => line.replace(/ [0-9a-f]{32}/, "")), [
        "#1 put a: ok",
        "#2 put b: Busy",
        "#3 put b: Denied",
        "#4 put b: ok"
      ])
    }))

  it.effect("gives the same answers and the same remains for the same seed", () =>
    Effect.gen(function*() {
      const life = (seed: number) =>
        Effect.gen(function*() {
          const rate = 0.08
          const simulated = yield* SimulatedStore.make({
            seed,
            logLength: 500,
            faults: {
              rates: {
                busy: rate,
                failed: rate,
                lostRequest: rate,
                lostAnswer: rate,
                late: rate,
                doubled: rate,
                damaged: rate,
                rotten: rate
              },
              listingMax: "1 minute"
            }
          })
          const { store } = simulated
          for (let round = 0; round < 60; round++) {
            const key = `${round % 7}`
            yield* Effect.exit(store.put(key, bytes(`${round}`), round % 3 === 0 ? { onlyIf: "absent" } : {}))
            yield* Effect.exit(store.get(key))
            if (round % 5 === 0) yield* Effect.exit(store.remove([`${round % 3}`]))
            yield* Effect.exit(Stream.runCollect(store.list("")))
            yield* TestClock.adjust("20 seconds")
          }
          const contents = [...yield* simulated.contents].map(([key, object]) => `${key}=${text(object.bytes)}`)
          return [...yield* simulated.log, ...contents].join("\n")
        })
      const first = yield* life(7)
      assert.strictEqual(yield* life(7), first)
      assert.notStrictEqual(yield* life(8), first)
      for (const words of ["Busy", "Unreachable, perhaps done", "later", "Taken"]) assert.include(first, words)
    }))
})
