/** What a store of keys and values over a log does when it is opened again, after an orderly end or a crash. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistable from "effect/persistence/Persistable"
import * as PersistedCache from "effect/persistence/PersistedCache"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import * as EventCodec from "../../src/format/EventCodec.ts"
import { codec } from "../../src/kvs/KvsEvent.ts"
import type { KvsEvent } from "../../src/kvs/KvsEvent.ts"
import { apply, Values } from "../../src/kvs/Values.ts"
import * as WalKvs from "../../src/kvs/WalKvs.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { sweepStep, swept } from "../sweep.ts"
import { KvsLog, logOptions, storeLayer } from "./subjects.ts"

/** One process: it opens the store, does something, and ends in order. */
const life = <A, E>(effect: Effect.Effect<A, E, KeyValueStore.KeyValueStore | KvsLog>) =>
  Effect.provide(effect, Layer.fresh(storeLayer))

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>, seed = 1) =>
  quiet(Effect.provide(effect, SimulatedDisk.layer({ seed })))

/** Everything in the store. */
const all = Effect.gen(function*() {
  const store = yield* KeyValueStore.KeyValueStore
  const entries = yield* Effect.forEach(yield* store.keys, (key) => Effect.map(store.get(key), (value) => [key, value]))
  return Object.fromEntries(entries) as Record<string, string>
})

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

describe("a store of keys and values that is opened again", () => {
  it.effect("has what it had", () =>
    onDisk(Effect.gen(function*() {
      const odd = ["", "a\tb\n", "é\u0000\"\\", "\ud800", "\ufeffbom", "[1]"]
      yield* life(Effect.gen(function*() {
        const store = yield* KeyValueStore.KeyValueStore
        for (const text of odd) yield* store.set(text, text)
        yield* store.set("bytes", Uint8Array.of(9, 0, 255, 10))
        yield* store.set("gone", "1")
        yield* store.set("gone too", "1")
        yield* store.remove("gone")
        yield* store.clearPrefix("gone")
        yield* store.modify("", () => "modified")
      }))
      yield* life(Effect.gen(function*() {
        const store = yield* KeyValueStore.KeyValueStore
        for (const text of odd) assert.strictEqual(yield* store.get(text), text === "" ? "modified" : text)
        assert.deepStrictEqual(Array.from((yield* store.getUint8Array("bytes"))!), [9, 0, 255, 10])
        assert.strictEqual(yield* store.size, odd.length + 1)
      }))
    })))

  it.effect(
    "has each change that was answered, and each as a whole, after a power failure at any operation",
    () =>
      Effect.gen(function*() {
        let crashes = 0
        for (let seed = 0; seed < 2; seed++) {
          for (const operation of swept(1)) {
            const hasCrashed = yield* onDisk(
              Effect.gen(function*() {
                const disk = yield* SimulatedDisk.SimulatedDisk
                yield* disk.crashAt((yield* disk.operationCount) + operation)
                /** What the store has after each of the changes, and how many of them were answered, or seen by a read. */
                const states: Array<Record<string, string>> = [{}]
                let answered = 0
                const exit = yield* ended(life(Effect.gen(function*() {
                  const store = yield* KeyValueStore.KeyValueStore
                  const change = (
                    next: (state: Record<string, string>) => Record<string, string>,
                    effect: Effect.Effect<unknown, KeyValueStore.KeyValueStoreError>
                  ) => {
                    const count = states.push(next(states.at(-1)!)) - 1
                    return Effect.map(effect, () => {
                      answered = Math.max(answered, count)
                    })
                  }
                  const set = (key: string, value: string) =>
                    change((state) => ({ ...state, [key]: value }), store.set(key, value))
                  for (let round = 0; round < 4; round++) {
                    yield* Effect.all([set("a/1", `${round}`), set("a/2", `${round}`), set("b", `${round}`)], {
                      concurrency: "unbounded"
                    })
                    yield* change((state) => ({ ...state, b: `${state["b"]}!` }), store.modify("b", (b) => `${b}!`))
                    yield* change(({ b }) => ({ b: b! }), store.clearPrefix("a/"))
                    // A read waits for what it sees.
                    const setting = yield* Effect.forkChild(Effect.ignore(store.set("c", `${round}`)), {
                      startImmediately: true
                    })
                    states.push({ ...states.at(-1)!, c: `${round}` })
                    const count = states.length - 1
                    if ((yield* store.get("c")) === `${round}`) answered = Math.max(answered, count)
                    yield* Fiber.join(setting)
                    yield* change(
                      (state) => Object.fromEntries(Object.entries(state).filter(([key]) => key !== "c")),
                      store.remove("c")
                    )
                  }
                })))
                if (Exit.isSuccess(exit)) return false
                yield* disk.crash
                const found = JSON.stringify(yield* life(all))
                const possible = states.slice(answered).map((state) => JSON.stringify(state))
                assert.include(possible, found, `seed ${seed}, operation ${operation}`)
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

describe("a store of keys and values over a log", () => {
  it.effect("refuses a value that is larger than a block, keeps the one before, and goes on", () =>
    onDisk(life(Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      yield* store.set("key", "small")
      const error = yield* Effect.flip(store.set("key", "x".repeat(300_000)))
      assert.deepStrictEqual([error._tag, error.method, error.key], ["KeyValueStoreError", "set", "key"])
      assert.include(error.message, "blockBytesMax")
      assert.strictEqual(yield* store.get("key"), "small")
      yield* store.set("key", "other")
      assert.strictEqual(yield* store.get("key"), "other")
    }))))

  it.effect("goes on after a modify whose function throws, and refuses what is no text or bytes", () =>
    onDisk(life(Effect.gen(function*() {
      const store = yield* KeyValueStore.KeyValueStore
      const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")
      yield* store.set("key", "1")
      const thrown = store.modify("key", () => {
        throw new Error("no")
      })
      assert.include(yield* defectOf(thrown), "no")
      assert.include(yield* defectOf(store.modify("key", () => 1 as never)), "value is 1, expected")
      assert.include(yield* defectOf(store.set("key", 1 as never)), "value is 1, expected")
      assert.include(yield* defectOf(store.set(1 as never, "1")), "key is 1, expected a string")
      assert.include(yield* defectOf(store.get(1 as never)), "key is 1, expected a string")
      assert.include(yield* defectOf(store.clearPrefix(undefined as never)), "prefix is undefined, expected a string")
      assert.deepStrictEqual(yield* all, { key: "1" })
    }))))

  it.effect("does not open over a log of something else, and names the event", () =>
    onDisk(Effect.gen(function*() {
      for (
        const [index, wrong] of ["{}", "[\"set\"]", "[\"bytes\",\"key\"]", "[\"other\",\"key\"]", "\u0000"].entries()
      ) {
        const options = { ...logOptions, directory: `/other-${index}` }
        yield* Effect.provide(
          Effect.flatMap(KvsLog, (log) => log.appendDurable(Buffer.from(wrong))),
          Layer.fresh(KvsLog.layer(options))
        )
        const opening = Layer.provide(WalKvs.layer(KvsLog), Layer.fresh(KvsLog.layer(options)))
        const error = yield* Effect.flip(Effect.provide(Effect.void, opening))
        assert.include(error.message, "event 1 does not fit the schema: it is no change of a key and its value", wrong)
      }
    })))

  it.effect("takes no more disk however often its keys change, and has their newest values when it is opened again", () =>
    onDisk(Effect.gen(function*() {
      const small = { ...logOptions, segmentBytesMax: 64 * 1024, blockBytesMax: 16 * 1024 }
      const layer = WalKvs.layer(KvsLog, { snapshotEvery: { bytes: "64KiB" } }).pipe(
        Layer.provideMerge(KvsLog.layer({ ...small, limits: { maxSegments: 2, maxCompressedSegments: 2 } }))
      )
      const counts: Array<number> = []
      for (let turn = 0; turn < 3; turn++) {
        const exit = yield* ended(Effect.provide(
          Effect.gen(function*() {
            const store = yield* KeyValueStore.KeyValueStore
            if (turn > 0) assert.strictEqual(yield* store.get("key 0"), `${turn - 1} ${"x".repeat(400)}`)
            for (let round = 0; round < 5; round++) {
              const set = (_: unknown, index: number) => store.set(`key ${index}`, `${turn} ${"x".repeat(400)}`)
              yield* Effect.forEach(Array.from({ length: 100 }), set, { concurrency: "unbounded", discard: true })
            }
            const { maintainer } = yield* KvsLog
            yield* maintainer.drain
          }),
          Layer.fresh(layer)
        ))
        assert.isTrue(Exit.isSuccess(exit), String(exit))
        const disk = yield* Disk
        counts.push((yield* disk.list(logOptions.directory)).filter(({ name }) => /\.wal/.test(name)).length)
      }
      assert.isAtMost(Math.max(...counts), 8, "of 600 KiB in segments of 64 KiB")
    })))

  it.effect("keeps its whole state in a snapshot", () =>
    Effect.gen(function*() {
      const values: Values = new Map()
      const events: ReadonlyArray<KvsEvent> = [
        { type: "set", key: "a", value: "" },
        { type: "set", key: "b\t\n", value: "\ud800" },
        { type: "set", key: "__proto__", value: Uint8Array.of(9, 0, 255) },
        { type: "set", key: "base64", value: "base64" },
        { type: "set", key: "gone", value: "1" },
        { type: "remove", key: "gone" }
      ]
      for (const event of events) apply(values, yield* codec.decode(yield* codec.encode(event)))
      const snapshot = EventCodec.make(Values)
      const restored = yield* snapshot.decode(yield* snapshot.encode(values))
      assert.deepStrictEqual(restored, values)
      assert.strictEqual(restored.size, 4)
    }))
})

class User extends Persistable.Class<{ payload: { id: number } }>()("User", {
  primaryKey: ({ id }) => String(id),
  success: Schema.Struct({ name: Schema.String })
}) {}

describe("what Effect builds on keys and values", () => {
  it.effect("remembers over a log what a PersistedCache has looked up, also after a restart, until it is too old", () =>
    onDisk(Effect.gen(function*() {
      let lookups = 0
      const look = Effect.scoped(Effect.gen(function*() {
        const cache = yield* PersistedCache.make(({ id }: User) =>
          Effect.sync(() => {
            lookups += 1
            return { name: `user ${id}` }
          }), { storeId: "users", timeToLive: () => "1 minute" })
        return yield* cache.get(new User({ id: 1 }))
      })).pipe(Effect.provide(Persistence.layerKvs))
      assert.deepStrictEqual(yield* life(look), { name: "user 1" })
      assert.deepStrictEqual(yield* life(look), { name: "user 1" })
      assert.strictEqual(lookups, 1)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* life(look), { name: "user 1" })
      assert.strictEqual(lookups, 2)
    })))

  it.effect("keeps values of a schema over a log", () =>
    onDisk(Effect.gen(function*() {
      const users = Effect.map(
        KeyValueStore.KeyValueStore,
        (store) => KeyValueStore.toSchemaStore(store, Schema.Struct({ since: Schema.DateFromString }))
      )
      yield* life(Effect.flatMap(users, (store) => store.set("ada", { since: new Date(0) })))
      const found = yield* life(Effect.flatMap(users, (store) => store.get("ada")))
      assert.deepStrictEqual(found, Option.some({ since: new Date(0) }))
    })))
})
