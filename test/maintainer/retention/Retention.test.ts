/** Retention decides from numbers alone, so its rulings are numbers too. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { clampLimits, defaultLimits, plan, weightOf } from "../../../src/maintainer/retention/Retention.ts"
import type { ResolvedLimits, RetainedSegment, RetentionView } from "../../../src/maintainer/retention/Retention.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"

interface Stock {
  readonly cold: ReadonlyArray<RetainedSegment>
  readonly hot: ReadonlyArray<RetainedSegment>
}

/** Cold segments before hot ones, 10 bytes each, closed one millisecond after the other, the first 1,000 ms ago. */
const stock = (cold: number, hot: number): Stock => {
  const all = Array.from({ length: cold + hot }, (_, index) => ({
    segmentIndex: index,
    bytes: 10,
    weight: 1,
    ageMillis: 1000 - index
  }))
  return { cold: all.slice(0, cold), hot: all.slice(cold) }
}

const viewOf = ({ cold, hot }: Stock, more: Partial<RetentionView> = {}): RetentionView => ({
  hotCount: hot.length,
  hotAt: (position) => hot[position]!,
  coldCount: cold.length,
  coldAt: (position) => cold[position]!,
  coldWeight: cold.reduce((sum, { weight }) => sum + weight, 0),
  arrivingWeight: 0,
  bytes: [...cold, ...hot].reduce((sum, segment) => sum + segment.bytes, 0),
  freeBytes: undefined,
  heldFromIndex: Number.POSITIVE_INFINITY,
  keptFromIndex: Number.POSITIVE_INFINITY,
  freeBeforeIndex: 0,
  freezeBeforeIndex: 0,
  toContinueIndex: Number.POSITIVE_INFINITY,
  ...more
})

const roomy: ResolvedLimits = { maxSegments: 128, maxCompressedSegments: "unlimited" }

const decided = (stock: Stock, limits: Partial<ResolvedLimits>, more: Partial<RetentionView> = {}) =>
  plan(viewOf(stock, more), { ...roomy, ...limits }).map(({ action, because, segmentIndex }) =>
    `${action} ${segmentIndex} ${because}`
  )

describe("Retention.plan", () => {
  it("does nothing within the limits", () => {
    assert.deepStrictEqual(decided(stock(64, 6), defaultLimits), [])
  })

  it("freezes the oldest hot segments past the limit, with a place kept free for the active one and the next", () => {
    assert.deepStrictEqual(decided(stock(0, 5), { maxSegments: 4 }), [
      "freeze 0 maxSegments",
      "freeze 1 maxSegments",
      "freeze 2 maxSegments"
    ])
    assert.deepStrictEqual(decided(stock(0, 1), { maxSegments: 2 }), ["freeze 0 maxSegments"])
  })

  it("frees the oldest cold segments past the limit", () => {
    assert.deepStrictEqual(decided(stock(6, 0), { maxCompressedSegments: 4 }), [
      "free 0 maxCompressedSegments",
      "free 1 maxCompressedSegments"
    ])
    assert.deepStrictEqual(decided(stock(10_000, 0), { maxCompressedSegments: "unlimited" }), [])
  })

  it("freezes what is older than cold segments that must go, and not where a hold keeps it all", () => {
    const all = stock(0, 8).hot
    // The freezes of 0 and 1 had been abandoned.
    const left = { hot: all.slice(0, 2), cold: all.slice(2) }
    const inTheWay = ["freeze 0 maxCompressedSegments"]
    assert.deepStrictEqual(decided(left, { maxCompressedSegments: 4 }, { heldFromIndex: 0 }), inTheWay)
    assert.deepStrictEqual(decided(left, { maxCompressedSegments: 4 }, { heldFromIndex: -1 }), [])
    assert.deepStrictEqual(decided(left, { maxCompressedSegments: 6 }, { heldFromIndex: 0 }), [])
  })

  it("makes a place for every freeze that is due or under way, and for none that is not", () => {
    assert.deepStrictEqual(decided(stock(4, 4), { maxCompressedSegments: 4, maxSegments: 4 }), [
      "free 0 maxCompressedSegments",
      "free 1 maxCompressedSegments",
      "freeze 4 maxSegments",
      "freeze 5 maxSegments"
    ])
    assert.deepStrictEqual(decided(stock(4, 0), { maxCompressedSegments: 4 }, { arrivingWeight: 1 }), [
      "free 0 maxCompressedSegments"
    ])
    assert.deepStrictEqual(decided(stock(3, 0), { maxCompressedSegments: 4 }, { arrivingWeight: 1 }), [])
    assert.deepStrictEqual(decided(stock(2, 3), { maxCompressedSegments: 4, maxSegments: 4 }), ["freeze 2 maxSegments"])
    assert.deepStrictEqual(decided(stock(9, 9), { maxCompressedSegments: "unlimited" }, { arrivingWeight: 9 }), [])
  })

  const short = (given: Stock, weight: number): Stock => ({
    cold: given.cold.map((segment) => ({ ...segment, weight })),
    hot: given.hot.map((segment) => ({ ...segment, weight }))
  })

  it("counts what is not full by what it uses: nothing goes for it while a full one's worth fits", () => {
    assert.deepStrictEqual(decided(short(stock(256, 0), 1 / 64), { maxCompressedSegments: 4 }), [])
    assert.deepStrictEqual(decided(short(stock(257, 0), 1 / 64), { maxCompressedSegments: 4 }), [
      "free 0 maxCompressedSegments"
    ])
    // A place for a full one among short ones: as many go as make it.
    const arriving = decided(short(stock(8, 0), 1 / 2), { maxCompressedSegments: 4 }, { arrivingWeight: 1 })
    assert.deepStrictEqual(arriving, ["free 0 maxCompressedSegments", "free 1 maxCompressedSegments"])
    // And for short ones among full ones: one goes for many of them.
    const hot = short(stock(0, 8), 1 / 8).hot.map((segment) => ({ ...segment, segmentIndex: segment.segmentIndex + 4 }))
    const freed = decided({ cold: stock(4, 0).cold, hot }, { maxCompressedSegments: 4, maxSegments: 2 })
      .filter((action) => action.startsWith("free "))
    assert.deepStrictEqual(freed, ["free 0 maxCompressedSegments"])
  })

  it("weighs a segment by its share of a full one, and bounds how many files there are", () => {
    const full = 16 * 1024 * 1024
    assert.strictEqual(weightOf(full, full), 1)
    assert.strictEqual(weightOf(3 * full, full), 1)
    assert.strictEqual(weightOf(full / 2, full), 1 / 2)
    assert.isAbove(weightOf(full / 2 + 1, full), 1 / 2)
    assert.strictEqual(weightOf(192, full), 1 / 128)
    // Sums of any weights are exact, in any order.
    const random = new SeededRandom(1)
    const weights = Array.from({ length: 10_000 }, () => weightOf(random.below(full), full))
    const sum = weights.reduce((all, weight) => all + weight, 0)
    assert.strictEqual(weights.reduce((rest, weight) => rest - weight, sum), 0)
  })

  it("keeps the newest segment hot while the next start would continue it, unless something else asks for less", () => {
    const toContinueIndex = 2
    assert.deepStrictEqual(decided(stock(0, 3), { maxSegments: 2 }, { toContinueIndex }), [
      "freeze 0 maxSegments",
      "freeze 1 maxSegments"
    ])
    assert.deepStrictEqual(
      decided(stock(0, 3), { maxSegments: 2, bytesMax: 0 }, { toContinueIndex }).at(-1),
      "freeze 2 bytesMax"
    )
  })

  it("brings the bytes under their limit: cold ones go, hot ones are made smaller", () => {
    assert.deepStrictEqual(decided(stock(3, 0), { bytesMax: 15 }), ["free 0 bytesMax", "free 1 bytesMax"])
    assert.deepStrictEqual(decided(stock(1, 2), { bytesMax: 15 }), [
      "free 0 bytesMax",
      "freeze 1 bytesMax",
      "freeze 2 bytesMax"
    ])
    assert.deepStrictEqual(decided(stock(3, 0), { bytesMax: 30 }), [])
  })

  it("lets segments go by age, the age of an unknown one being none", () => {
    assert.deepStrictEqual(decided(stock(2, 2), { ageMax: Duration.millis(999) }), ["free 0 ageMax"])
    assert.deepStrictEqual(decided(stock(2, 2), { ageMax: Duration.millis(997) }), [
      "free 0 ageMax",
      "free 1 ageMax",
      "freeze 2 ageMax"
    ])
    const unknown = { cold: stock(2, 0).cold.map((segment) => ({ ...segment, ageMillis: undefined })), hot: [] }
    assert.deepStrictEqual(decided(unknown, { ageMax: Duration.millis(1) }), [])
  })

  it("makes room while the file system has too little, and no more than that", () => {
    assert.deepStrictEqual(decided(stock(4, 0), { freeBytesMin: 100 }, { freeBytes: 85 }), [
      "free 0 freeBytesMin",
      "free 1 freeBytesMin"
    ])
    assert.deepStrictEqual(decided(stock(4, 1), { freeBytesMin: 100 }, { freeBytes: 100 }), [])
    assert.deepStrictEqual(decided(stock(4, 1), { freeBytesMin: 100 }, { freeBytes: undefined }), [])
  })

  it("lets what was asked to go, go: hot ones are made cold first, and what is held or kept stays", () => {
    assert.deepStrictEqual(decided(stock(3, 2), {}, { freeBeforeIndex: 4 }), [
      "free 0 freeBefore",
      "free 1 freeBefore",
      "free 2 freeBefore",
      "freeze 3 freeBefore"
    ])
    assert.deepStrictEqual(decided(stock(3, 0), {}, { freeBeforeIndex: 9, heldFromIndex: 1 }), ["free 0 freeBefore"])
    assert.deepStrictEqual(decided(stock(3, 0), {}, { freeBeforeIndex: 9, keptFromIndex: 2 }), [
      "free 0 freeBefore",
      "free 1 freeBefore"
    ])
  })

  it("makes cold what was asked to be, also the newest one that a start would continue", () => {
    assert.deepStrictEqual(decided(stock(0, 4), {}, { freezeBeforeIndex: 2 }), [
      "freeze 0 freezeBefore",
      "freeze 1 freezeBefore"
    ])
    const all = { freezeBeforeIndex: 9, toContinueIndex: 3 }
    assert.strictEqual(decided(stock(0, 4), {}, all).at(-1), "freeze 3 freezeBefore")
  })

  it("lets holds keep no more than their bound, and never makes a hole or an empty log for it", () => {
    const limits = { maxCompressedSegments: 4, heldBytesMax: 70 }
    assert.deepStrictEqual(decided(stock(9, 0), limits, { heldFromIndex: 0 }), [
      "free 0 maxCompressedSegments",
      "free 1 maxCompressedSegments"
    ])
    assert.deepStrictEqual(decided(stock(9, 0), { ...limits, heldBytesMax: 90 }, { heldFromIndex: 0 }), [])
    assert.deepStrictEqual(decided(stock(9, 0), limits, { heldFromIndex: 0, keptFromIndex: 1 }), [
      "free 0 maxCompressedSegments"
    ])
    assert.deepStrictEqual(decided(stock(4, 0), { ...limits, heldBytesMax: 0 }, { heldFromIndex: 0 }), [])
  })

  it("keeps what a hold needs, whatever the limit, and freezes it all the same", () => {
    assert.deepStrictEqual(
      decided(stock(8, 3), { maxCompressedSegments: 4, maxSegments: 4, bytesMax: 0 }, { heldFromIndex: 2 }),
      [
        "free 0 maxCompressedSegments",
        "free 1 maxCompressedSegments",
        "freeze 8 maxSegments",
        "freeze 9 bytesMax",
        "freeze 10 bytesMax"
      ]
    )
  })

  it("holds every limit, oldest first, and never frees a hot segment: 2,000 random stocks", () => {
    const random = new SeededRandom(20_261_122)
    for (let run = 0; run < 2000; run++) {
      const words = `run ${run}`
      const given = stock(random.below(12), random.below(12))
      const limits: ResolvedLimits = {
        maxSegments: 2 + random.below(6),
        maxCompressedSegments: random.chance(0.3) ? "unlimited" : 4 + random.below(6),
        ...(random.chance(0.3) ? { bytesMax: random.below(200) } : {}),
        ...(random.chance(0.3) ? { ageMax: Duration.millis(970 + random.below(40)) } : {}),
        ...(random.chance(0.3) ? { freeBytesMin: random.below(200) } : {})
      }
      const heldFromIndex = random.chance(0.3) ? random.below(20) : Number.POSITIVE_INFINITY
      const freeBytes = random.chance(0.5) ? random.below(200) : undefined
      const arrivingWeight = random.below(4)
      const view = viewOf(given, { freeBytes, heldFromIndex, arrivingWeight })
      const actions = plan(view, limits)
      const freed = actions.filter((action) => action.action === "free").map((action) => action.segmentIndex)
      const frozen = actions.filter((action) => action.action === "freeze").map((action) => action.segmentIndex)
      assert.deepStrictEqual(freed, given.cold.slice(0, freed.length).map((segment) => segment.segmentIndex), words)
      assert.deepStrictEqual(frozen, given.hot.slice(0, frozen.length).map((segment) => segment.segmentIndex), words)
      assert.isTrue(freed.every((segmentIndex) => segmentIndex < heldFromIndex), words)
      assert.isAtMost(given.hot.length - frozen.length, Math.max(0, limits.maxSegments - 2), words)
      // What is left is within every limit, or held, or nothing cold is left.
      const left = given.cold.slice(freed.length)
      const mayGo = left[0] !== undefined && left[0].segmentIndex < heldFromIndex
      if (mayGo) {
        const { ageMax = Duration.infinity, bytesMax = Number.POSITIVE_INFINITY, freeBytesMin = 0 } = limits
        if (limits.maxCompressedSegments !== "unlimited") {
          assert.isAtMost(left.length + arrivingWeight + frozen.length, limits.maxCompressedSegments, words)
        }
        assert.isAtMost(view.bytes - 10 * freed.length, bytesMax, words)
        assert.isAtMost(left[0]!.ageMillis ?? 0, Duration.toMillis(ageMax), words)
        if (freeBytes !== undefined) assert.isAtLeast(freeBytes + 10 * freed.length, freeBytesMin, words)
      }
      // No action without its reason: without the last one some limit would be broken.
      const last = freed.length - 1
      if (last >= 0) {
        const segment = given.cold[last]!
        const reasons = [
          limits.maxCompressedSegments !== "unlimited" &&
          given.cold.length - last + arrivingWeight + frozen.length > limits.maxCompressedSegments,
          limits.bytesMax !== undefined && view.bytes - 10 * last > limits.bytesMax,
          limits.ageMax !== undefined && (segment.ageMillis ?? 0) > Duration.toMillis(limits.ageMax),
          limits.freeBytesMin !== undefined && freeBytes !== undefined && freeBytes + 10 * last < limits.freeBytesMin
        ]
        assert.isTrue(reasons.includes(true), words)
      }
    }
  })

  it("looks at no more segments than it acts on, and one of each kind", () => {
    for (const count of [10, 10_000]) {
      let looks = 0
      const given = stock(count, count)
      const actions = plan({
        ...viewOf(given),
        hotAt: (position) => (looks++, given.hot[position]!),
        coldAt: (position) => (looks++, given.cold[position]!)
      }, { maxSegments: count, maxCompressedSegments: count - 3 })
      assert.strictEqual(actions.length, 3 + 2 + 2)
      assert.isAtMost(looks, actions.length + 3)
    }
  })
})

describe("Retention.clampLimits", () => {
  it("brings counts into their ranges and says which were outside", () => {
    assert.deepStrictEqual(clampLimits({ maxSegments: 1, maxCompressedSegments: 1000 }), {
      limits: { maxSegments: 2, maxCompressedSegments: 512 },
      clamped: [
        { field: "maxSegments", given: 1, used: 2 },
        { field: "maxCompressedSegments", given: 1000, used: 512 }
      ]
    })
    assert.deepStrictEqual(clampLimits({ maxSegments: 200, maxCompressedSegments: 0 }).limits, {
      maxSegments: 128,
      maxCompressedSegments: 4
    })
    assert.deepStrictEqual(clampLimits({ maxSegments: 2, maxCompressedSegments: "unlimited" }).clamped, [])
  })
})
