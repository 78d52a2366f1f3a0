/**
 * `RunnerStorage` of Effect's cluster for the one runner that has the log. Which shards it runs is in memory, because
 * no other process can run any: the recorder's lock holds the directory.
 *
 * The ids of a cluster's messages are made of the wall clock and the number of the machine. So each start gets another
 * number when anything was recorded since the one before: the position in the log, modulo 1,024. A clock that was set
 * back then hardly gives an id again that a message in the log has; if it does, that message is refused.
 *
 * **Example** (A runner layer by layer)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { RunnerHealth, Runners, Sharding, ShardingConfig } from "effect/cluster"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalMessageStorage, WalRunnerStorage } from "effect-wal/cluster-storage"
 *
 * class Mailbox extends Wal.Service<Mailbox>()("app/Mailbox") {}
 *
 * // What `WalSingleRunner.layer` does, with a configuration that the environment cannot change.
 * const Cluster = Sharding.layer.pipe(
 *   Layer.provideMerge(Runners.layerNoop),
 *   Layer.provide(WalMessageStorage.layer({ log: Mailbox, keepAnswered: "30 days" })),
 *   Layer.provide([WalRunnerStorage.layer({ log: Mailbox }), RunnerHealth.layerNoop]),
 *   Layer.provide(ShardingConfig.layer({ shardsPerGroup: 16 })),
 *   Layer.provide(Mailbox.layerWorker({ directory: "./mailbox" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const sharding = yield* Sharding.Sharding
 *   yield* Console.log(yield* sharding.isShutdown) // => false
 * })
 *
 * await Effect.runPromise(Effect.provide(program, Cluster))
 * ```
 *
 * @since 0.1.0
 */
import * as MachineId from "effect/cluster/MachineId"
import * as RunnerStorage from "effect/cluster/RunnerStorage"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Options } from "./WalMessageStorage.ts"

/** As many as an id of a message can tell apart. */
const machines = 1024

/**
 * Provides the storage of the one runner.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  { log }: Pick<Options<Self>, "log">
): Layer.Layer<RunnerStorage.RunnerStorage, never, Self> =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.gen(function*() {
      const { recovery } = yield* log
      const memory = yield* RunnerStorage.makeMemory
      const machineId = MachineId.make(recovery.lastGivenId % machines)
      return RunnerStorage.RunnerStorage.of({
        ...memory,
        register: (runner, healthy) => Effect.as(memory.register(runner, healthy), machineId)
      })
    })
  )
