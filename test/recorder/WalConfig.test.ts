/**
 * Every wrong value, given by a program or by the environment, gets a line that names the field, the value and the range.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
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
  ["a size below its range", { segmentBytesMax: 12 }, "segmentBytesMax is 12, expected 64 to 1073741824 bytes"],
  ["a part of a byte", { segmentBytesMax: 4096.5 }, "segmentBytesMax is 4096.5, expected 64 to 1073741824 bytes"],
  ["text for a number", { slots: "many" }, "slots is 'many', expected 2 to 128"],
  ["no number", { reserveBytes: Number.NaN }, "reserveBytes is NaN, expected 0 or more bytes"],
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
    { sleepMillisMin: 50, sleepMillisMax: 20 },
    "sleepMillisMin is 50, expected at most sleepMillisMax, which is 20"
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
  config.parse(ConfigProvider.fromEnv({ env }))

const failureOf = (env: { readonly [name: string]: string }) =>
  Effect.map(Effect.flip(read(WalConfig.config, env)), (error) => error.message)

describe("options from the environment", () => {
  it.effect("has the defaults where nothing is said", () =>
    Effect.gen(function*() {
      const options = yield* read(WalConfig.config, { EFFECT_WAL_DIRECTORY: "./log" })
      assert.deepStrictEqual(options, { directory: "./log", ...WalConfig.defaults })
    }))

  it.effect("reads sizes and durations as people write them, plain numbers, words and limits", () =>
    Effect.gen(function*() {
      const options = yield* read(WalConfig.config, {
        EFFECT_WAL_DIRECTORY: "./log",
        EFFECT_WAL_SEGMENT_BYTES_MAX: "64MiB",
        EFFECT_WAL_RESERVE_BYTES: "4096",
        EFFECT_WAL_FLUSH_EVERY_MILLIS: "250ms",
        EFFECT_WAL_DRAIN_MILLIS_MAX: "30000",
        EFFECT_WAL_COMMIT: "onTimer",
        EFFECT_WAL_FORMAT: "1",
        EFFECT_WAL_WORKERS: "0",
        EFFECT_WAL_MAX_SEGMENTS: "16",
        EFFECT_WAL_MAX_COMPRESSED_SEGMENTS: "unlimited",
        EFFECT_WAL_AGE_MILLIS_MAX: "12h"
      })
      assert.deepStrictEqual(options, {
        directory: "./log",
        ...WalConfig.defaults,
        segmentBytesMax: 64 * 1024 * 1024,
        reserveBytes: 4096,
        flushEveryMillis: 250,
        drainMillisMax: 30_000,
        commit: "onTimer",
        format: 1,
        workers: 0,
        limits: { maxSegments: 16, maxCompressedSegments: "unlimited", ageMillisMax: 43_200_000 }
      })
    }))

  it.effect("names the variable, its value and the range, of every wrong one", () =>
    Effect.gen(function*() {
      const wrong = { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_SLOTS: "1", EFFECT_WAL_RESERVE_BYTES: "a lot" }
      assert.strictEqual(
        yield* failureOf(wrong),
        "SchemaError(EFFECT_WAL_RESERVE_BYTES is 'a lot', expected 0 or more bytes; " +
          "EFFECT_WAL_SLOTS is 1, expected 2 to 128)"
      )
      const unknownFormat = { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_FORMAT: "3" }
      assert.strictEqual(yield* failureOf(unknownFormat), "SchemaError(EFFECT_WAL_FORMAT is 3, expected 1, 2)")
      assert.include(yield* failureOf({}), "EFFECT_WAL_DIRECTORY")
    }))

  it.effect("refuses every variable that holds nonsense", () =>
    Effect.gen(function*() {
      for (const { expected, unit, variable } of WalConfig.fields) {
        if (variable === "EFFECT_WAL_DIRECTORY") continue
        const message = yield* failureOf({ EFFECT_WAL_DIRECTORY: "./log", [variable]: "nonsense" })
        const suffix = unit === "bytes" || unit === "milliseconds" ? ` ${unit}` : ""
        assert.strictEqual(message, `SchemaError(${variable} is 'nonsense', expected ${expected}${suffix})`)
      }
    }))

  it.effect("gives a second recorder names of its own", () =>
    Effect.gen(function*() {
      const { directory } = yield* read(Config.nested(WalConfig.config, "AUDIT"), {
        AUDIT_EFFECT_WAL_DIRECTORY: "./audit"
      })
      assert.strictEqual(directory, "./audit")
    }))

  it.effect("makes a recorder", () =>
    Effect.gen(function*() {
      const recorder = yield* Recorder
      assert.strictEqual(yield* recorder.appendDurable(Buffer.from("hello")), 1)
      assert.strictEqual((yield* SegmentArena).slots, 3)
    }).pipe(
      Effect.provide(Wal.layerConfig(WalConfig.config).pipe(Layer.provide(disk))),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({
        env: {
          EFFECT_WAL_DIRECTORY: directory,
          EFFECT_WAL_WORKERS: "0",
          EFFECT_WAL_SLOTS: "3",
          EFFECT_WAL_SEGMENT_BYTES_MAX: "4KiB"
        }
      })))
    ))

  it.effect("takes a record of one's own instead", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* SegmentArena).slotBytes, 8192)
    }).pipe(
      Effect.provide(
        Wal.layerConfig({
          directory: Config.String("LOG"),
          segmentBytesMax: Config.succeed(8192),
          workers: Config.succeed(0)
        })
          .pipe(Layer.provide(disk))
      ),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { LOG: directory } })))
    ))
})
