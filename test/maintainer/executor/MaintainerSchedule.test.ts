/** When the loop runs its next cycle: by the test's clock. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/testing/TestClock"
import { adaptive, repeatWakeable } from "../../../src/maintainer/executor/MaintainerSchedule.ts"
import * as Doorbell from "../../../src/shared/Doorbell.ts"
import { settle } from "../maintaining.ts"

const idleMillis = [0, 10, 30, 70, 150, 310, 630, 1270, 2270, 3270, 4270]

describe("adaptive", () => {
  it.effect("sleeps 10, 20, 40 … 1000, 1000 ms, and 10 again after work", () =>
    Effect.gen(function*() {
      const step = yield* Schedule.toStep(adaptive())
      const sleeps: Array<number> = []
      for (const worked of [false, false, false, false, false, false, false, false, false, true, true, false, false]) {
        const [, sleep] = yield* step(0, worked)
        sleeps.push(Duration.toMillis(sleep))
      }
      assert.deepStrictEqual(sleeps, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 10, 10, 20, 40])
    }))
})

describe("repeatWakeable", () => {
  it.effect("runs at exactly those times, begins again after work, and at once when the doorbell rings", () =>
    Effect.gen(function*() {
      const doorbell = Doorbell.makeUnsafe(new SharedArrayBuffer(64), 0)
      const cycles: Array<number> = []
      let worked = false
      yield* Effect.forkScoped(repeatWakeable({
        cycle: Effect.map(Clock.currentTimeMillis, (now) => {
          cycles.push(now)
          return worked
        }),
        schedule: adaptive(),
        doorbells: [doorbell],
        sleepMillisMax: () => Number.POSITIVE_INFINITY,
        begin: () => 0,
        onCycle: () => {}
      }))
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(cycles.splice(0), idleMillis)
      worked = true
      Doorbell.ringUnsafe(doorbell)
      yield* settle
      worked = false
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(cycles.splice(0), [5000, 5010, 5030, 5070])
      yield* TestClock.adjust(1)
      Doorbell.ringUnsafe(doorbell)
      yield* settle
      assert.deepStrictEqual(cycles, [5101])
    }))

  it.effect("runs again at once when the doorbell rang during a cycle", () =>
    Effect.gen(function*() {
      const doorbell = Doorbell.makeUnsafe(new SharedArrayBuffer(64), 0)
      const cycles: Array<number> = []
      yield* Effect.forkScoped(repeatWakeable({
        cycle: Effect.map(Clock.currentTimeMillis, (now) => {
          cycles.push(now)
          if (cycles.length === 2) Doorbell.ringUnsafe(doorbell)
          return false
        }),
        schedule: adaptive(),
        doorbells: [doorbell],
        sleepMillisMax: () => Number.POSITIVE_INFINITY,
        begin: () => 0,
        onCycle: () => {}
      }))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(cycles, [0, 10, 10, 50])
    }))
})
