/**
 * A log for each tenant: opened when it is used, closed when it is idle, and at most sixteen of them open. Then all of
 * them are read as one stream, which is stopped in the middle and goes on from one position a log.
 *
 *     node examples/many-logs.ts
 */
import { Console, Effect, Layer, Schema, Stream } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeDisk, Wal } from "../src/index.ts"
import { Follow, LogSet } from "../src/many/index.ts"

class Tenant extends Wal.Service<Tenant>()("app/Tenant", { event: Schema.Struct({ cents: Schema.Int }) }) {}

class Tenants extends LogSet.Service<Tenants>()("app/Tenants", {
  log: Tenant,
  // A process with many logs gives each of them little memory.
  lookup: ({ directory }) => Tenant.layerWorker({ directory, segmentBytesMax: "256KiB", slots: 2 })
}) {}

const tenantCount = 200

const program = Effect.gen(function*() {
  const tenants = yield* Tenants
  const names = Array.from({ length: tenantCount }, (_, number) => `tenant-${number}`)

  yield* Effect.forEach(
    names,
    (name, index) =>
      tenants.use(name, (log) => log.appendAll([{ cents: index }, { cents: 1 }]).pipe(Effect.andThen(log.commit))),
    { concurrency: 8 }
  )
  yield* Console.log(`${(yield* tenants.keys).length} tenants, ${(yield* tenants.opened).length} of their logs open`)

  // A key from outside cannot leave the root.
  const refused = yield* Effect.flip(tenants.use("../../etc", (log) => log.commit))
  yield* Console.log(`refused: ${refused.message}`)

  let positions: Follow.LogPositions = {}
  let sum = 0
  const some = names.slice(0, 16)
  const read = () =>
    Follow.many({ keys: some, events: tenants.events, positions }).pipe(
      Stream.tap(({ event, id, key }) =>
        Effect.sync(() => {
          sum += event.cents
          positions = { ...positions, [key]: id }
        })
      )
    )
  yield* Stream.runDrain(Stream.take(read(), 10))
  yield* Console.log(`stopped after 10 events of ${Object.keys(positions).length} logs`)
  yield* Stream.runDrain(read())
  const expected = some.reduce((total, _, index) => total + index + 1, 0)
  yield* Console.log(`${sum} cents in ${some.length} logs, ${sum === expected ? "each event once" : `not ${expected}`}`)
  if (sum !== expected) return yield* Effect.die(new Error("an event was lost, or came twice"))
})

const root = mkdtempSync(join(tmpdir(), "effect-wal-many-"))

await Effect.runPromise(
  program.pipe(
    Effect.provide(Layer.provide(Tenants.layer({ root, openMax: 16 }), NodeDisk.layer)),
    Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true, force: true })))
  )
)
