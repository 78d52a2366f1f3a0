/**
 * Many logs of one kind: a log for each key, opened when it is first used and closed when nobody has used it for a
 * while. {@link Service} gives the set a name and says how the log of a key is made; the class has the layer.
 *
 * What is guaranteed:
 *
 * 1. Each key has a directory of its own beneath the root, and its name is the key. Any other key is refused before
 *    anything is made (`KeyRefused`).
 * 2. A key has one log at a time. Who asks for it while it is being closed waits until it is closed, and gets it opened
 *    again; so the set is never refused its own lock.
 * 3. A log that cannot be opened, or that ends because its maintainer is down or another recorder has taken it over,
 *    leaves the others as they are. It is opened again when it is next asked for.
 * 4. At most `openMax` logs are open. The one that has been idle for longest is closed for another. When all of them
 *    are in use, who asks for one more waits.
 *
 * **Example** (A log for each tenant)
 *
 * ```ts
 * import { Console, Effect, Layer, Schema, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { LogSet } from "effect-wal/many"
 *
 * class Tenant extends Wal.Service<Tenant>()("app/Tenant", { event: Schema.String }) {}
 *
 * class Tenants extends LogSet.Service<Tenants>()("app/Tenants", {
 *   log: Tenant,
 *   lookup: ({ directory }) => Tenant.layerWorker({ directory })
 * }) {}
 *
 * const program = Effect.gen(function*() {
 *   const tenants = yield* Tenants
 *   yield* tenants.use("ada", (log) => log.appendDurable("hello"))
 *   yield* tenants.use("grace", (log) => log.appendDurable("good morning"))
 *   yield* Stream.runForEach(tenants.events("ada"), ({ event, id }) => Console.log(id, event)) // => 1 hello
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(
 *     Effect.provide(Tenants.layer({ root: "./tenants", openMax: 100 })),
 *     Effect.provide(NodeDisk.layer)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { resolve } from "node:path"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { duration, path, requireOptions, whole, withDefault } from "../internal/options.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import type { EventRange, EventUndecodable, Log, LogEvent } from "../recorder/Log.ts"
import { isKey, keyRefused } from "./LogKey.ts"
import type { KeyRefused } from "./LogKey.ts"

export { KeyRefused } from "./LogKey.ts"

/**
 * Where the log of a key is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  /** The key. It may stand in the name of a log in a store too: `Archive.layer({ log: "tenants/KEY" })`. */
  readonly key: string
  /** The directory of the log: the key beneath the root. */
  readonly directory: string
}

const SetOptions = Schema.Struct({
  root: path,
  idleTimeToLive: withDefault(duration(0, Number.POSITIVE_INFINITY), Duration.minutes(1)),
  openMax: withDefault(whole("count", 1, Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
})

/**
 * Where the logs are, and how many are open; only `root` is required.
 *
 * - `root`: the directory that has the directories of the logs. Nothing else belongs there
 * - `idleTimeToLive`: a log that nobody has used for so long is closed. Default: 1 minute
 * - `openMax`: at most so many logs are open. Default: no limit
 *
 * @since 0.1.0
 * @category models
 */
export interface LogSetOptions extends Schema.Codec.Encoded<typeof SetOptions> {}

/**
 * A set of logs. `E` is how opening one of them fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogSet<in out Event, in out Encoding = never, in out Decoding = never, out E = never> {
  /**
   * Opens the log of the key, unless it is open, and keeps it open while the scope is. Who gets the same key twice in
   * one scope has the same log, until it ends.
   */
  readonly get: (key: string) => Effect.Effect<Log<Event, Encoding, Decoding>, E | KeyRefused, Scope.Scope>
  /** Runs this with the log of the key, which stays open meanwhile. */
  readonly use: <A, E2, R>(
    key: string,
    f: (log: Log<Event, Encoding, Decoding>) => Effect.Effect<A, E2, R>
  ) => Effect.Effect<A, E | E2 | KeyRefused, R>
  /** The events of the log of the key, which stays open while they are read; see `Log.events`. */
  readonly events: (
    key: string,
    range?: EventRange
  ) => Stream.Stream<LogEvent<Event>, E | KeyRefused | ReplayFailure | EventUndecodable, Decoding>
  /**
   * Closes the log of the key when nobody uses it, and succeeds when it is closed. A log that is in use stays open, and
   * so does one that is asked for meanwhile.
   */
  readonly close: (key: string) => Effect.Effect<void>
  /** The keys whose logs are open, or are being opened or closed. */
  readonly opened: Effect.Effect<ReadonlyArray<string>>
  /** The keys that have a directory beneath the root, sorted. */
  readonly keys: Effect.Effect<ReadonlyArray<string>, DiskError>
}

/**
 * The class of a set: the service, and its layer.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogSetClass<
  in out Self,
  in out Id extends string,
  in out LogSelf,
  in out Event,
  in out Encoding,
  in out Decoding,
  out E,
  out R
> extends Context.ServiceClass<Self, Id, LogSet<Event, Encoding, Decoding, E>> {
  /** No log is opened before it is used. The end of the layer closes all of them at once. */
  readonly layer: (options: LogSetOptions) => Layer.Layer<Self, never, R | Disk>
  /** The log of one key, for what asks for the log itself; as `LayerMap.get` of Effect. */
  readonly get: (key: string) => Layer.Layer<LogSelf, E | KeyRefused, Self>
}

/**
 * Makes the class of a set, as `LayerMap.Service` of Effect does.
 *
 * - `log`: the class of each log, from `Wal.Service`
 * - `lookup`: the layer of the log of a key, in the directory it is told. Archive, failover and monitor are added here,
 *   as for a single log. What all logs share, such as a store, is better provided to the layer of the set
 *
 * **Example** (Each log with an archive and failover)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Archive, DirectoryStore } from "effect-wal/archive"
 * import { Failover } from "effect-wal/failover"
 * import { LogSet } from "effect-wal/many"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./store")
 *
 * class Tenant extends Wal.Service<Tenant>()("app/Tenant") {}
 *
 * class Tenants extends LogSet.Service<Tenants>()("app/Tenants", {
 *   log: Tenant,
 *   lookup: ({ directory, key }) =>
 *     Archive.layer({ log: `tenants/${key}` }).pipe(
 *       Layer.provide(Tenant.parts),
 *       Layer.provideMerge(Tenant.layerWorker({ directory, onArchiveBehind: "keep", acknowledge: "replicated" })),
 *       Layer.provide(Failover.layer({ log: `tenants/${key}`, directory }))
 *     )
 * }) {}
 *
 * const TenantsLive = Tenants.layer({ root: "./tenants" }).pipe(
 *   Layer.provide(DirectoryStore.layer({ directory: "./store" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Tenants.use(({ use }) => use("ada", ({ appendDurable }) => appendDurable(Buffer.from("hello"))))
 *
 * await Effect.runPromise(program.pipe(Effect.flatMap(Console.log), Effect.provide(TenantsLive))) // => 1
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Id extends string, LogSelf, Event, Encoding, Decoding, A, E, R>(
  id: Id,
  options: {
    readonly log: Context.Key<LogSelf, Log<Event, Encoding, Decoding>>
    readonly lookup: (place: Place) => Layer.Layer<LogSelf | A, E, R>
  }
): LogSetClass<Self, Id, LogSelf, Event, Encoding, Decoding, E, R> => {
  const Tag = Context.Service<Self, LogSet<Event, Encoding, Decoding, E>>()(id)
  return Object.assign(Tag, {
    layer: (given: LogSetOptions) =>
      // Made anew for every layer, as those of a log.
      Layer.effect(Tag, Effect.suspend(() => make(options, requireOptions("options", SetOptions, given)))),
    get: (key: string) => Layer.effect(options.log, Effect.flatMap(Tag, (set) => set.get(key)))
  })
}

/** A log that is open, or is being opened or closed. */
interface Opened {
  readonly holder: Fiber.Fiber<void>
  /** Opens when the log is closed. */
  readonly closed: Effect.Effect<void>
}

const make = Effect.fnUntraced(function*<LogSelf, Event, Encoding, Decoding, A, E, R>(
  { log: LogTag, lookup }: {
    readonly log: Context.Key<LogSelf, Log<Event, Encoding, Decoding>>
    readonly lookup: (place: Place) => Layer.Layer<LogSelf | A, E, R>
  },
  { idleTimeToLive, openMax, root }: typeof SetOptions.Type
): Effect.fn.Return<LogSet<Event, Encoding, Decoding, E>, never, R | Disk | Scope.Scope> {
  type OneLog = Log<Event, Encoding, Decoding>
  const context = yield* Effect.context<R | Disk>()
  const disk = yield* Disk
  // What the layers of several logs have in common is built once.
  const memoMap = Layer.CurrentMemoMap.forkOrCreate(context)
  const opened = new Map<string, Opened>()
  const room = Semaphore.makeUnsafe(openMax)
  /** How many logs wait for room, and how many are being closed. */
  let waiting = 0
  let closing = 0

  /** Closes the log that has been idle for longest, if there is one and somebody waits for its room. */
  const makeRoom = Effect.suspend(() => {
    if (waiting <= closing || map.state._tag === "Closed") return Effect.void
    let oldest: { readonly key: string; readonly expiresAt: number } | undefined
    for (const [key, { expiresAt, refCount }] of map.state.map) {
      if (refCount === 0 && (oldest === undefined || expiresAt < oldest.expiresAt)) oldest = { key, expiresAt }
    }
    return oldest === undefined ? Effect.void : RcMap.invalidate(map, oldest.key)
  })

  const takeRoom = Effect.flatMap(room.takeIfAvailable(1), (isTaken) => {
    if (isTaken) return Effect.void
    waiting++
    // Whoever has used a log looks for who waits; who begins to wait looks for a log that is idle already.
    return Effect.forkChild(makeRoom).pipe(
      Effect.andThen(room.take(1)),
      Effect.ensuring(Effect.sync(() => waiting--))
    )
  })

  /** Opens the log of a key and holds it, until it ends or is interrupted. */
  const hold = (key: string, ready: Deferred.Deferred<OneLog, E>) =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(takeRoom, () => room.release(1), { interruptible: true })
      const directory = resolve(root, key)
      // By this very fiber, because it is the one that is interrupted when the log ends (promise 52).
      const built = yield* Layer.buildWithMemoMap(lookup({ key, directory }), memoMap, yield* Effect.scope)
      const log = Context.get(built, LogTag)
      if (log.maintainer.directory !== directory) {
        const message = `lookup has made the log of ${key} in ${log.maintainer.directory}, expected ${directory}`
        return yield* Effect.die(new Error(message))
      }
      yield* Deferred.succeed(ready, log)
      return yield* Effect.never
    }).pipe(Effect.scoped)

  const map: RcMap.RcMap<string, OneLog, E> = yield* RcMap.make({
    lookup: Effect.fnUntraced(function*(key: string) {
      const ready = yield* Deferred.make<OneLog, E>()
      const closed = yield* Deferred.make<void>()
      const previous = opened.get(key)?.closed ?? Effect.void
      let isLetGo = false
      const holder = yield* Effect.andThen(previous, hold(key, ready)).pipe(
        Effect.provideContext(context),
        // Whoever waits for this one waits for the one before it too, even when this one was interrupted meanwhile.
        Effect.ensuring(previous),
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            if (opened.get(key) === own) opened.delete(key)
            if (isLetGo) closing--
            Deferred.doneUnsafe(closed, Exit.void)
            Deferred.doneUnsafe(ready, exit as Exit.Exit<never, E>)
            // It has failed or ended, so it must not be handed out again; otherwise the map has let it go before.
            return isLetGo ? Effect.void : RcMap.invalidate(map, key)
          })
        ),
        Effect.exit,
        Effect.asVoid,
        Effect.forkScoped
      )
      const own: Opened = { holder, closed: Deferred.await(closed) }
      opened.set(key, own)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          // It may have ended before.
          if (opened.get(key) !== own) return
          isLetGo = true
          closing++
        })
      )
      return yield* Deferred.await(ready)
    }),
    idleTimeToLive
  })

  // The map would close one after the other, and each may have to wait for its store.
  yield* Effect.addFinalizer(() =>
    Effect.forEach([...opened.values()], ({ holder }) => Fiber.interrupt(holder), {
      concurrency: "unbounded",
      discard: true
    })
  )

  const get = (key: string) =>
    Effect.suspend(() => isKey(key) ? Effect.void : Effect.fail(keyRefused(key))).pipe(
      // In front of the log's own finalizer, so it runs after it.
      Effect.andThen(Effect.addFinalizer(() => makeRoom)),
      Effect.andThen(RcMap.get(map, key))
    )

  return {
    get,
    // What `f` adds to the scope around it is not undone here.
    use: (key, f) => Effect.scopedWith((scope) => Effect.flatMap(Scope.provide(get(key), scope), f)),
    events: (key, range) => Stream.unwrap(Effect.map(get(key), (log) => log.events(range))),
    close: (key) =>
      Effect.suspend(() => {
        if (map.state._tag === "Closed") return Effect.void
        const isUsed = [...map.state.map].some(([open, { refCount }]) => open === key && refCount > 0)
        const closed = opened.get(key)?.closed
        return isUsed || closed === undefined ? Effect.void : Effect.andThen(RcMap.invalidate(map, key), closed)
      }),
    opened: Effect.sync(() => [...opened.keys()]),
    keys: disk.list(root).pipe(
      Effect.map((entries) =>
        entries.filter(({ kind, name }) => kind === "directory" && isKey(name)).map(({ name }) => name).toSorted()
      ),
      Effect.catchIf(({ reason }) => reason._tag === "NotFound", () => Effect.succeed([]))
    )
  }
})
