/** Logs as entities of a cluster: of one runner, and of runners that come and go. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { join } from "node:path"
import * as WalSingleRunner from "../../src/cluster-storage/WalSingleRunner.ts"
import * as LogEntity from "../../src/cluster/LogEntity.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { subjects, TenantSet } from "../many/subjects.ts"
import type { Tenants } from "../many/subjects.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"
import { connect, freePort, start } from "./runners.ts"
import { Mailbox } from "./subjects.ts"

const Entities = LogEntity.make("Tenant", { logs: TenantSet, event: Schema.String })

/** A cluster of one runner over the set. */
const alone = Effect.fnUntraced(function*(tenants: Tenants) {
  const layer = Entities.layer.pipe(
    Layer.provideMerge(WalSingleRunner.layer({
      log: Mailbox,
      shardingConfig: { shardsPerGroup: 4, entityTerminationTimeout: "1 seconds" }
    })),
    Layer.provide(Mailbox.layer({ directory: "/mailbox", segmentBytesMax: "64KiB" })),
    Layer.provide(SimulatedDisk.layer({ seed: 1 })),
    Layer.provide(Layer.succeed(TenantSet, tenants))
  )
  return yield* Effect.provideContext(Entities.client, yield* Layer.build(layer))
})

const eventsOf = <E, R>(events: Stream.Stream<{ readonly id: number; readonly event: string }, E, R>) =>
  Effect.map(Stream.runCollect(events), (all) => all.map(({ event, id }) => `${id} ${event}`))

describe.each(subjects)("a log of a cluster of one runner ($name)", ({ place }) => {
  it.live("records what is appended, one or many, and gives it back", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open()
      const client = yield* alone(tenants)
      const ada = client("ada")
      assert.strictEqual(yield* ada.appendDurable("one"), 1)
      assert.strictEqual(yield* ada.appendAllDurable(["two", "three"]), 3)
      assert.strictEqual(yield* client("grace").appendDurable("other"), 1)
      assert.deepStrictEqual(yield* eventsOf(ada.events()), ["1 one", "2 two", "3 three"])
      assert.deepStrictEqual(yield* eventsOf(ada.events({ from: { id: 2 }, toId: 2 })), ["2 two"])
      assert.deepStrictEqual(yield* eventsOf(client("nobody").events()), [])
      const { appended, durable, replicated } = yield* ada.positions
      assert.deepStrictEqual([appended, durable, replicated], [3, 3, undefined])
      // The same log, seen in this process.
      assert.deepStrictEqual(yield* eventsOf(tenants.events("ada")), ["1 one", "2 two", "3 three"])
    }).pipe(quiet))

  it.live("is followed from its newest event on", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const ada = (yield* alone(yield* open()))("ada")
      yield* ada.appendDurable("before")
      const seen = yield* Queue.make<string>()
      const reader = yield* Effect.forkChild(
        Stream.runForEach(
          ada.events({ from: { id: 1 }, follow: true }),
          ({ event, id }) => Queue.offer(seen, `${id} ${event}`)
        )
      )
      assert.strictEqual(yield* Queue.take(seen), "1 before")
      yield* ada.appendDurable("after")
      assert.strictEqual(yield* Queue.take(seen), "2 after")
      yield* Fiber.interrupt(reader)
    }).pipe(quiet))

  it.live("refuses a key that is none, with a typed error", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const client = yield* alone(yield* open())
      for (const key of ["../../etc", "Ada"]) {
        assert.strictEqual((yield* Effect.flip(client(key).appendDurable("x")))._tag, "KeyRefused")
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(client(key).events())))._tag, "KeyRefused")
      }
    }).pipe(quiet))

  it.live("that is closed and opened again takes the next event, and a reader goes on", () =>
    Effect.gen(function*() {
      const { open } = yield* place
      const tenants = yield* open({ idleTimeToLive: 0 })
      const ada = (yield* alone(tenants))("ada")
      for (let id = 1; id <= 5; id++) {
        // Events that are alike, of one caller that knows that they were answered.
        assert.strictEqual(yield* ada.appendDurable("x"), id)
        yield* tenants.close("ada")
        assert.deepStrictEqual(yield* tenants.opened, [])
      }
      assert.strictEqual((yield* eventsOf(ada.events())).length, 5)
    }).pipe(quiet))
})

/** Two machines, a store, the storage of the cluster, and a client. */
const world = Effect.gen(function*() {
  const database = join(yield* temporaryDirectory, "cluster.sqlite")
  const { store } = yield* SimulatedStore.make({ seed: 1 })
  const startOn = Effect.fnUntraced(function*(disk: SimulatedDisk.SimulatedDisk["Service"]["disk"]) {
    return yield* start({ database, port: yield* freePort, disk, store })
  })
  const disks = [(yield* SimulatedDisk.make({ seed: 1 })).disk, (yield* SimulatedDisk.make({ seed: 2 })).disk] as const
  return { startOn, disks, connect: connect(database) }
})

const keys = ["ada", "grace", "alan", "edsger"]

describe("logs of a cluster of two runners", () => {
  it.live(
    "move when a runner ends, with everything that was acknowledged, each event once and ids that go on",
    () =>
      Effect.gen(function*() {
        const { connect, disks, startOn } = yield* world
        const first = yield* startOn(disks[0])
        const client = yield* connect
        const logs = keys.map((key) => client(key))
        const seen = keys.map((): Array<string> => [])
        yield* Effect.forEach(logs, (log, index) =>
          Effect.forkScoped(Stream.runForEach(
            log.events({ follow: true }),
            ({ event, id }) => Effect.sync(() => void seen[index]!.push(`${id} ${event}`))
          )))
        let next = 0
        const answered = keys.map((): Array<string> => [])
        // Each event is another one, so that what was recorded twice is seen.
        const writer = (index: number) =>
          Effect.gen(function*() {
            const event = `event ${++next}`
            const id = yield* Effect.catchTag(
              logs[index]!.appendDurable(event),
              "Unanswered",
              ({ eventId }) => Effect.succeed(eventId)
            )
            answered[index]!.push(`${id} ${event}`)
          })
        const stop = yield* Effect.forEach(keys, (_, index) => Effect.forkScoped(Effect.forever(writer(index))))
        const until = (count: number) =>
          Effect.sleep("20 millis").pipe(
            Effect.repeat({ until: () => answered.every(({ length }) => length >= count) })
          )
        yield* until(20)
        const second = yield* startOn(disks[1])
        // What moves to the one that has come, and then the rest.
        yield* until(60)
        yield* first.close
        yield* until(Math.max(...answered.map(({ length }) => length)) + 20)
        assert.strictEqual((yield* second.logs.opened).length, keys.length)
        yield* Effect.forEach(stop, Fiber.interrupt)
        for (const [index, log] of logs.entries()) {
          const recorded = yield* eventsOf(log.events())
          // What was on its way when the writer was stopped may be there too.
          const wanted = answered[index]!.toSorted((a, b) => Number.parseInt(a) - Number.parseInt(b))
          assert.deepStrictEqual(recorded.slice(0, wanted.length), wanted)
          assert.isAtMost(recorded.length, wanted.length + 1)
          assert.deepStrictEqual(recorded.map((event) => Number.parseInt(event)), recorded.map((_, at) => at + 1))
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => seen[index]!.length >= recorded.length }))
          // What was on its way may have come after that.
          assert.deepStrictEqual(seen[index]!.slice(0, recorded.length), recorded)
        }
      }).pipe(quiet),
    120_000
  )
})
