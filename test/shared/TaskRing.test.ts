import { assert, describe, it } from "@effect/vitest"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { startAt } from "./interleavings.ts"

const makeRing = (capacity: number, consumersMax = 2): TaskRing.TaskRing =>
  TaskRing.makeUnsafe(new SharedArrayBuffer(TaskRing.bytesNeeded(capacity, consumersMax)), 0, {
    capacity,
    consumersMax
  })

const offer = (ring: TaskRing.TaskRing, index: number): boolean =>
  TaskRing.offerUnsafe(ring, index, index % 7, index * 1000, 1_000_000 + index)

const poll = (ring: TaskRing.TaskRing, consumer = 0): number => {
  const out = new TaskRing.TaskRecord()
  return TaskRing.pollUnsafe(ring, consumer, out) ? out.segmentIndex : -1
}

describe("TaskRing", () => {
  it("carries the largest values unchanged", () => {
    const ring = makeRing(2)
    const largest = { segmentIndex: 2 ** 32 - 1, slot: -1, bytes: 2 ** 53 - 1, offeredAtMillis: 2 ** 53 - 1 }
    assert.isTrue(TaskRing.offerUnsafe(ring, 2 ** 32 - 1, -1, 2 ** 53 - 1, 2 ** 53 - 1))
    const out = new TaskRing.TaskRecord()
    assert.isTrue(TaskRing.pollUnsafe(ring, 1, out))
    assert.deepEqual({ ...out }, largest)
  })

  it("is first in, first out, and full at its capacity", () => {
    for (const capacity of [1, 2, 8]) {
      const ring = makeRing(capacity)
      for (let index = 0; index < capacity; index++) assert.isTrue(offer(ring, index))
      assert.isTrue(TaskRing.isFullUnsafe(ring))
      assert.isFalse(offer(ring, 99))
      assert.strictEqual(TaskRing.sizeUnsafe(ring), capacity)
      for (let index = 0; index < capacity; index++) assert.strictEqual(poll(ring, index % 2), index)
      assert.strictEqual(poll(ring), -1)
      assert.isTrue(TaskRing.isEmptyUnsafe(ring))
    }
  })

  it("keeps order and size across the wraps at 2^31 and 2^32", () => {
    for (const position of [2 ** 31 - 3, -3]) {
      for (const capacity of [1, 4, 1024]) {
        const ring = makeRing(capacity)
        startAt(ring, TaskRing.layout, position)
        let offered = 0
        let taken = 0
        for (let round = 0; round < 8; round++) {
          while (offer(ring, offered)) offered++
          assert.strictEqual(offered - taken, capacity)
          assert.strictEqual(TaskRing.sizeUnsafe(ring), capacity)
          for (let half = 0; half < Math.max(1, capacity / 2); half++) assert.strictEqual(poll(ring), taken++)
        }
        while (!TaskRing.isEmptyUnsafe(ring)) assert.strictEqual(poll(ring), taken++)
        assert.strictEqual(taken, offered)
        assert.strictEqual(TaskRing.sizeUnsafe(ring), 0)
      }
    }
  })

  it("gives nothing from a position on that the consumer must not reach, and shows what lies there, across the wraps", () => {
    for (const position of [0, 2 ** 31 - 2, -2]) {
      const ring = makeRing(8)
      startAt(ring, TaskRing.layout, position)
      const out = new TaskRing.TaskRecord()
      const first = TaskRing.headUnsafe(ring)
      assert.strictEqual(first, TaskRing.tailUnsafe(ring))
      assert.strictEqual(TaskRing.peekUnsafe(ring, first, out), first)
      for (let index = 0; index < 5; index++) offer(ring, index)
      assert.strictEqual((TaskRing.tailUnsafe(ring) - first) | 0, 5)
      const end = TaskRing.peekUnsafe(ring, TaskRing.peekUnsafe(ring, first, out), out)
      assert.strictEqual(out.segmentIndex, 1)
      const seen: Array<number> = []
      while (TaskRing.pollUnsafe(ring, 0, out, end)) seen.push(out.segmentIndex)
      assert.deepStrictEqual(seen, [0, 1])
      // Tasks that were taken are skipped.
      assert.strictEqual(TaskRing.peekUnsafe(ring, first, out), (end + 1) | 0)
      assert.strictEqual(out.segmentIndex, 2)
      assert.strictEqual(poll(ring), 2)
      assert.strictEqual(TaskRing.sizeUnsafe(ring), 2)
    }
  })

  it("holds a claim from the poll until it is complete", () => {
    const ring = makeRing(4)
    const out = new TaskRing.TaskRecord()
    assert.isFalse(TaskRing.claimUnsafe(ring, 0, out))
    offer(ring, 7)
    offer(ring, 8)
    poll(ring, 0)
    poll(ring, 1)
    for (let again = 0; again < 2; again++) {
      assert.isTrue(TaskRing.claimUnsafe(ring, 0, out))
      assert.deepEqual({ ...out }, { segmentIndex: 7, slot: 0, bytes: 7000, offeredAtMillis: 1_000_007 })
    }
    TaskRing.completeUnsafe(ring, 0)
    assert.isFalse(TaskRing.claimUnsafe(ring, 0, out))
    assert.isTrue(TaskRing.claimUnsafe(ring, 1, out))
    assert.strictEqual(out.segmentIndex, 8)
  })

  it("goes on behind a cell that a dead consumer has taken, until its claim is recovered", () => {
    const ring = makeRing(2)
    startAt(ring, TaskRing.layout, -1)
    offer(ring, 0)
    const cell = ring.cellsAt + (-1 & ring.mask) * TaskRing.layout.cellWords
    ring.words[cell] = (ring.words[cell]! & ~0xff) | (2 + 1) // consumer 1 died right after its CAS
    assert.isTrue(offer(ring, 1))
    assert.strictEqual(poll(ring, 0), 1)
    assert.isFalse(offer(ring, 2))
    assert.isTrue(TaskRing.isFullUnsafe(ring))
    assert.strictEqual(poll(ring, 0), -1)
    const out = new TaskRing.TaskRecord()
    assert.isTrue(TaskRing.claimUnsafe(ring, 1, out))
    assert.strictEqual(out.segmentIndex, 0)
    assert.isTrue(offer(ring, 2))
    assert.strictEqual(poll(ring, 0), 2)
  })

  it("forgives a producer that died before it moved the tail", () => {
    const ring = makeRing(4)
    offer(ring, 0)
    ring.words[TaskRing.layout.tailAt] = 0
    assert.isTrue(offer(ring, 1))
    assert.strictEqual(poll(ring), 0)
    assert.strictEqual(poll(ring), 1)
    assert.strictEqual(poll(ring), -1)
  })

  it("ended, takes nothing more and gives what it has; shut down, gives nothing", () => {
    const ring = makeRing(4)
    offer(ring, 0)
    offer(ring, 1)
    assert.isTrue(TaskRing.endUnsafe(ring))
    assert.isFalse(TaskRing.endUnsafe(ring))
    assert.isTrue(TaskRing.isEndedUnsafe(ring))
    assert.isFalse(offer(ring, 2))
    assert.strictEqual(poll(ring), 0)
    assert.isTrue(TaskRing.shutdownUnsafe(ring))
    assert.isFalse(TaskRing.shutdownUnsafe(ring))
    assert.strictEqual(poll(ring), -1)
  })

  it("tells telemetry the bytes in it and the age of the oldest task", () => {
    const ring = makeRing(4)
    startAt(ring, TaskRing.layout, -2)
    assert.strictEqual(TaskRing.oldestMillisUnsafe(ring), -1)
    assert.strictEqual(TaskRing.pendingBytesUnsafe(ring), 0)
    for (let index = 1; index <= 4; index++) offer(ring, index)
    assert.strictEqual(TaskRing.pendingBytesUnsafe(ring), 10_000)
    assert.strictEqual(TaskRing.oldestMillisUnsafe(ring), 1_000_001)
    poll(ring)
    assert.strictEqual(TaskRing.pendingBytesUnsafe(ring), 9_000)
    assert.strictEqual(TaskRing.oldestMillisUnsafe(ring), 1_000_002)
  })

  it("owes a task until it is complete, whether it waits, is being taken or is claimed; looking changes nothing", () => {
    const ring = makeRing(4)
    assert.strictEqual(TaskRing.unfinishedUnsafe(ring), 0)
    for (let index = 0; index < 3; index++) offer(ring, index)
    poll(ring, 0)
    const cell = ring.cellsAt + TaskRing.layout.cellWords
    ring.words[cell] = (ring.words[cell]! & ~0xff) | (2 + 1) // consumer 1 is between its CAS and its claim
    const before = ring.words.slice()
    assert.strictEqual(TaskRing.unfinishedUnsafe(ring), 3)
    assert.deepEqual(ring.words.slice(), before)
    TaskRing.completeUnsafe(ring, 0)
    assert.strictEqual(TaskRing.unfinishedUnsafe(ring), 2)
    assert.isTrue(TaskRing.claimUnsafe(ring, 1, new TaskRing.TaskRecord()))
    TaskRing.completeUnsafe(ring, 1)
    poll(ring, 0)
    TaskRing.completeUnsafe(ring, 0)
    assert.strictEqual(TaskRing.unfinishedUnsafe(ring), 0)
  })

  it("is found by another view of the same memory, at an offset", () => {
    const buffer = new SharedArrayBuffer(64 + TaskRing.bytesNeeded(4, 3))
    const ring = TaskRing.makeUnsafe(buffer, 64, { capacity: 4, consumersMax: 3 })
    const other = TaskRing.attach(buffer, 64)
    assert.strictEqual(other.capacity, 4)
    assert.strictEqual(other.consumersMax, 3)
    offer(ring, 5)
    assert.strictEqual(poll(other, 2), 5)
  })

  it("refuses sizes it cannot keep", () => {
    for (const capacity of [0, 3, 2 ** 21]) assert.throws(() => TaskRing.bytesNeeded(capacity, 1), /power of two/)
    for (const consumersMax of [0, 255]) assert.throws(() => TaskRing.bytesNeeded(2, consumersMax), /consumers/)
    assert.throws(() => TaskRing.attach(new SharedArrayBuffer(1024), 0), /power of two/)
  })
})
