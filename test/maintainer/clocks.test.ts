/** What a maintainer does while the wall clock is set forward and back: nothing else than before. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { dayMillis, settableClock } from "../fixtures/settableClock.ts"
import {
  kinds,
  look,
  NodeDisk,
  open,
  quiet,
  segmentBytesMax,
  settle,
  simulated,
  subjects,
  temporaryDirectory,
  whileClockTurns
} from "./maintaining.ts"
import type { Kind } from "./maintaining.ts"
import { mortal } from "./mortalDisk.ts"

const directory = "/wal"

const ageMillis = 30 * 60_000

/** Only age deletes. When every event is gone, a segment without events is left, with the next index. */
const limits = { maxSegments: 32, maxCompressedSegments: "unlimited", ageMax: ageMillis } as const

/** A machine with a simulated disk, whose wall clock can be set, and on which recorders are started. */
const machine = Effect.fnUntraced(function*({ event, format }: Kind) {
  yield* TestClock.setTime(1_800_000_000_000)
  const { clock, set } = yield* settableClock
  const disk = yield* Layer.build(simulated())
  const mortalDisk = mortal(Context.get(disk, Disk))
  const logged: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") logged.push([message].flat().join(" "))
  })
  const start = Effect.fnUntraced(function*(options: Partial<WalOptions> = {}) {
    const opened = yield* open(
      Wal.layer({ directory, format, segmentBytesMax, limits, ...options }).pipe(
        Layer.provide(Layer.succeedContext(Context.add(disk, Disk, mortalDisk.service))),
        Layer.provide(Logger.layer([logger]))
      )
    ).pipe(Effect.provideService(Clock.Clock, clock))
    yield* settle
    const recorder = Context.get(opened.context, Recorder)
    /** Fills and closes segments, one second after the other. */
    const fill = Effect.fnUntraced(function*(count: number) {
      for (let segment = 0; segment < count; segment++) {
        yield* recorder.append(event(recorder.writer.lastEventId + 1))
        yield* recorder.rotate
        yield* TestClock.adjust("1 second")
      }
    })
    return {
      recorder,
      fill,
      maintainer: Context.get(opened.context, SegmentMaintainer),
      counters: Effect.map(Context.get(opened.context, Telemetry).snapshot, ({ counters }) => counters),
      close: whileClockTurns(opened.close)
    }
  })
  const segments = Effect.map(Effect.provideContext(look(directory), disk), ({ cold, hot }) => [...cold, ...hot])
  const log = Effect.provideContext(SimulatedDisk.SimulatedDisk.use((disk) => disk.log), disk)
  return { set, start, segments, log, logged, state: mortalDisk.state }
})

describe.each(kinds)("a wall clock that is set ($name)", (kind) => {
  it.effect("ahead by 30 days for 13 seconds deletes no segment that is seconds old, and is reported and counted", () =>
    Effect.gen(function*() {
      const { logged, segments, set, start } = yield* machine(kind)
      const { counters, fill } = yield* start()
      yield* fill(5)
      set(30 * dayMillis)
      yield* TestClock.adjust("13 seconds")
      assert.deepStrictEqual(yield* segments, [0, 1, 2, 3, 4])
      set(-30 * dayMillis)
      yield* TestClock.adjust("13 seconds")
      assert.deepStrictEqual(yield* segments, [0, 1, 2, 3, 4])
      assert.strictEqual((yield* counters).clockJumps, 2)
      assert.deepStrictEqual(logged.map((line) => /^the wall clock was set (\w+) by 30\.0 d/.exec(line)?.[1]), [
        "forward",
        "back"
      ])
      yield* TestClock.adjust("30 minutes")
      assert.deepStrictEqual(yield* segments, [5])
    }).pipe(Effect.scoped))

  it.effect("ahead keeps nothing for ever: what was closed then goes when its time has come, and what is newer too", () =>
    Effect.gen(function*() {
      const { segments, set, start } = yield* machine(kind)
      const { fill } = yield* start()
      set(3650 * dayMillis)
      yield* fill(2)
      set(-3650 * dayMillis)
      yield* fill(3)
      yield* TestClock.adjust(ageMillis - 10_000)
      assert.deepStrictEqual(yield* segments, [0, 1, 2, 3, 4])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* segments, [5])
    }).pipe(Effect.scoped, quiet))

  it.effect("ahead at a start deletes nothing, and what is believed after five minutes counts", () =>
    Effect.gen(function*() {
      const { segments, set, start } = yield* machine(kind)
      const first = yield* start()
      yield* first.fill(4)
      yield* first.close
      set(30 * dayMillis)
      yield* start()
      yield* TestClock.adjust("4 minutes")
      assert.deepStrictEqual(yield* segments, [0, 1, 2, 3])
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* segments, [3])
    }).pipe(Effect.scoped, quiet))

  it.effect("ahead in an earlier run keeps nothing for ever", () =>
    Effect.gen(function*() {
      const { segments, set, start } = yield* machine(kind)
      set(3650 * dayMillis)
      const first = yield* start()
      yield* first.fill(3)
      yield* first.close
      set(-3650 * dayMillis)
      // Segment 2 is continued.
      const second = yield* start()
      yield* second.fill(2)
      yield* TestClock.adjust("20 minutes")
      assert.deepStrictEqual(yield* segments, [0, 1, 2, 3])
      yield* TestClock.adjust("30 minutes")
      assert.deepStrictEqual(yield* segments, [4])
    }).pipe(Effect.scoped, quiet))

  it.effect("neither ends nor prolongs a hold", () =>
    Effect.gen(function*() {
      for (const days of [30, -30]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { segments, set, start } = yield* machine(kind)
          // One event fills a segment.
          const { fill, maintainer } = yield* start({
            segmentBytesMax: 64,
            limits: { maxSegments: 3, maxCompressedSegments: 4 }
          })
          yield* fill(5)
          yield* maintainer.hold({ name: "backup", fromSegmentIndex: 0, timeToLive: "1 minute" })
          set(days * dayMillis)
          yield* fill(5)
          yield* TestClock.adjust("40 seconds")
          assert.lengthOf((yield* maintainer.status).holds, 1)
          assert.lengthOf(yield* segments, 10)
          yield* TestClock.adjust("20 seconds")
          assert.lengthOf((yield* maintainer.status).holds, 0)
          assert.isBelow((yield* segments).length, 8)
        }))
      }
    }).pipe(quiet))

  it.effect("moves no timer: the meta file, the flush that is due and the ages of tasks follow elapsed time", () =>
    Effect.gen(function*() {
      const { log, set, start } = yield* machine(kind)
      const { recorder } = yield* start({ commit: "onTimer", flushEvery: 100 })
      const renewals = Effect.map(log, (lines) => lines.filter((line) => /rename .*wal_meta/.test(line)).length)
      for (const days of [-30, 60]) {
        set(days * dayMillis)
        const before = yield* renewals
        for (let round = 0; round < 25; round++) {
          const id = yield* recorder.append(kind.event(recorder.writer.lastEventId + 1))
          yield* TestClock.adjust(200)
          assert.strictEqual((yield* recorder.positions).durable, id)
        }
        const count = (yield* renewals) - before
        assert.isTrue(count >= 4 && count <= 6, `${count} renewals in five seconds`)
      }
    }).pipe(Effect.scoped, quiet))

  it.effect.each([[120_000, "forward"], [-120_000, "back"]] as const)(
    "leaves the minute in which deaths of an executor are counted as it is (%i: %s)",
    ([millis]) =>
      Effect.gen(function*() {
        const { set, start, state } = yield* machine(kind)
        const { fill, maintainer } = yield* start({ restartsMax: 2 })
        const dieOnce = Effect.gen(function*() {
          state.deaths = 1
          state.dieAt = state.operations + 1
          yield* fill(1)
          set(millis)
          yield* TestClock.adjust("10 seconds")
        })
        yield* dieOnce
        yield* dieOnce
        assert.isFalse((yield* maintainer.status).isDown)
        yield* TestClock.adjust("1 minute")
        yield* dieOnce
        yield* dieOnce
        assert.isFalse((yield* maintainer.status).isDown)
        state.deaths = 1
        state.dieAt = state.operations + 1
        yield* Effect.forkChild(fill(1))
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* maintainer.status).isDown)
      }).pipe(Effect.scoped, quiet)
  )
})

describe.each(subjects)("a wall clock that is ahead by 30 days ($name)", ({ wal }) => {
  it.live.each(kinds)("makes no segment older ($format)", ({ event, format }) =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { clock, set } = yield* settableClock
      const { context } = yield* open(
        Layer.provide(wal({ directory, format, limits, segmentBytesMax }), NodeDisk.layer)
      )
        .pipe(Effect.provideService(Clock.Clock, clock))
      const recorder = Context.get(context, Recorder)
      const maintainer = Context.get(context, SegmentMaintainer)
      for (let id = 1; id <= 4; id++) {
        yield* recorder.append(event(id))
        yield* recorder.rotate
      }
      yield* maintainer.drain
      set(30 * dayMillis)
      yield* maintainer.setLimits(limits)
      assert.deepStrictEqual(yield* maintainer.plan, [])
      const receipt = yield* maintainer.drain
      assert.deepStrictEqual([receipt.done.freeze, receipt.done.free], [0, 0])
      assert.isBelow(receipt.millis, dayMillis)
      assert.deepStrictEqual((yield* Effect.provide(look(directory), NodeDisk.layer)).hot, [0, 1, 2, 3])
    }).pipe(Effect.scoped, quiet))
})
