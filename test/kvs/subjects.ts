/** The stores that the rulings on keys and values are held to: Effect's own two, and ours. */
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as WalKvs from "../../src/kvs/WalKvs.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as Sqlite from "../fixtures/sqlite.ts"

export interface Subject {
  readonly name: string
  /** Whether one caller's `modify` comes between no other's read and write. */
  readonly isAtomic: boolean
  /** Whether it keeps values that nobody else holds. */
  readonly ownsValues: boolean
  readonly layer: Layer.Layer<KeyValueStore.KeyValueStore>
}

export class KvsLog extends Wal.Service<KvsLog>()("test/KvsLog") {}

/** A log of little memory, whose segments are soon full. */
export const logOptions = { directory: "/kvs", segmentBytesMax: 256 * 1024, slots: 3 } as const

/** Our store, on the disk of the context. */
export const storeLayer = Layer.suspend(() => WalKvs.layer(KvsLog).pipe(Layer.provideMerge(KvsLog.layer(logOptions))))

export const subjects: ReadonlyArray<Subject> = [
  { name: "Effect's, in memory", isAtomic: false, ownsValues: false, layer: KeyValueStore.layerMemory },
  {
    name: "Effect's, SQLite",
    isAtomic: false,
    ownsValues: true,
    layer: KeyValueStore.layerSql().pipe(Layer.provide(Sqlite.layer(":memory:")))
  },
  {
    name: "a log",
    isAtomic: true,
    ownsValues: true,
    layer: Layer.orDie(storeLayer).pipe(Layer.provide(SimulatedDisk.layer({ seed: 1 })))
  }
]
