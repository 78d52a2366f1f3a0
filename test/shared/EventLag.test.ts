import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { EventLag, notesMax } from "../../src/shared/EventLag.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

describe("EventLag", () => {
  it("is 0 while everything is durable, and before anyone has looked", () => {
    const lag = new EventLag()
    assert.strictEqual(lag.millis(1_000, 0), 0)
    lag.note(1_000, 7, 7)
    assert.strictEqual(lag.millis(9_000, 7), 0)
  })

  it("counts from the first look that saw the event", () => {
    const lag = new EventLag()
    lag.note(1_000, 5, 0)
    lag.note(2_000, 9, 0)
    assert.strictEqual(lag.millis(2_500, 0), 1_500)
    assert.strictEqual(lag.millis(2_500, 4), 1_500)
    assert.strictEqual(lag.millis(2_500, 5), 500)
    assert.strictEqual(lag.millis(2_500, 9), 0)
  })

  it("does not start anew because the same event is seen again", () => {
    const lag = new EventLag()
    lag.note(1_000, 5, 0)
    lag.note(4_000, 5, 0)
    assert.strictEqual(lag.millis(5_000, 0), 4_000)
  })

  it("dates new events exactly, however often the one before it was seen", () => {
    const lag = new EventLag()
    for (let look = 0; look < 10 * notesMax; look++) lag.note(1_000 + look * 100, 5, 0)
    const now = 1_000 + 10 * notesMax * 100
    lag.note(now, 6, 0)
    lag.note(now + 10, 7, 0)
    assert.strictEqual(lag.millis(now + 50, 5), 50)
    assert.strictEqual(lag.millis(now + 50, 6), 40)
  })

  it("is never too high, and keeps the oldest date however many looks there are", () => {
    const lag = new EventLag()
    // Event n is appended at n ms, and seen every 10 ms.
    const looks = notesMax * 7
    for (let look = 1; look <= looks; look++) lag.note(look * 10, look * 10, 0)
    const now = looks * 10
    assert.strictEqual(lag.millis(now, 0), now - 10)
    for (let durable = 0; durable < now; durable += 37) {
      const age = now - (durable + 1)
      assert.isAtMost(lag.millis(now, durable), age)
      assert.isAtLeast(lag.millis(now, durable), age - now / 16)
    }
  })
})

const wal = Wal.layer({ directory: "/log", commit: "onRotate", segmentBytesMax: 4096 })
const layer = wal.pipe(Layer.provideMerge(SimulatedDisk.layer({ seed: 1 })))
const event = new Uint8Array(100)

describe("durable lag of a recorder", () => {
  it.effect("grows with time, and ends when the events are durable", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      const telemetry = yield* Telemetry
      const lag = () => {
        const { durableLagEvents, durableLagMillis } = telemetry.snapshotUnsafe().gauges
        return [durableLagEvents, durableLagMillis]
      }
      assert.deepStrictEqual(lag(), [0, 0])
      recorder.writer.appendUnsafe(event)
      recorder.writer.appendUnsafe(event)
      assert.deepStrictEqual(lag(), [2, 0])
      yield* TestClock.adjust(3_000)
      assert.deepStrictEqual(lag(), [2, 3_000])
      yield* recorder.flush
      assert.deepStrictEqual(lag(), [0, 0])
    }).pipe(Effect.provide(layer)))

  it.effect("is known without anyone having looked, from when the commit began", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      const telemetry = yield* Telemetry
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* disk.failAlways("sync", "Io")
      recorder.writer.appendUnsafe(event)
      const flushing = yield* Effect.forkChild(Effect.exit(recorder.flush))
      yield* TestClock.adjust(5_000)
      assert.strictEqual(telemetry.snapshotUnsafe().gauges.durableLagMillis, 5_000)
      yield* disk.heal
      yield* TestClock.adjust(2_000)
      assert.strictEqual(telemetry.snapshotUnsafe().gauges.durableLagMillis, 0)
      yield* Fiber.interrupt(flushing)
    }).pipe(Effect.provide(layer)))
})

describe("append samples of a recorder", () => {
  it.effect("are one in 1,024 of the appends through Effect", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      const telemetry = yield* Telemetry
      const samples = () => telemetry.snapshotUnsafe().operations.append.samples
      for (let id = 1; id <= 2048; id++) yield* recorder.append(event)
      assert.strictEqual(samples(), 2)
      yield* recorder.appendEach(Array.from({ length: 2048 }, () => event))
      assert.strictEqual(samples(), 4)
    }).pipe(Effect.provide(layer)))
})
