/** Telemetry and exporters beneath a log: they outlive its drain, and see it. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { join, relative } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import * as TelemetryExport from "../../src/telemetry/TelemetryExport.ts"
import { layers, small, temporaryDirectory } from "./fixtures.ts"

const event = Buffer.from("x".repeat(80))

/** More than the slots of a small log hold; gives how many segments were written until the drain begins. */
const record = Effect.gen(function*() {
  const { append } = yield* Recorder
  for (let sent = 0; sent < 600; sent++) yield* append(event)
  return (yield* Telemetry.Telemetry).snapshotUnsafe().operations.persist.success
})

describe.each(layers)("telemetry beneath a log (%s)", (_, layer) => {
  it.live("is the log's, and shows what the drain did after the log has closed; the next start counts on", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      const program = Effect.gen(function*() {
        const { snapshotUnsafe } = yield* Telemetry.Telemetry
        for (const starts of [1, 2]) {
          const before = yield* Effect.provide(record, layer({ ...small, directory }))
          const { counters, gauges, operations } = snapshotUnsafe()
          assert.strictEqual(counters.eventsWritten, 600 * starts)
          assert.isAbove(operations.persist.success, before)
          assert.deepStrictEqual([gauges.persistPendingTasks, gauges.durableLagEvents, gauges.durableLagMillis], [
            0,
            0,
            0
          ])
        }
      })
      // A relative path names the same directory.
      yield* Effect.provide(program, Telemetry.layer({ log: relative(process.cwd(), directory) }))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is exported after the drain by an exporter that lies there, too", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      let exported = 0
      const exporter = Layer.effectDiscard(Effect.addFinalizer(() =>
        Effect.map(Metric.snapshot, (all) => {
          const persisted = all.find(({ id }) => id === "effect_wal_persistence_persist_success_total")
          exported = persisted?.type === "Counter" ? Number(persisted.state.count) : Number.NaN
        })
      )).pipe(Layer.provideMerge(TelemetryExport.layerMetrics()))
      const beneath = Layer.provideMerge(exporter, Telemetry.layer({ log: directory }))
      const before = yield* Effect.provide(record, Layer.provide(layer({ ...small, directory }), beneath))
      assert.isAbove(exported, before)
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("is not taken by a log of another directory, which counts on its own", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const program = Effect.gen(function*() {
        const { snapshotUnsafe } = yield* Telemetry.Telemetry
        yield* Effect.provide(record, layer({ ...small, directory: join(root, "other") }))
        assert.strictEqual(snapshotUnsafe().counters.eventsWritten, 0)
      })
      yield* Effect.provide(program, Telemetry.layer({ log: join(root, "log") }))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("that counts nothing is taken by any log", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      const counted = Effect.andThen(record, Effect.flatMap(Telemetry.Telemetry, ({ snapshot }) => snapshot))
      const { counters } = yield* counted.pipe(
        Effect.provide(layer({ ...small, directory })),
        Effect.provide(Telemetry.layerNoop)
      )
      assert.strictEqual(counters.eventsWritten, 0)
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

describe("telemetry with too little memory for the threads of a log", () => {
  it.live("is refused by one line, before the directory is touched", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      const [, layerWorker] = layers[1]!
      const exit = yield* record.pipe(
        Effect.provide(layerWorker({ ...small, directory })),
        Effect.provide(Telemetry.layer({ log: directory, writersMax: 1 })),
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        assert.match(String(Cause.squash(exit.cause)), /has memory for 1 writers: give its layer/)
      }
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})
