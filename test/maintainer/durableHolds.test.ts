/** What a durable position holds: from the first step of retention on after a start, and however executors run. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { positionName } from "../../src/disk/FileNames.ts"
import * as PositionStore from "../../src/disk/PositionStore.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import {
  format1,
  format2,
  inTime,
  kinds,
  look,
  named,
  NodeDisk,
  open,
  quiet,
  recorded,
  segmentBytesMax,
  settle,
  simulated,
  subjects,
  temporaryDirectory,
  whileClockTurns
} from "./maintaining.ts"
import type { Kind, Subject } from "./maintaining.ts"
import { startedOn } from "./startedOn.ts"

const [fiber, worker, pool] = subjects as readonly [Subject, Subject, Subject]

const limits = { maxSegments: 4, maxCompressedSegments: 4 }

const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, position) => from + position)

const opened = Effect.fnUntraced(function*({ wal }: Subject, directory: string, { format }: Kind) {
  const { close, context } = yield* open(wal({ directory, limits, segmentBytesMax, format }))
  return { close, maintainer: Context.get(context, SegmentMaintainer), recorder: Context.get(context, Recorder) }
})

/** The lines that are logged meanwhile. */
const logging = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
    const value = yield* effect.pipe(
      Effect.provide(logger),
      Effect.provideService(References.MinimumLogLevel, "Info")
    )
    return { value, lines }
  })

/** Every layer and every format: the two have nothing to do with each other here. */
const pairs = [[fiber, format2], [fiber, format1], [worker, format2], [pool, format1]] as const

describe("a maintainer", () => {
  it.live.each(pairs.map(([subject, kind]) => ({ subject, kind, name: subject.name, format: kind.format })))(
    "holds what a position has not passed, also after a restart and before its owner is back ($name, format $format)",
    ({ kind, subject }) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const first = yield* opened(subject, directory, kind)
        const owner = yield* Scope.make()
        const hold = yield* Scope.provide(first.maintainer.holdDurably({ name: "billing" }), owner)
        assert.strictEqual(yield* hold.eventId, 0)
        for (let id = 1; id <= kind.count; id++) {
          yield* first.recorder.append(kind.event(id))
        }
        yield* first.recorder.commit
        yield* inTime("the drain", first.maintainer.drain)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, kind.count, kind))
        yield* hold.moveTo(kind.count / 2)
        yield* Scope.close(owner, Exit.void)
        assert.isTrue(Exit.hasDies(yield* Effect.exit(hold.moveTo(kind.count))))
        yield* inTime("the drain", first.maintainer.drain)
        yield* first.close
        const left = yield* recorded(directory, kind)
        assert.isBelow(left.length, kind.count)
        assert.include(left, named(kind.count / 2 + 1, kind.count / 2 + 1, kind)[0])

        const second = yield* opened(subject, directory, kind)
        for (let id = 1; id <= kind.count; id++) {
          yield* second.recorder.append(kind.event(kind.count + id))
        }
        yield* second.recorder.commit
        yield* inTime("the drain", second.maintainer.drain)
        assert.strictEqual((yield* recorded(directory, kind))[0], left[0])
        const { durableHolds: [status] } = yield* second.maintainer.status
        assert.deepInclude(status, { name: "billing", eventId: kind.count / 2, isOwned: false, isExceeded: false })
        yield* Effect.scoped(Effect.gen(function*() {
          const again = yield* second.maintainer.holdDurably({ name: "billing" })
          assert.strictEqual(yield* again.eventId, kind.count / 2)
          yield* again.moveTo(2 * kind.count)
          yield* again.moveTo(1)
          assert.strictEqual(yield* again.eventId, 2 * kind.count)
        }))
        yield* inTime("the drain", second.maintainer.drain)
        assert.isAtMost((yield* look(directory)).cold.length, 4)
        yield* second.close
      }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer))
  )
})

describe.each(kinds)("a position beside a log ($format)", (kind) => {
  const subject = fiber

  const recordedLog = Effect.gen(function*() {
    const directory = yield* temporaryDirectory
    const { close, recorder } = yield* opened(subject, directory, kind)
    for (let id = 1; id <= 50; id++) yield* recorder.append(kind.event(id))
    yield* recorder.commit
    yield* close
    return directory
  })

  it.live.each([
    { what: "rotten", put: (path: string) => writeFileSync(path, "{}") },
    {
      what: "of another name",
      put: (path: string) => writeFileSync(path, PositionStore.encode({ name: "mail", eventId: 20 }))
    },
    {
      what: "too long",
      put: (path: string) =>
        writeFileSync(path, Buffer.concat([PositionStore.encode({ name: "billing", eventId: 20 }), Buffer.alloc(9999)]))
    },
    { what: "a link", put: (path: string) => symlinkSync("/etc/hostname", path) },
    {
      what: "ahead of the log",
      put: (path: string) => writeFileSync(path, PositionStore.encode({ name: "billing", eventId: 51 }))
    }
  ])(
    "is not believed when it is $what: that is told once, and everything is held",
    ({ put, what }) =>
      Effect.gen(function*() {
        const directory = yield* recordedLog
        put(join(directory, positionName("billing")))
        const { lines, value } = yield* logging(opened(subject, directory, kind))
        const { close, maintainer, recorder } = value
        assert.lengthOf(lines.filter((line) => line.includes("the position billing is")), 1)
        const { durableHolds } = yield* maintainer.status
        assert.deepInclude(durableHolds[0], { name: "billing", eventId: 0, fromSegmentIndex: 0, isOwned: false })
        if (what === "ahead of the log") {
          for (let id = 51; id <= kind.count; id++) yield* recorder.append(kind.event(id))
          yield* recorder.commit
          yield* inTime("the drain", maintainer.drain)
          assert.deepStrictEqual(yield* recorded(directory, kind), named(1, kind.count, kind))
        }
        const hold = yield* maintainer.holdDurably({ name: "billing", initialEventId: 30 })
        assert.strictEqual(yield* hold.eventId, 0)
        const found = yield* PositionStore.read(directory, "billing")
        assert.deepStrictEqual(found, { position: { name: "billing", eventId: 0 }, fault: "" })
        yield* close
      }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer))
  )

  it.live("begins before the oldest event that is left, or where it is told to, and is there at once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { close, maintainer, recorder } = yield* opened(subject, directory, kind)
      for (let id = 1; id <= kind.count; id++) yield* recorder.append(kind.event(id))
      yield* recorder.commit
      yield* inTime("the drain", maintainer.drain)
      const left = yield* recorded(directory, kind)
      const oldest = yield* maintainer.holdDurably({ name: "oldest" })
      assert.strictEqual(yield* oldest.eventId, kind.count - left.length)
      yield* maintainer.holdDurably({ name: "given", initialEventId: kind.count - 3 })
      assert.strictEqual((yield* PositionStore.read(directory, "given")).position?.eventId, kind.count - 3)
      yield* close
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))

  it.live("has one owner at a time, who leaves its lock when it goes", () =>
    Effect.gen(function*() {
      const directory = yield* recordedLog
      const { close, maintainer } = yield* opened(subject, directory, kind)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* maintainer.holdDurably({ name: "billing" })
        const { reason } = yield* Effect.flip(Effect.scoped(maintainer.holdDurably({ name: "billing" })))
        assert.strictEqual(reason._tag, "Held")
        yield* Effect.scoped(maintainer.holdDurably({ name: "billing-2" }))
        assert.isTrue((yield* maintainer.status).durableHolds[0]?.isOwned)
      }))
      assert.deepStrictEqual((yield* maintainer.status).durableHolds.map(({ isOwned }) => isOwned), [false, false])
      yield* Effect.scoped(maintainer.holdDurably({ name: "billing" }))
      yield* close
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))

  it.live("holds no more than its bound, and tells whom that hits", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const { lines } = yield* logging(Effect.gen(function*() {
        const { close, maintainer, recorder } = yield* opened(subject, directory, kind)
        yield* maintainer.holdDurably({ name: "billing", maxLag: { bytes: 1 } })
        for (let id = 1; id <= kind.count; id++) yield* recorder.append(kind.event(id))
        yield* recorder.commit
        yield* inTime("the drain", maintainer.drain)
        assert.isBelow((yield* recorded(directory, kind)).length, kind.count)
        assert.isTrue((yield* maintainer.status).durableHolds[0]?.isExceeded)
        yield* close
        const found = yield* PositionStore.read(directory, "billing")
        assert.deepStrictEqual(found.position, { name: "billing", eventId: 0, maxLagBytes: 1 })
      }))
      assert.lengthOf(
        lines.filter((line) => line.startsWith("the consumer billing misses events: segment 0 is deleted")),
        1
      )
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.effect("that is ahead of the log is taken back also on a full disk, and where it could not be read at the start", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.fresh(simulated()))
      const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
      const life = <A, E, R>(use: (parts: Context.Context<Wal.Parts>) => Effect.Effect<A, E, R>) =>
        Effect.gen(function*() {
          const wal = Wal.layer({ directory: "/wal", format: kind.format, limits, segmentBytesMax })
          const { close, context } = yield* open(Layer.provide(wal, Layer.succeedContext(services)))
          yield* use(context)
          yield* whileClockTurns(close)
        })
      const ahead = Effect.provideContext(PositionStore.write("/wal", { name: "billing", eventId: 40 }), services)
      const record = (parts: Context.Context<Wal.Parts>, events: number) =>
        Effect.gen(function*() {
          const recorder = Context.get(parts, Recorder)
          for (let left = events; left > 0; left--) yield* recorder.append(kind.event(recorder.writer.lastEventId + 1))
          yield* whileClockTurns(recorder.commit)
        })
      const position = (parts: Context.Context<Wal.Parts>) =>
        Effect.scoped(Effect.flatMap(
          Context.get(parts, SegmentMaintainer).holdDurably({ name: "billing", initialEventId: 45 }),
          (hold) => hold.eventId
        ))
      yield* life((parts) => record(parts, 20))
      yield* ahead
      yield* disk.failAlways("write", "Full", /wal_position/)
      yield* life((parts) =>
        Effect.gen(function*() {
          yield* record(parts, 30)
          yield* disk.heal
          assert.strictEqual(yield* position(parts), 0)
        })
      )
      yield* Effect.provideContext(PositionStore.write("/wal", { name: "billing", eventId: 60 }), services)
      yield* disk.failAlways("open", "Io", /wal_position/)
      yield* life((parts) =>
        Effect.gen(function*() {
          yield* record(parts, 30)
          yield* disk.heal
          assert.strictEqual(yield* position(parts), 0)
        })
      )
    }).pipe(Effect.scoped, quiet))

  it.effect("is not passed before its move is durable", () =>
    Effect.gen(function*() {
      const started = startedOn(kind)
      const files = { [positionName("billing")]: PositionStore.encode({ name: "billing", eventId: 0 }) }
      const { found, maintainer, services } = yield* started({ cold: range(0, 12), options: { limits }, files })
      const disk = Context.get(services, SimulatedDisk.SimulatedDisk)
      const hold = yield* maintainer.holdDurably({ name: "billing" })
      yield* disk.failAlways("rename", "Io", /wal_position/)
      assert.strictEqual((yield* Effect.flip(hold.moveTo(200))).reason._tag, "Io")
      yield* settle
      assert.deepStrictEqual([(yield* found).cold, yield* hold.eventId], [range(0, 12), 0])
      yield* disk.heal
      yield* hold.moveTo(200)
      yield* settle
      assert.deepStrictEqual((yield* found).cold, range(6, 12))
    }).pipe(Effect.scoped, quiet))

  it.effect("is held for a maintainer alone, before the first step of retention", () =>
    Effect.gen(function*() {
      const started = startedOn(kind)
      const files = { [positionName("billing")]: PositionStore.encode({ name: "billing", eventId: 75 }) }
      const { found } = yield* started({ cold: range(0, 12), options: { limits }, files })
      assert.deepStrictEqual((yield* found).cold, range(2, 12))
    }).pipe(Effect.scoped, quiet))
})
