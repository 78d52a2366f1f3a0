/** The stores that the rulings on keys and values are held to: Effect's own two, and ours. */
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Sqlite from "../fixtures/sqlite.ts"

export interface Subject {
  readonly name: string
  /** Whether one caller's `modify` comes between no other's read and write. */
  readonly isAtomic: boolean
  /** Whether it keeps values that nobody else holds. */
  readonly ownsValues: boolean
  readonly layer: Layer.Layer<KeyValueStore.KeyValueStore>
}

export const subjects: ReadonlyArray<Subject> = [
  { name: "Effect's, in memory", isAtomic: false, ownsValues: false, layer: KeyValueStore.layerMemory },
  {
    name: "Effect's, SQLite",
    isAtomic: false,
    ownsValues: true,
    layer: KeyValueStore.layerSql().pipe(Layer.provide(Sqlite.layer(":memory:")))
  }
]
