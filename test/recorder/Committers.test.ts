import { assert, describe, it } from "@effect/vitest"
import { Committers } from "../../src/recorder/Committers.ts"
import type { Committer } from "../../src/recorder/Committers.ts"
import { makeRandom } from "../fixtures/segments.ts"

/** Numbers that say who is answered. */
const waiting = (eventId: number): Committer<number> => ({ eventId, resume: eventId })

describe("callers that wait for their events", () => {
  it("are answered in the order of their ids, in whatever order they came, and none before its event is durable", () => {
    const next = makeRandom(7)
    const below = (max: number): number => Math.floor(next() * max)
    for (let round = 0; round < 200; round++) {
      const committers = new Committers<number>()
      const all = Array.from({ length: 1 + below(60) }, () => waiting(below(40)))
      for (const committer of all) committers.add(committer)
      const left = all.filter(() => below(3) === 0)
      for (const committer of left) committers.leave(committer)
      const stay = all.filter((committer) => !left.includes(committer)).map(({ eventId }) => eventId)
      assert.strictEqual(committers.size, stay.length)
      const durable = below(40)
      const answered: Array<number> = []
      for (let id = committers.takeUpTo(durable); id !== undefined; id = committers.takeUpTo(durable)) answered.push(id)
      const ordered = stay.sort((a, b) => a - b)
      assert.deepStrictEqual(answered, ordered.filter((id) => id <= durable))
      assert.deepStrictEqual(committers.takeAll().map(({ eventId }) => eventId), ordered.filter((id) => id > durable))
      assert.strictEqual(committers.size, 0)
    }
  })

  it("leave no more behind than there are who wait", () => {
    const committers = new Committers<number>()
    const all = Array.from({ length: 1000 }, (_, id) => waiting(id))
    for (const committer of all) committers.add(committer)
    for (const committer of all.slice(1)) committers.leave(committer)
    // One that has left does not count again.
    committers.leave(all[1]!)
    assert.strictEqual(committers.size, 1)
    assert.strictEqual(committers.takeUpTo(1000), 0)
    assert.strictEqual(committers.takeUpTo(1000), undefined)
  })
})
