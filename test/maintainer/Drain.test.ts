/** How a drain ends: by the test's clock, on the simulated disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { blocking } from "../../src/maintainer/Compressor.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { aloneOn } from "./aloneOn.ts"
import { done, kinds, look, named, open, quiet, recorded, segmentBytesMax, settle, simulated } from "./maintaining.ts"

const directory = "/wal"

describe.each(kinds)("the loop ($name)", (kind) => {
  const { event, format } = kind
  const alone = aloneOn(kind)

  it.effect("gives up compression at the deadline of a drain, never persistence", () =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(simulated({}, { ...blocking, compress: () => new Promise(() => {}) }))
      const { close, context } = yield* open(
        Wal.layer({
          directory,
          format,
          segmentBytesMax,
          slots: 8,
          limits: { maxSegments: 4, maxCompressedSegments: 64 },
          drainMax: 3000
        }).pipe(Layer.provide(Layer.succeedContext(disk)))
      )
      const recorder = Context.get(context, Recorder)
      const maintainer = Context.get(context, SegmentMaintainer)
      // Eight full slots, of which the limit of hot segments lets four become files.
      for (let id = 1; id <= 10; id++) {
        yield* recorder.append(event(id))
        yield* recorder.rotate
        yield* settle
      }
      assert.strictEqual((yield* maintainer.status).hotSegments, 4)
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust(2999)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* settle
      yield* done(closing)
      yield* Effect.gen(function*() {
        const found = yield* look(directory)
        assert.deepStrictEqual([found.hot.length, found.cold, found.leftovers], [10, [], []])
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, 10, kind))
      }).pipe(Effect.provideContext(disk))
    }).pipe(Effect.scoped, quiet))

  const obstacles = [
    ["a full disk", "Full", /the disk is full, for \d+\.\d+ s, next try in .*; free some space/],
    [
      "a disk that fails",
      "Io",
      /the device fails to write or sync, for \d+\.\d+ s, next try in .*; when the device works again/
    ]
  ] as const
  it.effect.each(obstacles)(
    "reports every ten seconds that it cannot end for %s, since when, and when it tries again",
    ([, reason, words]) =>
      Effect.gen(function*() {
        const services = yield* Layer.build(simulated())
        const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
        const warnings: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel === "Warn") warnings.push([message].flat().join(" "))
        })
        const { close, context } = yield* open(
          Wal.layer({ directory, format, segmentBytesMax }).pipe(
            Layer.provide(Layer.succeedContext(services)),
            Layer.provide(Logger.layer([logger]))
          )
        )
        const recorder = Context.get(context, Recorder)
        yield* TestClock.adjust(1000)
        yield* disk.failAlways("write", reason, /FS/)
        yield* recorder.append(event(1))
        yield* Effect.forkChild(Effect.exit(recorder.commit))
        yield* settle
        yield* TestClock.adjust(5000)
        const closing = yield* Effect.forkChild(close)
        yield* settle
        for (const seconds of [10, 20]) {
          const before = warnings.length
          yield* TestClock.adjust(9_000)
          assert.lengthOf(warnings, before)
          yield* TestClock.adjust(1_000)
          assert.lengthOf(warnings, before + 1)
          const line = warnings.at(-1) ?? ""
          assert.include(line, `closing ${directory} has taken ${seconds} s; it waits for 1 segment to make durable; `)
          assert.match(line, words)
          assert.include(line, "a kill ends it at once and loses what was not committed")
        }
        yield* disk.heal
        yield* TestClock.adjust(2000)
        yield* done(closing)
        assert.lengthOf(warnings, 2)
      }).pipe(Effect.scoped)
  )

  it.effect("reports that it waits for a freeze alone, which loses no event", () =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(simulated({}, { ...blocking, compress: () => new Promise(() => {}) }))
      const warnings: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") warnings.push([message].flat().join(" "))
      })
      const limits = { maxSegments: 4, maxCompressedSegments: 64 }
      const { close, context } = yield* open(
        Wal.layer({ directory, format, segmentBytesMax, limits, drainMax: 15_000 }).pipe(
          Layer.provide(Layer.succeedContext(disk)),
          Layer.provide(Logger.layer([logger]))
        )
      )
      const recorder = Context.get(context, Recorder)
      for (let id = 1; id <= 3; id++) {
        yield* recorder.append(event(id))
        yield* recorder.rotate
        yield* settle
      }
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(warnings, [
        `closing ${directory} has taken 10 s; it waits for 1 segment to compress; ` +
        "a kill ends it at once and loses no event"
      ])
      yield* TestClock.adjust(5_000)
      yield* settle
      yield* done(closing)
    }).pipe(Effect.scoped))

  it.effect("closes at once when there is nothing to drain, whatever the deadline", () =>
    Effect.gen(function*() {
      const { close } = yield* alone(blocking, { drainMax: 60_000 })
      yield* close
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }).pipe(Effect.scoped, quiet))
})
