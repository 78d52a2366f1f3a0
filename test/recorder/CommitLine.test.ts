/** The line of those who wait for a commit, on an arena that no maintainer serves. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as CommitLine from "../../src/recorder/CommitLine.ts"
import * as Arena from "../../src/shared/Arena.ts"
import { HeldBack } from "../../src/shared/Arena.ts"
import * as Doorbell from "../../src/shared/Doorbell.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

const setupOf = Effect.fnUntraced(function*(failsOnDisk: boolean) {
  const arena = Arena.makeUnsafe({
    slots: 2,
    slotBytes: 256,
    layout: { version: 2, eventSize: 0, blockBytesMax: 256 }
  })
  let rings = 0
  /** Each time that something was published, whether a flush was asked for. */
  const published: Array<boolean> = []
  const line = yield* CommitLine.make(arena, failsOnDisk, {
    reached: () => Arena.durableEventId(arena),
    ended: () => undefined,
    onRing: () => rings++,
    publish: (asks) => published.push(asks)
  })
  /** A caller's outcome: the durable position, or the reason and the event. */
  const waitFor = (eventId: number, asks = false) =>
    Effect.forkChild(
      Effect.match(line.wait(eventId, asks), {
        onSuccess: (durable) => durable,
        onFailure: ({ eventId, reason }) => `${reason._tag} event ${eventId}`
      }),
      { startImmediately: true }
    )
  const publish = (durable: number) =>
    Effect.sync(() => {
      Arena.putDurableEventIdUnsafe(arena, durable)
      Doorbell.ringUnsafe(arena.durable)
    })
  const holdBack = (code: HeldBack) => Effect.sync(() => Arena.putHeldBackUnsafe(arena, code))
  return { arena, line, waitFor, publish, published, holdBack, ringsHeard: () => rings }
})

const setup = setupOf(true)

describe("CommitLine", () => {
  it.effect("serves every caller whose event is durable, and no other, in whatever order they came", () =>
    Effect.gen(function*() {
      const { publish, waitFor } = yield* setup
      const late = yield* waitFor(5)
      const early = yield* waitFor(2)
      const middle = yield* waitFor(3)
      yield* publish(3)
      assert.deepStrictEqual(yield* Fiber.joinAll([early, middle]), [3, 3])
      assert.isUndefined(late.pollUnsafe())
      yield* publish(9)
      assert.strictEqual(yield* Fiber.join(late), 9)
    }))

  it.effect("asks for a flush only on behalf of a caller that has to wait", () =>
    Effect.gen(function*() {
      const { publish, published, waitFor } = yield* setup
      yield* publish(4)
      assert.strictEqual(yield* Fiber.join(yield* waitFor(4, true)), 4)
      assert.deepStrictEqual(published, [])
      const waiting = yield* waitFor(5, true)
      assert.deepStrictEqual(published, [true])
      const idle = yield* waitFor(6)
      assert.deepStrictEqual(published, [true, false])
      yield* Fiber.interruptAll([waiting, idle])
    }))

  it.effect("publishes once, and asks once, for all whom one ring serves and who commit again", () =>
    Effect.gen(function*() {
      const { line, publish, published } = yield* setup
      const callers = yield* Effect.forEach(Array.from({ length: 100 }), (_, at) =>
        Effect.forkChild(
          Effect.andThen(line.wait(at + 1, true), line.wait(at + 101, at === 99)),
          { startImmediately: true }
        ))
      assert.strictEqual(published.length, 100)
      yield* publish(100)
      assert.deepStrictEqual(published.slice(100), [true])
      yield* publish(200)
      assert.deepStrictEqual(yield* Fiber.joinAll(callers), Array.from({ length: 100 }, () => 200))
    }))

  it.effect("serves and forgets in any order, and keeps nothing of those who were interrupted", () =>
    Effect.gen(function*() {
      const random = new SeededRandom(7)
      const { holdBack, publish, waitFor } = yield* setup
      for (let round = 0; round < 20; round++) {
        const ids = Array.from({ length: 1 + random.below(200) }, () => 1 + round * 1000 + random.below(900))
        const callers = yield* Effect.forEach(
          ids,
          (eventId) => Effect.map(waitFor(eventId), (fiber) => ({ eventId, fiber }))
        )
        const gone = callers.filter(() => random.chance(0.6))
        yield* Fiber.interruptAll(gone.map(({ fiber }) => fiber))
        const left = callers.filter((caller) => !gone.includes(caller))
        const reached = 1 + round * 1000 + random.below(900)
        yield* publish(reached)
        for (const { eventId, fiber } of left) {
          assert.strictEqual(fiber.pollUnsafe() !== undefined, eventId <= reached, `${eventId} of ${reached}`)
        }
        yield* publish((round + 1) * 1000)
        const durable = yield* Fiber.joinAll(left.map(({ fiber }) => fiber))
        assert.deepStrictEqual(durable, left.map(({ eventId }) => eventId <= reached ? reached : (round + 1) * 1000))
      }
      // Whoever commits again when the maintainer is down is told again.
      yield* holdBack(HeldBack.MaintainerDown)
      assert.strictEqual(yield* Fiber.join(yield* waitFor(1_000_000)), "MaintainerDown event 1000000")
    }))

  it.effect("fails those who wait when the disk holds them back, and those who come later at the next attempt", () =>
    Effect.gen(function*() {
      const { holdBack, publish, waitFor } = yield* setup
      const before = yield* waitFor(1)
      yield* holdBack(HeldBack.DiskFull)
      assert.strictEqual(yield* Fiber.join(before), "DiskFull event 1")
      const after = yield* waitFor(2)
      assert.isUndefined(after.pollUnsafe())
      yield* holdBack(HeldBack.DiskFailing)
      assert.strictEqual(yield* Fiber.join(after), "DiskFailing event 2")
      yield* holdBack(HeldBack.None)
      const healed = yield* waitFor(3)
      yield* publish(3)
      assert.strictEqual(yield* Fiber.join(healed), 3)
    }))

  it.effect("lets them wait through a disk that holds them back, when they are not to be told", () =>
    Effect.gen(function*() {
      const { holdBack, publish, waitFor } = yield* setupOf(false)
      const waiting = yield* waitFor(1)
      for (const code of [HeldBack.DiskFull, HeldBack.DiskFailing]) {
        yield* holdBack(code)
        assert.isUndefined(waiting.pollUnsafe())
      }
      yield* publish(1)
      assert.strictEqual(yield* Fiber.join(waiting), 1)
      const last = yield* waitFor(2)
      yield* holdBack(HeldBack.MaintainerDown)
      assert.strictEqual(yield* Fiber.join(last), "MaintainerDown event 2")
    }))

  it.effect("lets them wait while only the limit of hot segments holds them back", () =>
    Effect.gen(function*() {
      const { holdBack, publish, waitFor } = yield* setup
      const waiting = yield* waitFor(1)
      yield* holdBack(HeldBack.HotLimit)
      assert.isUndefined(waiting.pollUnsafe())
      yield* publish(1)
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    }))

  it.effect("fails at once when the maintainer is down, because it will ring no more", () =>
    Effect.gen(function*() {
      const { holdBack, waitFor } = yield* setup
      yield* holdBack(HeldBack.MaintainerDown)
      assert.strictEqual(yield* Fiber.join(yield* waitFor(7)), "MaintainerDown event 7")
    }))

  it.effect("forgets a caller that is interrupted, and stops listening when its scope closes", () =>
    Effect.gen(function*() {
      const { arena, listening } = yield* Effect.scoped(Effect.gen(function*() {
        const { arena, publish, ringsHeard, waitFor } = yield* setup
        const gone = yield* waitFor(2)
        const stays = yield* waitFor(2)
        yield* Fiber.interrupt(gone)
        yield* publish(2)
        assert.strictEqual(yield* Fiber.join(stays), 2)
        assert.strictEqual(ringsHeard(), 2)
        return { arena, listening: arena.durable.waiters.size }
      }))
      assert.strictEqual(listening, 1)
      assert.strictEqual(arena.durable.waiters.size, 0)
    }))

  it.effect("serves those who still wait when its scope closes: the maintainer drains after it", () =>
    Effect.gen(function*() {
      const { publish, waiting } = yield* Effect.scoped(Effect.gen(function*() {
        const { publish, waitFor } = yield* setup
        return { publish, waiting: yield* waitFor(1) }
      }))
      yield* publish(1)
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    }))
})
