/**
 * Two recorders in one supervision tree. The disk under one of them keeps killing whatever works on it: its maintainer is
 * restarted, then given up, and its supervisor starts the whole branch again, until the disk behaves. The other recorder
 * never notices.
 *
 * ```text
 * application ─┬─ branch "orders"   Recorder ── SegmentMaintainer ── executor
 *              └─ branch "audit"    Recorder ── SegmentMaintainer ── executor ✝ ✝ ✝
 * ```
 *
 * ```sh
 * node examples/supervision-tree.ts
 * ```
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Disk, NodeDisk, Wal } from "../src/index.ts"

const root = mkdtempSync(join(tmpdir(), "effect-wal-supervision-"))

/** A disk on which the first `kills` new segment files kill the fiber that makes them. */
const deadly = (kills: number): Layer.Layer<Disk.Disk> =>
  Layer.effect(
    Disk.Disk,
    Effect.map(Disk.Disk, (disk) => {
      let left = kills
      return Disk.Disk.of({
        ...disk,
        rename: (from, to) =>
          Effect.suspend(() =>
            to.endsWith(".wal") && left-- > 0
              ? Effect.die(new Error("a bug strikes"))
              : disk.rename(from, to)
          )
      })
    })
  ).pipe(Layer.provide(NodeDisk.layer))

class Events extends Wal.Service<Events>()("example/Events") {}

/** Records `events` events, a commit each; ends early when its maintainer is given up. */
const branch = (name: string, events: number) =>
  Effect.gen(function*() {
    const { appendDurable, commit, maintainer, recovery } = yield* Events
    yield* Console.log(`${name}: open, last event ${recovery.lastEventId}`)
    const record = Effect.gen(function*() {
      for (let id = recovery.lastEventId + 1; id <= events; id++) {
        yield* appendDurable(new TextEncoder().encode(`${name} ${id}`))
        yield* Effect.sleep(5)
      }
    })
    yield* Effect.raceFirst(record, maintainer.down).pipe(
      Effect.tapError((error) => Console.log(`${name}: ${error.message}`)),
      Effect.ensuring(Effect.flatMap(maintainer.status, ({ isDown, restarts }) =>
        Console.log(`${name}: ${restarts} restarts of its executor, ${isDown ? "given up" : "well"}`)))
    )
    yield* Console.log(`${name}: ${yield* commit} events are durable`)
  }).pipe(
    Effect.provide(Layer.fresh(Events.layer({ directory: join(root, name), segmentBytesMax: 4096, restartsMax: 2 })))
  )

const program = Effect.gen(function*() {
  const orders = yield* Effect.forkChild(branch("orders", 200).pipe(Effect.provide(NodeDisk.layer)))
  const audit = yield* Effect.forkChild(
    branch("audit", 50).pipe(
      Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo({ times: 5 }))),
      Effect.provide(deadly(5))
    )
  )
  yield* Fiber.join(audit)
  yield* Fiber.join(orders)
})

NodeRuntime.runMain(
  program.pipe(
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true, force: true })))
  )
)
