/** What a store of persisted queues does, of whatever kind: what `PersistedQueue` of Effect documents. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
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
import { subjects } from "./subjects.ts"

const Mail = Schema.Struct({ to: Schema.String })
type Mail = typeof Mail.Type

const mails = (options: { readonly maxAttempts?: number; readonly retry?: Duration.Input } = {}) =>
  PersistedQueue.make({
    name: "mails",
    schema: Mail,
    ...(options.maxAttempts === undefined ? {} : { maxAttempts: options.maxAttempts }),
    retrySchedule: Schedule.spaced(options.retry ?? 0)
  })

const to = ({ to }: Mail) => Effect.succeed(to)

/** Whether nothing can be taken in ten seconds: longer than any retry of these tests takes. */
const isEmpty = (queue: PersistedQueue.PersistedQueue<Mail>) =>
  Effect.gen(function*() {
    const taking = yield* Effect.forkChild(queue.take(to), { startImmediately: true })
    yield* TestClock.adjust("10 seconds")
    const taken = taking.pollUnsafe()
    yield* Fiber.interrupt(taking)
    return taken === undefined
  })

describe.each(subjects)("a store of queues ($name)", ({ hasClock, layer }) => {
  const ruling = (
    name: string,
    test: Effect.Effect<void, unknown, PersistedQueue.PersistedQueueFactory | PersistedQueue.PersistedQueueStore>
  ) => it.effect(name, () => Effect.provide(test, PersistedQueue.layer.pipe(Layer.provideMerge(Layer.fresh(layer)))))
  const timed: typeof ruling = hasClock
    ? ruling
    : (name) => it.skip(`${name} (it goes by a clock of its own)`, () => {})

  ruling(
    "hands out what was offered, once and in order",
    Effect.gen(function*() {
      const queue = yield* mails()
      for (const name of ["ada", "bob", "eve"]) yield* queue.offer({ to: name })
      const taken = [yield* queue.take(to), yield* queue.take(to), yield* queue.take(to)]
      assert.deepStrictEqual(taken, ["ada", "bob", "eve"])
      assert.isTrue(yield* isEmpty(queue))
    })
  )

  ruling(
    "gives a taker what is offered after it began to wait",
    Effect.gen(function*() {
      const queue = yield* mails()
      const taking = yield* Effect.forkChild(queue.take(to), { startImmediately: true })
      yield* queue.offer({ to: "ada" })
      assert.strictEqual(yield* Fiber.join(taking), "ada")
    })
  )

  ruling(
    "keeps queues of different names apart, with ids of their own",
    Effect.gen(function*() {
      const letters = yield* mails()
      const parcels = yield* PersistedQueue.make({ name: "parcels", schema: Mail })
      yield* letters.offer({ to: "ada" }, { id: "1" })
      yield* parcels.offer({ to: "bob" }, { id: "1" })
      assert.strictEqual(yield* parcels.take(to), "bob")
      assert.strictEqual(yield* letters.take(to), "ada")
    })
  )

  ruling(
    "adds an id once: while it waits, while it is processed, and when it is done",
    Effect.gen(function*() {
      const queue = yield* mails()
      const again = Effect.asVoid(queue.offer({ to: "another" }, { id: "1" }))
      assert.strictEqual(yield* queue.offer({ to: "ada" }, { id: "1" }), "1")
      yield* again
      assert.strictEqual(yield* queue.take(({ to }) => Effect.as(again, to)), "ada")
      yield* again
      assert.isTrue(yield* isEmpty(queue))
    })
  )

  ruling(
    "takes no element for another because of characters in a name or an id",
    Effect.gen(function*() {
      const odd = ["", "/", "a/b", "é\u0000\"\\", "__proto__", "\ud83d\ude00"]
      for (const name of odd) {
        const queue = yield* PersistedQueue.make({ name: `q${name}`, schema: Mail })
        for (const id of odd) yield* queue.offer({ to: `${name} ${id}` }, { id: `i${id}` })
      }
      for (const name of odd) {
        const queue = yield* PersistedQueue.make({ name: `q${name}`, schema: Mail })
        for (const id of odd) {
          const metadata = yield* queue.take(({ to }, { id }) => Effect.succeed([to, id]))
          assert.deepStrictEqual(metadata, [`${name} ${id}`, `i${id}`])
        }
      }
    })
  )

  ruling(
    "hands out an element again after its handler failed, with one attempt more",
    Effect.gen(function*() {
      const queue = yield* mails()
      const id = yield* queue.offer({ to: "ada" })
      const attempts: Array<unknown> = []
      const note = (metadata: unknown) => Effect.sync(() => attempts.push(metadata))
      yield* Effect.flip(queue.take((_, metadata) => Effect.andThen(note(metadata), Effect.fail("refused"))))
      yield* TestClock.adjust("1 second")
      yield* queue.take((_, metadata) => note(metadata))
      assert.deepStrictEqual(attempts, [{ id, attempts: 1 }, { id, attempts: 2 }])
    })
  )

  ruling(
    "counts a handler that dies as one that fails",
    Effect.gen(function*() {
      const queue = yield* mails()
      yield* queue.offer({ to: "ada" })
      const exit = yield* Effect.exit(queue.take(() => Effect.die("broken")))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* queue.take((_, { attempts }) => Effect.succeed(attempts)), 2)
    })
  )

  ruling(
    "gives an element back uncounted when its handler is interrupted",
    Effect.gen(function*() {
      const queue = yield* mails()
      yield* queue.offer({ to: "ada" })
      yield* queue.offer({ to: "bob" })
      const begun = yield* Deferred.make<void>()
      const taking = yield* Effect.forkChild(
        queue.take(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
      )
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(taking)
      const seen = [yield* queue.take((mail, { attempts }) => Effect.succeed([mail.to, attempts]))]
      seen.push(yield* queue.take((mail, { attempts }) => Effect.succeed([mail.to, attempts])))
      assert.sameDeepMembers(seen, [["ada", 1], ["bob", 1]])
    })
  )

  ruling(
    "loses nothing to a taker that is interrupted while it waits",
    Effect.gen(function*() {
      const queue = yield* mails()
      const first = yield* Effect.forkChild(queue.take(to), { startImmediately: true })
      const second = yield* Effect.forkChild(queue.take(to), { startImmediately: true })
      yield* queue.offer({ to: "ada" })
      yield* Fiber.interrupt(first)
      yield* queue.offer({ to: "bob" })
      const taken = [yield* Fiber.join(second)]
      // The first may have been served before it was interrupted.
      const exit = yield* Fiber.await(first)
      taken.push(Exit.isSuccess(exit) ? exit.value : yield* queue.take(to))
      assert.sameMembers(taken, ["ada", "bob"])
    })
  )

  ruling(
    "hands out an element no more after its last attempt failed",
    Effect.gen(function*() {
      const queue = yield* mails({ maxAttempts: 2 })
      yield* queue.offer({ to: "ada" }, { id: "1" })
      for (let attempt = 0; attempt < 2; attempt++) {
        yield* Effect.flip(queue.take(() => Effect.fail("refused")))
        yield* TestClock.adjust("1 second")
      }
      yield* queue.offer({ to: "ada" }, { id: "1" })
      assert.isTrue(yield* isEmpty(queue))
    })
  )

  ruling(
    "puts aside what does not fit the schema, and hands out what comes after it",
    Effect.gen(function*() {
      const queue = yield* mails()
      const wrong = yield* PersistedQueue.make({ name: "mails", schema: Schema.Struct({ from: Schema.Number }) })
      yield* wrong.offer({ from: 1 }, { id: "wrong" })
      yield* queue.offer({ to: "ada" })
      assert.strictEqual(yield* queue.take(to), "ada")
      yield* wrong.offer({ from: 1 }, { id: "wrong" })
      assert.isTrue(yield* isEmpty(queue))
    })
  )

  ruling(
    "hands each element to one of many takers",
    Effect.gen(function*() {
      const queue = yield* mails()
      const taking = yield* Effect.forkChild(
        Effect.all(Array.from({ length: 30 }, () => queue.take(to)), { concurrency: "unbounded" })
      )
      yield* Effect.forEach(Array.from({ length: 30 }), (_, index) => queue.offer({ to: String(index) }), {
        concurrency: 10,
        discard: true
      })
      const taken = yield* Fiber.join(taking)
      assert.deepStrictEqual(
        taken.map(Number).toSorted((a, b) => a - b),
        Array.from({ length: 30 }, (_, index) => index)
      )
    })
  )

  ruling(
    "forgets nothing at a clean-up that is younger than its time to live",
    Effect.gen(function*() {
      const store = yield* PersistedQueue.PersistedQueueStore
      const queue = yield* mails()
      yield* queue.offer({ to: "ada" }, { id: "done" })
      yield* queue.take(to)
      yield* queue.offer({ to: "bob" }, { id: "waiting" })
      yield* store.cleanup({ timeToLive: Duration.days(30), failedTimeToLive: undefined })
      yield* queue.offer({ to: "ada" }, { id: "done" })
      assert.strictEqual(yield* queue.take(to), "bob")
      assert.isTrue(yield* isEmpty(queue))
    })
  )

  timed(
    "takes an id again when a clean-up has removed what was done",
    Effect.gen(function*() {
      const store = yield* PersistedQueue.PersistedQueueStore
      const queue = yield* mails({ maxAttempts: 1 })
      yield* queue.offer({ to: "ada" }, { id: "done" })
      yield* queue.take(to)
      yield* queue.offer({ to: "eve" }, { id: "failed" })
      yield* Effect.flip(queue.take(() => Effect.fail("refused")))
      yield* TestClock.adjust("2 minutes")
      yield* store.cleanup({ timeToLive: Duration.minutes(1), failedTimeToLive: undefined })
      yield* queue.offer({ to: "ada again" }, { id: "done" })
      yield* queue.offer({ to: "eve again" }, { id: "failed" })
      assert.strictEqual(yield* queue.take(to), "ada again")
      assert.isTrue(yield* isEmpty(queue))
      yield* store.cleanup({ timeToLive: Duration.minutes(1), failedTimeToLive: Duration.minutes(1) })
      yield* queue.offer({ to: "eve again" }, { id: "failed" })
      assert.strictEqual(yield* queue.take(to), "eve again")
    })
  )

  timed(
    "hands out an element that was offered with a delay when that is over, and not before",
    Effect.gen(function*() {
      const queue = yield* mails()
      yield* queue.offer({ to: "later" }, { delay: "10 seconds" })
      yield* queue.offer({ to: "latest" }, { delay: "20 seconds" })
      yield* queue.offer({ to: "now" })
      assert.strictEqual(yield* queue.take(to), "now")
      const taking = yield* Effect.forkChild(queue.take((mail, { attempts }) => Effect.succeed([mail.to, attempts])))
      yield* TestClock.adjust(9_999)
      assert.isUndefined(taking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(taking), ["later", 1])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* queue.take(to), "latest")
    })
  )

  timed(
    "ignores the delay of an offer whose id is there",
    Effect.gen(function*() {
      const queue = yield* mails()
      yield* queue.offer({ to: "ada" }, { id: "1" })
      yield* queue.offer({ to: "ada" }, { id: "1", delay: "1 hour" })
      assert.strictEqual(yield* queue.take(to), "ada")
    })
  )

  timed(
    "hands out a failed element again when its retry is due, and others before",
    Effect.gen(function*() {
      const queue = yield* mails({ retry: "5 seconds" })
      yield* queue.offer({ to: "ada" })
      yield* Effect.flip(queue.take(() => Effect.fail("refused")))
      yield* queue.offer({ to: "bob" })
      assert.strictEqual(yield* queue.take(to), "bob")
      const taking = yield* Effect.forkChild(queue.take(to))
      yield* TestClock.adjust(4_999)
      assert.isUndefined(taking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(taking), "ada")
    })
  )

  timed(
    "serves every waiting taker when several elements are due at once",
    Effect.gen(function*() {
      const queue = yield* mails()
      const taking = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.forkChild(queue.take(to), { startImmediately: true })
      )
      for (const name of ["ada", "bob", "eve"]) yield* queue.offer({ to: name }, { delay: "1 second" })
      yield* TestClock.adjust("1 second")
      assert.sameMembers(yield* Effect.forEach(taking, Fiber.join), ["ada", "bob", "eve"])
    })
  )

  timed(
    "serves the others when the taker that was woken is interrupted",
    Effect.gen(function*() {
      const queue = yield* mails()
      const [first, second] = yield* Effect.forEach(
        [1, 2],
        () => Effect.forkChild(queue.take(to), { startImmediately: true })
      )
      yield* queue.offer({ to: "ada" }, { delay: "1 second" })
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(first!)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* Fiber.join(second!), "ada")
    })
  )

  ruling(
    "refuses what is no JSON, and hands out what comes after it",
    Effect.gen(function*() {
      const store = yield* PersistedQueue.PersistedQueueStore
      const exit = yield* Effect.exit(
        store.offer({ name: "mails", id: "1", element: 1n, isCustomId: true, delay: undefined })
      )
      if (Exit.isFailure(exit)) assert.isTrue(Cause.hasFails(exit.cause), "the failure is typed")
      const queue = yield* mails()
      yield* queue.offer({ to: "ada" })
      assert.strictEqual(yield* queue.take(to), "ada")
    })
  )
})
