/**
 * Waits beside the owner of a log, and opens the log when the owner shows no sign of life.
 *
 * An owner writes the manifest again every `renewEvery`. So a manifest that is the same version for longer has an owner
 * that is dead, frozen, or cut off from the store. The store tells whether it changed, and the time in between is
 * elapsed time of this machine: no clock on a wall counts, neither here, nor there, nor in the store. A standby that
 * cannot reach the store takes nothing over.
 *
 * That it takes over too early costs a takeover and loses nothing: who owns a log is decided by the claim, and never by
 * time.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { logName } from "../archive/LogName.ts"
import { manifestKey } from "../archive/Manifest.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { duration, requireOptions, withDefault } from "../internal/options.ts"
import { ObjectStore } from "../store/ObjectStore.ts"

const Options = Schema.Struct({
  log: logName,
  after: withDefault(duration(1000, 86_400_000), Duration.seconds(15)),
  lookEvery: withDefault(duration(100, 3_600_000), Duration.seconds(1))
})

/**
 * How a standby waits; `log` is required.
 *
 * - `log`: the name of the log in the store
 * - `after`: a manifest that is the same for so long has no owner. Three times the owner's `renewEvery` or more.
 *   Default: 15 seconds
 * - `lookEvery`: how often the store is asked: each look is a request. Default: 1 second
 *
 * @since 0.1.0
 * @category models
 */
export interface StandbyOptions extends Schema.Codec.Encoded<typeof Options> {}

/**
 * Succeeds when the log shows no owner: its manifest was the same version at every look for `after`, or there is none.
 * While the store does not answer, it waits.
 *
 * @since 0.1.0
 * @category waiting
 */
export const silence: (options: StandbyOptions) => Effect.Effect<void, never, ObjectStore> = Effect.fn(
  "Standby.silence"
)(function*(given: StandbyOptions) {
  const { after, log, lookEvery } = requireOptions("options", Options, given)
  const store = yield* ObjectStore
  let seen: { readonly etag: string; readonly since: number } | undefined
  while (true) {
    const etag = yield* Effect.map(store.head(manifestKey(log)), (found) => found.etag).pipe(
      Effect.catch((error) => Effect.succeed(error.reason._tag === "NotFound" ? "" : undefined))
    )
    const now = yield* elapsedMillis
    if (etag === "") return
    // What was not seen may have changed meanwhile, and back it cannot: each version is another.
    if (etag !== undefined && etag !== seen?.etag) seen = { etag, since: now }
    else if (etag !== undefined && seen !== undefined && now - seen.since >= Duration.toMillis(after)) return
    yield* Effect.sleep(lookEvery)
  }
})

/**
 * A layer that is built when the log shows no owner. Give it the layers of the recorder, `Failover.layer` among them.
 *
 * **Example** (Taking over)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Archive, DirectoryStore } from "effect-wal/archive"
 * import { Failover, Standby } from "effect-wal/failover"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./store")
 *
 * class Orders extends Wal.Service<Orders>()("app/Orders") {}
 *
 * const directory = "./orders"
 *
 * const OrdersLive = Archive.layer({ log: "orders" }).pipe(
 *   Layer.provide(Orders.parts),
 *   Layer.provideMerge(Orders.layer({ directory, onArchiveBehind: "keep", acknowledge: "replicated" })),
 *   Layer.provide(Failover.layer({ log: "orders", directory }))
 * )
 *
 * const StandingBy = Standby.layer({ log: "orders" }, OrdersLive).pipe(
 *   Layer.provide(DirectoryStore.layer({ directory: "./store" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.flatMap(Orders, ({ appendDurable }) => appendDurable(Buffer.from("hello")))
 *
 * // Nobody has it, so there is nothing to wait for.
 * const id = await Effect.runPromise(Effect.provide(program, StandingBy))
 * await Effect.runPromise(Console.log(id)) // => 1
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <A, E, R>(
  options: StandbyOptions,
  recorder: Layer.Layer<A, E, R>
): Layer.Layer<A, E, R | ObjectStore> => Layer.unwrap(Effect.as(silence(options), recorder))
