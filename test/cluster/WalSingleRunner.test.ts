/** What runs on a cluster of one process, over several lives of it. */
import { assert, describe, it } from "@effect/vitest"
import * as ClusterCron from "effect/cluster/ClusterCron"
import * as ClusterSchema from "effect/cluster/ClusterSchema"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as Entity from "effect/cluster/Entity"
import * as Runner from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as Cron from "effect/Cron"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as References from "effect/References"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Activity from "effect/workflow/Activity"
import * as DurableQueue from "effect/workflow/DurableQueue"
import * as Workflow from "effect/workflow/Workflow"
import * as WalRunnerStorage from "../../src/cluster-storage/WalRunnerStorage.ts"
import * as WalSingleRunner from "../../src/cluster-storage/WalSingleRunner.ts"
import type { Disk } from "../../src/disk/Disk.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { Mailbox } from "./subjects.ts"

const quiet = Layer.succeed(References.MinimumLogLevel, "None")
const MailboxLive = Layer.suspend(() => Layer.fresh(Mailbox.layer({ directory: "/mailbox", segmentBytesMax: "64KiB" })))

/** Provides a life of the cluster, which ends with the program. */
const clusterOf = () =>
  ClusterWorkflowEngine.layer.pipe(
    Layer.provideMerge(WalSingleRunner.layer({
      log: Mailbox,
      shardingConfig: {
        shardsPerGroup: 4,
        entityMessagePollInterval: "20 millis",
        entityTerminationTimeout: "10 millis"
      }
    })),
    Layer.provide(MailboxLive),
    Layer.orDie
  )

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk>) =>
  effect.pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 })), Effect.provide(quiet))

describe("a cluster of one process", () => {
  it.live("gives an entity after a restart what it did not answer, with a key once, and the answers to those who ask again", () =>
    onDisk(Effect.gen(function*() {
      const Greeter = Entity.make("Greeter", [
        Rpc.make("Greet", { payload: { name: Schema.String }, success: Schema.String, primaryKey: ({ name }) => name })
      ]).annotateRpcs(ClusterSchema.Persisted, true)
      const begun: Array<string> = []
      const first = yield* Deferred.make<void>()
      const greeterOf = (number: number) =>
        Greeter.toLayer(
          Effect.succeed(Greeter.of({
            Greet: ({ payload: { name } }) =>
              Effect.gen(function*() {
                begun.push(`${name} ${number}`)
                if (name === "stuck" && number === 1) {
                  yield* Deferred.succeed(first, undefined)
                  return yield* Effect.never
                }
                return `hello ${name}, from ${number}`
              })
          })),
          { concurrency: "unbounded" }
        ).pipe(Layer.provideMerge(clusterOf()))
      yield* Effect.gen(function*() {
        const greeter = (yield* Greeter.client)("one")
        assert.strictEqual(yield* greeter.Greet({ name: "ada" }), "hello ada, from 1")
        yield* greeter.Greet({ name: "stuck" }, { discard: true })
        yield* Deferred.await(first)
      }).pipe(Effect.provide(greeterOf(1)))
      yield* Effect.gen(function*() {
        const greeter = (yield* Greeter.client)("one")
        assert.strictEqual(yield* greeter.Greet({ name: "stuck" }), "hello stuck, from 2")
        assert.strictEqual(yield* greeter.Greet({ name: "ada" }), "hello ada, from 1")
      }).pipe(Effect.provide(greeterOf(2)))
      assert.deepStrictEqual(begun, ["ada 1", "stuck 1", "stuck 2"])
    })))

  it.live("continues a workflow after a restart, with the results that its activities had, and a durable queue beside it", () =>
    onDisk(Effect.gen(function*() {
      const Order = Workflow.make("Order", {
        payload: { id: Schema.String },
        success: Schema.String,
        idempotencyKey: ({ id }) => id
      })
      const Mails = DurableQueue.make({
        name: "mails",
        payload: { to: Schema.String },
        success: Schema.String,
        idempotencyKey: ({ to }) => to
      })
      const executed: Array<string> = []
      const first = yield* Deferred.make<void>()
      const orderOf = (number: number) =>
        Order.toLayer(Effect.fnUntraced(function*({ id }) {
          const step = (name: string) =>
            Activity.make({
              name,
              success: Schema.String,
              execute: Effect.gen(function*() {
                executed.push(`${name} ${number}`)
                if (name === "ship" && number === 1) {
                  yield* Deferred.succeed(first, undefined)
                  return yield* Effect.never
                }
                return `${name} by ${number}`
              })
            })
          const charged = yield* step("charge")
          const mailed = yield* DurableQueue.process(Mails, { to: id })
          return [charged, mailed, yield* step("ship")].join(", ")
        })).pipe(
          Layer.merge(DurableQueue.worker(Mails, ({ to }) => Effect.succeed(`mail to ${to}`))),
          Layer.provide(PersistedQueue.layer),
          Layer.provide(PersistedQueue.layerStoreMemory),
          Layer.provideMerge(clusterOf())
        )
      yield* Effect.gen(function*() {
        yield* Order.execute({ id: "ada" }, { discard: true })
        yield* Deferred.await(first)
      }).pipe(Effect.provide(orderOf(1)))
      const result = yield* Order.execute({ id: "ada" }).pipe(Effect.provide(orderOf(2)))
      assert.strictEqual(result, "charge by 1, mail to ada, ship by 2")
      assert.deepStrictEqual(executed, ["charge 1", "ship 1", "ship 2"])
    })))

  it.live("runs what is due at its times", () =>
    onDisk(Effect.gen(function*() {
      const ran = yield* Deferred.make<void>()
      const Job = ClusterCron.make({
        name: "job",
        cron: Cron.parseUnsafe("* * * * * *"),
        execute: Deferred.succeed(ran, undefined)
      })
      yield* Deferred.await(ran).pipe(Effect.provide(Layer.provideMerge(Job, clusterOf())))
    })))
})

describe("the storage of the runner", () => {
  const machineOf = (work: Effect.Effect<void, never, Mailbox>) =>
    Effect.gen(function*() {
      const storage = yield* RunnerStorage.RunnerStorage
      const runner = Runner.make({
        address: RunnerAddress.make("localhost", 1),
        groups: ["default"],
        weight: 1
      })
      const machine = yield* storage.register(runner, true)
      assert.lengthOf(yield* storage.getRunners, 1)
      yield* work
      return Number(machine)
    }).pipe(Effect.provide(WalRunnerStorage.layer({ log: Mailbox }).pipe(Layer.provideMerge(MailboxLive))))

  it.effect("gives each start another machine, when something was recorded since the one before", () =>
    onDisk(Effect.gen(function*() {
      const record = Effect.orDie(Effect.asVoid(Mailbox.use(({ appendDurable }) => appendDurable(new Uint8Array(1)))))
      const machines = [yield* machineOf(record), yield* machineOf(record), yield* machineOf(Effect.void)]
      machines.push(yield* machineOf(Effect.void))
      assert.deepStrictEqual(machines, [0, 1, 2, 2])
    })))
})
