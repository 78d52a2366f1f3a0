/** The ages of segments while the wall clock is set forward and back, from numbers alone. */
import { assert, describe, it } from "@effect/vitest"
import { SegmentAges, steadyMillis } from "../../../src/maintainer/retention/SegmentAges.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"

const start = 1_800_000_000_000
const day = 86_400_000
const tick = 10_000

/** A machine whose time passes, and whose wall clock can be set. */
const machine = () => {
  const state = { elapsed: 123, set: 0 }
  const clocks = {
    elapsed: () => state.elapsed,
    wall: () => start + state.elapsed - 123 + state.set
  }
  return {
    ages: () => new SegmentAges(clocks),
    wall: clocks.wall,
    pass: (millis: number) => void (state.elapsed += millis),
    set: (millis: number) => void (state.set += millis)
  }
}

/** Ages at a start at which these segments are found, the oldest first; written so long before the start. */
const foundAt = (writtenBefore: ReadonlyArray<number>) => {
  const { pass, set, ages: make } = machine()
  const ages = make()
  writtenBefore.forEach((millis, segmentIndex) => ages.found(segmentIndex, start - millis))
  ages.settle()
  return { ages, pass, set, all: () => writtenBefore.map((_, segmentIndex) => ages.of(segmentIndex)) }
}

const passSteadily = (of: { readonly ages: SegmentAges; readonly pass: (millis: number) => void }, millis: number) => {
  for (let passed = 0; passed < millis; passed += tick) {
    of.pass(tick)
    of.ages.observe()
  }
}

describe("the age of a segment", () => {
  it("that was closed in this run grows by elapsed time, however the wall clock is set", () => {
    const { ages: make, pass, set } = machine()
    const ages = make()
    ages.closed(0)
    for (const millis of [30 * day, -60 * day, 30 * day]) {
      set(millis)
      pass(13_000)
      ages.observe()
    }
    assert.strictEqual(ages.of(0), 39_000)
  })

  it("is unknown until what was found is known", () => {
    const { ages: make } = machine()
    const ages = make()
    ages.found(0, start - day)
    assert.isUndefined(ages.of(0))
    ages.settle()
    assert.strictEqual(ages.of(0), 0)
    assert.isUndefined(ages.of(1))
  })

  it("that was found is told by the last write of the earlier run", () => {
    assert.deepStrictEqual(foundAt([9000, 5000, 2000]).all(), [7000, 3000, 0])
  })

  it("that was written in the future is that of the next newer one; of the newest one it begins at the start", () => {
    const among = foundAt([9000, -30 * day, 5000, 2000])
    assert.deepStrictEqual(among.all(), [7000, 3000, 3000, 0])
    const newest = foundAt([9000, 5000, -30 * day, -30 * day])
    assert.deepStrictEqual(newest.all(), [9000, 5000, 0, 0])
    newest.pass(1000)
    assert.deepStrictEqual(newest.all(), [10_000, 6000, 1000, 1000])
  })

  it("that was written in 1970, before the clock was set, is that of the next newer one", () => {
    assert.deepStrictEqual(foundAt([9000, start - 5, start - 6, 2000]).all(), [7000, 0, 0, 0])
  })

  it("is never more than that of an older one, as after a clock that was set back", () => {
    assert.deepStrictEqual(foundAt([5000, 4000, 30 * day, 29 * day, 1000]).all(), [4000, 3000, 3000, 3000, 0])
  })

  it("takes in the time before the start when the wall clock has kept step for five minutes", () => {
    const found = foundAt([3 * day, 2 * day])
    assert.deepStrictEqual(found.all(), [day, 0])
    passSteadily(found, steadyMillis - tick)
    assert.deepStrictEqual(found.all(), [day + steadyMillis - tick, steadyMillis - tick])
    passSteadily(found, tick)
    assert.deepStrictEqual(found.all(), [3 * day + steadyMillis, 2 * day + steadyMillis])
  })

  it("becomes less at once when the clock is set back, and more after five minutes when it is set forward", () => {
    const found = foundAt([3 * day, 2 * day])
    passSteadily(found, steadyMillis)
    found.set(-day)
    found.ages.observe()
    assert.deepStrictEqual(found.all(), [2 * day + steadyMillis, day + steadyMillis])
    found.set(5 * day)
    found.ages.observe()
    assert.deepStrictEqual(found.all(), [2 * day + steadyMillis, day + steadyMillis])
    passSteadily(found, steadyMillis - tick)
    assert.deepStrictEqual(found.all()[1], day + 2 * steadyMillis - tick)
    passSteadily(found, tick)
    assert.deepStrictEqual(found.all()[1], 6 * day + 2 * steadyMillis)
  })

  it("does not follow a clock that is ahead for less than five minutes, at a start or later", () => {
    const found = foundAt([9000, 2000])
    for (let jump = 0; jump < 20; jump++) {
      found.set(30 * day)
      passSteadily(found, steadyMillis - tick)
      assert.deepStrictEqual(found.all()[1], (jump + 1) * (steadyMillis - tick) + jump * tick)
      found.set(-30 * day)
      passSteadily(found, tick)
    }
  })

  it("is that of a segment at its true age or below, whatever the clock showed for less than five minutes", () => {
    const random = new SeededRandom(20_261_129)
    for (let run = 0; run < 500; run++) {
      const { ages: make, pass, set, wall } = machine()
      const truth: Array<number> = []
      const written: Array<number> = []
      let now = 0
      const live = (millis: number) => {
        now += millis
        pass(millis)
      }
      const isAhead = random.chance(0.5)
      if (isAhead) set(30 * day)
      for (let segment = 0; segment < 8; segment++) {
        truth.push(now)
        written.push(wall())
        live(random.below(20_000))
        if (segment === 3 && isAhead) set(-30 * day)
      }
      const jumps = random.chance(0.5)
      if (jumps) set(30 * day)
      const ages = make()
      written.forEach((millis, segmentIndex) => ages.found(segmentIndex, millis))
      ages.settle()
      for (let look = 0; look < 10; look++) {
        live(tick)
        ages.observe()
        if (jumps && look === 4) set(-30 * day)
        for (const [segmentIndex, since] of truth.entries()) {
          assert.isAtMost(ages.of(segmentIndex) ?? 0, now - since, `run ${run}, look ${look}, segment ${segmentIndex}`)
        }
      }
    }
  })
})

describe("a wall clock", () => {
  it("that is set is reported once for each time, with how far; a slow correction is not", () => {
    const { ages: make, pass, set } = machine()
    const ages = make()
    const look = () => {
      pass(tick)
      return ages.observe()
    }
    assert.strictEqual(look(), 0)
    set(30 * day)
    assert.deepStrictEqual([look(), look()], [30 * day, 0])
    set(-30 * day)
    assert.deepStrictEqual([look(), look()], [-30 * day, 0])
    for (let correction = 0; correction < 100; correction++) {
      set(5)
      assert.strictEqual(look(), 0)
    }
  })
})
