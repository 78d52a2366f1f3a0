import { assert, describe, it } from "@effect/vitest"
import * as ByteRing from "../../src/shared/ByteRing.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

const anySize = { eventBytesMin: 0, eventBytesMax: 2 ** 24 }

const take = (ring: ByteRing.ByteRing): Uint8Array | undefined => {
  const event = ByteRing.peekUnsafe(ring, ByteRing.headUnsafe(ring))?.slice()
  if (event !== undefined) ByteRing.takeUnsafe(ring, event.length)
  return event
}

describe("ByteRing", () => {
  it("gives events back in order, whatever their sizes, around the ring many times", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    const random = new SeededRandom(1)
    const inside: Array<Uint8Array> = []
    let put = 0
    while (put < 20_000) {
      const event = new Uint8Array(random.below(ring.eventBytesMax + 1)).fill(put)
      if (random.chance(0.6) && ByteRing.putUnsafe(ring, event)) {
        inside.push(event)
        put += 1
      } else {
        assert.deepStrictEqual(take(ring), inside.shift())
      }
    }
    for (const event of inside) assert.deepStrictEqual(take(ring), event)
    assert.isUndefined(take(ring))
  })

  it("refuses what does not fit now, and takes it when there is room", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    const event = new Uint8Array(1000)
    let count = 0
    while (ByteRing.putUnsafe(ring, event)) count += 1
    assert.strictEqual(count, 4)
    take(ring)
    assert.isTrue(ByteRing.putUnsafe(ring, event))
    assert.isFalse(ByteRing.putUnsafe(ring, event))
  })

  it("always has room for the largest event when it is empty", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    for (let round = 0; round < 500; round++) {
      assert.isTrue(ByteRing.putUnsafe(ring, new Uint8Array(round)))
      take(ring)
      assert.isTrue(ByteRing.putUnsafe(ring, new Uint8Array(ring.eventBytesMax)), `after ${round} bytes`)
      take(ring)
    }
  })

  it("counts its bytes across the wrap of 2^32", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    const nearWrap = -4096
    Atomics.store(ring.words, 16, nearWrap)
    Atomics.store(ring.words, 32, nearWrap)
    for (let round = 0; round < 100; round++) {
      assert.isTrue(ByteRing.putUnsafe(ring, new Uint8Array(300).fill(round)))
      assert.deepStrictEqual(take(ring), new Uint8Array(300).fill(round))
    }
  })

  it("answers every commit that was asked for before", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    const first = ByteRing.askCommitUnsafe(ring)
    const second = ByteRing.askCommitUnsafe(ring)
    assert.isTrue(ByteRing.hasOpenCommit(ring))
    assert.isUndefined(ByteRing.commitAnswer(ring, first))
    ByteRing.answerCommitUnsafe(ring, ByteRing.commitsAsked(ring), 0)
    const third = ByteRing.askCommitUnsafe(ring)
    assert.strictEqual(ByteRing.commitAnswer(ring, first), 0)
    assert.strictEqual(ByteRing.commitAnswer(ring, second), 0)
    assert.isUndefined(ByteRing.commitAnswer(ring, third))
    ByteRing.answerCommitUnsafe(ring, ByteRing.commitsAsked(ring), 4)
    assert.strictEqual(ByteRing.commitAnswer(ring, third), 4)
  })

  it("knows the sizes that its consumer takes, and has room for the smallest", () => {
    const sizes = (capacityBytes: number, eventBytesMin: number, eventBytesMax: number) => {
      const ring = ByteRing.attach(ByteRing.makeUnsafe(capacityBytes, { eventBytesMin, eventBytesMax }).buffer)
      return [ring.capacityBytes, ring.eventBytesMin, ring.eventBytesMax]
    }
    assert.deepStrictEqual(sizes(4096, 0, 100), [4096, 0, 100])
    assert.deepStrictEqual(sizes(4096, 0, 10_000), [4096, 0, 2040])
    assert.deepStrictEqual(sizes(4096, 2040, 2040), [4096, 2040, 2040])
    assert.deepStrictEqual(sizes(4096, 2041, 2041), [8192, 2041, 2041])
    assert.deepStrictEqual(sizes(1, 65_535, 65_535), [262_144, 65_535, 65_535])
  })

  it("gives everything that came in before it was closed, and takes nothing after", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    assert.isTrue(ByteRing.putUnsafe(ring, new Uint8Array([1])))
    assert.isFalse(ByteRing.isClosed(ring))
    ByteRing.closeUnsafe(ring)
    assert.isTrue(ByteRing.isClosed(ring))
    assert.isFalse(ByteRing.putUnsafe(ring, new Uint8Array([2])))
    assert.deepStrictEqual(take(ring), new Uint8Array([1]))
    assert.isUndefined(take(ring))
  })

  it("tells of every refusal once", () => {
    const ring = ByteRing.makeUnsafe(4096, anySize)
    assert.isUndefined(ByteRing.newRefusalsUnsafe(ring))
    ByteRing.noteRefusalUnsafe(ring, 3)
    ByteRing.noteRefusalUnsafe(ring, 4)
    assert.deepStrictEqual(ByteRing.newRefusalsUnsafe(ring), { count: 2, code: 4 })
    assert.isUndefined(ByteRing.newRefusalsUnsafe(ring))
  })
})
