/** A state that is folded from a log, in every layer of it. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import type { WalOptions } from "../../src/recorder/WalConfig.ts"
import * as StateMachine from "../../src/state/StateMachine.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { small, temporaryDirectory, threadModule } from "../recorder/fixtures.ts"
import type { Options } from "../recorder/fixtures.ts"

const Added = Schema.Struct({ item: Schema.NonEmptyString, count: Schema.Int })
type Added = typeof Added.Type
class Stock extends Wal.Service<Stock>()("test/Stock", { event: Added }) {}

type Items = Readonly<Record<string, number>>
const Items = Schema.Record(Schema.String, Schema.Int)

const applied = (items: Items, { count, item }: Added): Items => ({ ...items, [item]: (items[item] ?? 0) + count })

const open = (options: { readonly name?: string } = {}) =>
  Effect.flatMap(Stock, (log) => StateMachine.make({ log, state: Items, initial: {}, apply: applied, ...options }))

const add = (item: string, count = 1) => (): StateMachine.Decision<number, Added> => [count, [{ item, count }]]

/** Takes what is there, and answers whether that was enough. */
const take = (item: string, count: number) => (items: Items): StateMachine.Decision<boolean, Added> =>
  (items[item] ?? 0) < count ? [false, []] : [true, [{ item, count: -count }]]

const ways = [
  ["fiber", (options: Options) => Stock.layer(options)],
  ["thread", (options: Options) => Stock.layerWorker({ ...options, threadModule })]
] as const

describe.each(ways)("a state machine (%s)", (_, layer) => {
  it.live("answers an update when its events are durable, and has the same state when it is opened again", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const items = yield* Effect.gen(function*() {
        const machine = yield* open()
        assert.strictEqual(yield* machine.update(add("apple", 3)), 3)
        assert.isTrue(yield* machine.update(take("apple", 2)))
        assert.isFalse(yield* machine.update(take("apple", 2)))
        yield* Effect.forEach(
          Array.from({ length: 300 }, (_, i) => add(`item ${i % 7}`)),
          (f) => machine.update(f),
          { concurrency: "unbounded" }
        )
        const { positions } = yield* Stock
        assert.strictEqual((yield* positions).durable, 302)
        return yield* machine.get
      }).pipe(Effect.scoped, Effect.provide(layer({ ...small, directory })))
      assert.strictEqual(items["apple"], 1)
      const again = yield* Effect.flatMap(open(), ({ get }) => get).pipe(
        Effect.scoped,
        Effect.provide(layer({ ...small, directory }))
      )
      assert.deepStrictEqual(again, items)
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

/** So many that whatever can run without a clock has run. */
const turns = Effect.forEach(Array.from({ length: 100 }), () => Effect.yieldNow, { discard: true })

/** On a disk that obeys. */
const simulated = <A, E>(
  program: Effect.Effect<A, E, Stock | SimulatedDisk.SimulatedDisk | Scope.Scope>,
  options: Partial<WalOptions> = {}
) =>
  program.pipe(
    Effect.scoped,
    Effect.provide(Stock.layer({ ...small, directory: "/wal", ...options })),
    Effect.provide(SimulatedDisk.layer({ seed: 1 }))
  )

const reasonOf = <A>(exit: Exit.Exit<A, StateMachine.StateMachineError>): string =>
  Exit.isFailure(exit)
    ? exit.cause.reasons.map((reason) => reason._tag === "Fail" ? reason.error.reason._tag : reason._tag).join()
    : "success"

describe("an answer", () => {
  it.effect("is not given before what it tells of is durable: of an update, a read, and of one that appends nothing", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* disk.failAlways("sync", "Io")
      const answers = yield* Effect.forEach([
        machine.update(add("apple")),
        machine.update(take("apple", 2)),
        machine.read((items) => items["apple"]),
        machine.get
      ], (call: Effect.Effect<unknown, StateMachine.StateMachineError>) => Effect.forkChild(call))
      yield* turns
      assert.deepStrictEqual(answers.map((answer) => answer.pollUnsafe()), [undefined, undefined, undefined, undefined])
      yield* disk.heal
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Effect.forEach(answers, Fiber.join), [1, false, 1, { apple: 1 }])
    })))

  it.effect("is never given again after a commit has failed: the machine has ended with that error", () =>
    simulated(
      Effect.gen(function*() {
        const machine = yield* open()
        yield* machine.update(add("apple"))
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* disk.failAlways("sync", "Io")
        const failing = yield* Effect.forkChild(Effect.flip(machine.update(add("apple"))))
        yield* TestClock.adjust("2 seconds")
        const error = yield* Fiber.join(failing)
        assert.strictEqual(error._tag, "StateMachineError")
        assert.strictEqual(error.reason._tag, "RecorderError")
        yield* disk.heal
        yield* TestClock.adjust("2 seconds")
        for (const call of [machine.get, machine.update(add("pear")), machine.read(() => 1)]) {
          assert.strictEqual(yield* Effect.flip(call as Effect.Effect<unknown, StateMachine.StateMachineError>), error)
        }
        assert.strictEqual(reasonOf(yield* Effect.exit(Stream.runDrain(machine.changes))), "RecorderError")
      }),
      { onDiskFailure: "fail" }
    ))

  it.effect("is a typed error after the end of the scope", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* Effect.scoped(open())
      const error = yield* Effect.flip(machine.get)
      assert.strictEqual(error.message, "state machine state: the recorder is shutting down")
    })))
})

describe("updates", () => {
  it.effect("decide one after the other, each by all that came before, and share commits", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      yield* machine.update(add("apple", 50))
      const disk = yield* SimulatedDisk.SimulatedDisk
      const before = yield* disk.operationCount
      const taken = yield* Effect.all(Array.from({ length: 100 }, () => machine.update(take("apple", 1))), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(taken, Array.from({ length: 100 }, (_, i) => i < 50))
      assert.deepStrictEqual(yield* machine.get, { apple: 0 })
      assert.isBelow((yield* disk.operationCount) - before, 30)
    })))

  it.effect("append nothing when they fail, die, are interrupted or are refused, and the machine continues", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      const { recorder } = yield* Stock
      assert.strictEqual(yield* Effect.flip(machine.update(() => Effect.fail("no"))), "no")
      assert.isTrue(Exit.hasDies(yield* Effect.exit(machine.update(() => Effect.die("no")))))
      assert.isTrue(
        Exit.hasDies(
          yield* Effect.exit(machine.update(() => {
            throw new Error("no")
          }))
        )
      )
      const waiting = yield* Effect.forkChild(machine.update(() => Effect.never))
      const next = yield* Effect.forkChild(machine.update(add("pear")))
      yield* turns
      assert.strictEqual(recorder.writer.lastEventId, 0)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* Fiber.join(next), 1)
      const many: ReadonlyArray<Added> = Array.from({ length: 10_000 }, () => ({ item: "apple", count: 1 }))
      const tooLarge = yield* Effect.flip(machine.update(() => [0, many]))
      assert.strictEqual(tooLarge.reason._tag === "RecorderError" && tooLarge.reason.reason._tag, "TooLarge")
      const unfit = yield* Effect.flip(machine.update(() => [0, [{ item: "", count: 1 }]]))
      assert.strictEqual(unfit.reason._tag === "RecorderError" && unfit.reason.reason._tag, "Unencodable")
      assert.strictEqual(yield* machine.update(add("pear")), 1)
      assert.deepStrictEqual(yield* machine.get, { pear: 2 })
      assert.strictEqual(recorder.writer.lastEventId, 2)
    })))

  it.effect("are applied when they are appended, although nobody waits any more", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      const disk = yield* SimulatedDisk.SimulatedDisk
      const { recorder } = yield* Stock
      yield* disk.failAlways("sync", "Io")
      const update = yield* Effect.forkChild(machine.update(add("apple")))
      yield* turns
      assert.strictEqual(recorder.writer.lastEventId, 1)
      yield* Fiber.interrupt(update)
      yield* disk.heal
      const seen = yield* Effect.forkChild(machine.get)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* Fiber.join(seen), { apple: 1 })
    })))

  it.effect("are a defect when they give no decision", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      for (const wrong of [undefined, [], [1], [1, "events"], { 0: 1 }]) {
        const exit = yield* Effect.exit(machine.update(() => wrong as never))
        assert.include(
          String(Exit.isFailure(exit) && Cause.squash(exit.cause)),
          "a function that returns [answer, events]"
        )
      }
      assert.deepStrictEqual(yield* machine.get, {})
    })))
})

describe("a machine over a log into which others append, too", () => {
  it.effect("decides and answers by their events, and decides again what they have overtaken", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      const log = yield* Stock
      yield* log.append({ item: "apple", count: 2 })
      assert.isTrue(yield* machine.update(take("apple", 2)))
      yield* log.append({ item: "apple", count: 5 })
      assert.deepStrictEqual(yield* machine.get, { apple: 5 })
      const overtaken = yield* Deferred.make<void>()
      let decisions = 0
      const update = yield* Effect.forkChild(machine.update((items) => {
        decisions += 1
        return Effect.as(Deferred.await(overtaken), take("apple", 5)(items))
      }))
      yield* turns
      yield* log.append({ item: "apple", count: -1 })
      yield* Deferred.succeed(overtaken, undefined)
      assert.isFalse(yield* Fiber.join(update))
      assert.strictEqual(decisions, 2)
      assert.deepStrictEqual(yield* machine.get, { apple: 4 })
    })))

  it.effect("is one of several over one log: each has the events of all, under a name of its own", () =>
    simulated(Effect.gen(function*() {
      const first = yield* open()
      yield* first.update(add("apple"))
      const second = yield* open({ name: "second" })
      assert.isTrue(yield* second.update(take("apple", 1)))
      assert.isFalse(yield* first.update(take("apple", 1)))
      assert.deepStrictEqual(yield* first.get, yield* second.get)
      const exit = yield* Effect.exit(open())
      assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "options.name is a string")
    })))
})

describe("changes", () => {
  it.effect("are the durable states, the first one now", () =>
    simulated(Effect.gen(function*() {
      const machine = yield* open()
      const seen = yield* Queue.unbounded<Items>()
      yield* Effect.forkChild(Stream.runForEach(machine.changes, (items) => Queue.offer(seen, items)))
      assert.deepStrictEqual(yield* Queue.take(seen), {})
      yield* machine.update(add("apple"))
      assert.deepStrictEqual(yield* Queue.take(seen), { apple: 1 })
      // Of another writer.
      yield* Effect.flatMap(Stock, (log) => log.appendDurable({ item: "pear", count: 1 }))
      assert.deepStrictEqual(yield* Queue.take(seen), { apple: 1, pear: 1 })
    })))
})

describe("a machine that cannot fold every event", () => {
  it.effect("does not open when retention has deleted some of them", () =>
    simulated(
      Effect.gen(function*() {
        const log = yield* Stock
        for (let i = 0; i < 40; i++) {
          yield* log.appendEach(Array.from({ length: 50 }, () => ({ item: "apple", count: 1 })))
          yield* log.commit
        }
        yield* Stream.runHead(Stream.filter(log.changes, ({ deletedBefore }) => deletedBefore > 1))
        assert.strictEqual(reasonOf(yield* Effect.exit(open())), "EventsDeleted")
      }),
      { limits: { maxSegments: 2, maxCompressedSegments: 2 } }
    ))

  it.effect("ends when its apply throws, and throws again when it is opened again", () =>
    simulated(Effect.gen(function*() {
      const log = yield* Stock
      const broken = StateMachine.make({
        log,
        state: Schema.Int,
        initial: 0,
        name: "broken",
        apply: (sum, { count }) => {
          if (count === 13) throw new Error("thirteen")
          return sum + count
        }
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const machine = yield* broken
        yield* machine.update(add("apple", 1))
        const exit = yield* Effect.exit(machine.update(add("apple", 13)))
        assert.include(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), "thirteen")
        assert.isTrue(Exit.hasDies(yield* Effect.exit(machine.get)))
      }))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(broken)))
      // Another machine over the same log takes it.
      assert.deepStrictEqual(yield* Effect.flatMap(open(), ({ get }) => get), { apple: 14 })
    })))

  it.effect("is refused with wrong arguments before anything happens", () =>
    simulated(Effect.gen(function*() {
      const log = yield* Stock
      const right = { log, state: Items, initial: {}, apply: applied }
      const messageOf = (options: object) =>
        Effect.map(Effect.exit(StateMachine.make(options as typeof right)), (exit) =>
          String(Exit.isFailure(exit) && Cause.squash(exit.cause)))
      assert.include(yield* messageOf({ ...right, name: "../up" }), "options.name is '../up', expected 1 to 48 of")
      assert.include(yield* messageOf({ ...right, apply: 1 }), "options.apply is 1, expected a function")
      assert.include(yield* messageOf({ ...right, log: {} }), "options.log")
      assert.include(yield* messageOf({ ...right, state: {} }), "options.state")
      assert.include(yield* messageOf({ ...right, unknown: 1 }), "options.unknown")
    })))
})
