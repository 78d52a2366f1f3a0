/**
 * Logs as entities of Effect's cluster: the cluster decides on which machine a log is open, and routes to it. The epoch
 * of its manifest decides who may record (`Failover.layer`), so a cluster that errs costs time and no event.
 *
 * What is guaranteed (promise 75 of docs/RELIABILITY.md), of logs with `Failover.layer` and
 * `acknowledge: "replicated"`:
 *
 * 1. What was acknowledged is in the log wherever it is opened next, with its id, and ids go on.
 * 2. An append is recorded once, although the cluster sends a request again when its runner is gone. Where that cannot
 *    be told from an event of another caller that has the same bytes, it fails with {@link Unanswered}.
 * 3. A reader that follows has each event once and in order, over every move, and none that a move takes back.
 * 4. A log that moves, or whose runner ends, answers what it has taken, drains, ships and settles, and is closed before
 *    the cluster opens it elsewhere, unless the cluster does not wait for it.
 *
 * @since 0.1.0
 */
import * as Entity from "effect/cluster/Entity"
import type { Sharding } from "effect/cluster/Sharding"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as EventCodec from "../format/EventCodec.ts"
import { refuseArgument } from "../internal/arguments.ts"
import { messageOf } from "../internal/messageOf.ts"
import { requireOptions } from "../internal/options.ts"
import type { KeyRefused } from "../many/LogKey.ts"
import type { LogSet } from "../many/LogSet.ts"
import { batched, meantFrom } from "../rpc/EventBatches.ts"
import { RemoteDiskFailed } from "../rpc/LogRpcs.ts"
import * as ClusterLog from "./ClusterLog.ts"
import { LogNotOpened, logProtocol } from "./LogProtocol.ts"
import * as Opening from "./Opening.ts"

export type { ClusterLog, ClusterRefusal } from "./ClusterLog.ts"
export { LogNotOpened, Unanswered } from "./LogProtocol.ts"

/**
 * The logs of a set as entities: the id of an entity is the key of its log.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogEntity<
  in out Type extends string,
  in out Self,
  in out Event,
  in out Encoding = never,
  in out Decoding = never
> {
  /** The entity of Effect's cluster, for what needs it: `entity.getShardId`, annotations of a message. */
  readonly entity: Entity.Entity<Type, (typeof logProtocol)[number]>
  /**
   * Opens the logs that the cluster puts on this runner, in the set. A log is closed when the cluster takes it away,
   * and when nobody has asked for it for `entityMaxIdleTime` of the cluster.
   */
  readonly layer: Layer.Layer<never, never, Self | Sharding>
  /** Makes the logs of any process of the cluster; `clientOnly` runners have it too. Keep what it makes for a key. */
  readonly client: Effect.Effect<(key: string) => ClusterLog.ClusterLog<Event, Encoding, Decoding>, never, Sharding>
}

/**
 * Makes entities of the logs of a set. `type` is the name of the entity in the cluster, `logs` the class of the set,
 * and `event` the schema that its logs have; leave it out for logs of bytes.
 *
 * **Example** (A log that the cluster puts on one of its runners)
 *
 * ```ts
 * import { Console, Effect, Layer, Schema } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { LogEntity } from "effect-wal/cluster"
 * import { WalSingleRunner } from "effect-wal/cluster-storage"
 * import { LogSet } from "effect-wal/many"
 *
 * class Tenant extends Wal.Service<Tenant>()("app/Tenant", { event: Schema.String }) {}
 *
 * class Tenants extends LogSet.Service<Tenants>()("app/Tenants", {
 *   log: Tenant,
 *   lookup: ({ directory }) => Tenant.layer({ directory })
 * }) {}
 *
 * const TenantLogs = LogEntity.make("Tenant", { logs: Tenants, event: Schema.String })
 *
 * // One runner; of several, each has this layer, over the storage that they share.
 * class Mailbox extends Wal.Service<Mailbox>()("app/Mailbox") {}
 * const Cluster = WalSingleRunner.layer({ log: Mailbox }).pipe(
 *   Layer.provide(Mailbox.layer({ directory: "./mailbox" }))
 * )
 *
 * const Runner = TenantLogs.layer.pipe(
 *   Layer.provide(Tenants.layer({ root: "./tenants" })),
 *   Layer.provideMerge(Cluster),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const ada = (yield* TenantLogs.client)("ada")
 *   yield* Console.log(yield* ada.appendDurable("hello")) // => 1
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Runner))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  <const Type extends string, Self, E>(
    type: Type,
    options: { readonly logs: Context.Key<Self, LogSet<Uint8Array, never, never, E>> }
  ): LogEntity<Type, Self, Uint8Array>
  <const Type extends string, Self, E, S extends Schema.Constraint>(
    type: Type,
    options: {
      readonly logs: Context.Key<Self, LogSet<S["Type"], S["EncodingServices"], S["DecodingServices"], E>>
      readonly event: S
    }
  ): LogEntity<Type, Self, S["Type"], S["EncodingServices"], S["DecodingServices"]>
} = (type: string, options: { readonly logs: unknown; readonly event?: Schema.Constraint }) => {
  if (typeof type !== "string" || type === "") refuseArgument("type", type, "the name of an entity")
  const { event, logs } = requireOptions("options", Given, options as typeof Given.Encoded)
  const entity = event === undefined
    ? entityOf(type, logs as Logs<Uint8Array, never, never>, EventCodec.bytes)
    : entityOf(type, logs as Logs<unknown, unknown, unknown>, EventCodec.make(event))
  // Which of the two types it is, the caller knows.
  return entity as never
}

type Logs<Event, Encoding, Decoding> = Context.Key<unknown, LogSet<Event, Encoding, Decoding, unknown>>

const Given = Schema.Struct({
  logs: Schema.declare((value): value is Context.Key<unknown, unknown> => Context.isKey(value)),
  event: Schema.optional(Schema.declare((value): value is Schema.Constraint => Schema.isSchema(value)))
})

const entityOf = <const Type extends string, Self, Event, Encoding, Decoding>(
  type: Type,
  logs: Context.Key<Self, LogSet<Event, Encoding, Decoding, unknown>>,
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>
): LogEntity<Type, Self, Event, Encoding, Decoding> => {
  const entity = Entity.make(type, logProtocol)
  return {
    entity,
    layer: Layer.unwrap(Effect.map(logs, (set) => handling(entity, set))),
    client: Effect.map(entity.client, (client) => (key: string) => ClusterLog.make(client(key), codec))
  }
}

/** How many events a reader that follows has in one request: so many come twice at most, when its runner is gone. */
const eventsMax = 16_384

const handling = <Type extends string, Event, Encoding, Decoding>(
  entity: Entity.Entity<Type, (typeof logProtocol)[number]>,
  set: LogSet<Event, Encoding, Decoding, unknown>
) => {
  const openings = new WeakMap<object, Opening.Opening>()
  const openingOf = (key: string) =>
    set.get(key).pipe(
      Effect.mapError((error) => isKeyRefused(error) ? error : notOpened(key, error)),
      Effect.map((log) => {
        const known = openings.get(log)
        if (known !== undefined) return known
        const opening = Opening.make(key, log)
        openings.set(log, opening)
        return opening
      })
    )
  const build = Effect.gen(function*() {
    const { entityId } = yield* Entity.CurrentAddress
    const scope = yield* Effect.scope
    // Before the cluster opens it elsewhere.
    yield* Effect.addFinalizer(() => set.close(entityId))
    return entity.of({
      append: ({ payload }) =>
        Effect.scoped(
          Effect.flatMap(openingOf(entityId), ({ append, id: opened }) =>
            Effect.map(append(payload, scope), (id) => ({ id, opened })))
        ),
      positions: () =>
        Effect.scoped(
          Effect.flatMap(openingOf(entityId), ({ id: opened, positions }) =>
            Effect.map(positions, ({ appended, compressed, deletedBefore, durable, replicated }) => ({
              opened,
              appended,
              durable,
              replicated: replicated ?? null,
              compressed,
              deletedBefore
            })))
        ),
      events: ({ payload: { from, ...range } }) =>
        Stream.unwrap(
          Effect.map(openingOf(entityId), ({ events }) => events({ ...range, from: meantFrom(from) }))
        ).pipe(
          range.follow ? Stream.take(eventsMax) : identity,
          batched,
          Stream.catchTag("DiskError", ({ message }) => Stream.fail(new RemoteDiskFailed({ detail: message })))
        )
    })
  })
  return entity.toLayer(build, {
    // Commits of many callers are one sync; and a defect of one request must not have the others done again.
    concurrency: "unbounded",
    disableFatalDefects: true
  })
}

const isKeyRefused = (error: unknown): error is KeyRefused =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "KeyRefused"

const notOpened = (key: string, error: unknown): LogNotOpened =>
  new LogNotOpened({
    key,
    detail: messageOf(error),
    isRetryable: typeof error === "object" && error !== null && "isRetryable" in error && error.isRetryable === true
  })
