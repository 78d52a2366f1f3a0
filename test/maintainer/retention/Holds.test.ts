/** What holds keep, and until when. */
import { assert, describe, it } from "@effect/vitest"
import { Holds } from "../../../src/maintainer/retention/Holds.ts"

describe("holds", () => {
  it("keep from the oldest segment that any of them needs, and end when they are removed or expire", () => {
    let now = 1000
    const holds = new Holds(() => now)
    assert.strictEqual(holds.heldFrom(), Number.POSITIVE_INFINITY)
    const archive = holds.add({ name: "archive", fromSegmentIndex: 7, expiresMillis: Number.POSITIVE_INFINITY })
    holds.add({ name: "replica", fromSegmentIndex: 3, expiresMillis: 2000 })
    assert.strictEqual(holds.heldFrom(), 3)
    assert.deepStrictEqual(holds.list().map(({ name }) => name), ["archive", "replica"])
    now = 2000
    assert.strictEqual(holds.heldFrom(), 7)
    assert.deepStrictEqual(holds.list(), [{ ...archive }])
    holds.remove(archive)
    assert.strictEqual(holds.heldFrom(), Number.POSITIVE_INFINITY)
    assert.deepStrictEqual(holds.list(), [])
  })

  it("never move back", () => {
    const holds = new Holds(() => 0)
    const hold = holds.add({ name: "archive", fromSegmentIndex: 4, expiresMillis: 1 })
    assert.isTrue(holds.advance(hold, 6))
    assert.isFalse(holds.advance(hold, 6))
    assert.isFalse(holds.advance(hold, 5))
    assert.strictEqual(holds.heldFrom(), 6)
  })
})
