/** The limit in age reaches every event of a log, however quiet it is; what is younger stays. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk, openScoped, writeFully } from "../../src/disk/Disk.ts"
import { encodeHeader } from "../../src/format/SegmentHeader.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { buildWal } from "../fixtures/segments.ts"
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
} from "../maintainer/maintaining.ts"
import type { Kind } from "../maintainer/maintaining.ts"

const directory = "/wal"
const ageMillisMax = 8000
const limits = { maxSegments: 32, maxCompressedSegments: "unlimited", ageMax: ageMillisMax } as const
/** What is due goes within a sixteenth, and the executor needs a cycle for each step. */
const soonMillis = ageMillisMax / 8 + 2000

const machine = Effect.fnUntraced(function*({ format }: Kind) {
  yield* TestClock.setTime(1_800_000_000_000)
  const disk = yield* Layer.build(simulated())
  const onDisk = Effect.provideContext(disk)
  const start = Effect.fnUntraced(function*(options: Partial<WalOptions> = {}) {
    const opened = yield* open(
      Wal.layer({ directory, format, segmentBytesMax, limits, ...options }).pipe(
        Layer.provide(Layer.succeedContext(disk))
      )
    )
    yield* settle
    return {
      recorder: Context.get(opened.context, Recorder),
      maintainer: Context.get(opened.context, SegmentMaintainer),
      close: whileClockTurns(opened.close)
    }
  })
  const ids = Effect.map(
    Stream.runCollect(Replay.events({ directory })),
    (events) => events.map(({ id }) => id)
  ).pipe(onDisk)
  const faults = Effect.map(Verify.verify({ directory }), ({ faults }) => faults.map(Verify.formatVerifyFault))
    .pipe(onDisk)
  return { start, ids, faults, onDisk, found: onDisk(look(directory)) }
})

describe.each(kinds)("a limit in age ($name)", (kind) => {
  const { event } = kind

  it.effect("reaches the only event of a quiet log, committed or not, and the log continues after it", () =>
    Effect.gen(function*() {
      const { faults, found, ids, onDisk, start } = yield* machine(kind)
      for (const [id, commit] of [[1, "onCommit"], [2, "onRotate"]] as const) {
        const { close, recorder } = yield* start({ commit })
        assert.strictEqual(yield* recorder.append(event(id)), id)
        if (commit === "onCommit") yield* Effect.forkChild(recorder.commit)
        yield* TestClock.adjust(ageMillisMax - 1000)
        assert.deepStrictEqual(yield* ids, commit === "onCommit" ? [id] : [])
        yield* TestClock.adjust(1000 + soonMillis)
        assert.deepStrictEqual(yield* ids, [])
        assert.deepStrictEqual(yield* onDisk(Replay.firstAvailableId(directory)), Option.some(id + 1))
        const deleted = yield* Effect.flip(onDisk(Stream.runDrain(Replay.events({ directory, from: { id } }))))
        assert.strictEqual(deleted._tag, "EventsDeleted")
        assert.lengthOf([...(yield* found).hot, ...(yield* found).cold], 1)
        assert.deepStrictEqual(yield* faults, [])
        // Nothing more happens while nothing is recorded.
        const before = recorder.writer.activeSegmentIndex
        yield* TestClock.adjust(3 * ageMillisMax)
        assert.strictEqual(recorder.writer.activeSegmentIndex, before)
        yield* close
        assert.deepStrictEqual(yield* faults, [])
      }
    }).pipe(Effect.scoped, quiet))

  it.effect("deletes no event that is younger, and none stays twice as long, while events trickle in", () =>
    Effect.gen(function*() {
      const { faults, ids, start } = yield* machine(kind)
      const { recorder } = yield* start()
      const appended: Array<number> = []
      for (let round = 0; round < 40; round++) {
        yield* recorder.append(event(round + 1))
        yield* Effect.forkChild(recorder.commit)
        appended.push(round * 1000)
        yield* TestClock.adjust(1000)
        const now = (round + 1) * 1000
        const there = yield* ids
        for (const [at, millis] of appended.entries()) {
          if (now - millis < ageMillisMax) assert.include(there, at + 1, `event ${at + 1}, ${now - millis} ms old`)
          if (now - millis > 2 * ageMillisMax + soonMillis) assert.notInclude(there, at + 1, `after ${now - millis} ms`)
        }
      }
      assert.isAbove((yield* ids)[0] ?? 0, 10)
      assert.deepStrictEqual(yield* faults, [])
    }).pipe(Effect.scoped, quiet))

  it.effect("reaches what an earlier run has left, when nothing is recorded any more", () =>
    Effect.gen(function*() {
      const { faults, found, ids, start } = yield* machine(kind)
      const first = yield* start()
      for (let id = 1; id <= 3; id++) yield* first.recorder.append(event(id))
      yield* first.close
      const second = yield* start()
      yield* TestClock.adjust(ageMillisMax - 1000)
      assert.deepStrictEqual(yield* ids, [1, 2, 3])
      yield* TestClock.adjust(1000 + soonMillis)
      assert.deepStrictEqual(yield* ids, [])
      assert.strictEqual(yield* second.recorder.append(event(4)), 4)
      yield* second.close
      assert.deepStrictEqual(yield* ids, [4])
      assert.deepStrictEqual([yield* faults, (yield* found).leftovers], [[], []])
    }).pipe(Effect.scoped, quiet))

  it.effect("reaches an event whose segment one start after the other continues, and no younger one", () =>
    Effect.gen(function*() {
      const { faults, ids, start } = yield* machine(kind)
      const began = yield* Clock.currentTimeMillis
      const appended: Array<number> = []
      let continued = 0
      for (let round = 1; round <= 16; round++) {
        const { close, recorder } = yield* start()
        if (recorder.writer.activeBytes > 0) continued += 1
        assert.strictEqual(yield* recorder.append(event(round)), round)
        yield* Effect.forkChild(recorder.commit)
        appended.push((yield* Clock.currentTimeMillis) - began)
        yield* TestClock.adjust(ageMillisMax / 4)
        const now = (yield* Clock.currentTimeMillis) - began
        const there = yield* ids
        for (const [at, millis] of appended.entries()) {
          if (now - millis < ageMillisMax) assert.include(there, at + 1, `event ${at + 1}, ${now - millis} ms old`)
          if (now - millis > 2 * ageMillisMax + soonMillis) assert.notInclude(there, at + 1, `after ${now - millis} ms`)
        }
        yield* close
      }
      assert.isAbove(continued, 6)
      assert.isAbove((yield* ids)[0] ?? 0, 1)
      assert.deepStrictEqual(yield* faults, [])
    }).pipe(Effect.scoped, quiet))

  it.effect("keeps what is held, and rotates nothing where there is none", () =>
    Effect.gen(function*() {
      const { ids, start } = yield* machine(kind)
      const { maintainer, recorder } = yield* start({ limits: { maxSegments: 32, maxCompressedSegments: "unlimited" } })
      yield* recorder.append(event(1))
      yield* Effect.forkChild(recorder.commit)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(recorder.writer.activeSegmentIndex, 0)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* maintainer.hold({ name: "reader", fromSegmentIndex: 0 })
        yield* maintainer.setLimits(limits)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* ids, [1])
      }))
      yield* TestClock.adjust(soonMillis)
      assert.deepStrictEqual(yield* ids, [])
    }).pipe(Effect.scoped, quiet))

  it.effect("leaves a segment without events that is checked like any other: its ids must be those around it", () =>
    Effect.gen(function*() {
      const { faults, onDisk } = yield* machine(kind)
      const [first] = buildWal({ layout: kind.layout, segments: [5] })
      const put = (name: string, bytes: Uint8Array) =>
        Effect.scoped(Effect.gen(function*() {
          const file = yield* openScoped(`${directory}/${name}`, "create")
          yield* writeFully(file, [bytes], 0)
        }))
      yield* onDisk(Disk.use((disk) => disk.makeDirectory(directory)))
      yield* onDisk(put("FS.00000000.wal", first!.bytes))
      for (const [lastEventId, isRight] of [[5, true], [4, false], [6, kind.layout.version === 1]] as const) {
        const header = encodeHeader({
          ...first!.header,
          segmentIndex: 1,
          blockCount: 0,
          eventCount: 0,
          firstEventId: lastEventId + 1,
          lastEventId,
          previousChainedChecksum: kind.layout.version === 1 ? 0n : first!.chainedChecksum,
          lastChainedChecksum: kind.layout.version === 1 ? 0n : first!.chainedChecksum
        })
        yield* onDisk(put("FS.00000001.wal", header))
        assert.strictEqual((yield* faults).length === 0, isRight, `after event ${lastEventId}: ${yield* faults}`)
        yield* onDisk(Disk.use((disk) => disk.unlink(`${directory}/FS.00000001.wal`)))
      }
    }).pipe(Effect.scoped, quiet))
})

describe.each(subjects)("a limit in age of a quiet log ($name)", ({ wal }) => {
  it.live.each(kinds)("reaches its only event ($format)", ({ event, format }) =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const options = { directory, format, segmentBytesMax, limits: { ...limits, ageMax: 400 } }
      const { close, context } = yield* open(Layer.provide(wal(options), NodeDisk.layer))
      const recorder = Context.get(context, Recorder)
      yield* recorder.appendDurable(event(1))
      const isGone = Effect.map(Replay.firstAvailableId(directory), Option.contains(2))
      yield* Effect.repeat(Effect.sleep("50 millis"), { until: () => Effect.provide(isGone, NodeDisk.layer) })
        .pipe(Effect.timeout("20 seconds"))
      assert.strictEqual(yield* recorder.appendDurable(event(2)), 2)
      yield* close
      const { faults } = yield* Effect.provide(Verify.verify({ directory }), NodeDisk.layer)
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped, quiet))
})
