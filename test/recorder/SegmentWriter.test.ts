import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { eventIdMax, segmentIndexMax } from "../../src/format/Limits.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import { Refusal, SegmentWriter } from "../../src/recorder/SegmentWriter.ts"
import * as Arena from "../../src/shared/Arena.ts"
import * as BatchMarks from "../../src/shared/BatchMarks.ts"
import * as Doorbell from "../../src/shared/Doorbell.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"

const make = Effect.fnUntraced(function*(options: {
  readonly eventSize?: number
  readonly slotBytes?: number
  readonly slots?: number
  readonly version?: 1 | 2
  readonly firstEventId?: number
  readonly firstSegmentIndex?: number
}) {
  const queue = yield* TaskQueue.make({ capacity: 8, consumersMax: 1, isShared: false })
  const slotBytes = options.slotBytes ?? 256
  const arena = Arena.makeUnsafe({
    slots: options.slots ?? 2,
    slotBytes,
    layout: options.version === 1
      ? format1Layout
      : { version: 2, eventSize: options.eventSize ?? 0, blockBytesMax: slotBytes }
  })
  const writer = new SegmentWriter({
    arena,
    toPersist: queue,
    firstSegmentIndex: options.firstSegmentIndex ?? 3,
    firstEventId: options.firstEventId ?? 1,
    nowMillis: () => 1_700_000_000_000,
    nowNanos: () => 0,
    onRotate: () => {}
  })
  return { arena, queue, writer }
})

const bytesOf = (length: number, fill = 7) => new Uint8Array(length).fill(fill)

describe("SegmentWriter", () => {
  it.effect("gives consecutive ids, and raises the watermark when what was appended is shared", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({})
      assert.strictEqual(writer.appendUnsafe(bytesOf(10)), 1)
      assert.strictEqual(writer.appendUnsafe(bytesOf(0)), 2)
      assert.strictEqual(writer.lastEventId, 2)
      writer.shareUnsafe()
      assert.strictEqual(Arena.watermarkOf(arena, 0), 4 + 10 + 4)
      const data = Arena.slotData(arena, 0)
      assert.deepStrictEqual([...data.subarray(0, 18)], [10, 0, 0, 0, ...bytesOf(10), 0, 0, 0, 0])
    }))

  it.effect("shares what was appended when the synchronous code ends, unasked, again and again", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({})
      for (let count = 1; count <= 3; count++) {
        writer.appendUnsafe(bytesOf(10))
        writer.appendUnsafe(bytesOf(10))
        yield* Effect.promise(() => Promise.resolve())
        assert.strictEqual(Arena.watermarkOf(arena, 0), count * 28)
      }
    }))

  it.effect("keeps the order and every byte of short, long and reserved events, and publishes none before it is whole", () =>
    Effect.gen(function*() {
      const slotBytes = 1 << 18
      const { arena, queue, writer } = yield* make({ slotBytes, slots: 8 })
      const random = new SeededRandom(7)
      const expected = new Uint8Array(slotBytes)
      let end = 0
      let slot = 0
      const check = () => {
        const watermark = Arena.watermarkOf(arena, slot)
        assert.isAtMost(watermark, end)
        const shared = Arena.slotData(arena, slot).subarray(0, watermark)
        assert.strictEqual(Buffer.compare(shared, expected.subarray(0, watermark)), 0)
      }
      for (let id = 1; id <= 3000 && slot < 7; id++) {
        const length = random.below(random.below(20) === 0 ? 40_000 : 300)
        const event = bytesOf(length, id)
        if (end + 4 + length > slotBytes) {
          assert.isTrue(writer.rotateUnsafe())
          assert.strictEqual(Option.getOrThrow(yield* TaskQueue.poll(queue)).bytes, end)
          assert.strictEqual(Arena.watermarkOf(arena, slot), end, "what is handed over is shared")
          check()
          slot += 1
          end = 0
        }
        new DataView(expected.buffer).setUint32(end, length, true)
        expected.set(event, end + 4)
        if (random.below(4) === 0) {
          writer.bytes.set(event, writer.reserveUnsafe(length))
          assert.strictEqual(writer.publishUnsafe(), id)
        } else assert.strictEqual(writer.appendUnsafe(event), id)
        end += 4 + length
        check()
        if (random.below(100) === 0) {
          writer.shareUnsafe()
          assert.strictEqual(Arena.watermarkOf(arena, slot), end)
        }
      }
      assert.isAbove(slot, 3)
    }))

  it.effect("wakes the maintainer for a full segment when the run ends, and at once when it fills a second", () =>
    Effect.gen(function*() {
      const { queue, writer } = yield* make({ eventSize: 64, slotBytes: 64, slots: 8 })
      let woken = 0
      const listen = () => Doorbell.onRingUnsafe(queue.notEmpty, Doorbell.readUnsafe(queue.notEmpty), () => woken++)
      listen()
      writer.appendUnsafe(bytesOf(64))
      writer.appendUnsafe(bytesOf(64))
      assert.strictEqual(yield* TaskQueue.size(queue), 1, "whoever looks finds it")
      assert.strictEqual(woken, 0)
      yield* Effect.promise(() => Promise.resolve())
      assert.strictEqual(woken, 1)
      listen()
      writer.appendUnsafe(bytesOf(64))
      assert.strictEqual(woken, 1)
      writer.appendUnsafe(bytesOf(64))
      assert.strictEqual(woken, 2)
    }))

  it.effect("stores events of a fixed size back to back", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({ eventSize: 8 })
      writer.appendUnsafe(bytesOf(8, 1))
      writer.appendUnsafe(bytesOf(8, 2))
      writer.shareUnsafe()
      assert.deepStrictEqual([...Arena.slotData(arena, 0).subarray(0, 16)], [...bytesOf(8, 1), ...bytesOf(8, 2)])
    }))

  it.effect("refuses what has the wrong size, and leaves no trace of it", () =>
    Effect.gen(function*() {
      const fixed = yield* make({ eventSize: 8 })
      assert.strictEqual(fixed.writer.appendUnsafe(bytesOf(7)), Refusal.WrongSize)
      assert.strictEqual(fixed.writer.appendUnsafe(bytesOf(9)), Refusal.WrongSize)
      assert.strictEqual(Arena.watermarkOf(fixed.arena, 0), 0)
      const variable = yield* make({ slotBytes: 64 })
      assert.strictEqual(variable.writer.appendUnsafe(bytesOf(61)), Refusal.TooLarge)
      assert.strictEqual(variable.writer.reserveUnsafe(61), Refusal.TooLarge)
      assert.strictEqual(variable.writer.appendUnsafe(bytesOf(60)), 1)
    }))

  it.effect("hands a full segment over and goes on with the next slot", () =>
    Effect.gen(function*() {
      const { arena, queue, writer } = yield* make({ eventSize: 64, slotBytes: 128 })
      for (let id = 1; id <= 3; id++) assert.strictEqual(writer.appendUnsafe(bytesOf(64, id)), id)
      const task = Option.getOrThrow(yield* TaskQueue.poll(queue))
      assert.deepInclude(task, { segmentIndex: 3, slot: 0, bytes: 128 })
      assert.strictEqual(Arena.stateOf(arena, 0), Arena.SlotState.Full)
      assert.strictEqual(Arena.activeSlot(arena), 1)
      assert.strictEqual(Arena.segmentIndexOf(arena, 1), 4)
      assert.strictEqual(Arena.firstEventIdOf(arena, 1), 3)
    }))

  it.effect("refuses when no slot is blank, and goes on when one is given back", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({ eventSize: 64, slotBytes: 64 })
      assert.strictEqual(writer.appendUnsafe(bytesOf(64, 1)), 1)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64, 2)), 2)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64, 3)), Refusal.Full)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64, 3)), Refusal.Full)
      Arena.giveBackUnsafe(arena, 0)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64, 3)), 3)
      assert.deepStrictEqual([...Arena.slotData(arena, 1)], [...bytesOf(64, 2)])
    }))

  it.effect("gives back slots without the bytes of old events", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({ eventSize: 64, slotBytes: 64 })
      writer.appendUnsafe(bytesOf(64, 9))
      writer.rotateUnsafe()
      Arena.giveBackUnsafe(arena, 0)
      assert.deepStrictEqual([...Arena.slotData(arena, 0)], [...bytesOf(64, 0)])
    }))

  it.effect("publishes nothing of a reservation until it is published", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({})
      const at = writer.reserveUnsafe(8)
      writer.view.setBigUint64(at, 42n, true)
      assert.strictEqual(Arena.watermarkOf(arena, 0), 0)
      assert.strictEqual(writer.lastEventId, 0)
      assert.strictEqual(writer.publishUnsafe(), 1)
      assert.strictEqual(Arena.watermarkOf(arena, 0), 12)
      assert.strictEqual(new DataView(arena.buffer).getBigUint64(at, true), 42n)
    }))

  it.effect("never goes beyond a limit that was lowered", () =>
    Effect.gen(function*() {
      const { arena, writer } = yield* make({ eventSize: 64, slotBytes: 256 })
      writer.appendUnsafe(bytesOf(64))
      Arena.lowerLimitUnsafe(arena, 0, 128)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64)), 2)
      assert.strictEqual(writer.appendUnsafe(bytesOf(64)), 3)
      assert.strictEqual(Arena.watermarkOf(arena, 0), 128)
      assert.strictEqual(Arena.activeSlot(arena), 1)
    }))

  it.effect("writes the id into the first 8 bytes of an event of format 1, above 2^32 too", () =>
    Effect.gen(function*() {
      const firstEventId = 2 ** 40 + 5
      const { arena, writer } = yield* make({ eventSize: 64, version: 1, firstEventId })
      writer.appendUnsafe(bytesOf(64))
      const view = new DataView(arena.buffer, Arena.slotStart(arena, 0))
      assert.strictEqual(view.getBigUint64(0, true), BigInt(firstEventId))
      assert.strictEqual(view.getUint8(8), 7)
    }))

  it.effect("takes nothing after it was closed, and hands over what it had", () =>
    Effect.gen(function*() {
      const { arena, queue, writer } = yield* make({})
      writer.appendUnsafe(bytesOf(5))
      writer.closeUnsafe()
      assert.strictEqual(writer.appendUnsafe(bytesOf(5)), Refusal.Closed)
      assert.strictEqual(yield* TaskQueue.size(queue), 1)
      assert.strictEqual(Arena.activeSlot(arena), -1)
      const empty = yield* make({})
      empty.writer.closeUnsafe()
      assert.strictEqual(yield* TaskQueue.size(empty.queue), 0)
      assert.strictEqual(Arena.stateOf(empty.arena, 0), Arena.SlotState.Blank)
    }))

  it.effect("does not rotate an empty segment", () =>
    Effect.gen(function*() {
      const { queue, writer } = yield* make({})
      assert.isTrue(writer.rotateUnsafe())
      assert.strictEqual(yield* TaskQueue.size(queue), 0)
      assert.strictEqual(writer.activeSegmentIndex, 3)
    }))

  // A slot has room for 64 events of four bytes: the ids of a whole segment must be left.
  const idsOfSlot = 64
  it.effect.each(
    [
      ["segment indices", { firstSegmentIndex: segmentIndexMax - 1 }, { firstSegmentIndex: segmentIndexMax }],
      [
        "event ids",
        { firstEventId: eventIdMax - idsOfSlot - idsOfSlot + 1 },
        { firstEventId: eventIdMax - idsOfSlot - idsOfSlot + 2 }
      ]
    ] as const
  )(
    "begins a segment with the last %s, and none beyond: it refuses, and leaves no trace",
    ([, last, beyond]) =>
      Effect.gen(function*() {
        const fill = (writer: SegmentWriter) => {
          for (let count = 0; count < idsOfSlot; count++) assert.isAbove(writer.appendUnsafe(bytesOf(0)), 0)
        }
        const allowed = yield* make(last)
        fill(allowed.writer)
        assert.strictEqual(allowed.writer.isExhausted, false)
        fill(allowed.writer)
        assert.isAtMost(allowed.writer.lastEventId, eventIdMax)
        assert.isAtMost(allowed.writer.activeSegmentIndex, segmentIndexMax)
        assert.strictEqual(allowed.writer.appendUnsafe(bytesOf(0)), Refusal.LogExhausted)

        const { arena, writer } = yield* make(beyond)
        fill(writer)
        const { activeSegmentIndex, lastEventId } = writer
        assert.strictEqual(writer.appendUnsafe(bytesOf(0)), Refusal.LogExhausted)
        assert.strictEqual(writer.reserveUnsafe(1), Refusal.LogExhausted)
        assert.isFalse(writer.rotateUnsafe())
        writer.shareUnsafe()
        assert.deepStrictEqual([writer.activeSegmentIndex, writer.lastEventId], [activeSegmentIndex, lastEventId])
        assert.strictEqual(Arena.watermarkOf(arena, 0), 4 * idsOfSlot)
        assert.strictEqual(Arena.activeSlot(arena), 0)
        writer.closeUnsafe()
        assert.strictEqual(writer.appendUnsafe(bytesOf(0)), Refusal.Closed)
      })
  )

  it.effect("is not made for a log that has no room for a segment", () =>
    Effect.gen(function*() {
      for (const options of [{ firstSegmentIndex: segmentIndexMax + 1 }, { firstEventId: eventIdMax }]) {
        const exit = yield* Effect.exit(make(options))
        assert.match(String(exit), /segment indices up to 2147483646 and event ids up to 9007199254740991/)
      }
    }))

  it.effect("publishes a batch by one store, whole, in one slot, and marks what continues it", () =>
    Effect.gen(function*() {
      for (const version of [1, 2] as const) {
        const slotBytes = version === 1 ? 64 * 8 : 256
        const length = version === 1 ? 64 : 28
        const { arena, writer } = yield* make({ version, slotBytes, slots: 3 })
        const batch = (count: number) => Array.from({ length: count }, (_, index) => bytesOf(length, index))
        assert.strictEqual(writer.appendUnsafe(bytesOf(length)), 1)
        assert.strictEqual(writer.appendAllUnsafe(batch(3)), 4)
        // The event before it, too, which was not shared yet.
        const eventBytes = version === 1 ? 64 : 32
        assert.strictEqual(Arena.watermarkOf(arena, 0), 4 * eventBytes)
        const marks = BatchMarks.reader(arena, 0)
        assert.deepStrictEqual([0, 1, 2, 3, 4].map((at) => marks?.(at * eventBytes)), [false, false, true, true, false])
        // There is room for four more, and so there is none for five.
        assert.strictEqual(writer.appendAllUnsafe(batch(5)), 9)
        assert.strictEqual(writer.activeSegmentIndex, 4)
        assert.strictEqual(Arena.watermarkOf(arena, 0), 4 * eventBytes)
        assert.strictEqual(Arena.watermarkOf(arena, 1), 5 * eventBytes)
        // A slot that is used again has no marks.
        Arena.giveBackUnsafe(arena, 0)
        assert.isUndefined(BatchMarks.reader(arena, 0))
        assert.isTrue(Arena.batchMarks(arena, 0).every((byte) => byte === 0))
      }
    }))

  it.effect("refuses a batch as a whole, and changes nothing by that", () =>
    Effect.gen(function*() {
      for (const version of [1, 2] as const) {
        const slotBytes = version === 1 ? 64 * 300 : 256
        const length = version === 1 ? 64 : 28
        const { arena, writer } = yield* make({ version, slotBytes })
        const batch = (count: number) => Array.from({ length: count }, () => bytesOf(length))
        const most = version === 1 ? 255 : 8
        assert.strictEqual(writer.appendAllUnsafe(batch(most + 1)), Refusal.TooLarge)
        const wrong = version === 1 ? bytesOf(63) : bytesOf(253)
        const refusal = version === 1 ? Refusal.WrongSize : Refusal.TooLarge
        assert.strictEqual(writer.appendAllUnsafe([bytesOf(length), wrong, bytesOf(length)]), refusal)
        assert.throws(() => writer.appendAllUnsafe([bytesOf(length), "b" as never]), /events\[1\]/)
        assert.throws(() => writer.appendAllUnsafe([]), /events/)
        assert.throws(() => writer.appendAllUnsafe(new Set(batch(2)) as never), /events/)
        assert.deepStrictEqual([writer.lastEventId, Arena.watermarkOf(arena, 0)], [0, 0])
        // Every slot waits for the disk.
        assert.strictEqual(writer.appendAllUnsafe(batch(most)), most)
        assert.strictEqual(writer.appendAllUnsafe(batch(most)), 2 * most)
        assert.strictEqual(writer.appendAllUnsafe(batch(most)), Refusal.Full)
        assert.strictEqual(writer.lastEventId, 2 * most)
        writer.closeUnsafe()
        assert.strictEqual(writer.appendAllUnsafe(batch(1)), Refusal.Closed)
      }
    }))
})
