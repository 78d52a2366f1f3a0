/**
 * Runners in one process, with sockets between them: each is a machine with a disk of its own. They share an object store
 * and the storage of the cluster.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import type { Sharding } from "effect/cluster/Sharding"
import type { ShardingConfig } from "effect/cluster/ShardingConfig"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { createServer } from "node:net"
import * as Archive from "../../src/archive/Archive.ts"
import * as LogEntity from "../../src/cluster/LogEntity.ts"
import { Disk } from "../../src/disk/Disk.ts"
import * as Failover from "../../src/failover/Failover.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import * as LogSet from "../../src/many/LogSet.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SqliteClient from "../fixtures/sqliteClient.ts"

class Replicated extends Wal.Service<Replicated>()("test/Replicated", { event: Schema.String }) {}

/** Logs that another machine can go on with. */
export class ReplicatedLogs extends LogSet.Service<ReplicatedLogs>()("test/ReplicatedLogs", {
  log: Replicated,
  lookup: ({ directory, key }) =>
    Archive.layer({ log: key, settleMax: 0 }).pipe(
      Layer.provide(Replicated.parts),
      Layer.provideMerge(
        Replicated.layer({
          directory,
          segmentBytesMax: 16_384,
          blockBytesMax: 4096,
          onArchiveBehind: "keep",
          acknowledge: "replicated"
        })
      ),
      Layer.provide(Failover.layer({ log: key, directory }))
    )
}) {}

export const ReplicatedEntity = LogEntity.make("Log", { logs: ReplicatedLogs, event: Schema.String })

/** The settings that docs/MANY.md names. */
export const tuned: Partial<ShardingConfig["Service"]> = {
  shardsPerGroup: 16,
  runnerHealthCheckInterval: "1 seconds",
  refreshAssignmentsInterval: "500 millis",
  shardLockExpiration: "3 seconds",
  shardLockRefreshInterval: "500 millis"
}

const address = (port: number) => Option.some(RunnerAddress.make("127.0.0.1", port))

/** Joins the cluster, as a runner with this disk, or as a client that has no logs. */
export const cluster = (database: string, port: number, isClient = false) =>
  NodeClusterSocket.layer({
    clientOnly: isClient,
    shardingConfig: { ...tuned, runnerAddress: isClient ? Option.none() : address(port) }
  }).pipe(Layer.provide(SqliteClient.layer(database, "NORMAL")))

export interface Runner {
  readonly logs: Context.Service.Shape<typeof ReplicatedLogs>
  readonly close: Effect.Effect<void>
}

/** Starts a runner; it ends with the scope, or before. */
export const start = Effect.fnUntraced(function*(options: {
  readonly database: string
  readonly port: number
  readonly disk: Disk["Service"]
  readonly store: ObjectStore["Service"]
}) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const machine = Layer.mergeAll(
    Layer.succeed(Disk, options.disk),
    Layer.succeed(ObjectStore, options.store),
    Layer.succeed(Compressor, blocking)
  )
  const layer = ReplicatedEntity.layer.pipe(
    Layer.provideMerge(ReplicatedLogs.layer({ root: "/logs" })),
    Layer.provide(cluster(options.database, options.port)),
    Layer.provide(machine)
  )
  const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
  const runner: Runner = { logs: Context.get(context, ReplicatedLogs), close: Scope.close(scope, Exit.void) }
  return runner
})

/** A client, in the scope. */
export const connect = (database: string) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(cluster(database, 0, true) as Layer.Layer<Sharding>)),
    (context) => Effect.provideContext(ReplicatedEntity.client, context)
  )

/** A port that nobody has. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})
