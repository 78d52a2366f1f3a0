/**
 * Effect's cluster in one process, over the storages that it can have: messages to persisted entities, and steps of
 * workflows. All contestants run the same entities on the same layers; only the storage of messages differs.
 */
import type * as Effect from "effect/Effect"
import { join } from "node:path"
import { percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite, Table } from "../harness/Suite.ts"

/** How long a round lasts, in milliseconds. */
const roundMillis = (quick: boolean): number => (quick ? 100 : 1500)

type Storage = "effect-wal" | "FULL" | "NORMAL" | "memory"

/** A runtime with a counter and a workflow, whose messages are stored so. */
const openCluster = async (storage: Storage, directory: string) => {
  const { Effect, Layer, ManagedRuntime, References, Schema } = await import("effect")
  const Cluster = await import("effect/cluster")
  const Digest = await import("effect/crypto/Digest")
  const { Rpc } = await import("effect/rpc")
  const { Activity, Workflow } = await import("effect/workflow")
  const { WalMessageStorage } = await import("../../src/cluster-storage/index.ts")
  const { NodeDisk, Wal } = await import("../../src/index.ts")
  const SqliteClient = await import("../../test/fixtures/sqliteClient.ts")

  class Mailbox extends Wal.Service<Mailbox>()("bench/Mailbox") {}

  const Counter = Cluster.Entity.make("Counter", [
    Rpc.make("Increment", { success: Schema.Int, payload: { by: Schema.Int, note: Schema.String } })
  ]).annotateRpcs(Cluster.ClusterSchema.Persisted, true)
  const CounterLive = Counter.toLayer(Effect.sync(() => {
    let count = 0
    return Counter.of({ Increment: ({ payload }) => Effect.sync(() => count += payload.by) })
  }))

  const Steps = Workflow.make("Steps", {
    payload: { id: Schema.String },
    success: Schema.Int,
    idempotencyKey: ({ id }) => id
  })
  const StepsLive = Steps.toLayer(Effect.fnUntraced(function*() {
    let sum = 0
    for (let step = 0; step < stepsPerWorkflow; step++) {
      sum += yield* Activity.make({ name: `step ${step}`, success: Schema.Int, execute: Effect.succeed(step) })
    }
    return sum
  }))

  const messages = storage === "effect-wal"
    ? WalMessageStorage.layer({ log: Mailbox }).pipe(
      Layer.provide(Mailbox.layerWorker({ directory })),
      Layer.provide(NodeDisk.layer)
    )
    : storage === "memory"
    ? Cluster.MessageStorage.layerMemory
    : Cluster.SqlMessageStorage.layer.pipe(
      Layer.provide(SqliteClient.layer(join(directory, "cluster.db"), storage)),
      Layer.provide(Digest.layerWebCrypto)
    )
  const layer = Layer.merge(CounterLive, StepsLive).pipe(
    Layer.provideMerge(Cluster.ClusterWorkflowEngine.layer),
    Layer.provideMerge(Cluster.Sharding.layer),
    Layer.provideMerge(Cluster.Runners.layerNoop),
    Layer.provideMerge(messages),
    Layer.provide([Cluster.RunnerStorage.layerMemory, Cluster.RunnerHealth.layerNoop]),
    Layer.provide(Cluster.ShardingConfig.layer()),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
  )
  const runtime = ManagedRuntime.make(Layer.orDie(layer))
  const client = await runtime.runPromise(Counter.client)
  let workflows = 0
  return {
    /** Sends a message to one of many entities, and waits for its answer. */
    send: (entity: number) => client(`counter ${entity}`).Increment({ by: 1, note }),
    /** Runs a workflow that nobody ran before. */
    runWorkflow: Effect.suspend(() => Steps.execute({ id: `workflow ${++workflows}` })),
    /** Lets callers do something for so long; gives what each took, in microseconds. */
    play: async (
      callers: number,
      millis: number,
      work: (caller: number) => Effect.Effect<unknown, unknown>
    ) => {
      const micros: Array<number> = []
      const started = performance.now()
      const caller = (index: number) =>
        Effect.gen(function*() {
          while (performance.now() - started < millis) {
            const begun = performance.now()
            yield* work(index)
            micros.push((performance.now() - begun) * 1000)
          }
        })
      await runtime.runPromise(
        Effect.all(Array.from({ length: callers }, (_, index) => caller(index)), { concurrency: "unbounded" }) as never
      )
      return { micros: Float64Array.from(micros), seconds: (performance.now() - started) / 1000 }
    },
    close: () => runtime.dispose()
  }
}

const note = "x".repeat(100)
const stepsPerWorkflow = 10

/** Contestants. */
export const names: Readonly<Record<Storage, string>> = {
  "effect-wal": "effect-wal, WalMessageStorage",
  FULL: "Effect's SqlMessageStorage, node:sqlite, synchronous FULL",
  NORMAL: "Effect's SqlMessageStorage, node:sqlite, synchronous NORMAL",
  memory: "Effect's storage in memory"
}

const notes: Readonly<Record<Storage, string>> = {
  "effect-wal": "Mailbox.layerWorker, every reply after its commit",
  FULL: "journal_mode WAL, prepared statements; a commit survives a loss of power",
  NORMAL: "journal_mode WAL, prepared statements; the last commits are lost with the power",
  memory: "nothing survives; what the cluster itself costs"
}

const storages: ReadonlyArray<Storage> = ["effect-wal", "FULL", "NORMAL", "memory"]

const contestant = (
  storage: Storage,
  round: (cluster: Awaited<ReturnType<typeof openCluster>>, millis: number) => Promise<Record<string, number>>
): Contestant => ({
  name: names[storage],
  note: notes[storage],
  open: async ({ directory, quick }) => {
    const cluster = await openCluster(storage, directory)
    // Shards are acquired and code is loaded before a clock runs.
    await round(cluster, 50)
    return {
      round: async () => ({ measures: await round(cluster, roundMillis(quick)) }),
      close: cluster.close
    }
  }
})

const messageMetrics: ReadonlyArray<Metric> = [
  { name: "messages", unit: "1/s", better: "more" },
  { name: "p50", unit: "µs", better: "less" },
  { name: "p99", unit: "µs", better: "less" }
]

const messageTable = (callers: number): Table => ({
  name: `entity messages, ${callers}`,
  title: `${callers} ${callers === 1 ? "caller sends" : "callers send"} persisted messages to entities`,
  metrics: messageMetrics,
  reference: names.FULL,
  contestants: storages.map((storage) =>
    contestant(storage, async (cluster, millis) => {
      const { micros, seconds } = await cluster.play(callers, millis, cluster.send as never)
      const { p50, p99 } = percentiles(micros)
      return { messages: micros.length / seconds, p50: p50!, p99: p99! }
    })
  )
})

const workflowTable: Table = {
  name: "workflow steps",
  title: `32 callers run workflows of ${stepsPerWorkflow} activities`,
  metrics: [{ name: "steps", unit: "1/s", better: "more" }],
  reference: names.FULL,
  contestants: storages.map((storage) =>
    contestant(storage, async (cluster, millis) => {
      const { micros, seconds } = await cluster.play(32, millis, () => cluster.runWorkflow as never)
      return { steps: micros.length * stepsPerWorkflow / seconds }
    })
  )
}

export const suite: Suite = { name: "cluster", tables: [messageTable(1), messageTable(64), workflowTable] }
