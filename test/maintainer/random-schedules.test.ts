/**
 * Random schedules: events, rotations, commits and their interruption, faults of the disk, time that passes, a drain or a
 * power failure at the end. Whatever happens, the invariants hold. Everything follows from the seed that a failure prints.
 *
 * The suite runs the first 200 seeds, to stay quick. All 1,000 that a release wants:
 *
 * ```sh
 * EFFECT_WAL_RUNS=1000 npx vitest run test/maintainer/random-schedules.test.ts
 * ```
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { event, look, named, quiet, recorded, simulated, watch, whileClockTurns } from "./maintaining.ts"

const directory = "/wal"
const runs = Number(process.env["EFFECT_WAL_RUNS"] ?? 200)
const firstSeed = Number(process.env["EFFECT_WAL_SEED"] ?? 1)

const faultyOperations = ["open", "read", "write", "sync", "rename", "unlink", "syncDirectory", "truncate"] as const

const run = Effect.fnUntraced(function*(seed: number) {
  const random = new SeededRandom(seed)
  const limits = { maxSegments: 2 + random.below(3), maxCompressedSegments: 4 }
  const services = yield* Layer.build(Layer.fresh(simulated({ seed, logLength: 40 })))
  const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
  const layer = Wal.layer({
    directory,
    segmentBytesMax: 256,
    limits,
    compression: random.chance(0.2) ? "block" : "frame"
  })
    .pipe(Layer.provide(Layer.succeedContext(services)))

  let appended = 0
  let committed = 0
  const live = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
    return {
      recorder: Context.get(context, Recorder),
      maintainer: Context.get(context, SegmentMaintainer),
      close: Scope.close(scope, Exit.void)
    }
  })

  const holds = Effect.fnUntraced(function*(maintainer: SegmentMaintainer["Service"]) {
    const found = yield* look(directory).pipe(Effect.provideContext(services))
    const failed = new Set((yield* maintainer.failures).map((failure) => failure.segmentIndex))
    const hot = found.hot.filter((segmentIndex) => !failed.has(segmentIndex))
    assert.isAtMost(hot.length, limits.maxSegments, "hot segments")
    assert.isAtMost(
      found.cold.filter((segmentIndex) => !failed.has(segmentIndex)).length,
      limits.maxCompressedSegments + 1,
      "cold segments"
    )
    assert.deepStrictEqual(found.empty, [], "empty files")
  })

  const { close, maintainer, recorder } = yield* whileClockTurns(live)
  const events = yield* watch(maintainer)
  for (let step = 0; step < 12; step++) {
    const draw = random.below(10)
    if (draw < 4) {
      for (let i = random.below(12); i >= 0; i--) {
        const id = recorder.writer.appendUnsafe(event(appended + 1))
        if (id > 0) assert.strictEqual(id, ++appended)
      }
    } else if (draw === 4) recorder.writer.rotateUnsafe()
    else if (draw === 5) yield* disk.failNext(faultyOperations[random.below(faultyOperations.length)]!, "Io", /FS/)
    else if (draw === 6) yield* TestClock.adjust(random.below(2000))
    else {
      const fiber = yield* Effect.forkChild(Effect.ignore(Effect.tap(recorder.commit, (id) =>
        Effect.sync(() => {
          committed = Math.max(committed, id)
        }))))
      yield* TestClock.adjust(random.below(3))
      if (random.chance(0.3)) fiber.interruptUnsafe()
    }
    yield* holds(maintainer)
  }

  // Half of the runs end in a power failure, the others in order.
  if (random.chance(0.5)) {
    yield* disk.crashAt((yield* disk.operationCount) + 1 + random.below(30))
    recorder.writer.rotateUnsafe()
    // With the power off every operation dies, and the executors with it, until the maintainer is given up.
    yield* whileClockTurns(close)
    yield* disk.crash
    yield* disk.heal
    const again = yield* whileClockTurns(live)
    assert.isAtLeast(again.recorder.recovery.lastEventId, committed, "committed before the crash")
    yield* whileClockTurns(again.close)
    const left = yield* recorded(directory).pipe(Effect.provideContext(services))
    const last = again.recorder.recovery.lastEventId
    assert.deepStrictEqual(left, named(last - left.length + 1, last), "events after the crash")
    return
  }
  yield* whileClockTurns(close)
  yield* disk.heal
  yield* holds(maintainer)
  const found = yield* look(directory).pipe(Effect.provideContext(services))
  assert.deepStrictEqual(found.both, [], "segments in two forms")
  const left = yield* recorded(directory).pipe(Effect.provideContext(services))
  assert.deepStrictEqual(left, named(appended - left.length + 1, appended), "events")
  for (const tag of ["Persisted", "Frozen", "Freed"]) {
    const indices = events.filter((event) => event._tag === tag).map((event) => event.segmentIndex)
    assert.deepStrictEqual(indices, [...new Set(indices)].sort((a, b) => a - b), tag)
  }
}, Effect.scoped)

describe("the maintainer", () => {
  it.effect(`keeps its invariants in ${runs} random schedules`, () =>
    Effect.gen(function*() {
      for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
        yield* run(seed).pipe(Effect.catchCause((cause) =>
          Effect.die(new Error(`EFFECT_WAL_SEED=${seed} EFFECT_WAL_RUNS=1 repeats this`, { cause }))
        ))
      }
    }).pipe(quiet))
})
