/** What a program does by habit: it retries, and it gives up after a time. No event may be recorded twice by that. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Compressor } from "../../src/index.ts"
import type { Log } from "../../src/recorder/Log.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import { small } from "./fixtures.ts"

class Payments extends Wal.Service<Payments>()("test/Payments", { event: Schema.Struct({ cents: Schema.Int }) }) {}
class Raw extends Wal.Service<Raw>()("test/Raw") {}

const simulated = Layer.merge(
  SimulatedDisk.layer({ seed: 5 }),
  Layer.succeed(Compressor.Compressor, Compressor.blocking)
)

const onPayments = <A, E>(
  onDiskFailure: "wait" | "fail",
  use: (log: Log<{ readonly cents: number }>, disk: SimulatedDisk.SimulatedDisk["Service"]) => Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    return yield* use(yield* Payments, yield* SimulatedDisk.SimulatedDisk)
  }).pipe(
    Effect.provide(Payments.layer({ ...small, directory: "/payments", onDiskFailure })),
    Effect.provide(simulated)
  )

const centsOf = (log: Log<{ readonly cents: number }>) =>
  Effect.map(Stream.runCollect(log.events()), (events) => events.map(({ event }) => event.cents).sort((a, b) => a - b))

const cents = Array.from({ length: 20 }, (_, i) => i + 1)

describe.each(["wait", "fail"] as const)("while the disk fails for a second (onDiskFailure: %s)", (onDiskFailure) => {
  it.effect.each<readonly [string, (pay: Effect.Effect<number, unknown>) => Effect.Effect<number, unknown>]>([
    ["a retry", Effect.retry({ schedule: Schedule.spaced("100 millis") })],
    [
      "a retry of what takes too long",
      (pay) => pay.pipe(Effect.timeout("30 millis"), Effect.retry({ schedule: Schedule.spaced("10 millis") }))
    ]
  ])("%s records each payment once", ([, habit]) =>
    onPayments(onDiskFailure, (log, disk) =>
      Effect.gen(function*() {
        yield* log.appendDurable({ cents: 0 })
        yield* disk.failAlways("sync", "Io", /\.wal/)
        const paying = yield* Effect.forkChild(
          Effect.forEach(cents, (cents) => habit(log.appendDurable({ cents })), { concurrency: 5 })
        )
        yield* TestClock.adjust("1 second")
        assert.isUndefined(paying.pollUnsafe())
        assert.strictEqual((yield* log.positions).heldBack?.reason, "DiskFailing")
        yield* disk.heal
        yield* TestClock.adjust("5 seconds")
        const ids = yield* Fiber.join(paying)
        assert.strictEqual(new Set(ids).size, cents.length)
        assert.deepStrictEqual(yield* centsOf(log), [0, ...cents])
      })))

  it.effect("a commit waits through it, or says where to wait on", () =>
    onPayments(onDiskFailure, (log, disk) =>
      Effect.gen(function*() {
        yield* disk.setCapacityBytes(0)
        yield* log.append({ cents: 1 })
        const committing = yield* Effect.forkChild(Effect.result(log.appendDurable({ cents: 2 })))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* log.positions).heldBack?.reason, "DiskFull")
        if (onDiskFailure === "wait") {
          assert.isUndefined(committing.pollUnsafe())
        } else {
          const result = yield* Fiber.join(committing)
          assert.deepInclude(result._tag === "Failure" ? fieldsOf(result.failure) : result, {
            _tag: "RecorderError",
            reason: "DiskFull",
            eventId: 2
          })
        }
        const waiting = yield* Effect.forkChild(
          Effect.retry(log.commitTo(2), { schedule: Schedule.spaced("1 second") })
        )
        yield* disk.setCapacityBytes(1 << 20)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Fiber.join(waiting), 2)
        assert.deepStrictEqual(yield* centsOf(log), [1, 2])
        yield* Fiber.interrupt(committing)
      })))
})

describe("appendDurable", () => {
  it.effect("appends again when it is run again after it has succeeded", () =>
    onPayments("wait", (log) =>
      Effect.gen(function*() {
        const pay = log.appendDurable({ cents: 7 })
        assert.deepStrictEqual(yield* Effect.replicateEffect(pay, 3), [1, 2, 3])
        assert.strictEqual((yield* Effect.all([pay, pay, pay], { concurrency: "unbounded" })).length, 3)
        assert.deepStrictEqual(yield* centsOf(log), [7, 7, 7, 7, 7, 7])
      })))

  it.effect("run several times at once, and retried, records as often as it succeeds", () =>
    onPayments("fail", (log, disk) =>
      Effect.gen(function*() {
        yield* disk.failAlways("sync", "Io", /\.wal/)
        const pay = log.appendDurable({ cents: 7 })
        const retried = Effect.retry(pay, { schedule: Schedule.spaced("100 millis") })
        const paying = yield* Effect.forkChild(Effect.all([retried, retried, retried], { concurrency: "unbounded" }))
        yield* TestClock.adjust("1 second")
        yield* disk.heal
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(new Set(yield* Fiber.join(paying)).size, 3)
        assert.deepStrictEqual(yield* centsOf(log), [7, 7, 7])
      })))

  it.effect("of bytes, interrupted while it waits for room, records once when it is run again", () =>
    Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      const log = yield* Raw
      yield* disk.setCapacityBytes(0)
      // As much as the slots hold.
      const { writer } = log.recorder
      const event = new Uint8Array(2000)
      while (writer.appendUnsafe(event) > 0);
      const before = writer.lastEventId
      const last = log.appendDurable(Buffer.from("the last"))
      const impatient = last.pipe(
        Effect.timeout("100 millis"),
        Effect.retry({ schedule: Schedule.spaced("10 millis") })
      )
      const appending = yield* Effect.forkChild(impatient)
      yield* TestClock.adjust("2 seconds")
      yield* disk.setCapacityBytes(1 << 24)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(appending), before + 1)
      assert.strictEqual(writer.lastEventId, before + 1)
    }).pipe(Effect.provide(Raw.layer({ ...small, directory: "/raw" })), Effect.provide(simulated)))
})
