/** What an opening of a log does with an append that has come before: to it, or to an opening before it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Opening from "../../src/cluster/Opening.ts"
import { subjects } from "../many/subjects.ts"
import type { Tenants } from "../many/subjects.ts"

const bytes = (event: string) => Buffer.from(JSON.stringify(event))

/** Opens the log anew, as after a move, and runs this with it. */
const opened = <A, E, R>(
  tenants: Tenants,
  f: (opening: Opening.Opening, scope: Scope.Scope) => Effect.Effect<A, E, R>
) =>
  Effect.andThen(
    tenants.close("ada"),
    tenants.use("ada", (log) => Effect.scopedWith((scope) => f(Opening.make("ada", log), scope)))
  )

const recorded = (tenants: Tenants) =>
  Effect.map(Stream.runCollect(tenants.events("ada")), (all) => all.map(({ event }) => event))

describe.each(subjects)("an append that comes again ($name)", ({ place }) => {
  it.live("to the same opening has the answer of the first, also when that one's caller has gone", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* opened(tenants, ({ append, id }, scope) =>
        Effect.gen(function*() {
          const sent = { token: "a", opened: id, after: 0, events: [bytes("once")] }
          const first = yield* Effect.forkChild(append(sent, scope), { startImmediately: true })
          yield* Fiber.interrupt(first)
          assert.strictEqual(yield* append(sent, scope), 1)
          assert.deepStrictEqual(
            yield* Effect.all([append(sent, scope), append(sent, scope)], { concurrency: "unbounded" }),
            [1, 1]
          )
          // Another append with the same bytes is another event.
          assert.strictEqual(yield* append({ ...sent, token: "b" }, scope), 2)
        }))
      assert.deepStrictEqual(yield* recorded(tenants), ["once", "once"])
    }))

  it.live("to a later opening is recorded when it was not done, and refused when its event may be there", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      const before = yield* opened(tenants, ({ append, id }, scope) =>
        Effect.gen(function*() {
          for (const [at, event] of ["one", "two", "three"].entries()) {
            yield* append({ token: event, opened: id, after: at, events: [bytes(event)] }, scope)
          }
          return id
        }))
      yield* opened(tenants, ({ append }, scope) =>
        Effect.gen(function*() {
          const done = yield* Effect.flip(
            append({ token: "two", opened: before, after: 1, events: [bytes("two")] }, scope)
          )
          assert.deepStrictEqual([done._tag, done._tag === "Unanswered" && done.eventId], ["Unanswered", 2])
          const sent = { token: "four", opened: before, after: 3, events: [bytes("four")] }
          assert.strictEqual(yield* append(sent, scope), 4)
          assert.strictEqual(yield* append(sent, scope), 4)
          // It cannot be what its caller has known before.
          assert.strictEqual(yield* append({ ...sent, token: "one", events: [bytes("one")] }, scope), 5)
        }))
      assert.deepStrictEqual(yield* recorded(tenants), ["one", "two", "three", "four", "one"])
    }))

  it.live("to a later opening is found as a batch, wherever its events look like each other", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* tenants.use("ada", (log) => Effect.andThen(log.appendAll(["x", "x", "x", "y"]), log.commit))
      yield* opened(tenants, ({ append }, scope) =>
        Effect.gen(function*() {
          const sent = { token: "1", opened: "before", after: 0 }
          const found = yield* Effect.flip(append({ ...sent, events: ["x", "x", "y"].map(bytes) }, scope))
          assert.strictEqual(found._tag === "Unanswered" && found.eventId, 4)
          const other = { ...sent, token: "2", events: ["y", "x"].map(bytes) }
          assert.strictEqual(yield* append(other, scope), 6)
        }))
      assert.deepStrictEqual(yield* recorded(tenants), ["x", "x", "x", "y", "y", "x"])
    }))
})
