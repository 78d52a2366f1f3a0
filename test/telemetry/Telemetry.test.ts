import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { noopUpdater } from "../../src/telemetry/SegmentMaintainerUpdater.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"

describe("Telemetry", () => {
  it.effect("counts for those who attach to its buffer", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.Telemetry
      const attached = Telemetry.attach(telemetry.buffer)
      attached.updater(1).count("eventsWritten", 3)
      telemetry.updater(0).count("eventsWritten", 4)
      assert.strictEqual((yield* telemetry.snapshot).counters.eventsWritten, 7)
      assert.deepStrictEqual(attached.snapshotUnsafe(), telemetry.snapshotUnsafe())
    }).pipe(Effect.provide(Telemetry.layer({ writersMax: 2 }))))

  it.effect("measures with a real clock by default", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.Telemetry
      const updater = telemetry.updater(0)
      const outer = performance.now()
      const startNanos = updater.nowNanos()
      const inner = performance.now()
      while (performance.now() - inner < 2);
      updater.onPersist(true, startNanos)
      const { maxNanos } = telemetry.snapshotUnsafe().operations.persist
      assert.isAtLeast(maxNanos, 2_000_000)
      assert.isAtMost(maxNanos, (performance.now() - outer) * 1e6)
    }).pipe(Effect.provide(Telemetry.layer({ writersMax: 1 }))))

  it.effect("lets gauges be brought up to date before a snapshot, while the scope lives, and as it closes", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.Telemetry
      const scope = yield* Scope.make()
      let age = 0
      yield* Scope.provide(telemetry.beforeSnapshot(() => telemetry.updater(0).setGauge("hotSegments", ++age)), scope)
      assert.strictEqual(telemetry.snapshotUnsafe().gauges.hotSegments, 1)
      assert.strictEqual((yield* telemetry.snapshot).gauges.hotSegments, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(telemetry.snapshotUnsafe().gauges.hotSegments, 3)
      assert.strictEqual(telemetry.snapshotUnsafe().gauges.hotSegments, 3)
    }).pipe(Effect.provide(Telemetry.layer({ writersMax: 1 }))))

  it.effect("counts nothing in the no-op, here and where its buffer is attached", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.Telemetry
      assert.strictEqual(telemetry.updater(7), noopUpdater)
      const attached = Telemetry.attach(telemetry.buffer)
      for (const updater of [telemetry.updater(0), attached.updater(1)]) {
        updater.onPersist(true, 0)
        updater.onPersistenceLoop(true, 0, 0)
        updater.onFailure("Io")
        updater.count("restarts", 1)
        updater.setMaxSegments(5)
      }
      const { counters, failures, gauges, lifecycle, operations } = telemetry.snapshotUnsafe()
      for (const values of [counters, failures, gauges, lifecycle]) {
        for (const value of Object.values(values)) assert.strictEqual(value, 0)
      }
      for (const { samples } of Object.values(operations)) assert.strictEqual(samples, 0)
    }).pipe(Effect.provide(Telemetry.layerNoop)))
})
