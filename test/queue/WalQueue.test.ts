/** What a store of queues over a log does when it is opened again, after an orderly end or a crash at any operation. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import type { Disk } from "../../src/disk/Disk.ts"
import * as EventCodec from "../../src/format/EventCodec.ts"
import { codec } from "../../src/queue/QueueEvent.ts"
import type { QueueEvent } from "../../src/queue/QueueEvent.ts"
import { QueueState, QueueStateSchema } from "../../src/queue/QueueState.ts"
import * as WalQueue from "../../src/queue/WalQueue.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { dayMillis, settableClock } from "../fixtures/settableClock.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { sweepStep, swept } from "../sweep.ts"
import { logOptions, QueueLog, storeLayer } from "./subjects.ts"

const Mail = Schema.Struct({ to: Schema.String })

const mails = (maxAttempts = 10) =>
  PersistedQueue.make({ name: "mails", schema: Mail, maxAttempts, retrySchedule: Schedule.spaced("1 second") })

type Stores = PersistedQueue.PersistedQueueFactory | PersistedQueue.PersistedQueueStore | WalQueue.Queues | QueueLog

/** One process: it opens the store, does something, and ends in order. */
const life = <A, E>(effect: Effect.Effect<A, E, Stores>) =>
  Effect.provide(effect, PersistedQueue.layer.pipe(Layer.provideMerge(Layer.fresh(storeLayer))))

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>, seed = 1) =>
  quiet(Effect.provide(effect, SimulatedDisk.layer({ seed })))

const to = ({ to }: typeof Mail.Type, { attempts }: { readonly attempts: number }) =>
  Effect.succeed([to, attempts] as const)

/** Lets the clock run until this has ended. A life whose disk has no power ends by itself, when its log is down. */
const ended = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(effect)
    for (let seconds = 0; fiber.pollUnsafe() === undefined; seconds++) {
      if (seconds > 1000) return yield* Effect.die(new Error("it has not ended"))
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.await(fiber)
  })

/** Takes everything that waits, due or not. */
const takeAll = Effect.gen(function*() {
  const queue = yield* mails()
  const { counts } = yield* WalQueue.Queues
  const taken: Array<readonly [to: string, attempts: number]> = []
  while ((yield* counts).some(({ waiting }) => waiting > 0)) taken.push(yield* yield* ended(queue.take(to)))
  return taken
})

/** Runs a life whose power fails when `effect` has come to its end. */
const cutOffAfter = <E>(effect: Effect.Effect<unknown, E, Stores>) =>
  Effect.gen(function*() {
    const disk = yield* SimulatedDisk.SimulatedDisk
    const cut = Effect.flatMap(disk.operationCount, (count) => disk.crashAt(count + 1))
    const exit = yield* ended(life(Effect.andThen(effect, Effect.andThen(cut, Effect.never))))
    assert.isTrue(Exit.isFailure(exit))
    yield* disk.crash
  })

/** Begins to take, and is in the handler when it returns. */
const beginToTake = Effect.gen(function*() {
  const queue = yield* mails(2)
  const begun = yield* Deferred.make<void>()
  const taking = yield* Effect.forkDetach(
    queue.take(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
  )
  yield* Deferred.await(begun)
  return taking
})

const offer = (...names: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const queue = yield* mails()
    for (const name of names) yield* queue.offer({ to: name }, { id: name })
  })

describe("a store of queues that is opened again", () => {
  it.effect("hands out what was accepted, and nothing that was acknowledged", () =>
    onDisk(Effect.gen(function*() {
      yield* life(Effect.gen(function*() {
        const queue = yield* mails()
        yield* offer("ada", "bob", "eve")
        yield* queue.take(to)
      }))
      yield* life(offer("ada"))
      assert.deepStrictEqual(yield* life(takeAll), [["bob", 1], ["eve", 1]])
      assert.deepStrictEqual(yield* life(takeAll), [])
    })))

  it.effect("counts an attempt during which the power failed, and none that was interrupted", () =>
    onDisk(Effect.gen(function*() {
      yield* life(Effect.gen(function*() {
        yield* offer("ada")
        yield* Fiber.interrupt(yield* beginToTake)
      }))
      yield* cutOffAfter(beginToTake)
      assert.deepStrictEqual(yield* life(takeAll), [["ada", 2]])
    })))

  it.effect("puts aside what was in its last attempt when the power failed, and tells so", () =>
    onDisk(Effect.gen(function*() {
      yield* life(offer("ada", "bob"))
      yield* cutOffAfter(beginToTake)
      yield* cutOffAfter(beginToTake)
      const letters = yield* life(Effect.gen(function*() {
        const queue = yield* mails(2)
        assert.deepStrictEqual(yield* queue.take(to), ["bob", 1])
        return yield* (yield* WalQueue.Queues).deadLetters("mails")
      }))
      assert.deepStrictEqual(letters, [{
        queue: "mails",
        id: "ada",
        element: { to: "ada" },
        attempts: 2,
        failure: "the process ended in the last attempt"
      }])
    })))

  it.effect("goes on with delays and retries where they were", () =>
    onDisk(Effect.gen(function*() {
      yield* life(Effect.gen(function*() {
        const queue = yield* mails()
        yield* offer("failed")
        yield* Effect.flip(queue.take(() => Effect.fail("refused")))
        yield* queue.offer({ to: "later" }, { delay: "1 minute" })
      }))
      yield* TestClock.adjust("55 seconds")
      yield* life(Effect.gen(function*() {
        const queue = yield* mails()
        assert.deepStrictEqual(yield* queue.take(to), ["failed", 2])
        const taking = yield* Effect.forkChild(queue.take(to))
        yield* TestClock.adjust(4_999)
        assert.isUndefined(taking.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Fiber.join(taking), ["later", 1])
      }))
    })))

  it.effect("is delayed no longer, and hands out nothing early, by a wall clock that is set", () =>
    onDisk(Effect.gen(function*() {
      const { clock, set } = yield* settableClock
      const delayed = (to: string) => Effect.flatMap(mails(), (queue) => queue.offer({ to }, { delay: "5 seconds" }))
      yield* Effect.provideService(
        Effect.gen(function*() {
          yield* life(Effect.gen(function*() {
            yield* delayed("ada")
            set(dayMillis)
            yield* TestClock.adjust(4_000)
            assert.deepStrictEqual((yield* (yield* WalQueue.Queues).counts)[0]?.waiting, 1)
            const taking = yield* Effect.forkChild(Effect.flatMap(mails(), (queue) => queue.take(to)))
            yield* TestClock.adjust(999)
            assert.isUndefined(taking.pollUnsafe())
            yield* TestClock.adjust(1)
            assert.deepStrictEqual(yield* Fiber.join(taking), ["ada", 1])
            yield* delayed("bob")
          }))
          set(-30 * dayMillis)
          assert.deepStrictEqual(yield* life(takeAll), [["bob", 1]])
        }),
        Clock.Clock,
        clock
      )
    })))

  it.effect(
    "has lost nothing that was accepted, and hands out nothing that was acknowledged, after a power failure at any operation",
    () =>
      Effect.gen(function*() {
        let crashes = 0
        for (let seed = 0; seed < 2; seed++) {
          for (const operation of swept(1)) {
            const hasCrashed = yield* onDisk(
              Effect.gen(function*() {
                const disk = yield* SimulatedDisk.SimulatedDisk
                const offered = new Set<string>()
                const accepted = new Set<string>()
                const acknowledged = new Set<string>()
                const begun = new Map<string, number>()
                yield* disk.crashAt((yield* disk.operationCount) + operation)
                const exit = yield* ended(life(Effect.gen(function*() {
                  const queue = yield* mails()
                  const put = (id: string) => {
                    offered.add(id)
                    return Effect.map(queue.offer({ to: id }, { id }), () => accepted.add(id))
                  }
                  const take = (outcome: Effect.Effect<void, string>) =>
                    queue.take(({ to }, { attempts }) => {
                      begun.set(to, attempts)
                      return Effect.as(outcome, to)
                    }).pipe(
                      Effect.map((to) => acknowledged.add(to)),
                      Effect.ignore
                    )
                  for (let round = 0; round < 4; round++) {
                    yield* Effect.forEach(["a", "b", "c"], (name) => put(`${name}${round}`), { concurrency: 3 })
                    yield* take(Effect.void)
                    yield* take(Effect.fail("refused"))
                    yield* Effect.all([take(Effect.void), put(`d${round}`)], { concurrency: 2 })
                  }
                })))
                if (Exit.isSuccess(exit)) return false
                yield* disk.crash
                const words = `seed ${seed}, operation ${operation}`
                const taken = yield* life(takeAll)
                const names = taken.map(([name]) => name)
                assert.strictEqual(new Set(names).size, names.length, `${words}: once`)
                for (const [name, attempts] of taken) {
                  assert.isTrue(offered.has(name), `${words}: ${name} was offered`)
                  assert.isFalse(acknowledged.has(name), `${words}: ${name} was acknowledged`)
                  assert.isAbove(attempts, begun.get(name) ?? 0, `${words}: every attempt of ${name} counts`)
                }
                // What was being acknowledged may be done.
                const missing = [...accepted].filter((name) => !acknowledged.has(name) && !names.includes(name))
                assert.isTrue(missing.every((name) => begun.has(name)), `${words}: ${missing.join()} is missing`)
                assert.isAtMost(missing.length, 1, words)
                return true
              }),
              seed * 1000 + operation
            )
            if (!hasCrashed) break
            crashes += 1
          }
        }
        assert.isAbove(crashes, 100 / sweepStep)
      })
  )
})

describe("a store of queues over a log", () => {
  it.effect("tells how many elements are where, and forgets what is done", () =>
    onDisk(life(Effect.gen(function*() {
      const { counts, deadLetters } = yield* WalQueue.Queues
      const queue = yield* mails(1)
      for (let index = 0; index < 50; index++) {
        yield* queue.offer({ to: "ada" })
        yield* queue.take(to)
      }
      assert.deepStrictEqual(yield* counts, [])
      yield* offer("done", "dead", "taken", "waiting")
      yield* queue.take(to)
      yield* Effect.flip(queue.take(() => Effect.fail("refused")))
      const taking = yield* beginToTake
      assert.deepStrictEqual(yield* counts, [{ name: "mails", waiting: 1, taken: 1, dead: 1, done: 1 }])
      const [letter] = yield* deadLetters("mails")
      assert.deepStrictEqual([letter?.id, letter?.element, letter?.attempts], ["dead", { to: "dead" }, 1])
      assert.include(letter?.failure, "refused")
      assert.deepStrictEqual(yield* deadLetters("others"), [])
      yield* Fiber.interrupt(taking)
      assert.deepStrictEqual((yield* counts)[0]?.waiting, 2)
    }))))

  it.effect("refuses an element that is larger than a block, and goes on", () =>
    onDisk(life(Effect.gen(function*() {
      const queue = yield* mails()
      const error = yield* Effect.flip(queue.offer({ to: "x".repeat(300_000) }))
      assert.strictEqual(error._tag, "PersistedQueueError")
      assert.include(error.message, "blockBytesMax")
      yield* offer("ada")
      assert.deepStrictEqual(yield* queue.take(to), ["ada", 1])
    }))))

  it.effect("refuses names and ids that are no text, and a log that is not of bytes", () =>
    onDisk(Effect.gen(function*() {
      const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")
      yield* life(Effect.gen(function*() {
        const store = yield* PersistedQueue.PersistedQueueStore
        const right = { name: "mails", id: "1", element: 1, isCustomId: true }
        assert.include(yield* defectOf(store.offer({ ...right, id: 1 as never })), "options.id is 1, expected a string")
        assert.include(yield* defectOf(store.offer({ ...right, name: {} as never })), "options.name")
        const take = { name: 1 as never, maxAttempts: 1, retryDelay: () => Effect.succeed(Duration.zero) }
        assert.include(yield* defectOf(Effect.scoped(store.take(take))), "options.name is 1")
        assert.deepStrictEqual(yield* (yield* WalQueue.Queues).counts, [])
      }))
      class Numbers extends Wal.Service<Numbers>()("test/Numbers", { event: Schema.Int }) {}
      const wrong = WalQueue.layer(Numbers as unknown as typeof QueueLog).pipe(
        Layer.provide(Numbers.layer({ ...logOptions, directory: "/n" }))
      )
      assert.include(
        yield* defectOf(Effect.provide(Effect.void, wrong as Layer.Layer<never, unknown, Disk>)),
        "log is an Object, expected one of bytes"
      )
    })))

  it.effect("does not open over a log of something else, and names the event", () =>
    onDisk(Effect.gen(function*() {
      const other = Effect.flatMap(QueueLog, (log) => log.appendDurable(Buffer.from("[\"other\",1]")))
      yield* Effect.provide(other, Layer.fresh(QueueLog.layer(logOptions)))
      const error = yield* Effect.flip(life(Effect.void))
      assert.include(error.message, "event 1 does not fit the schema: it is no event of a queue")
    })))

  it.effect("keeps its whole state in a snapshot", () =>
    Effect.gen(function*() {
      const state = new QueueState()
      const events: ReadonlyArray<QueueEvent> = [
        ...["a", "b\t\n\u0000", "\ud800", "d", "e"].map((id, index): QueueEvent => ({
          type: "offer",
          queue: index < 3 ? "mails" : "",
          id,
          isCustomId: index !== 4,
          at: 100 + index,
          delay: index,
          element: JSON.stringify({ "\t": id })
        })),
        { type: "take", sequence: 1 },
        { type: "done", sequence: 1, at: 200 },
        { type: "take", sequence: 2 },
        { type: "dead", sequence: 2, at: 201, failure: "refused\n\tat once" },
        { type: "take", sequence: 3 },
        { type: "retry", sequence: 3, dueAt: 300 },
        { type: "take", sequence: 5 },
        { type: "done", sequence: 5, at: 202 }
      ]
      for (const event of events) {
        // As it is read back, too.
        state.apply(yield* codec.decode(yield* codec.encode(event)))
      }
      const snapshot = EventCodec.make(QueueStateSchema)
      const restored = yield* snapshot.decode(yield* snapshot.encode(state))
      assert.deepStrictEqual(restored, state)
      assert.strictEqual(restored.open.size, 2)
      assert.strictEqual(restored.done.size, 1)
      assert.strictEqual(restored.dead.size, 1)
      assert.isFalse(restored.has("", "e"))
    }))
})
