/**
 * A cluster of one process, as `SingleRunner` of Effect, without a database: durable entities, `ClusterWorkflowEngine`,
 * `DurableQueue` and `ClusterCron` run on it.
 *
 * **Example** (A counter that survives)
 *
 * ```ts
 * import { Console, Effect, Layer, Schema } from "effect"
 * import { ClusterSchema, Entity } from "effect/cluster"
 * import { Rpc } from "effect/rpc"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalSingleRunner } from "effect-wal/cluster-storage"
 *
 * const Counter = Entity.make("Counter", [
 *   Rpc.make("Increment", { success: Schema.Int, payload: { by: Schema.Int } })
 * ]).annotateRpcs(ClusterSchema.Persisted, true)
 *
 * const CounterLive = Counter.toLayer(Effect.sync(() => {
 *   let count = 0
 *   return Counter.of({ Increment: ({ payload }) => Effect.sync(() => count += payload.by) })
 * }))
 *
 * class Mailbox extends Wal.Service<Mailbox>()("app/Mailbox") {}
 *
 * const Cluster = WalSingleRunner.layer({ log: Mailbox }).pipe(
 *   Layer.provide(Mailbox.layerWorker({ directory: "./mailbox" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const counter = (yield* Counter.client)("visits")
 *   yield* counter.Increment({ by: 1 }) // accepted and answered on disk
 *   yield* Console.log(yield* counter.Increment({ by: 2 })) // => 3
 * })
 *
 * await Effect.runPromise(Effect.provide(program, CounterLive.pipe(Layer.provideMerge(Cluster))))
 * ```
 *
 * @since 0.1.0
 */
import type * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerHealth from "effect/cluster/RunnerHealth"
import * as Runners from "effect/cluster/Runners"
import * as Sharding from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import type * as Config from "effect/Config"
import * as Layer from "effect/Layer"
import type { StateMachineError } from "../state/StateMachineError.ts"
import * as WalMessageStorage from "./WalMessageStorage.ts"
import type { Options as StorageOptions } from "./WalMessageStorage.ts"
import * as WalRunnerStorage from "./WalRunnerStorage.ts"

/**
 * How the runner is set up; only `log` is required.
 *
 * - `shardingConfig`: over what the environment tells, as of Effect's `SingleRunner`
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out Self> extends StorageOptions<Self> {
  readonly shardingConfig?: Partial<ShardingConfig.ShardingConfig["Service"]> | undefined
}

/**
 * Provides a cluster of this process alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>({ shardingConfig, ...options }: Options<Self>): Layer.Layer<
  Sharding.Sharding | Runners.Runners | MessageStorage.MessageStorage,
  Config.ConfigError | StateMachineError,
  Self
> =>
  Sharding.layer.pipe(
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(WalMessageStorage.layer(options)),
    Layer.provide([WalRunnerStorage.layer(options), RunnerHealth.layerNoop]),
    Layer.provide(ShardingConfig.layerFromEnv(shardingConfig))
  )
