/** Many logs as one stream: what it hands out, where it goes on, and what a log that fails does to the others. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Follow from "../../src/many/Follow.ts"
import { subjects } from "./subjects.ts"
import type { Tenants } from "./subjects.ts"

const keys = ["ada", "grace", "alan"]

const record = (tenants: Tenants, count: number) =>
  Effect.forEach(keys, (key) =>
    tenants.use(key, (log) =>
      Effect.andThen(
        log.appendEach(Array.from({ length: count }, (_, index) => `${key} ${index}`)),
        log.commit
      )), { discard: true })

/** The events of each log, in the order in which they came. */
const byKey = (events: Iterable<Follow.KeyedEvent<string>>) => {
  const found: Record<string, Array<string>> = {}
  for (const { event, id, key } of events) (found[key] ??= []).push(`${id} ${event}`)
  return found
}

const expected = (from: number, to: number, among = keys) =>
  Object.fromEntries(
    among.map((key) => [
      key,
      Array.from({ length: to - from + 1 }, (_, index) => `${from + index} ${key} ${from + index - 1}`)
    ])
  )

describe.each(subjects)("many logs ($name)", ({ place }) => {
  it.live("are one stream, with every event once, in order within its log, over rotations", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* record(tenants, 600)
      const events = yield* Stream.runCollect(Follow.many({ keys, events: tenants.events }))
      assert.deepStrictEqual(byKey(events), expected(1, 600))
    }))

  it.live("are read on from one position a log, and from the beginning where there is none", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* record(tenants, 300)
      let positions: Follow.LogPositions = {}
      const seen: Array<Follow.KeyedEvent<string>> = []
      // A reader that stops anywhere, and goes on with what it has kept.
      for (let life = 0; life < 40; life++) {
        const events = yield* Follow.many({ keys, events: tenants.events, positions }).pipe(
          Stream.take(23),
          Stream.tap(({ id, key }) => Effect.sync(() => positions = { ...positions, [key]: id })),
          Stream.runCollect
        )
        seen.push(...events)
      }
      assert.deepStrictEqual(byKey(seen), expected(1, 300))
      assert.deepStrictEqual(positions, { ada: 300, grace: 300, alan: 300 })
      assert.deepStrictEqual(yield* Stream.runCollect(Follow.many({ keys, events: tenants.events, positions })), [])
    }))

  it.live("are followed: what each of them records later comes as soon as it is durable", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* record(tenants, 1)
      const seen = yield* Queue.make<string>()
      const reader = yield* Effect.forkChild(
        Stream.runForEach(
          Follow.many({ keys, events: tenants.events, positions: { ada: 1, grace: 1, alan: 1 }, follow: true }),
          ({ event, id, key }) => Queue.offer(seen, `${key} ${id} ${event}`)
        )
      )
      for (const [at, key] of ["grace", "alan", "ada", "grace"].entries()) {
        yield* tenants.use(key, (log) => log.appendDurable(`later ${at}`))
        const id = at === 3 ? 3 : 2
        assert.strictEqual(yield* Queue.take(seen), `${key} ${id} later ${at}`)
      }
      yield* Fiber.interrupt(reader)
    }))

  it.live("fail with the key, the position and the error of the one that fails", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* record(tenants, 20)
      const events = Follow.many({ keys: [...keys, "No Key"], events: tenants.events })
      const error = yield* Effect.flip(Stream.runDrain(events))
      assert.deepStrictEqual(
        [error._tag, error.key, error.position, error.error._tag],
        ["LogFailed", "No Key", 0, "KeyRefused"]
      )
      assert.include(error.message, "the log of No Key cannot be read after event 0: \"No Key\" cannot be the key")
    }))

  it.live("go on without the one that fails when they are told so, and tell of it", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      yield* record(tenants, 50)
      const failures: Array<Follow.LogFailed<unknown>> = []
      const events = Follow.many({
        keys,
        events: (key, range) =>
          key === "grace"
            ? Stream.concat(Stream.take(tenants.events(key, range), 7), Stream.fail("broken" as const))
            : tenants.events(key, range),
        positions: { grace: 10 },
        onFailure: (failed) => {
          expectTypeOf(failed.error).toExtend<"broken" | { readonly _tag: string }>()
          return Effect.sync(() => void failures.push(failed))
        }
      })
      expectTypeOf(events).toEqualTypeOf<Stream.Stream<Follow.KeyedEvent<string>>>()
      const found = byKey(yield* Stream.runCollect(events))
      assert.deepStrictEqual(found, { ...expected(1, 50, ["ada", "alan"]), ...expected(11, 17, ["grace"]) })
      assert.deepStrictEqual(failures.map(({ error, key, position }) => [key, position, error]), [
        ["grace", 17, "broken"]
      ])
    }))
})

describe("many logs", () => {
  it.effect("read no log further than its reader goes along", () =>
    Effect.gen(function*() {
      const read: Record<string, number> = { ada: 0, grace: 0 }
      const events = (key: string) =>
        Stream.fromIterable(Array.from({ length: 10_000 }, (_, index) => index + 1)).pipe(
          Stream.rechunk(10),
          Stream.map((id) => {
            read[key] = id
            return { id, time: undefined, event: id }
          })
        )
      yield* Stream.runDrain(Stream.take(Follow.many({ keys: Object.keys(read), events }), 20))
      assert.isBelow(read["ada"]! + read["grace"]!, 200)
    }))

  it.effect("refuse arguments that they do not understand, before anything is read", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [string, object]> = [
        ["options.keys", { keys: "ada" }],
        ["options.events", { events: 7 }],
        ["options.positions.ada", { positions: { ada: -1 } }],
        ["options.onFailure", { onFailure: true }],
        ["options.from", { from: "latest" }]
      ]
      for (const [name, options] of wrong) {
        const events = () => Stream.die(new Error("read"))
        const exit = yield* Effect.exit(Stream.runDrain(Follow.many({ keys, events, ...options })))
        assert.include(String(exit), name)
      }
    }))
})
