/** Held back means waiting: attempts are rare, come at once when there is room, and show in every status. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import { formatWait } from "../../src/maintainer/HeldBackStatus.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { fillUntil, mountMissing, withMount } from "../faults/mounts.ts"
import {
  done,
  kinds,
  NodeDisk,
  open,
  quiet,
  segmentBytesMax,
  settle,
  simulated,
  subjects,
  whileClockTurns
} from "./maintaining.ts"
import type { Kind } from "./maintaining.ts"
import { mortal } from "./mortalDisk.ts"

const directory = "/wal"
const limits = { maxSegments: 8, maxCompressedSegments: 64 }

/** One event fills a segment. */
const oneEach = { segmentBytesMax: 64 }

/** In a minute: once a second, and the seven tries of the first second, which come faster. */
const perMinuteMax = 60 + 8

const start = Effect.fnUntraced(function*({ event, format }: Kind, options: Partial<WalOptions> = {}) {
  const services = yield* Layer.build(Layer.fresh(simulated()))
  const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
  const { service, state } = mortal(Context.get(services, Disk))
  const opened = yield* open(
    Wal.layer({ directory, format, segmentBytesMax, limits, ...options }).pipe(
      Layer.provide(Layer.succeedContext(Context.add(services, Disk, service)))
    )
  )
  yield* settle
  const recorder = Context.get(opened.context, Recorder)
  const append = Effect.suspend(() => recorder.append(event(recorder.writer.lastEventId + 1)))
  /** The failed operations of this kind so far. */
  const failedOf = (operation: string) =>
    Effect.map(
      disk.log,
      (lines) => lines.filter((line) => new RegExp(`^#\\d+ ${operation} .*: (Full|Io)$`).test(line)).length
    )
  return {
    disk,
    recorder,
    append,
    failedOf,
    state,
    maintainer: Context.get(opened.context, SegmentMaintainer),
    gauges: Effect.map(Context.get(opened.context, Telemetry).snapshot, ({ gauges }) => gauges),
    close: opened.close
  }
})

describe.each(kinds)("a recorder that is held back ($name)", (kind) => {
  it.effect("tries once a second on a full disk, whatever the commit policy and however often it is asked", () =>
    Effect.gen(function*() {
      const { append, close, disk, failedOf, recorder } = yield* start(kind, { commit: "onTimer", flushEvery: 5 })
      yield* append
      yield* TestClock.adjust(20)
      yield* disk.failAlways("write", "Full")
      yield* append
      let before = yield* failedOf("write")
      for (let minute = 0; minute < 19; minute++) {
        for (let second = 0; second < 60; second++) {
          yield* Effect.forkChild(Effect.exit(recorder.flush))
          yield* TestClock.adjust("1 second")
        }
        const failed = (yield* failedOf("write")) - before
        assert.isTrue(failed >= 50 && failed <= perMinuteMax, `${failed} attempts in minute ${minute}`)
        before += failed
      }
      // The same holds while a shutdown waits for it.
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost((yield* failedOf("write")) - before, perMinuteMax)
      yield* disk.heal
      yield* whileClockTurns(Fiber.join(closing))
    }).pipe(Effect.scoped, quiet))

  it.effect.each(["sync", "syncDirectory", "rename", "open"] as const)(
    "tries once a second while every %s fails",
    (operation) =>
      Effect.gen(function*() {
        const { append, close, disk, failedOf, recorder } = yield* start(kind, { flushEvery: 5 })
        yield* disk.failAlways(operation, "Io")
        yield* append
        yield* Effect.forkChild(Effect.exit(recorder.commit))
        yield* TestClock.adjust("1 minute")
        // Files are made ahead too, which is a thing of its own to be tried.
        const most = operation === "open" ? 2 * perMinuteMax : perMinuteMax
        const failed = yield* failedOf(operation)
        assert.isTrue(failed >= 10 && failed <= most, `${failed} attempts in a minute`)
        yield* disk.heal
        yield* whileClockTurns(close)
      }).pipe(Effect.scoped, quiet)
  )

  it.effect("is woken when a deletion makes room", () =>
    Effect.gen(function*() {
      const { append, disk, maintainer, recorder } = yield* start(kind, oneEach)
      for (let segment = 0; segment < 12; segment++) {
        yield* append
        yield* recorder.rotate
        yield* TestClock.adjust("1 second")
      }
      yield* whileClockTurns(maintainer.drain)
      yield* disk.failAlways("write", "Full", /\.wal(\.tmp)?$/)
      const id = yield* append
      yield* Effect.forkChild(Effect.exit(recorder.commit))
      yield* TestClock.adjust(10_600)
      const { heldBack } = yield* maintainer.status
      assert.isAbove(heldBack?.nextTryInMillis ?? 0, 100)
      yield* disk.heal
      yield* settle
      assert.isBelow((yield* recorder.positions).durable, id)
      yield* maintainer.setLimits({ maxSegments: 8, maxCompressedSegments: 4 })
      yield* settle
      assert.strictEqual((yield* recorder.positions).durable, id)
    }).pipe(Effect.scoped, quiet))

  it.effect("is woken when a drain gives up the reserve, which happens once", () =>
    Effect.gen(function*() {
      const { append, close, disk, failedOf, recorder } = yield* start(kind, { reserveBytes: 4096 })
      yield* append
      yield* disk.failAlways("write", "Full", /\.wal/)
      yield* Effect.forkChild(Effect.exit(recorder.commit))
      yield* TestClock.adjust("10 seconds")
      const before = yield* failedOf("write")
      const closing = yield* Effect.forkChild(close)
      yield* settle
      assert.strictEqual(yield* failedOf("write"), before + 1)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost((yield* failedOf("write")) - before, perMinuteMax)
      yield* disk.heal
      yield* whileClockTurns(Fiber.join(closing))
    }).pipe(Effect.scoped, quiet))

  it.effect("shows why, since when, and when it tries again: in status, positions and telemetry, and in words", () =>
    Effect.gen(function*() {
      const { append, close, disk, gauges, maintainer, recorder } = yield* start(kind)
      assert.isUndefined((yield* maintainer.status).heldBack)
      assert.isUndefined((yield* recorder.positions).heldBack)
      yield* disk.failAlways("write", "Full")
      yield* append
      yield* Effect.forkChild(Effect.exit(recorder.commit))
      yield* TestClock.adjust("90 seconds")
      const { heldBack } = yield* maintainer.status
      assert.isDefined(heldBack)
      assert.strictEqual(heldBack.reason, "DiskFull")
      assert.isTrue(heldBack.forMillis > 89_000 && heldBack.forMillis <= 90_000, `${heldBack.forMillis}`)
      const { nextTryInMillis = 0 } = heldBack
      assert.isTrue(nextTryInMillis > 0 && nextTryInMillis <= 1000, `${nextTryInMillis}`)
      assert.deepStrictEqual((yield* recorder.positions).heldBack, heldBack)
      const { heldBackMillis, nextTryMillis } = yield* gauges
      assert.deepStrictEqual([heldBackMillis, nextTryMillis], [
        Math.ceil(heldBack.forMillis),
        Math.ceil(nextTryInMillis)
      ])
      const closing = yield* Effect.forkChild(close)
      yield* settle
      assert.match(
        formatWait(yield* maintainer.status) ?? "",
        /^1 segment to make durable; the disk is full, for 1\.50 min, next try in .*; free some space/
      )
      yield* disk.heal
      yield* TestClock.adjust("2 seconds")
      yield* done(closing)
      assert.isUndefined((yield* maintainer.status).heldBack)
      assert.isUndefined(formatWait(yield* maintainer.status))
    }).pipe(Effect.scoped, quiet))

  it.effect("abandons a freeze after eight attempts in 1.3 seconds, and tries it again every ten", () =>
    Effect.gen(function*() {
      const { append, disk, failedOf, recorder } = yield* start(kind, {
        ...oneEach,
        limits: { ...limits, maxSegments: 2 }
      })
      yield* disk.failAlways("open", "Full", /\.lz4/)
      yield* append
      yield* recorder.rotate
      yield* settle
      yield* TestClock.adjust(1260)
      assert.strictEqual(yield* failedOf("open"), 7)
      yield* TestClock.adjust(20)
      assert.strictEqual(yield* failedOf("open"), 8)
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(yield* failedOf("open"), 7 * 8)
      yield* disk.heal
    }).pipe(Effect.scoped, quiet))

  it.effect("starts an executor again after a second at most, however often it died", () =>
    Effect.gen(function*() {
      const { append, maintainer, recorder, state } = yield* start(kind, { restartsMax: 1000 })
      state.deaths = Number.POSITIVE_INFINITY
      state.dieAt = 0
      yield* append
      yield* Effect.forkChild(Effect.exit(recorder.commit))
      yield* TestClock.adjust("1 minute")
      const { restarts } = yield* maintainer.status
      assert.isTrue(restarts >= 55 && restarts <= perMinuteMax, `${restarts} restarts in a minute`)
      state.deaths = 0
      state.dieAt = Number.POSITIVE_INFINITY
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* recorder.positions).durable, 1)
    }).pipe(Effect.scoped, quiet))
})

const missing = await mountMissing("tmpfs")

describe.skipIf(missing !== "").each(subjects)("a recorder on a full disk ($name)", ({ wal }) => {
  it.live.each(kinds)(
    "tries less and less often, down to once a second ($format)",
    (kind) =>
      Effect.promise(() =>
        withMount("tmpfs", (mount) =>
          Effect.runPromise(
            Effect.gen(function*() {
              const scope = yield* Scope.make()
              const options: WalOptions = {
                directory: join(mount.path, "wal"),
                format: kind.format,
                segmentBytesMax: 64 * 1024,
                commit: "onTimer",
                flushEvery: 5
              }
              const context = yield* Layer.buildWithScope(
                Layer.provide(wal(options), NodeDisk.layer),
                scope
              )
              const recorder = Context.get(context, Recorder)
              const failures = Effect.map(Context.get(context, Telemetry).snapshot, ({ failures }) => failures.DiskFull)
              yield* recorder.append(kind.event(1))
              yield* recorder.flush
              const filler = fillUntil(mount.path, 0)
              const until = (isDone: Effect.Effect<boolean>) =>
                Effect.repeat(Effect.sleep("10 millis"), { until: () => isDone })
              // Files that were made ahead have no blocks yet, so a full one needs room.
              for (let id = 2; id <= 200; id++) yield* recorder.append(kind.event(id))
              yield* recorder.rotate
              yield* until(Effect.map(maintainerStatus(context), ({ heldBack }) => heldBack?.reason === "DiskFull"))
              const before = yield* failures
              yield* Effect.sleep("2 seconds")
              const tried = (yield* failures) - before
              assert.isTrue(tried >= 1 && tried <= 11, `${tried} attempts in two seconds`)
              rmSync(filler)
              yield* until(Effect.map(recorder.positions, ({ durable }) => durable === 200))
              yield* Scope.close(scope, Exit.void)
            }).pipe(quiet)
          ))
      )
  )
})

const maintainerStatus = (context: Context.Context<SegmentMaintainer>) => Context.get(context, SegmentMaintainer).status
