/**
 * Every wrong value, given by a program or by the environment, gets a line that names the field, the value and the range.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as WalConfig from "../../src/recorder/WalConfig.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { SegmentArena } from "../../src/shared/SegmentArena.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

const directory = "/log"
const disk = SimulatedDisk.layer({ seed: 1 })

/** What a program that wrote these options sees: a defect, and its line. */
const defectOf = <E>(layer: Layer.Layer<Wal.Parts, E, never>) =>
  Effect.scoped(Effect.exit(Layer.build(layer))).pipe(
    Effect.map((exit) => {
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause), "the layer dies")
      return String(Cause.squash(exit.cause))
    })
  )

const wrong: ReadonlyArray<readonly [string, object, string]> = [
  [
    "a size below its range",
    { segmentBytesMax: 12 },
    "segmentBytesMax is 12, expected 64 to 1073741824 bytes, as in 16MiB"
  ],
  [
    "a part of a byte",
    { segmentBytesMax: 4096.5 },
    "segmentBytesMax is 4096.5, expected 64 to 1073741824 bytes, as in 16MiB"
  ],
  [
    "a duration of nobody",
    { flushEvery: "5 parsecs" },
    "flushEvery is '5 parsecs', expected 0 to 2147483647 whole milliseconds, as in '50 millis'"
  ],
  [
    "an age in a unit of sizes",
    { limits: { maxSegments: 4, maxCompressedSegments: 4, ageMax: "1MiB" } },
    "limits.ageMax is '1MiB', expected 0 or more whole milliseconds, as in '50 millis'"
  ],
  ["text for a number", { slots: "many" }, "slots is 'many', expected 2 to 128"],
  ["no number", { reserveBytes: Number.NaN }, "reserveBytes is NaN, expected 0 or more bytes, as in 16MiB"],
  ["an unknown word", { commit: "sometimes" }, "commit is 'sometimes', expected onCommit, onTimer, onRotate"],
  ["an unknown format", { format: 3 }, "format is 3, expected 1, 2"],
  ["a format as text", { format: "1" }, "format is '1', expected 1, 2"],
  ["an empty path", { directory: "" }, "directory is '', expected a path"],
  ["no path", { directory: undefined }, "directory is undefined, expected a path"],
  [
    "a limit that is no number",
    { limits: { maxSegments: 4, maxCompressedSegments: "all" } },
    "limits.maxCompressedSegments is 'all', expected 4 to 512, clamped, or unlimited"
  ],
  [
    "sleeps in the wrong order",
    { sleepMin: "50 millis", sleepMax: 20 },
    "sleepMin is '50 millis', expected at most sleepMax, which is 20 ms"
  ],
  [
    "events that fit no segment",
    { eventSize: 4096, segmentBytesMax: 1024 },
    "eventSize is 4096, expected at most blockBytesMax and segmentBytesMax, which leave 1024 bytes"
  ],
  ["two of them", { slots: 1, restartsMax: -1 }, "restartsMax is -1, expected 0 to 1000; slots is 1, expected 2 to 128"]
]

describe("options given by a program", () => {
  for (const [what, given, line] of wrong) {
    it.effect(`refuses ${what}`, () =>
      Effect.gen(function*() {
        const options = Object.assign({ directory }, given)
        assert.strictEqual(
          yield* defectOf(Wal.layer(options).pipe(Layer.provide(disk))),
          `WrongOptions: ${line}`
        )
      }))
  }

  it.effect("refuses a pool without threads", () =>
    Effect.gen(function*() {
      const line = yield* defectOf(Wal.layerWorker({ directory, workers: 0 }).pipe(Layer.provide(disk)))
      assert.strictEqual(line, "WrongOptions: workers is 0, expected 1 to 16")
    }))

  it.effect("refuses new limits that are none, and keeps the old ones", () =>
    Effect.gen(function*() {
      const maintainer = yield* SegmentMaintainer
      const exit = yield* Effect.exit(maintainer.setLimits({ maxSegments: 1.5, maxCompressedSegments: 8 }))
      assert(Exit.isFailure(exit))
      assert.strictEqual(
        String(Cause.squash(exit.cause)),
        "WrongOptions: maxSegments is 1.5, expected 2 to 128, clamped"
      )
      assert.strictEqual((yield* maintainer.status).limits.maxSegments, 8)
    }).pipe(Effect.provide(Wal.layer({ directory, segmentBytesMax: 4096 }).pipe(Layer.provide(disk)))))
})

const read = <A>(config: Config.Config<A>, env: { readonly [name: string]: string }) =>
  config.parse(ConfigProvider.constantCase(ConfigProvider.fromEnv({ env })))

const config = WalConfig.config.pipe(Config.nested("effectWal"))

const failureOf = (env: { readonly [name: string]: string }) =>
  Effect.map(Effect.flip(read(config, env)), (error) => error.message)

/** For each field a text, and what it means. */
const texts: { readonly [name: string]: readonly [string, unknown] } = {
  directory: ["./log", "./log"],
  maxSegments: ["16", 16],
  maxCompressedSegments: ["unlimited", "unlimited"],
  bytesMax: ["4GB", 4e9],
  ageMax: ["12 hours", Duration.hours(12)],
  freeBytesMin: ["0", 0],
  heldBytesMax: ["1.5 KiB", 1536],
  compression: ["block", "block"],
  flushEvery: ["250 millis", Duration.millis(250)],
  onHotLimit: ["exceed", "exceed"],
  onDamaged: ["quarantine", "quarantine"],
  sleepMin: ["5", Duration.millis(5)],
  sleepMax: ["2 seconds", Duration.seconds(2)],
  drainMax: ["30000", Duration.seconds(30)],
  restartsMax: ["0", 0],
  reserveBytes: ["4096", 4096],
  commit: ["onTimer", "onTimer"],
  strategy: ["dropping", "dropping"],
  onDiskFailure: ["fail", "fail"],
  format: ["1", 1],
  segmentBytesMax: ["64MiB", 64 * 1024 * 1024],
  slots: ["3", 3],
  eventSize: ["64B", 64],
  blockBytesMax: ["256 KiB", 256 * 1024],
  onArchiveBehind: ["free", "free"],
  acknowledge: ["replicated", "replicated"],
  workers: ["0", 0]
}

describe("options from a configuration", () => {
  it.effect("are the defaults where nothing is said", () =>
    Effect.gen(function*() {
      const options = yield* read(config, { EFFECT_WAL_DIRECTORY: "./log" })
      assert.deepStrictEqual(options, { directory: "./log", ...WalConfig.defaults })
    }))

  it.effect("are read one by one, each from its own variable, written as in a program", () =>
    Effect.gen(function*() {
      for (const { name, path, variable } of WalConfig.fields) {
        const [text, value] = texts[name]!
        const options = yield* read(config, { EFFECT_WAL_DIRECTORY: "./log", [variable]: text })
        const limits = { ...WalConfig.defaults.limits, ...(path[0] === "limits" ? { [name]: value } : {}) }
        const expected = { ...WalConfig.defaults, directory: "./log", limits }
        assert.deepStrictEqual(options, path[0] === "limits" ? expected : { ...expected, [name]: value })
      }
    }))

  it.effect("are read under their own names from a provider with values, wherever they are nested", () =>
    Effect.gen(function*() {
      const audit = { directory: "/audit", slots: 3, ageMax: "1 day" }
      const provider = ConfigProvider.fromUnknown({ ...audit, app: { logs: { ...audit, slots: 5 } } })
      const expected = {
        ...WalConfig.defaults,
        directory: "/audit",
        slots: 3,
        limits: { ...WalConfig.defaults.limits, ageMax: Duration.days(1) }
      }
      assert.deepStrictEqual(yield* WalConfig.config.parse(provider), expected)
      const nested = WalConfig.config.pipe(Config.nested("logs"), Config.nested("app"))
      assert.deepStrictEqual(yield* nested.parse(provider), { ...expected, slots: 5 })
    }))

  it.effect("of several logs have variables of their own", () =>
    Effect.gen(function*() {
      const env = { ORDERS_DIRECTORY: "./orders", AUDIT_DIRECTORY: "./audit", AUDIT_SLOTS: "9" }
      const orders = yield* read(WalConfig.config.pipe(Config.nested("orders")), env)
      const audit = yield* read(WalConfig.config.pipe(Config.nested("audit")), env)
      assert.deepStrictEqual([orders.directory, orders.slots, audit.directory, audit.slots], [
        "./orders",
        4,
        "./audit",
        9
      ])
    }))

  it.effect("are absent as a whole without a directory, and not when one is wrong", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* read(Config.option(config), { EFFECT_WAL_SLOTS: "3" })))
      assert.include(yield* failureOf({}), `["effectWal"]["directory"]`)
      const wrong = read(Config.option(config), { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_SLOTS: "1" })
      assert.include((yield* Effect.flip(wrong)).message, "EFFECT_WAL_SLOTS")
    }))

  it.effect("that are wrong are named in one line, with their variable, value and range", () =>
    Effect.gen(function*() {
      const wrong = { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_SLOTS: "1", EFFECT_WAL_RESERVE_BYTES: "a lot" }
      assert.strictEqual(
        yield* failureOf(wrong),
        "SchemaError(effectWal.reserveBytes (EFFECT_WAL_RESERVE_BYTES) is 'a lot', expected 0 or more bytes, as in " +
          "16MiB; effectWal.slots (EFFECT_WAL_SLOTS) is 1, expected 2 to 128)"
      )
      const inTheWrongOrder = { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_SLEEP_MIN: "1 minute" }
      assert.strictEqual(
        yield* failureOf(inTheWrongOrder),
        "SchemaError(effectWal.sleepMin (EFFECT_WAL_SLEEP_MIN) is '1 minute', expected at most sleepMax, which is " +
          "1000 ms)"
      )
      const plain = WalConfig.config.parse(ConfigProvider.fromUnknown({ directory: "./log", slots: "few" }))
      assert.strictEqual(
        (yield* Effect.flip(plain)).message,
        "SchemaError(slots (SLOTS) is 'few', expected 2 to 128)"
      )
    }))

  it.effect("refuse every variable that holds nonsense", () =>
    Effect.gen(function*() {
      for (const { expected, name, unit, variable } of WalConfig.fields) {
        if (name === "directory") continue
        const numbers = unit === "text" ? [] : ["NaN", "Infinity", "1e400", "0x", "1 fortnight"]
        // A count outside its range is clamped, if its field says so.
        if (unit !== "text" && !expected.includes("clamped")) numbers.push("-1")
        for (const text of ["nonsense", "5 parsecs", ...numbers]) {
          const message = yield* failureOf({ EFFECT_WAL_DIRECTORY: "./log", [variable]: text })
          const value = text === "-1" ? text : `'${text}'`
          assert.include(message, `SchemaError(effectWal.${name} (${variable}) is ${value}, expected `)
          assert.notInclude(message, "\n")
        }
      }
    }))

  it.effect("makes a recorder", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      assert.strictEqual(yield* recorder.appendDurable(Buffer.from("hello")), 1)
      assert.strictEqual((yield* SegmentArena).slots, 3)
    }).pipe(
      Effect.provide(Wal.layerConfig(config).pipe(Layer.provide(disk))),
      Effect.provide(ConfigProvider.layer(ConfigProvider.constantCase(ConfigProvider.fromEnv({
        env: {
          EFFECT_WAL_DIRECTORY: directory,
          EFFECT_WAL_WORKERS: "0",
          EFFECT_WAL_SLOTS: "3",
          EFFECT_WAL_SEGMENT_BYTES_MAX: "4KiB"
        }
      }))))
    ))

  it.effect("takes a record of one's own instead", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* SegmentArena).slotBytes, 8192)
    }).pipe(
      Effect.provide(
        Wal.layerConfig({
          directory: Config.String("LOG"),
          segmentBytesMax: Config.ByteSize("SIZE"),
          flushEvery: Config.Duration("FLUSH"),
          workers: Config.succeed(0)
        })
          .pipe(Layer.provide(disk))
      ),
      Effect.provide(
        ConfigProvider.layer(ConfigProvider.fromEnv({ env: { LOG: directory, SIZE: "8KiB", FLUSH: "1 second" } }))
      )
    ))
})
