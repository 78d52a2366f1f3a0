/** The stores that the rulings on queues are held to: Effect's own two, and ours. */
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as Sqlite from "../fixtures/sqlite.ts"

export interface Subject {
  readonly name: string
  /** Whether it goes by Effect's clock. SQLite goes by its own, in whole seconds. */
  readonly hasClock: boolean
  readonly layer: Layer.Layer<PersistedQueue.PersistedQueueStore>
}

export const subjects: ReadonlyArray<Subject> = [
  { name: "Effect's, in memory", hasClock: true, layer: PersistedQueue.layerStoreMemory },
  {
    name: "Effect's, SQLite",
    hasClock: false,
    layer: Layer.orDie(PersistedQueue.layerStoreSql()).pipe(Layer.provide(Sqlite.layer(":memory:")))
  }
]
