/** What frees space never waits for what needs some: starting, retention and files made ahead on a full disk. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { reserveName } from "../../src/disk/FileNames.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { startVictim, stopped } from "../faults/harness.ts"
import { fillUntil, mountMissing, withMount } from "../faults/mounts.ts"
import type { VictimOptions } from "../faults/victim.ts"
import { eventOf } from "../faults/workload.ts"
import { kinds, NodeDisk, open, quiet, segmentBytesMax, settle, simulated, subjects } from "./maintaining.ts"

const directory = "/wal"
const limits = { maxSegments: 8, maxCompressedSegments: 64 }

describe.each(kinds)("a full simulated disk ($name)", ({ event, format }) => {
  const start = Effect.fnUntraced(function*(options: Partial<WalOptions> = {}, capacityBytes?: number) {
    const services = yield* Layer.build(Layer.fresh(simulated(capacityBytes === undefined ? {} : { capacityBytes })))
    const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
    const wal = Wal.layer({ directory, format, segmentBytesMax, limits, ...options })
    const opened = yield* open(Layer.provide(wal, Layer.succeedContext(services)))
    yield* settle
    return {
      disk,
      close: opened.close,
      recorder: Context.get(opened.context, Recorder),
      names: Effect.map(disk.disk.list(directory), (entries) => entries.map(({ name }) => name))
    }
  })

  it.effect("has no file that was made ahead, and gets them again as soon as there is room", () =>
    Effect.gen(function*() {
      const { close, disk, names, recorder } = yield* start()
      const ahead = Effect.map(names, (names) => names.filter((name) => name.endsWith(".wal.tmp")).length)
      yield* recorder.append(event(1))
      yield* recorder.commit
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* ahead, 2)
      yield* disk.failAlways("write", "Full")
      yield* recorder.append(event(2))
      yield* Effect.forkChild(Effect.exit(recorder.commit))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* ahead, 0)
      yield* disk.heal
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* recorder.positions).durable, 2)
      assert.strictEqual(yield* ahead, 2)
      yield* close
    }).pipe(Effect.scoped, quiet))

  it.effect("gets no reserve, and has it again as soon as there is room", () =>
    Effect.gen(function*() {
      const reserveBytes = 16_384
      const { close, disk, names, recorder } = yield* start({ reserveBytes }, 2 * reserveBytes - 1)
      const hasReserve = Effect.map(names, (names) => names.includes(reserveName))
      assert.isFalse(yield* hasReserve)
      yield* recorder.append(event(1))
      yield* recorder.commit
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* hasReserve)
      yield* disk.setCapacityBytes(2 ** 20)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* hasReserve)
      yield* close
      assert.isFalse(yield* hasReserve)
    }).pipe(Effect.scoped, quiet))
})

const missing = await mountMissing("tmpfs")

describe.skipIf(missing !== "").each(subjects)("a start on a full disk, after a kill ($name)", ({ wal }) => {
  const seed = 7
  const victim = (path: string): VictimOptions => ({
    directory: path,
    layer: "fiber",
    seed,
    behaviourSeed: seed,
    eventsPerCommit: 10,
    segmentBytesMax: 64 * 1024,
    maxSegments: 3,
    maxCompressedSegments: 16,
    stopsAt: 2000
  })

  /** A recorder is killed, and another one opens the directory on a full disk, with these limits. */
  const startAfterKill = <A>(
    limits: NonNullable<WalOptions["limits"]>,
    use: (found: {
      readonly directory: string
      /** Fills the disk; returns the file that does. */
      readonly fill: () => string
      readonly recorder: Recorder["Service"]
      readonly maintainer: SegmentMaintainer["Service"]
    }) => Effect.Effect<A, RecorderError>
  ) =>
    Effect.promise(() =>
      withMount("tmpfs", async (mount) => {
        const directory = join(mount.path, "wal")
        const running = startVictim(victim(directory))
        assert.isTrue(await stopped(running, 2000), running.testimony.stderr)
        running.kill()
        const { durable } = await running.ended
        fillUntil(mount.path, 0)
        const options: WalOptions = {
          directory,
          segmentBytesMax: 64 * 1024,
          blockBytesMax: 16 * 1024,
          limits
        }
        return Effect.runPromise(
          Effect.gen(function*() {
            const scope = yield* Scope.make()
            const context = yield* Layer.buildWithScope(Layer.provide(wal(options), NodeDisk.layer), scope)
            const recorder = Context.get(context, Recorder)
            const maintainer = Context.get(context, SegmentMaintainer)
            assert.isAtLeast(recorder.recovery.lastEventId, durable)
            const result = yield* use({ directory, fill: () => fillUntil(mount.path, 0), recorder, maintainer })
            yield* Scope.close(scope, Exit.void)
            return result
          }).pipe(quiet)
        )
      })
    )

  const until = (isDone: Effect.Effect<boolean>) => Effect.repeat(Effect.sleep("10 millis"), { until: () => isDone })

  it.live("opens, keeps every event, and waits with what is appended until there is room", () =>
    startAfterKill(
      { maxSegments: 8, maxCompressedSegments: 16 },
      ({ directory, fill, maintainer, recorder }) =>
        Effect.gen(function*() {
          // With the room of what the kill has left. The freeze that it interrupted gives its own back when it is finished:
          // after the name has gone, since it still reads the file.
          yield* until(Effect.map(maintainer.status, ({ pending }) => pending.freeze === 0 && pending.free === 0))
          const filler = fill()
          const { lastEventId } = recorder.recovery
          const id = yield* recorder.append(eventOf(seed, lastEventId + 1))
          assert.strictEqual(id, lastEventId + 1)
          yield* Effect.forkChild(Effect.exit(recorder.commit))
          yield* until(Effect.map(maintainer.status, ({ heldBack }) => heldBack?.reason === "DiskFull"))
          const ahead = Effect.sync(() =>
            readdirSync(directory).filter((name) => name.endsWith(".tmp") && !name.includes(lastIndex(recorder)))
          )
          yield* until(Effect.map(ahead, (names) => names.length === 0))
          rmSync(filler)
          yield* until(Effect.map(recorder.positions, ({ durable }) => durable === id))
        })
    ))

  it.live("deletes what the limits no longer allow, and records into the room that this makes", () =>
    startAfterKill({ maxSegments: 3, maxCompressedSegments: 4 }, ({ maintainer, recorder }) =>
      Effect.gen(function*() {
        const id = yield* recorder.append(eventOf(seed, recorder.recovery.lastEventId + 1))
        yield* until(Effect.map(recorder.flush, (durable) => durable === id).pipe(Effect.orElseSucceed(() => false)))
        yield* until(Effect.map(maintainer.status, ({ coldSegments }) => coldSegments <= 4))
      })))
})

const lastIndex = (recorder: Recorder["Service"]): string => String(recorder.writer.activeSegmentIndex).padStart(8, "0")
