/**
 * The runner that is killed: a process with a directory and a port of its own, over the store and the database of the
 * cluster. It writes `ready` to its standard output when it takes requests, and ends in order on SIGTERM.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import { writeSync } from "node:fs"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import { cluster, ReplicatedEntity, ReplicatedLogs } from "./runners.ts"

interface VictimOptions {
  readonly database: string
  readonly directory: string
  readonly port: number
  readonly store: string
}

const { database, directory, port, store }: VictimOptions = JSON.parse(process.argv[2] ?? "{}")

const runner = ReplicatedEntity.layer.pipe(
  Layer.provide(ReplicatedLogs.layer({ root: directory })),
  Layer.provideMerge(cluster(database, port)),
  Layer.provide(DirectoryStore.layer({ directory: store })),
  Layer.provide(NodeDisk.layer)
)

const ready = Layer.effectDiscard(Effect.sync(() => writeSync(1, "ready\n")))

NodeRuntime.runMain(
  Layer.launch(Layer.provideMerge(ready, runner)).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
)
