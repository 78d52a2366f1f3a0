/**
 * Makes logs. {@link Service} gives a log a name and the type of its events, as a class; the class has the layers.
 *
 * A layer that is given a wrong option dies with `WrongOptions` when it is built: one line that names the field, the
 * value and the range. Wrong values from the environment fail `layerConfig` with a `ConfigError`.
 *
 * @since 0.1.0
 * @example
 * ```ts
 * import { Console, Effect, Schema, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * const Order = Schema.Struct({ customer: Schema.NonEmptyString, cents: Schema.Int })
 *
 * class Orders extends Wal.Service<Orders>()("app/Orders", { event: Order }) {}
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* Orders
 *   const id = yield* orders.appendDurable({ customer: "ada", cents: 120 })
 *   yield* Console.log(`event ${id} is on disk`)
 *   yield* Stream.runForEach(orders.events(), ({ event, id }) => Console.log(id, event.customer)) // => 1 ada
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Orders.layerWorker({ directory: "./orders" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type { Disk } from "../disk/Disk.ts"
import * as EventCodec from "../format/EventCodec.ts"
import type { FiberOptions } from "../maintainer/SegmentMaintainer.ts"
import type { WorkerOptions } from "../maintainer/SegmentMaintainerWorker.ts"
import type { ReplayOptions } from "../reading/Replay.ts"
import type { Log, LogReader, Parts } from "./Log.ts"
import { makeLog, makeReader } from "./makeLog.ts"
import type { WalConfig, WalOptions } from "./WalConfig.ts"
import * as WalParts from "./WalParts.ts"
import type { WalError } from "./WalParts.ts"

export type { Parts } from "./Log.ts"
export type { WalOptions } from "./WalConfig.ts"
export type { WalError } from "./WalParts.ts"

/**
 * The class of a log: the service, and its layers. Each layer provides this one service; the parts stay inside.
 *
 * @since 0.1.0
 * @category models
 * @example
 * ```ts
 * import { Config, ConfigProvider, Effect, Layer } from "effect"
 * import { NodeDisk, Wal, WalConfig } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * // Without `env` it is the environment of the process.
 * const variables = ConfigProvider.fromEnv({ env: { EVENTS_DIRECTORY: "./log", EVENTS_WORKERS: "0" } })
 *
 * const EventsLive = Events.layerConfig(WalConfig.config.pipe(Config.nested("events"))).pipe(
 *   Layer.provide(NodeDisk.layer),
 *   Layer.provide(ConfigProvider.layer(ConfigProvider.constantCase(variables)))
 * )
 *
 * const program = Events.use(({ appendDurable }) => appendDurable(Buffer.from("hello")))
 *
 * await Effect.runPromise(Effect.provide(program, EventsLive))
 * ```
 */
export interface LogClass<
  in out Self,
  in out Id extends string,
  in out Event,
  in out Encoding = never,
  in out Decoding = never
> extends Context.ServiceClass<Self, Id, Log<Event, Encoding, Decoding>> {
  /**
   * The maintainer is a fiber of this runtime. It needs no thread, and is deterministic under `TestClock`.
   *
   * When it is down for good, every commit fails, and the fiber that built the layer is interrupted unless it closes
   * the log within a second (promise 52). Layers that are merged are built by fibers that have ended: then watch
   * `maintainer.down`.
   */
  readonly layer: (options: WalOptions & FiberOptions) => Layer.Layer<Self, WalError, Disk>
  /**
   * The maintainer runs in a thread, or in several (`workers`). Hashing, writing and compressing share only the cores
   * with the thread that appends. All logs of the process share a few such threads.
   */
  readonly layerWorker: (options: WalOptions & WorkerOptions) => Layer.Layer<Self, WalError, Disk>
  /**
   * The options come from a `Config`: `WalConfig.config`, nested in a name of this log's own, or a record of your own
   * configs. With 0 `workers` it is as `layer`, otherwise as `layerWorker`.
   */
  readonly layerConfig: (
    config: Config.Wrap<WalConfig>
  ) => Layer.Layer<Self, WalError | Config.ConfigError, Disk>
  /** The parts of the log in the context, for layers that need one of them, such as `Monitor.layer`. */
  readonly parts: Layer.Layer<Parts, never, Self>
  /** Reads what another process, or nobody, records into a directory. */
  readonly reader: (options: Pick<ReplayOptions, "directory" | "naming">) => LogReader<Event, Decoding>
}

/**
 * Makes the class of a log, as `Context.Service` does. Give the schema of its events; without one they are bytes.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import { Console, Effect, Layer, Schema, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Orders extends Wal.Service<Orders>()("app/Orders", { event: Schema.Struct({ cents: Schema.Int }) }) {}
 * class Audit extends Wal.Service<Audit>()("app/Audit") {}
 *
 * const Logs = Layer.mergeAll(Orders.layer({ directory: "./orders" }), Audit.layer({ directory: "./audit" }))
 *
 * const program = Effect.gen(function*() {
 *   const orders = yield* Orders
 *   const audit = yield* Audit
 *   const id = yield* orders.appendDurable({ cents: 120 })
 *   yield* audit.appendDurable(Buffer.from(`order ${id}`))
 *   yield* Console.log(yield* Stream.runCount(audit.events())) // => 1
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Logs), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const Service = <Self>() => {
  function make<const Id extends string>(id: Id): LogClass<Self, Id, Uint8Array>
  function make<const Id extends string, S extends Schema.Constraint>(
    id: Id,
    options: { readonly event: S }
  ): LogClass<Self, Id, S["Type"], S["EncodingServices"], S["DecodingServices"]>
  function make(id: string, options?: { readonly event: Schema.Constraint }): unknown {
    return options === undefined
      ? classOf<Self, Uint8Array, never, never>(id, EventCodec.bytes)
      : classOf<Self, unknown, unknown, unknown>(id, EventCodec.make(options.event))
  }
  return make
}

const classOf = <Self, Event, Encoding, Decoding>(
  id: string,
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>
): LogClass<Self, string, Event, Encoding, Decoding> => {
  const Tag = Context.Service<Self, Log<Event, Encoding, Decoding>>()(id)
  // Made anew for every layer: a memo map knows layers by identity, and would give all logs of it the first one.
  const of = <E>(parts: Layer.Layer<Parts, E, Disk>) => Layer.provide(Layer.effect(Tag, makeLog(id, codec)), parts)
  return Object.assign(Tag, {
    layer: (options: WalOptions & FiberOptions) => of(WalParts.layer(options)),
    layerWorker: (options: WalOptions & WorkerOptions) => of(WalParts.layerWorker(options)),
    layerConfig: (config: Config.Wrap<WalConfig>) => of(WalParts.layerConfig(config)),
    parts: Layer.fresh(Layer.effectContext(Effect.map(Tag, ({ parts }) => parts))),
    reader: (options: Pick<ReplayOptions, "directory" | "naming">) => makeReader(codec, options)
  })
}
