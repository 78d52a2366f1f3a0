import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Worker } from "node:worker_threads"
import * as Doorbell from "../../src/shared/Doorbell.ts"

const kinds = [["local", Doorbell.makeUnsafe], ["shared", Doorbell.makeSharedUnsafe]] as const

for (const [kind, make] of kinds) {
  const makeBell = () => make(new SharedArrayBuffer(Doorbell.doorbellBytes), 0)

  describe(`a ${kind} doorbell`, () => {
    it.effect("wakes every waiter of this thread before the ring returns", () =>
      Effect.gen(function*() {
        const bell = makeBell()
        const seen = Doorbell.readUnsafe(bell)
        const woken: Array<number> = []
        for (const waiter of [1, 2, 3]) {
          yield* Effect.forkChild(
            Effect.andThen(Doorbell.wait(bell, seen), Effect.sync(() => woken.push(waiter))),
            { startImmediately: true }
          )
        }
        assert.deepEqual(woken, [])
        Doorbell.ringUnsafe(bell)
        assert.deepEqual(woken, [1, 2, 3])
        assert.strictEqual(bell.waiters.size, 0)
      }))

    it.effect("does not lose a ring between looking and waiting", () =>
      Effect.gen(function*() {
        const bell = makeBell()
        const seen = Doorbell.readUnsafe(bell)
        Doorbell.ringUnsafe(bell)
        yield* Doorbell.wait(bell, seen)
      }))

    it.effect("leaves no listener behind when the waiter is interrupted", () =>
      Effect.gen(function*() {
        const bell = makeBell()
        const fiber = yield* Effect.forkChild(Doorbell.wait(bell, 0), { startImmediately: true })
        assert.strictEqual(bell.waiters.size, 1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(bell.waiters.size, 0)
      }))

    it("hears a ring across the wrap of its counter", () => {
      const bell = makeBell()
      bell.words[0] = 2 ** 31 - 1
      let woken = 0
      Doorbell.onRingUnsafe(bell, 2 ** 31 - 1, () => woken++)
      Doorbell.ringUnsafe(bell)
      assert.strictEqual(woken, 1)
      assert.strictEqual(Doorbell.readUnsafe(bell), -(2 ** 31))
    })
  })
}

describe("a shared doorbell, between threads", () => {
  it.live("wakes all waiters when another thread rings, with one pending waitAsync for all", () =>
    Effect.gen(function*() {
      const waitAsync = Atomics.waitAsync
      let begun = 0
      Atomics.waitAsync = ((...args: Parameters<typeof waitAsync>) => {
        begun++
        return waitAsync(...args)
      }) as typeof waitAsync
      yield* Effect.addFinalizer(() => Effect.sync(() => Atomics.waitAsync = waitAsync))

      const bell = Doorbell.makeSharedUnsafe(new SharedArrayBuffer(Doorbell.doorbellBytes), 0)
      const seen = Doorbell.readUnsafe(bell)
      for (let round = 0; round < 50; round++) {
        const given = yield* Effect.forkChild(Doorbell.wait(bell, seen), { startImmediately: true })
        yield* Fiber.interrupt(given)
      }
      const waiters = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.forkChild(Doorbell.wait(bell, seen), { startImmediately: true })
      )
      assert.strictEqual(begun, 1)
      const code = `
        const { workerData } = require("node:worker_threads")
        const words = new Int32Array(workerData)
        Atomics.add(words, 0, 1)
        Atomics.notify(words, 0)`
      const worker = new Worker(code, { eval: true, workerData: bell.words.buffer })
      yield* Effect.forEach(waiters, Fiber.join)
      assert.strictEqual(begun, 1)
      assert.isFalse(bell.listening)
      yield* Effect.promise(() => worker.terminate())
    }))
})
