/**
 * Persisted queues, keys with values and event journals, through Effect's own interfaces: N callers, each of which offers an
 * element, takes one and acknowledges it, again and again; or sets a key; or writes an entry. Everything is on disk when its
 * call has been answered.
 */
import type * as EventJournals from "effect/eventlog/EventJournal"
import type * as Layers from "effect/Layer"
import type * as KeyValueStores from "effect/persistence/KeyValueStore"
import type * as PersistedQueues from "effect/persistence/PersistedQueue"
import { percentiles } from "../harness/Statistics.ts"
import type { Contestant, Metric, Suite, Table } from "../harness/Suite.ts"

const metrics: ReadonlyArray<Metric> = [
  { name: "elements", unit: "1/s", better: "more" },
  ...["p50", "p99"].map((name): Metric => ({ name, unit: "µs", better: "less" }))
]

const roundMillis = (quick: boolean): number => (quick ? 100 : 1000)

type Host = "thread" | "fiber" | "caller"

/** What the stores are made of: ours over a log in a directory, Effect's over a database there. */
const layers = async (directory: string) => {
  const Layer = await import("effect/Layer")
  const References = await import("effect/References")
  const NodeDisk = await import("../../src/disk/NodeDisk.ts")
  const Wal = await import("../../src/recorder/Wal.ts")
  const Sqlite = await import("../../test/fixtures/sqlite.ts")
  class BenchLog extends Wal.Service<BenchLog>()("bench/Log") {}
  const log = (host: Host) =>
    (host === "thread" ? BenchLog.layerWorker({ directory }) : BenchLog.layer({ directory })).pipe(
      Layer.provide(host === "caller" ? NodeDisk.layerBlocking : NodeDisk.layer)
    )
  const quiet = Layer.succeed(References.MinimumLogLevel, "Error")
  return { BenchLog, log, quiet, sqlite: Sqlite.layer(`${directory}/store.db`) }
}

/** Lets callers do something until the time is over. */
const playFor = async (
  millis: number,
  run: (isOpen: () => boolean, note: (micros: number) => void) => Promise<unknown>
) => {
  const micros: Array<number> = []
  const started = performance.now()
  await run(() => performance.now() - started < millis, (each) => micros.push(each))
  const seconds = (performance.now() - started) / 1000
  return { measures: { ...percentiles(Float64Array.from(micros)), elements: micros.length / seconds } }
}

const queue = (store: Host | "sqlite", callers: number): Contestant => ({
  name: store === "sqlite" ? "Effect's SQL store, node:sqlite" : `effect-wal, ${store}`,
  note: store === "sqlite"
    ? "PersistedQueue.layerStoreSql; journal_mode WAL, synchronous FULL"
    : "WalQueue.layer",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const PersistedQueue = await import("effect/persistence/PersistedQueue")
    const Schema = await import("effect/Schema")
    const WalQueue = await import("../../src/queue/WalQueue.ts")
    const { BenchLog, log, quiet, sqlite } = await layers(directory)
    const stores: Layers.Layer<PersistedQueues.PersistedQueueStore, unknown> = store === "sqlite"
      ? Layer.provide(PersistedQueue.layerStoreSql(), sqlite)
      : Layer.provide(WalQueue.layer(BenchLog), log(store))
    const runtime = ManagedRuntime.make(PersistedQueue.layer.pipe(Layer.provide(stores), Layer.provideMerge(quiet)))
    const mails = await runtime.runPromise(
      PersistedQueue.make({ name: "mails", schema: Schema.Struct({ to: Schema.String, text: Schema.String }) })
    )
    const mail = { to: "ada@example.org", text: "x".repeat(200) }
    return {
      round: () =>
        playFor(roundMillis(quick), (isOpen, note) => {
          const caller = Effect.gen(function*() {
            while (isOpen()) {
              const begun = performance.now()
              yield* mails.offer(mail)
              yield* mails.take(() => Effect.void)
              note((performance.now() - begun) * 1000)
            }
          })
          return runtime.runPromise(
            Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded" })
          )
        }),
      close: () => runtime.dispose()
    }
  }
})

const kvs = (store: Host | "sqlite", callers: number): Contestant => ({
  name: store === "sqlite" ? "Effect's SQL store, node:sqlite" : `effect-wal, ${store}`,
  note: store === "sqlite" ? "KeyValueStore.layerSql; journal_mode WAL, synchronous FULL" : "WalKvs.layer",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const KeyValueStore = await import("effect/persistence/KeyValueStore")
    const WalKvs = await import("../../src/kvs/WalKvs.ts")
    const { BenchLog, log, quiet, sqlite } = await layers(directory)
    const stores: Layers.Layer<KeyValueStores.KeyValueStore, unknown> = store === "sqlite"
      ? Layer.provide(KeyValueStore.layerSql(), sqlite)
      : Layer.provide(WalKvs.layer(BenchLog), log(store))
    const runtime = ManagedRuntime.make(Layer.provideMerge(stores, quiet))
    const values = await runtime.runPromise(KeyValueStore.KeyValueStore)
    const value = "x".repeat(200)
    let keys = 0
    return {
      round: () =>
        playFor(roundMillis(quick), (isOpen, note) => {
          const caller = Effect.gen(function*() {
            while (isOpen()) {
              const begun = performance.now()
              yield* values.set(`key ${keys++ % 10_000}`, value)
              note((performance.now() - begun) * 1000)
            }
          })
          return runtime.runPromise(
            Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded" })
          )
        }),
      close: () => runtime.dispose()
    }
  }
})

const journal = (store: Host | "sqlite", callers: number): Contestant => ({
  name: store === "sqlite" ? "Effect's SQL store, node:sqlite" : `effect-wal, ${store}`,
  note: store === "sqlite" ? "SqlEventJournal.layer; journal_mode WAL, synchronous FULL" : "WalEventJournal.layer",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const Layer = await import("effect/Layer")
    const ManagedRuntime = await import("effect/ManagedRuntime")
    const EventJournal = await import("effect/eventlog/EventJournal")
    const SqlEventJournal = await import("effect/eventlog/SqlEventJournal")
    const SqliteClient = await import("../../test/fixtures/sqliteClient.ts")
    const WalEventJournal = await import("../../src/eventlog/WalEventJournal.ts")
    const { BenchLog, log, quiet } = await layers(directory)
    const stores: Layers.Layer<EventJournals.EventJournal, unknown> = store === "sqlite"
      // Its transactions need a client that keeps them apart.
      ? Layer.provide(SqlEventJournal.layer(), SqliteClient.layer(`${directory}/store.db`))
      : Layer.provide(WalEventJournal.layer(BenchLog), log(store))
    const runtime = ManagedRuntime.make(Layer.provideMerge(stores, quiet))
    const journal = await runtime.runPromise(EventJournal.EventJournal)
    const payload = new Uint8Array(200)
    let keys = 0
    return {
      round: () =>
        playFor(roundMillis(quick), (isOpen, note) => {
          const caller = Effect.gen(function*() {
            while (isOpen()) {
              const begun = performance.now()
              yield* journal.write({
                event: "Changed",
                primaryKey: `key ${keys++ % 10_000}`,
                payload,
                effect: () => Effect.void
              })
              note((performance.now() - begun) * 1000)
            }
          })
          return runtime.runPromise(
            Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded" })
          )
        }),
      close: () => runtime.dispose()
    }
  }
})

const stores = ["thread", "fiber", "caller", "sqlite"] as const

const table = (
  name: string,
  title: string,
  contestant: (store: Host | "sqlite", callers: number) => Contestant,
  callers: number
): Table => ({
  name: `${name}, ${callers}`,
  title: `${callers} ${callers === 1 ? "caller" : "callers"}: ${title}`,
  metrics,
  reference: "Effect's SQL store, node:sqlite",
  contestants: stores.map((store) => contestant(store, callers))
})

export const suite: Suite = {
  name: "queue",
  tables: [1, 64].flatMap((callers) => [
    table("queue", "offer an element of 240 bytes, take one, acknowledge it", queue, callers),
    table("kvs", "set one of 10,000 keys to 200 characters", kvs, callers),
    table("journal", "write an entry of 200 bytes into an event journal", journal, callers)
  ])
}
