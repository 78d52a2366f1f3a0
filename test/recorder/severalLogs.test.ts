/** Several logs in one application: merged, by tenant, nested and restarted, in one memo map as an application has. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as entry from "../../src/index.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as testing from "../../src/testing/index.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import { layers, replayed, small, temporaryDirectory } from "./fixtures.ts"

/** More than the slots of a small log hold, so segments rotate, freeze and come back. */
const events = 600
const event = (name: string, id: number): Uint8Array => Buffer.from(`${name} ${id} ${"x".repeat(80)}`)

const recordInto = Effect.fnUntraced(function*(recorder: Recorder["Service"], name: string, count: number) {
  for (let sent = 0; sent < count; sent++) yield* recorder.append(event(name, sent))
  return yield* recorder.commit
})

const expected = (name: string, count = events): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, sent) => Buffer.from(event(name, sent)).toString())

const textsIn = (directory: string) => Effect.map(replayed(directory), (found) => found.map(([, text]) => text))

describe.each(layers)("several logs in one application (%s)", (_, layer) => {
  it.live("by tenant: each records into its own directory, and is drained at the end", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const tenants = ["acme", "globex", "initech"]
      yield* Effect.scoped(Effect.gen(function*() {
        const logs = yield* LayerMap.make((tenant: string) => layer({ ...small, directory: join(root, tenant) }))
        yield* Effect.forEach(tenants, (tenant) =>
          Effect.provide(
            Effect.flatMap(Recorder, (recorder) => recordInto(recorder, tenant, events)),
            logs.get(tenant)
          ), { concurrency: "unbounded" })
      }))
      for (const tenant of tenants) assert.deepStrictEqual(yield* textsIn(join(root, tenant)), expected(tenant))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("merged: two services of different logs, each with a monitor", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      class Orders extends Context.Service<Orders, Recorder["Service"]>()("test/Orders") {}
      class Audit extends Context.Service<Audit, Recorder["Service"]>()("test/Audit") {}
      const log = (name: string) =>
        Monitor.layer.pipe(Layer.provideMerge(layer({ ...small, directory: join(root, name) })))
      const both = Layer.merge(
        Layer.effect(Orders, Recorder).pipe(Layer.provide(log("orders"))),
        Layer.effect(Audit, Recorder).pipe(Layer.provide(log("audit")))
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          const [orders, audit] = [yield* Orders, yield* Audit]
          yield* Effect.all([recordInto(orders, "orders", events), recordInto(audit, "audit", events / 2)], {
            concurrency: 2
          })
          for (const [name, count] of [["orders", events], ["audit", events / 2]] as const) {
            assert.strictEqual((yield* Monitor.read(join(root, name)))?.positions.durable, count)
          }
        }),
        both
      )
      assert.deepStrictEqual(yield* textsIn(join(root, "orders")), expected("orders"))
      assert.deepStrictEqual(yield* textsIn(join(root, "audit")), expected("audit", events / 2))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  it.live("on one directory: the second fails with the error of the lock, and harms nothing", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      yield* Effect.provide(
        Effect.gen(function*() {
          const recorder = yield* Recorder
          const second = Effect.provide(Effect.asVoid(Recorder), layer({ ...small, directory }))
          assert.deepInclude(fieldsOf(yield* Effect.flip(second)), {
            _tag: "DiskError",
            operation: "lock",
            reason: "Held"
          })
          yield* recordInto(recorder, "first", events)
        }),
        layer({ ...small, directory })
      )
      assert.deepStrictEqual(yield* textsIn(directory), expected("first"))
    }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))
})

describe("a layer that is a constant", () => {
  const constants = Object.entries({ ...entry, ...testing }).flatMap(([module, exports]) =>
    Object.entries(exports).flatMap(([name, value]) => Layer.isLayer(value) ? [`${module}.${name}`] : [])
  )

  it.live("holds no state: wherever it is built, in one memo map too, it is made anew", () =>
    Effect.gen(function*() {
      const memoMap = yield* Layer.makeMemoMap
      const scope = yield* Effect.scope
      const isMadeAnew = Effect.fnUntraced(function*<A>(layer: Layer.Layer<A>) {
        const [first, second] = yield* Effect.replicateEffect(Layer.buildWithMemoMap(layer, memoMap, scope), 2)
        const values = [...(first?.mapUnsafe ?? [])].filter(([key]) => key.startsWith("effect-wal/"))
        return values.length > 0 && values.every(([key, value]) => second?.mapUnsafe.get(key) !== value)
      })
      const found: Record<string, boolean> = {
        "NodeDisk.layer": yield* isMadeAnew(NodeDisk.layer),
        "SegmentQueues.layer": yield* isMadeAnew(entry.SegmentQueues.layer),
        "Telemetry.layerNoop": yield* isMadeAnew(entry.Telemetry.layerNoop),
        // It provides nothing. The ruling on merged logs sees that each has its own.
        "Monitor.layer": true
      }
      assert.deepStrictEqual(found, Object.fromEntries(constants.map((name) => [name, true])))
    }).pipe(Effect.scoped))
})
