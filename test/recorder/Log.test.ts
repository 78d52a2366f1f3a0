/** A log with a name and a type: what `Wal.Service` makes. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { join } from "node:path"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { Compressor } from "../../src/index.ts"
import type { ReplayFailure } from "../../src/reading/ReplayError.ts"
import type { EventUndecodable, Log } from "../../src/recorder/Log.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import { small, temporaryDirectory, threadModule } from "./fixtures.ts"
import type { Options } from "./fixtures.ts"

const Order = Schema.Struct({ customer: Schema.NonEmptyString, at: Schema.Date, cents: Schema.Int })
type Order = typeof Order.Type

class Orders extends Wal.Service<Orders>()("test/Orders", { event: Order }) {}
class Audit extends Wal.Service<Audit>()("test/Audit") {}
class Words extends Wal.Service<Words>()("test/Words", { event: Schema.String }) {}

const order = (cents: number): Order => ({ customer: "ada", at: new Date(1_700_000_000_000 + cents), cents })
const orders = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => order(from + i))

const centsOf = <E, R>(events: Stream.Stream<{ readonly event: Order }, E, R>) =>
  Effect.map(Stream.runCollect(events), (all) => all.map(({ event }) => event.cents))

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

const ways = [
  ["fiber", (options: Options) => Orders.layer(options), (options: Options) => Audit.layer(options)],
  [
    "thread",
    (options: Options) => Orders.layerWorker({ ...options, threadModule }),
    (options: Options) => Audit.layerWorker({ ...options, threadModule })
  ]
] as const

describe.each(ways)("a log (%s)", (_, ordersIn, auditIn) => {
  it.live("records values and gives them back, with id and time, over rotations and a restart", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const began = yield* DateTime.now
      yield* Effect.provide(
        Effect.gen(function*() {
          const log = yield* Orders
          assert.strictEqual(yield* log.append(order(1)), 1)
          assert.strictEqual(yield* log.appendAll(orders(2, 3)), 3)
          assert.strictEqual(yield* log.appendDurable(order(4)), 4)
          assert.strictEqual(yield* log.appendEach(orders(5, 300)), 300)
          yield* log.commit
          assert.isAbove(log.recorder.writer.activeSegmentIndex, 0)
          assert.deepStrictEqual(yield* centsOf(log.events()), range(1, 300))
        }),
        ordersIn({ ...small, directory })
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          const log = yield* Orders
          assert.strictEqual(yield* log.append(order(301)), 301)
          yield* log.commit
          const events = yield* Stream.runCollect(log.events({ from: { id: 299 } }))
          assert.deepStrictEqual(events.map(({ event, id }) => [id, event]), [
            [299, order(299)],
            [300, order(300)],
            [301, order(301)]
          ])
          const ended = yield* DateTime.now
          for (const { time } of events) {
            assert.isTrue(time !== undefined && time.epochMilliseconds >= began.epochMilliseconds)
            assert.isTrue(time !== undefined && time.epochMilliseconds <= ended.epochMilliseconds)
          }
          const since = events[2]!.time!
          assert.isTrue((yield* centsOf(log.events({ from: { time: since } }))).includes(301))
          assert.deepStrictEqual(yield* centsOf(log.events({ from: { id: 3 }, to: { id: 5 } })), [3, 4, 5])
          assert.deepStrictEqual(yield* centsOf(log.events({ from: "latest" })), [])
        }),
        ordersIn({ ...small, directory })
      )
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("hands out what is durable, and ends there unless it follows", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* Effect.provide(
        Effect.gen(function*() {
          const log = yield* Orders
          assert.deepStrictEqual(yield* centsOf(log.events()), [])
          yield* log.appendDurable(order(1))
          yield* log.append(order(2))
          assert.deepStrictEqual(yield* centsOf(log.events({ to: { id: 9 } })), [1])
          const seen = yield* Queue.unbounded<number>()
          const follower = yield* Effect.forkChild(
            Stream.runForEach(log.events({ from: { id: 2 }, follow: true }), ({ event }) =>
              Queue.offer(seen, event.cents))
          )
          yield* log.commit
          assert.strictEqual(yield* Queue.take(seen), 2)
          yield* log.appendDurable(order(3))
          assert.strictEqual(yield* Queue.take(seen), 3)
          yield* Fiber.interrupt(follower)
        }),
        ordersIn({ ...small, directory })
      )
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is one of several in an application: merged, of different types, each with its own parts", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const both = Layer.mergeAll(
        Monitor.layer.pipe(
          Layer.provide(Orders.parts),
          Layer.provideMerge(ordersIn({ ...small, directory: join(root, "orders") }))
        ),
        Monitor.layer.pipe(
          Layer.provide(Audit.parts),
          Layer.provideMerge(auditIn({ ...small, directory: join(root, "audit") }))
        )
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          const [orderLog, auditLog] = [yield* Orders, yield* Audit]
          yield* Effect.all([
            Effect.andThen(orderLog.appendEach(orders(1, 300)), orderLog.commit),
            Effect.andThen(
              Effect.forEach(range(1, 200), (id) => auditLog.append(Buffer.from(`audit ${id}`))),
              auditLog.commit
            )
          ], { concurrency: 2 })
          for (const [name, count] of [["orders", 300], ["audit", 200]] as const) {
            assert.strictEqual((yield* Monitor.read(join(root, name)))?.positions.durable, count)
          }
          assert.deepStrictEqual(yield* centsOf(orderLog.events()), range(1, 300))
          const audited = yield* Stream.runCollect(auditLog.events())
          assert.deepStrictEqual(
            audited.map(({ event }) => Buffer.from(event).toString()),
            range(1, 200).map((id) => `audit ${id}`)
          )
        }),
        both
      )
      const { events } = Orders.reader({ directory: join(root, "orders") })
      assert.deepStrictEqual(yield* centsOf(events({ from: { id: 298 } })), [298, 299, 300])
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("on the directory of another fails with the error of the lock", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const layer = () => ordersIn({ ...small, directory })
      yield* Effect.provide(
        Effect.gen(function*() {
          const second = Effect.provide(Effect.asVoid(Orders), layer())
          assert.deepInclude(fieldsOf(yield* Effect.flip(second)), {
            _tag: "DiskError",
            operation: "lock",
            reason: "Held"
          })
          assert.strictEqual(yield* (yield* Orders).appendDurable(order(1)), 1)
        }),
        layer()
      )
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

const simulated = Layer.merge(
  SimulatedDisk.layer({ seed: 1 }),
  Layer.succeed(Compressor.Compressor, Compressor.blocking)
)

/** Runs a test with a log of its own, on a disk and a clock that are simulated. */
const onWords = <A, E>(use: (log: Log<string>) => Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>) =>
  Effect.flatMap(Words, use).pipe(
    Effect.provide(Words.layer({ ...small, directory: "/words" })),
    Effect.provide(simulated)
  )

describe("a log on a simulated disk", () => {
  it.effect("by tenant: each of a LayerMap has its own, also its parts", () =>
    Effect.gen(function*() {
      const tenants = range(1, 20).map((tenant) => `tenant ${tenant}`)
      const logs = yield* LayerMap.make((tenant: string) =>
        Layer.provideMerge(Words.parts, Words.layer({ ...small, directory: `/${tenant}` }))
      )
      yield* Effect.forEach(tenants, (tenant) =>
        Effect.provide(
          Effect.gen(function*() {
            const log = yield* Words
            yield* log.appendDurable(tenant)
            assert.strictEqual(yield* Recorder, log.recorder)
          }),
          logs.get(tenant)
        ), { concurrency: "unbounded" })
      for (const tenant of tenants) {
        const events = yield* Effect.provide(Words.use((log) => Stream.runCollect(log.events())), logs.get(tenant))
        assert.deepStrictEqual(events.map(({ event }) => event), [tenant])
      }
    }).pipe(Effect.scoped, Effect.provide(simulated)))

  it.effect("names an event that its schema does not describe, after those before it", () =>
    Effect.gen(function*() {
      yield* Effect.flatMap(Audit, (log) =>
        Effect.andThen(
          log.appendEach(["\"one\"", "\"two\"", "3", "\"four\""].map((json) => Buffer.from(json))),
          log.commit
        )).pipe(Effect.provide(Audit.layer({ ...small, directory: "/words" })))
      const { events } = Words.reader({ directory: "/words" })
      const seen: Array<string> = []
      const failure = yield* Effect.flip(
        Stream.runForEach(events(), ({ event }) => Effect.sync(() => seen.push(event)))
      )
      assert.deepInclude(failure, { _tag: "EventUndecodable", eventId: 3 })
      assert.match(failure.message, /^event 3 does not fit the schema: Expected string/)
      assert.deepStrictEqual(seen, ["one", "two"])
      assert.deepStrictEqual(
        (yield* Stream.runCollect(events({ from: { id: 4 } }))).map(({ event }) => event),
        ["four"]
      )
    }).pipe(Effect.provide(simulated)))

  it.effect("hands out every event before one that cannot be decoded, however many are decoded at once", () =>
    Effect.gen(function*() {
      const json = Array.from({ length: 200 }, (_, i) => i === 150 ? "3" : `"${i}"`)
      yield* Effect.flatMap(
        Audit,
        (log) => Effect.andThen(log.appendEach(json.map((text) => Buffer.from(text))), log.commit)
      ).pipe(
        Effect.provide(Audit.layer({ ...small, directory: "/words" }))
      )
      const seen: Array<string> = []
      const failure = yield* Effect.flip(Stream.runForEach(
        Words.reader({ directory: "/words" }).events(),
        ({ event, id }) => Effect.sync(() => seen.push(`${id} ${event}`))
      ))
      assert.deepInclude(failure, { _tag: "EventUndecodable", eventId: 151 })
      assert.deepStrictEqual(seen, Array.from({ length: 150 }, (_, i) => `${i + 1} ${i}`))
    }).pipe(Effect.provide(simulated)))

  it.effect("refuses a value that its schema does not describe, alone and in a batch, and writes nothing", () =>
    onWords((log) =>
      Effect.gen(function*() {
        const wrong = 7 as unknown as string
        for (const append of [log.append(wrong), log.appendAll(["a", wrong]), log.appendDurable(wrong)]) {
          assert.strictEqual((yield* Effect.flip(append)).reason._tag, "Unencodable")
        }
        assert.strictEqual((yield* log.positions).appended, 0)
      })
    ))

  it.effect("keeps for a reader what it still has to read, and tells who reads", () =>
    onWords((log) =>
      Effect.gen(function*() {
        yield* log.maintainer.setLimits({ maxSegments: 2, maxCompressedSegments: 4 })
        const record = Effect.andThen(log.appendEach(range(1, 500).map((id) => `word ${id}`)), log.commit)
        yield* record
        const pulled = yield* Queue.bounded<number>(1)
        const reader = yield* Effect.forkChild(
          Stream.runForEach(log.events({ name: "slow" }), ({ id }) => Queue.offer(pulled, id))
        )
        const first = yield* Queue.take(pulled)
        const { holds } = yield* log.maintainer.status
        assert.deepStrictEqual(holds.map(({ name }) => name), ["slow"])
        for (let times = 0; times < 5; times++) yield* record
        for (let id = first + 1; id <= 500; id++) assert.strictEqual(yield* Queue.take(pulled), id)
        yield* Fiber.join(reader)
        assert.deepStrictEqual((yield* log.maintainer.status).holds, [])
      })
    ))

  it.effect("follows from the latest event with those that come after it", () =>
    onWords((log) =>
      Effect.gen(function*() {
        yield* log.appendEach(range(1, 300).map((id) => `word ${id}`))
        yield* log.commit
        const seen: Array<number> = []
        const events = log.events({ from: "latest", to: { id: 303 }, follow: true })
        const follower = yield* Effect.forkChild(
          Stream.runForEach(events, ({ id }) => Effect.sync(() => seen.push(id)))
        )
        while ((yield* log.maintainer.status).holds.length === 0) yield* Effect.yieldNow
        yield* log.appendEach(["a", "b", "c", "d"])
        yield* log.commit
        yield* Fiber.join(follower)
        assert.deepStrictEqual(seen, [301, 302, 303])
      })
    ))

  it.effect("takes a stream: a sink lets no more events wait than its batch, and ends when all are durable", () =>
    onWords((log) =>
      Effect.gen(function*() {
        let undurable = 0
        const words = Stream.range(1, 100).pipe(
          Stream.rechunk(7),
          Stream.tap(() =>
            Effect.map(log.positions, ({ appended, durable }) => {
              undurable = Math.max(undurable, appended - durable)
            })
          ),
          Stream.map((id) => `word ${id}`)
        )
        assert.strictEqual(yield* Stream.run(words, log.sink({ maxBatch: 10 })), 100)
        assert.isAtMost(undurable, 10)
        const events = yield* Stream.runCollect(log.events())
        assert.deepStrictEqual(events.map(({ event }) => event), range(1, 100).map((id) => `word ${id}`))
        assert.strictEqual(yield* Stream.run(Stream.empty, log.sink()), 100)
      })
    ))

  it.effect("makes durable within the sink's time what a slow stream gives", () =>
    onWords((log) =>
      Effect.gen(function*() {
        const source = yield* Queue.unbounded<string>()
        const sinking = yield* Effect.forkChild(Stream.run(Stream.fromQueue(source), log.sink({ within: "1 second" })))
        for (const durable of [1, 2]) {
          yield* Queue.offer(source, "word")
          yield* TestClock.adjust(999)
          assert.deepInclude(yield* log.positions, { appended: durable, durable: durable - 1 })
          yield* TestClock.adjust(1)
          assert.deepInclude(yield* log.positions, { appended: durable, durable })
        }
        yield* Fiber.interrupt(sinking)
      })
    ))

  it.effect("fails a sink with the append that fails", () =>
    onWords((log) =>
      Effect.gen(function*() {
        const words = Stream.make("a", "b", 3 as unknown as string, "d")
        assert.strictEqual((yield* Effect.flip(Stream.run(words, log.sink()))).reason._tag, "Unencodable")
        assert.strictEqual((yield* log.positions).appended, 2)
      })
    ))

  it.effect("refuses the options of a sink that it does not understand", () =>
    onWords((log) =>
      Effect.gen(function*() {
        const wrong = [[{ maxBatch: 0 }, "maxBatch"], [{ within: "soon" }, "within"]] as ReadonlyArray<[object, string]>
        for (const [options, name] of wrong) {
          const exit = yield* Effect.exit(Effect.suspend(() => Stream.run(Stream.make("a"), log.sink(options))))
          assert.include(String(Exit.isFailure(exit) && exit.cause), `options.${name}`)
        }
      })
    ))

  it.effect("passes on what is durable: a channel in a stream", () =>
    onWords((log) =>
      Effect.gen(function*() {
        const passed = Stream.make("a", "b", "c").pipe(
          Stream.rechunk(2),
          Stream.pipeThroughChannel(log.durably()),
          Stream.mapEffect(({ event, id }) => Effect.map(log.positions, ({ durable }) => [id, event, durable >= id]))
        )
        assert.deepStrictEqual(yield* Stream.runCollect(passed), [[1, "a", true], [2, "b", true], [3, "c", true]])
      })
    ))

  it.effect("takes a schema that needs services, where it encodes and where it decodes", () =>
    Effect.gen(function*() {
      class Secret extends Context.Service<Secret, string>()("test/Secret") {}
      const Sealed = Schema.String.pipe(Schema.decodeTo(Schema.String, {
        decode: SchemaGetter.transformEffect((text: string) =>
          Effect.map(Secret, (secret) => text.replace(secret, ""))
        ),
        encode: SchemaGetter.transformEffect((text: string) => Effect.map(Secret, (secret) => secret + text))
      }))
      class Secrets extends Wal.Service<Secrets>()("test/Secrets", { event: Sealed }) {}
      const program = Effect.gen(function*() {
        const log = yield* Secrets
        const append: (word: string) => Effect.Effect<number, RecorderError, Secret> = log.append
        const commit: Effect.Effect<number, RecorderError> = log.commit
        assert.isDefined([append, commit])
        yield* Effect.provideService(log.appendDurable("word"), Secret, "%%")
        const raw = yield* Stream.runCollect(Words.reader({ directory: "/secrets" }).events()).pipe(Effect.result)
        assert.deepStrictEqual(Result.isSuccess(raw) && raw.success.map(({ event }) => event), ["%%word"])
        return yield* Stream.runCollect(log.events()).pipe(Effect.provideService(Secret, "%%"))
      })
      const events = yield* Effect.provide(program, Secrets.layer({ ...small, directory: "/secrets" }))
      assert.deepStrictEqual(events.map(({ event }) => event), ["word"])
    }).pipe(Effect.provide(simulated)))

  it("has the types that it says", () => {
    expectTypeOf(Orders.layer).returns.toEqualTypeOf<Layer.Layer<Orders, Wal.WalError, Disk>>()
    expectTypeOf(Orders.layerWorker).returns.toEqualTypeOf<Layer.Layer<Orders, Wal.WalError, Disk>>()
    expectTypeOf(Orders.layerConfig).returns.toEqualTypeOf<
      Layer.Layer<Orders, Wal.WalError | Config.ConfigError, Disk>
    >()
    expectTypeOf(Orders.parts).toEqualTypeOf<Layer.Layer<Wal.Parts, never, Orders>>()
    expectTypeOf<Context.Service.Shape<typeof Orders>>().toEqualTypeOf<Log<Order>>()
    expectTypeOf<Context.Service.Shape<typeof Audit>>().toEqualTypeOf<Log<Uint8Array>>()
    expectTypeOf<ReturnType<Log<Order>["events"]>>().toEqualTypeOf<
      Stream.Stream<
        { readonly id: number; readonly time: DateTime.Utc | undefined; readonly event: Order },
        ReplayFailure | EventUndecodable
      >
    >()
  })
})
