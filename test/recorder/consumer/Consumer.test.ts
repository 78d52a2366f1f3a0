/** Durable consumers: what they hand out, when their position moves, and what they are told of what is gone. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import type { Disk } from "../../../src/disk/Disk.ts"
import { positionLockName } from "../../../src/disk/FileNames.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as PositionStore from "../../../src/disk/PositionStore.ts"
import * as Wal from "../../../src/recorder/Wal.ts"
import type { WalOptions } from "../../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { settle } from "../../maintainer/maintaining.ts"
import { kinds, temporaryDirectory, threadModule } from "../fixtures.ts"
import type { Kind } from "../fixtures.ts"

class Events extends Wal.Service<Events>()("test/Events") {}
class Words extends Wal.Service<Words>()("test/Words", { event: Schema.NonEmptyString }) {}

const tight = { segmentBytesMax: 1024, slots: 4, limits: { maxSegments: 4, maxCompressedSegments: 4 } } as const
const [format2, format1] = kinds

const quiet = Effect.provideService(References.MinimumLogLevel, "None")

/** A log on a simulated disk of its own, and a consumer's file as the disk has it. */
const simulated = <A, E>(
  use: (log: Events["Service"], stored: Effect.Effect<number | undefined>) => Effect.Effect<A, E, Scope.Scope>,
  options: Partial<WalOptions> = {}
) =>
  Effect.gen(function*() {
    const disk = yield* Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: 1 })))
    const stored = Effect.map(PositionStore.read("/wal", "billing"), ({ position }) => position?.eventId).pipe(
      Effect.provideContext(disk),
      Effect.orDie
    )
    return yield* Effect.flatMap(Events, (log) => use(log, stored)).pipe(
      Effect.provide(Layer.fresh(Events.layer({ directory: "/wal", ...tight, ...options }))),
      Effect.provideContext(disk)
    )
  }).pipe(Effect.scoped, quiet)

const text = (id: number) => Buffer.from(`event ${id}`)

const record = (log: Events["Service"], from: number, to: number, event: (id: number) => Uint8Array = text) =>
  Effect.gen(function*() {
    for (let id = from; id <= to; id++) yield* log.append(event(id))
    yield* log.commit
  })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const ways: ReadonlyArray<readonly [string, Kind, (options: WalOptions) => Layer.Layer<Events, Wal.WalError, Disk>]> = [
  ["fiber, format 2", format2[1], (options) => Events.layer(options)],
  ["thread, format 1", format1[1], (options) => Events.layerWorker({ ...options, threadModule })],
  ["thread, format 2", format2[1], (options) => Events.layerWorker({ ...options, threadModule, segmentBytesMax: 1024 })]
]

describe.each(ways)("a consumer (%s)", (_, { event, options }, layer) => {
  it.live("hands out every event once and in order, from where it was on, whatever retention deletes behind it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const opened = <A, E, R>(use: (log: Events["Service"]) => Effect.Effect<A, E, R>) =>
        Effect.flatMap(Events, use).pipe(Effect.scoped, Effect.provide(layer({ directory, ...tight, ...options })))
      const seen: Array<number> = []
      const see = (...events: ReadonlyArray<{ readonly id: number }>) =>
        Effect.sync(() => events.forEach(({ id }) => seen.push(id)))
      yield* opened((log) =>
        Effect.gen(function*() {
          const consumer = yield* log.consumer("billing")
          const fiber = yield* Effect.forkChild(consumer.forEach((event) => see(event)))
          yield* record(log, 1, 200, event)
          while ((yield* consumer.position) < 200) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          yield* record(log, 201, 250, event)
        })
      )
      yield* opened((log) =>
        Effect.gen(function*() {
          yield* record(log, 251, 450, event)
          yield* log.maintainer.drain
          const consumer = yield* log.consumer("billing")
          assert.strictEqual(yield* consumer.position, 200)
          yield* consumer.forEachBatch((events) => see(...events), { maxBatch: 7, follow: false })
          yield* log.maintainer.drain
          assert.isAbove((yield* log.positions).deletedBefore, 200)
        })
      )
      assert.deepStrictEqual(seen, range(1, 450))
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))
})

describe("a position", () => {
  it.live("is written after an event is done, and never before", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 20)
        const consumer = yield* log.consumer("billing")
        yield* consumer.forEach(
          ({ id }) => Effect.map(stored, (position) => assert.strictEqual(position, id - 1)),
          { within: 0, follow: false }
        )
        assert.strictEqual(yield* stored, 20)
      })
    ))

  it.live("passes an event only when those before it are done, too", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 10)
        const [third, isLate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const seen: Array<number> = []
        const consumer = yield* log.consumer("billing")
        const processing = yield* Effect.forkChild(consumer.forEach(({ id }) => {
          seen.push(id)
          if (id === 3) return Deferred.await(third)
          return id === 6 ? Deferred.succeed(isLate, undefined) : Effect.void
        }, { concurrency: 4, within: 0, follow: false }))
        yield* Deferred.await(isLate)
        for (let turn = 0; turn < 100; turn++) yield* Effect.yieldNow
        assert.strictEqual(yield* stored, 2)
        yield* Deferred.succeed(third, undefined)
        yield* Fiber.join(processing)
        assert.strictEqual(yield* stored, 10)
        assert.deepStrictEqual(seen.toSorted((a, b) => a - b), range(1, 10))
      })
    ))

  it.effect("follows within the given time, and at once when the processing ends", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 3)
        const consumer = yield* log.consumer("billing")
        const seen: Array<number> = []
        const see = ({ id }: { readonly id: number }) => Effect.sync(() => seen.push(id))
        const fiber = yield* Effect.forkChild(consumer.forEach(see, { within: "1 second" }))
        while (!seen.includes(3)) yield* Effect.yieldNow
        yield* settle
        assert.strictEqual(yield* stored, 0)
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* stored, 3)
        yield* record(log, 4, 5)
        while (!seen.includes(5)) yield* TestClock.adjust(1)
        yield* settle
        assert.strictEqual(yield* stored, 3)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* stored, 5)
      })
    ))

  it.effect("that cannot be written is tried again, and the events are processed meanwhile", () =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: 1 })))
      yield* Effect.gen(function*() {
        const log = yield* Events
        const simulated = yield* SimulatedDisk.SimulatedDisk
        yield* record(log, 1, 3)
        const consumer = yield* log.consumer("billing")
        const seen: Array<number> = []
        yield* simulated.failAlways("rename", "Full")
        yield* Effect.forkChild(consumer.forEach(({ id }) => Effect.sync(() => seen.push(id))))
        for (let second = 0; second < 5; second++) yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(seen, [1, 2, 3])
        assert.strictEqual(yield* consumer.position, 0)
        yield* simulated.heal
        for (let second = 0; second < 3; second++) yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* consumer.position, 3)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.fresh(Events.layer({ directory: "/wal", ...tight }))),
        Effect.provideContext(disk)
      )
    }).pipe(Effect.scoped, quiet))

  it.live("begins where a new name is told to begin", () =>
    simulated((log) =>
      Effect.gen(function*() {
        yield* record(log, 1, 10)
        const position = (name: string, from: "oldest" | "latest" | { id: number }) =>
          Effect.scoped(Effect.flatMap(log.consumer(name, { from }), (consumer) => consumer.position))
        assert.deepStrictEqual(
          yield* Effect.all([
            position("a", "oldest"),
            position("b", "latest"),
            position("c", { id: 4 }),
            position("d", { id: 99 })
          ]),
          [0, 10, 3, 10]
        )
        assert.strictEqual(yield* position("c", "latest"), 3)
      })
    ))
})

describe("an event that fails", () => {
  it.live("fails the processing, and comes again", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 5)
        const consumer = yield* log.consumer("billing")
        const seen: Array<number> = []
        const process = (bad: number) =>
          consumer.forEach(({ id }) => {
            seen.push(id)
            return id === bad ? Effect.fail(`no ${id}`) : Effect.void
          }, { follow: false })
        assert.strictEqual(yield* Effect.flip(process(3)), "no 3")
        assert.strictEqual(yield* stored, 2)
        yield* process(0)
        assert.deepStrictEqual(seen, [1, 2, 3, 3, 4, 5])
      })
    ))

  it.live("is tried again as the schedule has it, then handed over, whatever it fails with; the next is processed", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 5)
        const consumer = yield* log.consumer("billing")
        const seen: Array<number> = []
        const dead: Array<string> = []
        yield* consumer.forEach(({ id }) => {
          seen.push(id)
          if (id === 4) throw new Error("a mistake")
          return id === 2 ? Effect.fail(`no ${id}`) : Effect.void
        }, {
          retry: Schedule.recurs(2),
          deadLetter: ({ bytes, cause, event, id }) =>
            Effect.sync(() => {
              assert.deepStrictEqual(event, bytes)
              dead.push(`${id} ${String(Cause.squash(cause))}`)
            }),
          follow: false
        })
        assert.deepStrictEqual(seen, [1, 2, 2, 2, 3, 4, 5])
        assert.deepStrictEqual(dead, ["2 no 2", "4 Error: a mistake"])
        assert.strictEqual(yield* stored, 5)
      })
    ))

  it.live("is looked for event by event in a batch that fails", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 10)
        const consumer = yield* log.consumer("billing")
        const batches: Array<ReadonlyArray<number>> = []
        const dead: Array<number> = []
        const f = (events: ReadonlyArray<{ readonly id: number }>) => {
          batches.push(events.map(({ id }) => id))
          return events.some(({ id }) => id === 5) ? Effect.fail("no" as const) : Effect.void
        }
        assert.strictEqual(yield* Effect.flip(consumer.forEachBatch(f, { maxBatch: 4, follow: false })), "no")
        assert.strictEqual(yield* stored, 4)
        yield* consumer.forEachBatch(f, {
          maxBatch: 4,
          deadLetter: ({ id }) => Effect.sync(() => dead.push(id)),
          follow: false
        })
        assert.deepStrictEqual(batches, [range(1, 4), range(5, 8), range(5, 8), [5], [6], [7], [8], [9, 10]])
        assert.deepStrictEqual(dead, [5])
      })
    ))

  it.live("may be one that does not fit the schema: it is handed over with its bytes", () =>
    Effect.gen(function*() {
      const disk = yield* Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: 1 })))
      const options = { directory: "/wal", ...tight }
      yield* Effect.flatMap(Events, (log) => Effect.andThen(log.append(Buffer.from("no JSON")), log.commit)).pipe(
        Effect.provide(Layer.fresh(Events.layer(options))),
        Effect.provideContext(disk)
      )
      yield* Effect.gen(function*() {
        const words = yield* Words
        yield* words.appendDurable("two")
        const consumer = yield* words.consumer("billing")
        const seen: Array<string> = []
        const process = consumer.forEach(({ event }) => Effect.sync(() => seen.push(event)), { follow: false })
        assert.strictEqual((yield* Effect.flip(process))._tag, "EventUndecodable")
        const undecodable = Stream.runDrain(consumer.events({ follow: false }))
        assert.strictEqual((yield* Effect.flip(undecodable))._tag, "EventUndecodable")
        yield* consumer.forEachBatch((all) => Effect.sync(() => all.forEach(({ event }) => seen.push(event))), {
          deadLetter: ({ bytes, event }) => Effect.sync(() => seen.push(`${event} ${Buffer.from(bytes).toString()}`)),
          follow: false
        })
        assert.deepStrictEqual(seen, ["undefined no JSON", "two"])
      }).pipe(Effect.scoped, Effect.provide(Layer.fresh(Words.layer(options))), Effect.provideContext(disk))
    }).pipe(Effect.scoped, quiet))
})

describe("a stream of events", () => {
  it.live("is acknowledged by its reader, and begins again after that", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        yield* record(log, 1, 10)
        const consumer = yield* log.consumer("billing")
        const read = Effect.map(Stream.runCollect(consumer.events({ follow: false })), (all) => all.map(({ id }) => id))
        assert.deepStrictEqual(yield* read, range(1, 10))
        yield* consumer.acknowledge(4)
        assert.strictEqual(yield* stored, 4)
        yield* consumer.acknowledge(2)
        assert.deepStrictEqual(yield* read, range(5, 10))
        assert.isTrue(Exit.hasDies(yield* Effect.exit(consumer.acknowledge(11))), "what is not there is not done")
        assert.strictEqual(yield* stored, 4)
      })
    ))
})

describe("a name", () => {
  it.live("has one consumer, and a consumer one reading", () =>
    simulated((log) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const consumer = yield* log.consumer("billing")
          const second = yield* Effect.flip(Effect.scoped(log.consumer("billing")))
          assert.strictEqual(second._tag, "ConsumerTaken")
          yield* record(log, 1, 1)
          const begun = yield* Deferred.make<void>()
          const fiber = yield* Effect.forkChild(consumer.forEach(() => Deferred.succeed(begun, undefined)))
          yield* Deferred.await(begun)
          const other = yield* Effect.flip(Stream.runDrain(consumer.events()))
          assert.strictEqual(other._tag, "ConsumerTaken")
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* Stream.runCount(consumer.events({ follow: false })), 0)
        }))
        yield* Effect.scoped(log.consumer("billing"))
      })
    ))

  it.live("that another process has is taken, and free when that one is killed", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const lock = join(directory, positionLockName("billing"))
      const holder = spawn(process.execPath, [join(import.meta.dirname, "../../disk/lockHolder.ts"), lock])
      yield* Effect.promise(() => once(holder.stdout, "data"))
      yield* Effect.gen(function*() {
        const log = yield* Events
        const error = yield* Effect.flip(Effect.scoped(log.consumer("billing")))
        assert.strictEqual(error._tag, "ConsumerTaken")
        assert.include(error.message, `process ${holder.pid}`)
        holder.kill("SIGKILL")
        yield* Effect.promise(() => once(holder, "exit"))
        yield* Effect.scoped(log.consumer("billing"))
      }).pipe(Effect.provide(Events.layer({ directory, ...tight })))
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))
})

describe("events that are gone", () => {
  it.live("past the bound are an error with what is left, or passed when the consumer is told to", () =>
    simulated((log, stored) =>
      Effect.gen(function*() {
        const consumer = yield* log.consumer("billing", { maxLag: { bytes: 1 } })
        yield* record(log, 1, 3000)
        yield* log.maintainer.drain
        const { deletedBefore } = yield* log.positions
        assert.isAbove(deletedBefore, 1)
        assert.isTrue((yield* log.maintainer.status).durableHolds[0]?.isExceeded)
        const error = yield* Effect.flip(consumer.forEach(() => Effect.void, { follow: false }))
        assert.deepInclude(error, { _tag: "EventsDeleted", firstAvailableId: deletedBefore })
        assert.strictEqual(yield* stored, 0)
        const seen: Array<number> = []
        yield* consumer.forEach(({ id }) => Effect.sync(() => seen.push(id)), {
          onMissing: ({ firstEventId, lastEventId }) => Effect.sync(() => seen.push(-firstEventId, -lastEventId)),
          follow: false
        })
        assert.deepStrictEqual(seen, [-1, 1 - deletedBefore, ...range(deletedBefore, 3000)])
        assert.isFalse((yield* log.maintainer.status).durableHolds[0]?.isExceeded)
      })
    ))
})

it.live("what is no name, no function and no schedule is refused before anything changes", () =>
  simulated((log, stored) =>
    Effect.gen(function*() {
      const dies = <A, E>(effect: Effect.Effect<A, E>) => Effect.map(Effect.exit(effect), Exit.hasDies)
      for (const name of ["", "_state", "a/b", ".", "a.b", "x".repeat(65), undefined, 1]) {
        assert.isTrue(yield* dies(Effect.scoped(log.consumer(name as string))), String(name))
      }
      for (const options of [{ from: 0 }, { from: { id: 0 } }, { maxLag: 5 }, { maxLag: { bytes: "x" } }, { to: 1 }]) {
        assert.isTrue(yield* dies(Effect.scoped(log.consumer("billing", options as object))), JSON.stringify(options))
      }
      assert.isUndefined(yield* stored)
      yield* record(log, 1, 1)
      const consumer = yield* log.consumer("billing")
      const nothing = () => Effect.void
      const wrong = [
        { retry: 3 },
        { within: -1 },
        { within: "soon" },
        { concurrency: 0 },
        { onMissing: "skip" },
        { deadLetter: true },
        { follow: 1 },
        { maxBatch: 3 }
      ]
      for (const options of wrong) {
        assert.isTrue(yield* dies(consumer.forEach(nothing, options as never)), JSON.stringify(options))
      }
      assert.isTrue(yield* dies(consumer.forEachBatch(nothing, { maxBatch: 0, follow: false })))
      assert.isTrue(yield* dies(consumer.forEach("f" as never)))
      assert.strictEqual(yield* stored, 0)
    })
  ))
