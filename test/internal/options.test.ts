/**
 * A duration and a size that a program gives are taken in every form that Effect has for them. What JavaScript allows
 * beyond that is refused with one line, before anything is done.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { inspect } from "node:util"
import * as ReadRate from "../../src/disk/ReadRate.ts"
import { requireDuration, requireSize } from "../../src/internal/arguments.ts"
import { bytesOf, millisOf, parseDuration } from "../../src/internal/notations.ts"
import { duration, millisLimit, requireOptions, size } from "../../src/internal/options.ts"
import * as MaintainerSchedule from "../../src/maintainer/executor/MaintainerSchedule.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SegmentArena from "../../src/shared/SegmentArena.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

/** What JavaScript lets through. */
const given = (value: unknown): never => value as never

const durations: ReadonlyArray<readonly [unknown, number]> = [
  [0, 0],
  [-0, 0],
  [1500, 1500],
  [2_000_000n, 2],
  ["50 millis", 50],
  ["1 milli", 1],
  ["1.5 seconds", 1500],
  ["3000 micros", 3],
  ["12 hours", 43_200_000],
  [[2, 500_000_000], 2500],
  [{ seconds: 30 }, 30_000],
  [{ minutes: 1, seconds: undefined, milliseconds: 5 }, 60_005],
  [Duration.seconds(2), 2000],
  [Duration.nanos(4_000_000n), 4]
]

/** No durations at all. */
const noDurations: ReadonlyArray<unknown> = [
  null,
  Number.NaN,
  "",
  " ",
  "50",
  "50ms",
  "50 Millis",
  "5 parsecs",
  "NaN millis",
  "1e3 millis",
  true,
  Symbol("1 second"),
  () => 1,
  [],
  [1],
  [1, 2, 3],
  [Number.NaN, 0],
  ["1", "2"],
  {},
  { parsecs: 5 },
  { seconds: 1, parsecs: 5 },
  { seconds: "1" },
  { seconds: Number.NaN },
  { seconds: Number.POSITIVE_INFINITY },
  new Date(1000),
  new Map([["seconds", 1]]),
  Object.create(null)
]

/** Durations, but negative, without an end, too long, or not of whole milliseconds. */
const otherDurations: ReadonlyArray<unknown> = [
  -1,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  "-1 seconds",
  "Infinity",
  "-Infinity",
  -1n,
  2n ** 80n,
  0.5,
  "0.5 millis",
  "1 nano",
  { seconds: -1 },
  Duration.infinity,
  Duration.seconds(-1)
]

const sizes: ReadonlyArray<readonly [unknown, number]> = [
  [0, 0],
  [-0, 0],
  [4096, 4096],
  [4096n, 4096],
  ["16MiB", 16_777_216],
  ["16 MiB", 16_777_216],
  ["4kB", 4000],
  ["1.5KiB", 1536],
  ["1 byte", 1],
  ["2 mebibytes", 2_097_152],
  [ByteSize.kibibytes(4), 4096]
]

const noSizes: ReadonlyArray<unknown> = [
  null,
  Number.NaN,
  -1,
  0.5,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  2n ** 60n,
  -1n,
  "",
  "4096",
  "16 mib",
  "16mb",
  "5 parsecs",
  "-1KiB",
  "1.5B",
  "Infinity",
  "9007199254740992B",
  "50 millis",
  true,
  Symbol("1KiB"),
  () => 1,
  [],
  [1],
  {},
  { bytes: 1 },
  { valueOf: () => 1 },
  new Uint8Array(1),
  Object.create(null)
]

const Options = Schema.Struct({
  sleep: Schema.optional(duration(0, millisLimit)),
  room: Schema.optional(size(0, Number.MAX_SAFE_INTEGER))
})

const dies = (run: () => unknown, line: RegExp, what: string): void => {
  try {
    run()
  } catch (error) {
    assert.match(String(error), line, what)
    return
  }
  assert.fail(`${what} is taken`)
}

describe("a duration", () => {
  it("is taken in every form, in whole milliseconds", () => {
    for (const [input, millis] of durations) {
      const { sleep } = requireOptions("options", Options, { sleep: given(input) })
      assert.deepStrictEqual(sleep, Duration.millis(millis), inspect(input))
      assert.isFalse(Object.is(Duration.toMillis(sleep ?? Duration.zero), -0))
      assert.deepStrictEqual(requireDuration("sleep", given(input), 0), Duration.millis(millis))
    }
  })

  it("that is none is refused with one line that names the option and what is expected", () => {
    for (const input of [...noDurations, ...otherDurations]) {
      dies(
        () => requireOptions("options", Options, { sleep: given(input) }),
        /^WrongOptions: options\.sleep is [^]*, expected 0 to 2147483647 whole milliseconds, as in '50 millis'$/,
        inspect(input)
      )
    }
  })

  it("that ends never is taken where it may", () => {
    const Hold = Schema.Struct({ timeToLive: duration(0, Number.POSITIVE_INFINITY) })
    for (const input of ["Infinity", Number.POSITIVE_INFINITY, Duration.infinity] as const) {
      assert.deepStrictEqual(requireOptions("hold", Hold, { timeToLive: input }).timeToLive, Duration.infinity)
    }
  })

  it("on the command line has its own notation", () => {
    for (const text of ["250ms", "2s", "1.5s", "10m", "1h", "7d"]) {
      assert.isTrue(parseDuration(text)._tag === "Some", text)
    }
    for (const text of ["", "250", "2 s", "-1s", "1w", "s", "NaNs"]) assert.isTrue(parseDuration(text)._tag === "None")
  })
})

describe("a size", () => {
  it("is taken in every form, in bytes", () => {
    for (const [input, bytes] of sizes) {
      const { room } = requireOptions("options", Options, { room: given(input) })
      assert.isTrue(Object.is(room, bytes), inspect(input))
      assert.strictEqual(requireSize("room", given(input), 0), bytes)
    }
  })

  it("that is none is refused with one line that names the option and what is expected", () => {
    for (const input of noSizes) {
      dies(
        () => requireOptions("options", Options, { room: given(input) }),
        /^WrongOptions: options\.room is [^]*, expected 0 or more bytes, as in 16MiB$/,
        inspect(input)
      )
      dies(
        () => requireSize("room", given(input), 0),
        /^WrongArgument: room is .*, expected 0 bytes or more/,
        inspect(input)
      )
    }
  })
})

describe("what is no duration and no size", () => {
  it("stays none, and throws nothing of its own", () => {
    const hostile = new Proxy({}, {
      get: () => {
        throw new Error("hands off")
      }
    })
    for (const input of [undefined, ...noDurations, hostile]) assert.strictEqual(millisOf(input)._tag, "None")
    for (const input of [undefined, ...noSizes, hostile]) assert.strictEqual(bytesOf(input)._tag, "None")
    for (const input of otherDurations) assert.strictEqual(millisOf(input)._tag, "Some", inspect(input))
  })
})

const disk = SimulatedDisk.layer({ seed: 1 })

const diesNaming = <A, E>(name: string, effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause), `${name} is refused`)
    assert.include(String(Cause.squash(exit.cause)), `${name} is `)
  })

describe("each option that is a duration or a size", () => {
  const wal = (options: object) =>
    Effect.scoped(Layer.build(Layer.provide(Wal.layer(given({ directory: "/log", ...options })), disk)))

  it.effect("refuses what is none, before anything is done", () =>
    Effect.gen(function*() {
      for (const name of ["flushEvery", "sleepMin", "sleepMax", "drainMax"]) {
        for (const input of [...noDurations, ...otherDurations]) yield* diesNaming(name, wal({ [name]: input }))
      }
      for (const name of ["segmentBytesMax", "blockBytesMax", "reserveBytes", "eventSize"]) {
        for (const input of noSizes) yield* diesNaming(name, wal({ [name]: input }))
      }
      const limits = { maxSegments: 8, maxCompressedSegments: 64 }
      for (const name of ["bytesMax", "freeBytesMin", "heldBytesMax"]) {
        for (const input of noSizes) {
          yield* diesNaming(`limits.${name}`, wal({ limits: { ...limits, [name]: input } }))
        }
      }
      yield* diesNaming("limits.ageMax", wal({ limits: { ...limits, ageMax: "5 parsecs" } }))
      yield* diesNaming(
        "slotBytes",
        Effect.scoped(Layer.build(SegmentArena.layer({
          slots: 2,
          slotBytes: given("16 mib"),
          layout: { version: 2, eventSize: 0, blockBytesMax: 64 }
        })))
      )
      yield* diesNaming("sleepMin", Effect.sync(() => MaintainerSchedule.adaptive(Number.NaN)))
      yield* diesNaming("bytesPerSecond", Effect.provide(ReadRate.withReadRate(Effect.void, given("fast")), disk))
      yield* diesNaming(
        "options.capacityBytes",
        Effect.provide(Effect.void, SimulatedDisk.layer({ seed: 1, capacityBytes: -1 }))
      )
      yield* diesNaming(
        "options.faults.slowMax",
        Effect.provide(Effect.void, SimulatedDisk.layer({ seed: 1, faults: { slowMax: 0 } }))
      )
    }))

  it.effect("is taken as text", () =>
    Effect.gen(function*() {
      const maintainer = yield* SegmentMaintainer
      assert.strictEqual((yield* SegmentArena.SegmentArena).slotBytes, 65_536)
      const limits = { maxSegments: 4, maxCompressedSegments: 8, bytesMax: "1GiB", ageMax: "1 day" } as const
      yield* maintainer.setLimits(limits)
      const used = (yield* maintainer.status).limits
      assert.deepStrictEqual(used, { ...limits, bytesMax: 2 ** 30, ageMax: Duration.days(1) })
      // They can be given again.
      yield* maintainer.setLimits({ ...used, maxSegments: 5 })
      assert.deepStrictEqual((yield* maintainer.status).limits, { ...used, maxSegments: 5 })
      const holding = yield* Effect.forkChild(Effect.scoped(Effect.andThen(
        maintainer.hold({ name: "copy", fromSegmentIndex: 0, timeToLive: "1 minute" }),
        Effect.never
      )))
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf((yield* maintainer.status).holds, 1)
      yield* TestClock.adjust("1 second")
      assert.lengthOf((yield* maintainer.status).holds, 0)
      yield* Fiber.interrupt(holding)
    }).pipe(Effect.provide(Layer.provide(
      Wal.layer({ directory: "/log", segmentBytesMax: "64KiB", blockBytesMax: "4 KiB", flushEvery: "1 second" }),
      disk
    ))))
})
