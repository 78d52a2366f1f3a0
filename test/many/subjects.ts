/** The sets that one suite holds: logs of fibers on a simulated disk, and logs of threads on a real one. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as LogSet from "../../src/many/LogSet.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { temporaryDirectory, threadModule } from "../recorder/fixtures.ts"

export class Tenant extends Wal.Service<Tenant>()("test/Tenant", { event: Schema.String }) {}

const small = { segmentBytesMax: 4096, blockBytesMax: 1024, slots: 3 } as const

export class FiberTenants extends LogSet.Service<FiberTenants>()("test/FiberTenants", {
  log: Tenant,
  lookup: ({ directory }) => Tenant.layer({ ...small, directory })
}) {}

class ThreadTenants extends LogSet.Service<ThreadTenants>()("test/ThreadTenants", {
  log: Tenant,
  lookup: ({ directory }) => Tenant.layerWorker({ ...small, directory, threadModule })
}) {}

export type Tenants = LogSet.LogSet<string, never, never, Wal.WalError>

/** A disk, and sets of logs on it. */
export interface Place {
  readonly root: string
  readonly disk: Disk["Service"]
  readonly open: (options?: Omit<LogSet.LogSetOptions, "root">) => Effect.Effect<Tenants, never, Scope.Scope>
}

export interface Subject {
  readonly name: string
  readonly place: Effect.Effect<Place, never, Scope.Scope>
}

const onDisk = <Self>(
  set: {
    readonly layer: (options: LogSet.LogSetOptions) => Layer.Layer<Self, never, Disk>
    readonly use: <A, E, R>(f: (set: Tenants) => Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | Self>
  },
  root: string,
  disk: Disk["Service"]
): Place => ({
  root,
  disk,
  open: (options) =>
    Effect.flatMap(
      Layer.build(Layer.fresh(set.layer({ ...options, root }))),
      (context) => Effect.provideContext(set.use(Effect.succeed), context)
    ).pipe(Effect.provideService(Disk, disk))
})

export const subjects: ReadonlyArray<Subject> = [
  {
    name: "fibers",
    place: Effect.map(SimulatedDisk.make({ seed: 1 }), ({ disk }) => onDisk(FiberTenants, "/tenants", disk))
  },
  {
    name: "threads",
    place: Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const context = yield* Layer.build(NodeDisk.layer)
      return onDisk(ThreadTenants, `${root}/tenants`, yield* Effect.provideContext(Disk, context))
    })
  }
]

/** A set of any of them. */
export class TenantSet extends Context.Service<TenantSet, Tenants>()("test/TenantSet") {}
