/** What holds keep, and until when. */
import { assert, describe, it } from "@effect/vitest"
import { Holds } from "../../../src/maintainer/retention/Holds.ts"

describe("holds", () => {
  it("keep from the oldest segment that any of them needs, and end when they are removed or expire", () => {
    let now = 1000
    const clock = () => now
    const holds = new Holds({ elapsed: clock, wall: clock })
    assert.strictEqual(holds.heldFrom(), Number.POSITIVE_INFINITY)
    const archive = holds.add({ name: "archive", fromSegmentIndex: 7, lastsMillis: Number.POSITIVE_INFINITY })
    holds.add({ name: "replica", fromSegmentIndex: 3, lastsMillis: 1000 })
    assert.strictEqual(holds.heldFrom(), 3)
    assert.deepStrictEqual(holds.list().map(({ name }) => name), ["archive", "replica"])
    now = 2000
    assert.strictEqual(holds.heldFrom(), 7)
    assert.deepStrictEqual(holds.list(), [
      { name: "archive", fromSegmentIndex: 7, expiresMillis: Number.POSITIVE_INFINITY, isExceeded: false }
    ])
    holds.remove(archive)
    assert.strictEqual(holds.heldFrom(), Number.POSITIVE_INFINITY)
    assert.deepStrictEqual(holds.list(), [])
  })

  it("last as long as they were to, whatever the wall clock shows, and are exceeded once", () => {
    let elapsed = 0
    let wall = 1_800_000_000_000
    const holds = new Holds({ elapsed: () => elapsed, wall: () => wall })
    holds.add({ name: "replica", fromSegmentIndex: 3, lastsMillis: 1000 })
    wall += 86_400_000
    elapsed = 999
    assert.strictEqual(holds.heldFrom(), 3)
    assert.deepStrictEqual([holds.exceed(2), holds.exceed(3), holds.exceed(4)], [[], ["replica"], []])
    wall -= 2 * 86_400_000
    elapsed = 1000
    assert.deepStrictEqual(holds.list(), [])
  })

  it("never move back", () => {
    const holds = new Holds({ elapsed: () => 0, wall: () => 0 })
    const hold = holds.add({ name: "archive", fromSegmentIndex: 4, lastsMillis: 1 })
    assert.isTrue(holds.advance(hold, 6))
    assert.isFalse(holds.advance(hold, 6))
    assert.isFalse(holds.advance(hold, 5))
    assert.strictEqual(holds.heldFrom(), 6)
  })
})
