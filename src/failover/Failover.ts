/**
 * A log that outlives its machine: who opens it owns it, what is durable here goes to the object store too, and another
 * machine goes on where the store tells that it ends.
 *
 * What is guaranteed, of a store that decides the conditions of a PUT together with it (docs/FAILOVER.md):
 *
 * 1. What was acknowledged as replicated is in the log of every later owner: the same id, the same bytes, once.
 * 2. One recorder owns a log. Opening it claims it. Whoever had it fails with `Fenced` at its next request, and
 *    acknowledges nothing as replicated that the new owner does not have, however long it slept.
 * 3. A machine that returns keeps what only it has in `quarantine/diverged-EPOCH/`, with a report, and records on from
 *    where the log is.
 * 4. A store that is away stops neither appends nor local commits. Replicated ones wait, and `heldBack` tells why.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { hostname } from "node:os"
import { ArchiveError } from "../archive/ArchiveError.ts"
import { Fenced as LogFenced } from "../archive/ArchiveReason.ts"
import { logName } from "../archive/LogName.ts"
import { manifestKey } from "../archive/Manifest.ts"
import * as ManifestStore from "../archive/ManifestStore.ts"
import { Ownership } from "../archive/Ownership.ts"
import * as TailStore from "../archive/tail/TailStore.ts"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { SegmentNaming } from "../format/SegmentName.ts"
import { annotated } from "../internal/annotated.ts"
import { elapsedMillis } from "../internal/elapsed.ts"
import { duration, resolveUnsafe, text, whole, withDefault } from "../internal/options.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Closed, Fenced } from "../recorder/RecorderReason.ts"
import { Replication } from "../recorder/Replication.ts"
import type { ReplicatedLog } from "../recorder/Replication.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import type { LocalChanges } from "./LocalLog.ts"
import { open } from "./Opening.ts"
import * as Shipper from "./Shipper.ts"
import type { ShipFailure } from "./Shipper.ts"

const Options = Schema.Struct({
  log: logName,
  directory: text("a path"),
  naming: Schema.optional(SegmentNaming),
  owner: Schema.optional(text("a name")),
  every: withDefault(duration(0, 3_600_000), Duration.zero),
  renewEvery: withDefault(duration(100, 3_600_000), Duration.seconds(5)),
  settleMax: withDefault(duration(0, Number.POSITIVE_INFINITY), Duration.seconds(30)),
  tailObjects: withDefault(whole("count", 2, 4096), 256)
})

/**
 * How a log is opened for failover; `log` and `directory` are required.
 *
 * - `log`: the name of the log in the store, as `Archive.layer` has it
 * - `directory`: where the log lies on this machine, as its own layer has it; with `naming`, if that is not the default
 * - `owner`: who records, for people. Default: the host and the process
 * - `every`: how long after one object of the tail the next may begin. Default: 0, at once. It is a price: each object
 *   is a request
 * - `renewEvery`: how often an owner shows in the manifest that it lives, and looks whether it still owns the log.
 *   Default: 5 seconds
 * - `settleMax`: how long the end of the layer waits until the tail has everything. Default: 30 seconds
 * - `tailObjects`: the tail is begun anew after so many objects. Default: 256
 *
 * @since 0.1.0
 * @category models
 */
export interface FailoverOptions extends Schema.Codec.Encoded<typeof Options> {}

/**
 * The state of a replicated log at a moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface FailoverStatus {
  readonly log: string
  readonly owner: string
  readonly epoch: number
  /** `opened`: no recorder has begun yet. `fenced`: another recorder has the log. */
  readonly state: "opened" | "replicating" | "fenced" | "closed"
  /** Every event up to this one is in the store. */
  readonly replicatedId: number
  /** Why nothing is shipped now; `undefined` while it is. */
  readonly problem: string | undefined
  /** What opening has changed in the directory. */
  readonly changes: LocalChanges
}

/**
 * A log that is owned.
 *
 * @since 0.1.0
 * @category services
 */
export class Failover extends Context.Service<Failover, {
  readonly status: Effect.Effect<FailoverStatus>
  /** Never succeeds; fails when another recorder has taken the log over. */
  readonly fenced: Effect.Effect<never, RecorderError>
}>()("effect-wal/failover/Failover") {}

/** After a failure. It never ends. */
const retrying = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("10 seconds")])

/**
 * Opens the log: claims it, fences whoever had it, and makes the directory say what the store says. The layer of the
 * log, and that of its archive, are to be provided with this one.
 *
 * Fails with `ArchiveError` (`Fenced`) when another recorder was faster, with `DiskError` (`Held`) when a recorder of
 * this machine has the directory, and with `StoreError` when the store does not answer for a minute: nothing can be
 * claimed then.
 *
 * **Example** (A log that another machine can go on with)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Archive, DirectoryStore } from "effect-wal/archive"
 * import { Failover } from "effect-wal/failover"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./store")
 *
 * class Orders extends Wal.Service<Orders>()("app/Orders") {}
 *
 * const onMachine = (directory: string) =>
 *   Archive.layer({ log: "orders" }).pipe(
 *     Layer.provide(Orders.parts),
 *     Layer.provideMerge(Orders.layer({ directory, onArchiveBehind: "keep", acknowledge: "replicated" })),
 *     Layer.provide(Failover.layer({ log: "orders", directory })),
 *     Layer.provide(DirectoryStore.layer({ directory: "./store" })),
 *     Layer.provide(NodeDisk.layer)
 *   )
 *
 * const record = (event: string) => Effect.flatMap(Orders, ({ appendDurable }) => appendDurable(Buffer.from(event)))
 *
 * await Effect.runPromise(record("on one machine").pipe(Effect.provide(onMachine("./one"))))
 * const id = await Effect.runPromise(record("on another").pipe(Effect.provide(onMachine("./another"))))
 * await Effect.runPromise(Console.log(id)) // => 2
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: FailoverOptions
): Layer.Layer<Failover | Replication | Ownership, StoreError | ArchiveError | DiskError, ObjectStore | Disk> =>
  Layer.effectContext(Effect.suspend(() => make(resolveUnsafe(Options, options))))

const make = Effect.fnUntraced(function*(options: typeof Options.Type) {
  const store = yield* ObjectStore
  const context = yield* Effect.context<Disk>()
  const { log } = options
  const directory = new SegmentDirectory(options.directory, options.naming)
  const owner = options.owner ?? `${hostname()} (process ${process.pid})`
  const logs = annotated("Failover", directory.path)
  const opened = yield* open(directory, log, owner)
  const { epoch } = opened
  const key = manifestKey(log)
  const manifests = yield* ManifestStore.make(log)
  const { quarantine, removed, restored } = opened.changes
  yield* logs(Effect.logInfo(
    `owns ${store.name}/${log} as epoch ${epoch}; replicated up to event ${opened.replicatedId}` +
      (restored.length + removed.length === 0
        ? ""
        : `; ${removed.length} segments removed here, ${restored.length} restored from the store`)
  ))
  if (quarantine !== undefined) {
    yield* logs(Effect.logWarning(`what only this machine had recorded, and another in its place, is in ${quarantine}`))
  }

  let ended: typeof Closed | typeof Fenced | undefined
  let replicated: ReplicatedLog | undefined
  let problem: { readonly message: string; readonly isStore: boolean; readonly since: number } | undefined
  let nextTry = 0
  const fenced = yield* Deferred.make<never, RecorderError>()

  /** What this owner has last seen of its own manifest. */
  let renewed = { counter: opened.manifest.counter, elapsed: yield* elapsedMillis }

  /** Writes the manifest again, changed by `tailFrom` alone. */
  const writeManifest = (tailFrom: number | undefined) =>
    Effect.gen(function*() {
      const found = yield* manifests.read
      if (found === undefined || found.manifest.epoch !== epoch) {
        const detail = found === undefined
          ? "the manifest is gone"
          : `epoch ${found.manifest.epoch}, ${found.manifest.owner}`
        return yield* new ArchiveError({ reason: new LogFenced({ detail }), key })
      }
      const { manifest } = found
      const isChange = tailFrom !== undefined && manifest.tailFrom !== tailFrom
      // The archive has written it meanwhile: that is a sign of life as well.
      const isNews = manifest.counter > renewed.counter
      const written = isChange || !isNews
        ? yield* manifests.write({ ...manifest, ...(tailFrom === undefined ? {} : { tailFrom }) }, found)
        : found
      renewed = { counter: written.manifest.counter, elapsed: yield* elapsedMillis }
    }).pipe(
      Effect.retry({ times: 5, while: (error) => error._tag === "ArchiveError" && error.reason._tag === "Outdated" })
    )

  const shipper = Shipper.make({
    directory,
    tail: yield* TailStore.make(log),
    epoch,
    number: opened.fence + 1,
    replicatedId: opened.replicatedId,
    archivedBefore: opened.manifest.nextIndex,
    runObjectsMax: options.tailObjects,
    moveTail: writeManifest
  })

  const ring = ({ arena }: ReplicatedLog) => Doorbell.ringUnsafe(arena.durable)

  const isOurs = (error: ShipFailure): boolean => error._tag !== "ArchiveError" || error.reason._tag !== "Fenced"

  const endAs = (Reason: typeof Closed | typeof Fenced) => {
    ended ??= Reason
    if (replicated === undefined) return
    // Nothing more is taken, and everybody who waits is told.
    if (Reason === Fenced) replicated.writer.closeUnsafe()
    ring(replicated)
  }

  const renewDue = Effect.flatMap(
    elapsedMillis,
    (now) => now - renewed.elapsed >= Duration.toMillis(options.renewEvery) ? writeManifest(undefined) : Effect.void
  )

  const replicate = Effect.fnUntraced(function*(replicating: ReplicatedLog) {
    let backoff = yield* Schedule.toStep(retrying)
    while (true) {
      const seen = Doorbell.readUnsafe(replicating.arena.durable)
      const before = shipper.replicatedId()
      const result = yield* Effect.result(Effect.andThen(renewDue, shipper.ship(replicating)))
      const now = yield* elapsedMillis
      if (Result.isFailure(result)) {
        const error = result.failure
        if (!isOurs(error)) {
          yield* Effect.logError(`${error.message}; nothing more is acknowledged here`)
          endAs(Fenced)
          yield* Deferred.fail(fenced, new RecorderError({ reason: new Fenced() }))
          return
        }
        if (error.message !== problem?.message) yield* Effect.logWarning(`not replicated: ${error.message}`)
        problem = { message: error.message, isStore: error._tag === "StoreError", since: problem?.since ?? now }
        const [, wait] = yield* Pull.catchDone(backoff(now, undefined), () => Effect.never)
        nextTry = now + Duration.toMillis(Duration.fromInputUnsafe(wait))
        ring(replicating)
        yield* Effect.sleep(wait)
        continue
      }
      if (problem !== undefined) {
        problem = undefined
        backoff = yield* Schedule.toStep(retrying)
        yield* Effect.logInfo(`replicates again to ${store.name}/${log}`)
        ring(replicating)
      }
      if (shipper.replicatedId() > before) ring(replicating)
      if (result.success) {
        if (Duration.toMillis(options.every) > 0) yield* Effect.sleep(options.every)
      } else if (Doorbell.readUnsafe(replicating.arena.durable) === seen) {
        yield* Effect.timeoutOption(Doorbell.wait(replicating.arena.durable, seen), options.renewEvery)
      }
    }
  })

  /** Waits until the tail has everything that is durable. */
  const untilEven = (replicating: ReplicatedLog): Effect.Effect<void> =>
    Effect.suspend(() => {
      const seen = Doorbell.readUnsafe(replicating.arena.durable)
      if (ended !== undefined || shipper.isEven(replicating)) return Effect.void
      return Effect.andThen(Doorbell.wait(replicating.arena.durable, seen), untilEven(replicating))
    })

  let shipping: Fiber.Fiber<void> | undefined
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      if (replicated !== undefined && ended === undefined) {
        // What waits for a new try may go now.
        yield* Effect.timeoutOption(untilEven(replicated), options.settleMax)
        if (!shipper.isEven(replicated)) {
          const left = Arena.durableEventId(replicated.arena) - shipper.replicatedId()
          yield* Effect.logWarning(
            `${left} events are on this disk alone: ${problem?.message ?? "there was no more time"}`
          )
        }
      }
      if (shipping !== undefined) yield* Fiber.interrupt(shipping)
      endAs(Closed)
    }).pipe(logs)
  )

  const replication = Replication.of({
    directory: directory.path,
    walId: opened.walId,
    begin: (replicating) =>
      Effect.gen(function*() {
        if (replicating.arena.layout.version !== 2) {
          return yield* Effect.die(new Error("only a log of format 2 is replicated"))
        }
        if ((yield* replicating.maintainer.status).archive === undefined) {
          return yield* Effect.die(
            new Error(
              `a replicated log needs an archive: give its layer onArchiveBehind: "keep", and provide Archive.layer`
            )
          )
        }
        replicated = replicating
        const program: Effect.Effect<void> = Effect.provideContext(replicate(replicating), context)
        shipping = yield* Effect.forkDetach(logs(program))
      }),
    replicatedUnsafe: shipper.replicatedId,
    endedUnsafe: () => ended,
    fenced: Deferred.await(fenced),
    heldBackUnsafe: (now) =>
      problem?.isStore === true
        ? { reason: "StoreAway", forMillis: now - problem.since, nextTryInMillis: Math.max(0, nextTry - now) }
        : undefined
  })
  const failover = Failover.of({
    status: Effect.sync(() => ({
      log,
      owner,
      epoch,
      state: ended === Fenced
        ? "fenced"
        : ended === Closed
        ? "closed"
        : replicated === undefined
        ? "opened"
        : "replicating",
      replicatedId: shipper.replicatedId(),
      problem: problem?.message,
      changes: opened.changes
    })),
    fenced: Deferred.await(fenced)
  })
  return Context.make(Failover, failover).pipe(
    Context.add(Replication, replication),
    Context.add(Ownership, { log, directory: directory.path, epoch })
  )
})
