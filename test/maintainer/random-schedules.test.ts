/**
 * Random schedules: events, rotations, commits and their interruption, limits that change, holds taken and released,
 * faults of the disk, deaths of the executor, time that passes; at the end a power failure, or a drain with or without
 * a deadline. Whatever happens, the invariants hold. Everything follows from the seed that a failure prints.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import type { RetentionLimits } from "../../src/maintainer/retention/Retention.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { Hold } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { playSample, samples } from "../samples.ts"
import { format1, format2, look, named, quiet, recorded, simulated, watch, whileClockTurns } from "./maintaining.ts"
import { mortal } from "./mortalDisk.ts"

const directory = "/wal"

/** How often each thing was drawn and had an effect, over all schedules: without them they would prove nothing. */
const seen = {
  crashes: 0,
  deaths: 0,
  interruptions: 0,
  limits: 0,
  heldBack: 0,
  cutDrains: 0,
  faults: 0,
  frozen: 0,
  freed: 0
}

const faultyOperations = ["open", "read", "write", "sync", "rename", "unlink", "syncDirectory", "truncate"] as const

type Ending = "power failure" | "closing" | "drain"

const drawLimits = (random: SeededRandom): RetentionLimits => ({
  maxSegments: 2 + random.below(3),
  maxCompressedSegments: random.chance(0.1) ? "unlimited" : 4 + random.below(2)
})

/**
 * How many segments there may be of a kind: no more than the limit, but for those that a larger limit or a hold left.
 */
class Allowed {
  private most = 0

  check(found: number, limit: number, words: string): void {
    this.most = Math.max(limit, Math.min(this.most, found))
    if (found > this.most) assert.fail(`${found} ${words} where ${this.most} are allowed`)
  }

  /** There may be any number now, as long as it does not grow later. */
  lift(): void {
    this.most = Number.POSITIVE_INFINITY
  }
}

const run = Effect.fnUntraced(function*(seed: number) {
  const random = new SeededRandom(seed)
  const kind = random.chance(0.02) ? format1 : format2
  const ending: Ending = random.chance(0.3) ? "power failure" : random.chance(0.5) ? "closing" : "drain"
  // Most runs are short and many, the others long enough for segments to be deleted.
  const { burst, steps } = random.chance(0.12) ? { steps: 13, burst: 36 } : { steps: 3, burst: 12 }
  const drainMillisMax = ending === "drain" && random.chance(0.6) ? random.below(300) : undefined
  let limits = drawLimits(random)
  const services = yield* Layer.build(Layer.fresh(simulated({ seed, logLength: 40 })))
  const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
  const { service, state } = mortal(Context.get(services, Disk))
  const inDirectory = Effect.provideContext(services)
  const layer = Wal.layer({
    directory,
    format: kind.format,
    segmentBytesMax: 256,
    limits,
    ...(drainMillisMax === undefined ? {} : { drainMax: drainMillisMax }),
    compression: random.chance(0.2) ? "block" : "frame"
  }).pipe(Layer.provide(Layer.succeedContext(Context.add(services, Disk, service))))

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
  const { close, maintainer, recorder } = yield* whileClockTurns(live)
  const events = yield* watch(maintainer)

  const allowedHot = new Allowed()
  const allowedCold = new Allowed()
  let held: { readonly hold: Hold; readonly fromSegmentIndex: number; readonly scope: Scope.Closeable } | undefined
  const release = Effect.suspend(() => {
    const scope = held?.scope
    held = undefined
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  })

  const invariantsHold = Effect.fnUntraced(function*() {
    const found = yield* inDirectory(look(directory))
    const failures = yield* maintainer.failures
    const failed = new Set(failures.map((failure) => failure.segmentIndex))
    const hot = found.hot.filter((segmentIndex) => !failed.has(segmentIndex))
    allowedHot.check(hot.length, limits.maxSegments, "hot segments")
    // What is held is kept, and nothing goes that is newer than a segment on which a step was abandoned.
    if (held !== undefined || failed.size > 0 || limits.maxCompressedSegments === "unlimited") allowedCold.lift()
    else allowedCold.check(found.cold.length + found.both.length, limits.maxCompressedSegments, "cold segments")
    if (found.empty.length > 0) assert.fail(`empty files: ${found.empty.join(", ")}`)
    const all = [...found.hot, ...found.cold]
    if (held !== undefined && all.length > 0 && Math.min(...all) > held.fromSegmentIndex) {
      assert.fail(`segment ${held.fromSegmentIndex} is held, the oldest is ${Math.min(...all)}`)
    }
    return found
  })

  const takeHold = Effect.fnUntraced(function*() {
    const [oldest] = yield* maintainer.segments
    // One that is being deleted already cannot be kept any more.
    if (oldest === undefined || oldest.state === "freeing") return
    const fromSegmentIndex = oldest.segmentIndex
    const scope = yield* Scope.make()
    const hold = yield* Scope.provide(maintainer.hold({ name: "reader", fromSegmentIndex }), scope)
    held = { hold, fromSegmentIndex, scope }
  })

  const step = Effect.fnUntraced(function*() {
    const draw = random.below(17)
    if (draw < 6) {
      for (let i = 1 + random.below(burst); i > 0; i--) {
        const id = recorder.writer.appendUnsafe(kind.event(appended + 1))
        if (id > 0 && id !== ++appended) assert.fail(`event ${appended} got the id ${id}`)
      }
      yield* TestClock.adjust(0)
    } else if (draw === 6) recorder.writer.rotateUnsafe()
    else if (draw === 7) yield* TestClock.adjust(random.below(2000))
    else if (draw === 8) {
      seen.faults += 1
      const operation = faultyOperations[random.below(faultyOperations.length)]!
      // A failed write may leave half a header behind, and half a header at a power failure is outside of what is
      // assumed of disks: 512 bytes are written whole or not at all.
      const path = operation === "write" && ending === "power failure" ? /FS.*lz4/ : /FS/
      yield* disk.failNext(operation, "Io", path)
    } else if (draw === 9) {
      seen.limits += 1
      limits = drawLimits(random)
      allowedHot.lift()
      allowedCold.lift()
      yield* maintainer.setLimits(limits)
    } else if (draw < 12) {
      if (held === undefined) yield* takeHold()
      else if (random.chance(0.25)) yield* release
      else {
        held = { ...held, fromSegmentIndex: held.fromSegmentIndex + 1 }
        yield* held.hold.advanceTo(held.fromSegmentIndex)
      }
    } else if (draw === 12) {
      state.dieAt = state.operations + 1 + random.below(10)
      state.deaths = 1
    } else {
      const fiber = yield* Effect.forkChild(Effect.ignore(Effect.tap(recorder.commit, (id) =>
        Effect.sync(() => {
          committed = Math.max(committed, id)
        }))))
      yield* TestClock.adjust(random.below(3))
      if (fiber.pollUnsafe() === undefined && random.chance(0.5)) {
        seen.interruptions += 1
        fiber.interruptUnsafe()
      }
    }
  })

  for (let count = 0; count < steps; count++) {
    yield* step()
    const found = yield* invariantsHold()
    const { maxCompressedSegments } = limits
    if (held !== undefined && maxCompressedSegments !== "unlimited" && found.cold.length > maxCompressedSegments) {
      seen.heldBack += 1
    }
  }

  if (ending === "power failure") {
    seen.crashes += 1
    yield* disk.crashAt((yield* disk.operationCount) + 1 + random.below(30))
    recorder.writer.rotateUnsafe()
    // With the power off every operation dies, and the executors with it, until the maintainer is down.
    yield* whileClockTurns(close)
    yield* release
    yield* disk.crash
    yield* disk.heal
    state.dieAt = Number.POSITIVE_INFINITY
    const again = yield* whileClockTurns(live)
    assert.isAtLeast(again.recorder.recovery.lastEventId, committed, "committed before the crash")
    yield* whileClockTurns(again.close)
    const left = yield* inDirectory(recorded(directory, kind))
    const last = again.recorder.recovery.lastEventId
    assert.deepStrictEqual(left, named(last - left.length + 1, last, kind), "events after the crash")
    return
  }

  yield* release
  if (ending === "drain") {
    if (drainMillisMax !== undefined) {
      // Much to compress, and slowly.
      yield* disk.setFaults({ slowRate: 0.5, slowMax: 50 })
      yield* maintainer.setLimits({ ...limits, maxSegments: 2 })
    }
    recorder.writer.rotateUnsafe()
    const receipt = yield* whileClockTurns(maintainer.drain)
    assert.deepStrictEqual([receipt.left.persist, receipt.left.free], [0, 0], "what a drain leaves")
    if (receipt.left.freeze > 0) {
      seen.cutDrains += 1
      assert.isAtLeast(
        receipt.millis,
        drainMillisMax ?? Number.POSITIVE_INFINITY,
        "a drain gives up compression at its deadline, not before"
      )
    }
  }
  yield* whileClockTurns(close)
  const { isDown, restarts } = yield* maintainer.status
  assert.isFalse(isDown, "the maintainer is not down")
  seen.deaths += restarts
  yield* disk.heal
  // A drain that abandoned compression continues without a limit of hot segments.
  if (drainMillisMax !== undefined) allowedHot.lift()
  const found = yield* invariantsHold()
  // A freeze that is abandoned may have named its cold file already; the next start finishes it.
  assert.isAtMost(found.both.length, drainMillisMax === undefined ? 0 : 1, "segments in two forms")
  const left = yield* inDirectory(recorded(directory, kind))
  assert.deepStrictEqual(left, named(appended - left.length + 1, appended, kind), "events")
  for (const tag of ["Persisted", "Frozen", "Freed"]) {
    const indices = events.filter((event) => event._tag === tag).map((event) => event.segmentIndex)
    assert.deepStrictEqual(indices, [...new Set(indices)].sort((a, b) => a - b), tag)
  }
  seen.frozen += events.filter((event) => event._tag === "Frozen").length
  seen.freed += events.filter((event) => event._tag === "Freed").length
}, Effect.scoped)

describe("the maintainer", () => {
  it("keeps its invariants in random schedules", async ({ annotate }) => {
    const played = await playSample("schedules", annotate, (seed) =>
      run(seed).pipe(
        Effect.provide(TestClock.layer()),
        Effect.provideService(References.TracerEnabled, false),
        quiet,
        Effect.runPromise
      ))
    if (played < samples.schedules.atLeast) return
    // Of the seeds that every run plays; some hundred others may happen to draw a rare thing once.
    for (const [what, count] of Object.entries(seen)) assert.isAbove(count, 0, `no ${what} was drawn`)
  })
})
