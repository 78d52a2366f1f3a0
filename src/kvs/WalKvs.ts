/**
 * Effect's `KeyValueStore` over a log: keys and values that survive the process, without a database. Whatever Effect
 * builds on one (`Persistence.layerKvs`, `PersistedCache`, `KeyValueStore.toSchemaStore`) works over it.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. What `set`, `remove`, `clear` or `modify` have answered is on disk, and no crash takes it back. Each is done as a
 *    whole or not at all. What a read has answered is on disk too (promise 67).
 * 2. `modify` is atomic: of many at once none is lost.
 * 3. A value that is set or read is a copy: nobody can change it in the store.
 * 4. A snapshot has each key once, with its newest value, and retention deletes what is behind it. So the disk that a
 *    store takes depends on what it has, and not on how often that changed.
 *
 * All keys and values are in memory.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import { refuseArgument, requireBytes } from "../internal/arguments.ts"
import type { SizeInput } from "../internal/notations.ts"
import type { Log } from "../recorder/Log.ts"
import { overBytes } from "../state/overBytes.ts"
import * as StateMachine from "../state/StateMachine.ts"
import * as KvsEvent from "./KvsEvent.ts"
import { apply, base64Of, Values } from "./Values.ts"

const hasPrefix = (values: Values, prefix: string): boolean => {
  for (const key of values.keys()) if (key.startsWith(prefix)) return true
  return false
}

const textOf = (value: string | Uint8Array | undefined): string | undefined =>
  value === undefined || typeof value === "string" ? value : base64Of(value)

const encoder = new TextEncoder()

/** A copy of the bytes of a value. */
const copyOf = (value: string | Uint8Array | undefined): Uint8Array | undefined =>
  value === undefined ? undefined : typeof value === "string" ? encoder.encode(value) : Uint8Array.from(value)

const requireText = (name: string, value: string): void => {
  if (typeof value !== "string") refuseArgument(name, value, "a string")
}

/** The value as it is kept: bytes are copied. */
const kept = (value: string | Uint8Array): string | Uint8Array => {
  if (typeof value === "string") return value
  requireBytes("value", value)
  return Uint8Array.from(value)
}

/**
 * When snapshots are written. Between them a start folds the changes of the log, and retention keeps them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** As `StateMachine.Options.snapshotEvery`. Default: after 16 MiB, or as many bytes as the last snapshot has. */
  readonly snapshotEvery?: { readonly bytes?: SizeInput; readonly events?: number }
}

/**
 * A store of keys and values over this log of bytes, which has nothing else in it.
 *
 * **Example** (Settings that survive)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { KeyValueStore } from "effect/persistence"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalKvs } from "effect-wal/kvs"
 *
 * class SettingsLog extends Wal.Service<SettingsLog>()("app/SettingsLog") {}
 *
 * const SettingsLive = WalKvs.layer(SettingsLog).pipe(
 *   Layer.provide(SettingsLog.layerWorker({ directory: "./settings" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const settings = yield* KeyValueStore.KeyValueStore
 *   yield* settings.set("starts", "0")
 *   yield* settings.modify("starts", (starts) => String(Number(starts) + 1)) // on disk from here on
 *   yield* Console.log(yield* settings.get("starts")) // => 1
 * })
 *
 * await Effect.runPromise(Effect.provide(program, SettingsLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  log: Context.Key<Self, Log<Uint8Array>>,
  options: Options = {}
): Layer.Layer<KeyValueStore.KeyValueStore, StateMachine.StateMachineError, Self> =>
  Layer.effect(KeyValueStore.KeyValueStore, Effect.flatMap(log, (log) => make(log, options)))

const make = Effect.fnUntraced(function*(bytes: Log<Uint8Array>, options: Options) {
  const log = yield* overBytes("kvs", bytes, KvsEvent.codec)
  const machine = yield* StateMachine.make({
    log,
    name: "kvs",
    ...options,
    state: Values,
    initial: () => new Map(),
    apply
  })

  /** A method on one key, or on all of them. */
  const named = (method: string, key?: string) =>
    Effect.mapError((cause: StateMachine.StateMachineError) =>
      new KeyValueStore.KeyValueStoreError({
        method,
        ...(key === undefined ? {} : { key }),
        message: `${method} has failed: ${cause.message}`,
        cause
      })
    )

  const ofKey = <A>(method: string, key: string, f: (value: string | Uint8Array | undefined) => A) =>
    Effect.suspend(() => {
      requireText("key", key)
      return machine.read((values) => f(values.get(key)))
    }).pipe(named(method, key))

  const set = (key: string, value: string | Uint8Array) =>
    Effect.suspend(() => {
      requireText("key", key)
      const event: KvsEvent.KvsEvent = { type: "set", key, value: kept(value) }
      return machine.update(() => [undefined, [event]])
    }).pipe(named("set", key))

  const remove = (key: string) =>
    Effect.suspend(() => {
      requireText("key", key)
      return machine.update((values) => [undefined, values.has(key) ? [{ type: "remove", key }] : []])
    }).pipe(named("remove", key))

  const clearPrefix = (prefix: string) =>
    Effect.suspend(() => {
      requireText("prefix", prefix)
      return machine.update((values) => [
        undefined,
        hasPrefix(values, prefix) ? [{ type: "clear", prefix }] : []
      ])
    })

  /** Changes what `as` makes of the value that is there. */
  const modify = <A extends string | Uint8Array>(
    method: string,
    as: (value: string | Uint8Array | undefined) => A | undefined
  ) =>
  (key: string, f: (value: A) => A) =>
    Effect.suspend(() => {
      requireText("key", key)
      return machine.update((values): StateMachine.Decision<A | undefined, KvsEvent.KvsEvent> => {
        const before = as(values.get(key))
        if (before === undefined) return [undefined, []]
        const after = f(before)
        return [after, [{ type: "set", key, value: kept(after) }]]
      })
    }).pipe(named(method, key))

  const size = machine.read((values) => values.size)

  return KeyValueStore.make({
    get: (key) => ofKey("get", key, textOf),
    getUint8Array: (key) => ofKey("getUint8Array", key, copyOf),
    has: (key) => ofKey("has", key, (value) => value !== undefined),
    set,
    remove,
    modify: modify("modify", textOf),
    modifyUint8Array: modify("modifyUint8Array", copyOf),
    clear: named("clear")(clearPrefix("")),
    clearPrefix: (prefix) => named("clearPrefix", prefix)(clearPrefix(prefix)),
    size: named("size")(size),
    keys: named("keys")(machine.read((values) => Array.from(values.keys())))
  })
})
