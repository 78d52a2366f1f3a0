/** The stores that the rulings on queues are held to: Effect's own two, and ours. */
import * as Layer from "effect/Layer"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as WalQueue from "../../src/queue/WalQueue.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as Sqlite from "../fixtures/sqlite.ts"

export interface Subject {
  readonly name: string
  /** Whether it goes by Effect's clock. SQLite goes by its own, in whole seconds. */
  readonly hasClock: boolean
  readonly layer: Layer.Layer<PersistedQueue.PersistedQueueStore>
}

export class QueueLog extends Wal.Service<QueueLog>()("test/QueueLog") {}

/** A log of little memory, whose segments are soon full. */
export const logOptions = { directory: "/queues", segmentBytesMax: 256 * 1024, slots: 3 } as const

/** Our store, on the disk of the context. */
export const storeLayer = Layer.suspend(() =>
  WalQueue.layer(QueueLog).pipe(Layer.provideMerge(QueueLog.layer(logOptions)))
)

export const subjects: ReadonlyArray<Subject> = [
  { name: "Effect's, in memory", hasClock: true, layer: PersistedQueue.layerStoreMemory },
  {
    name: "Effect's, SQLite",
    hasClock: false,
    layer: Layer.orDie(PersistedQueue.layerStoreSql()).pipe(Layer.provide(Sqlite.layer(":memory:")))
  },
  {
    name: "a log",
    hasClock: true,
    layer: Layer.orDie(storeLayer).pipe(Layer.provide(SimulatedDisk.layer({ seed: 1 })))
  }
]
