import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import * as PrometheusRoute from "../../src/telemetry/PrometheusRoute.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import { layerMetrics, prometheusText } from "../../src/telemetry/TelemetryExport.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

const layer = Telemetry.layer({ writersMax: 2, nowNanos: () => 20_000_000_000 })
const start = (nanos: number) => 20_000_000_000 - nanos

const worked = Effect.map(Telemetry.Telemetry, (telemetry) => {
  const [a, b] = [telemetry.updater(0), telemetry.updater(1)]
  a.onPersistenceLoop(true, start(40_000_000), 10_000_000)
  a.onHotSegmentRetention(true, start(2_000_000))
  b.onHotSegmentRetention(true, start(6_000_000))
  b.onFailure("Io")
  b.setGauge("durableLagMillis", 1_500)
  return telemetry
})

describe("prometheusText", () => {
  it.effect("uses base units and names a counter …_total", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      const lines = prometheusText(telemetry.snapshotUnsafe()).split("\n")
      const label = `{subsystem="wal_persistence_worker"}`
      for (
        const expected of [
          `effect_wal_persistence_lifecycle_cycles_total${label} 1`,
          `effect_wal_persistence_lifecycle_did_work_total${label} 1`,
          `effect_wal_persistence_lifecycle_cycle_time_seconds_total${label} 0.04`,
          `effect_wal_persistence_lifecycle_active_ratio${label} 0.75`,
          `effect_wal_persistence_lifecycle_last_sleep_seconds${label} 0.01`,
          `effect_wal_maintenance_retention_samples_total${label} 2`,
          `effect_wal_maintenance_retention_seconds_total${label} 0.008`,
          `effect_wal_maintenance_retention_min_seconds${label} 0.002`,
          `effect_wal_durable_lag_seconds${label} 1.5`,
          `effect_wal_failures_total{subsystem="wal_persistence_worker",reason="Io"} 1`,
          `# TYPE effect_wal_maintenance_retention_seconds_total counter`
        ]
      ) {
        assert.include(lines, expected)
      }
    }).pipe(Effect.provide(layer)))

  it.effect("keeps the names and units of the counters on request", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      const lines = prometheusText(telemetry.snapshotUnsafe(), { names: "as-counted", prefix: "P" }).split("\n")
      const label = `{subsystem="wal_persistence_worker"}`
      assert.include(lines, `P_persistence_lifecycle_cycles${label} 1`)
      assert.include(lines, `P_maintenance_retention_total_ns${label} 8000000`)
      assert.include(lines, `P_persistence_lifecycle_active_ratio_percent${label} 75`)
      assert.include(lines, `P_persistence_lifecycle_last_sleep_ms${label} 10`)
    }).pipe(Effect.provide(layer)))

  it.effect("declares each family once, and keeps its series together", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      const seen = new Set<string>()
      let family = ""
      for (const line of prometheusText(telemetry.snapshotUnsafe()).trimEnd().split("\n")) {
        if (line.startsWith("# HELP ")) {
          family = line.split(" ")[2]!
          assert.isFalse(seen.has(family), family)
          seen.add(family)
        } else if (!line.startsWith("#")) {
          assert.strictEqual(
            line.replace(/\{.*/, "").replace(/_(bucket|sum|count)$/, ""),
            family.replace(/_count$/, "")
          )
          assert.match(line, /^[a-z_]+\{[^}]+\} [0-9.e+-]+$/)
        }
      }
      assert.isAbove(seen.size, 50)
    }).pipe(Effect.provide(layer)))

  it.effect("exports histograms whose buckets are cumulative and exact", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      const name = "effect_wal_maintenance_retention_latency_seconds"
      const lines = prometheusText(telemetry.snapshotUnsafe()).split("\n").filter((line) => line.startsWith(name))
      const counts = lines.filter((line) => line.includes("_bucket")).map((line) => Number(line.split(" ").at(-1)))
      assert.deepStrictEqual([...counts].sort((a, b) => a - b), counts)
      assert.include(lines, `${name}_bucket{subsystem="wal_persistence_worker",le="0.001048576"} 0`)
      assert.include(lines, `${name}_bucket{subsystem="wal_persistence_worker",le="0.002097152"} 1`)
      assert.include(lines, `${name}_bucket{subsystem="wal_persistence_worker",le="0.004194304"} 1`)
      assert.include(lines, `${name}_bucket{subsystem="wal_persistence_worker",le="0.008388608"} 2`)
      assert.include(lines, `${name}_bucket{subsystem="wal_persistence_worker",le="+Inf"} 2`)
      assert.include(lines, `${name}_sum{subsystem="wal_persistence_worker"} 0.008`)
      assert.include(lines, `${name}_count{subsystem="wal_persistence_worker"} 2`)
    }).pipe(Effect.provide(layer)))
})

describe("the route of Prometheus", () => {
  it.effect("answers GET /metrics with what is true now", () =>
    Effect.gen(function*() {
      const telemetry = yield* Telemetry.Telemetry
      const { dispose, handler } = HttpRouter.toWebHandler(
        PrometheusRoute.layer().pipe(Layer.provide(Layer.succeed(Telemetry.Telemetry, telemetry))),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const scrape = Effect.promise(() => handler(new Request("http://localhost/metrics")))
      const metric = `effect_wal_restarts_total{subsystem="wal_persistence_worker"}`
      const first = yield* scrape
      assert.strictEqual(first.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
      assert.include(yield* Effect.promise(() => first.text()), `${metric} 0\n`)
      telemetry.updater(1).count("restarts", 3)
      const second = yield* scrape
      assert.include(yield* Effect.promise(() => second.text()), `${metric} 3\n`)
    }).pipe(Effect.provide(layer)))
})

describe("layerMetrics", () => {
  it.effect("shows Effect's exporters the same series as the text", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      for (const name of ["onHotSegmentCompression", "onColdSegmentDeletion", "onPersist", "onFlush"] as const) {
        telemetry.updater(0)[name](true, start(1_000))
        telemetry.updater(0)[name](true, start(3_000))
      }
      const ours = prometheusText(telemetry.snapshotUnsafe()).split("\n").filter((line) => !line.startsWith("#"))
      const theirs = new Set((yield* PrometheusMetrics.format()).split("\n"))
      for (const line of ours) assert.isTrue(theirs.has(line), line)
    }).pipe(
      Effect.provide(layerMetrics().pipe(Layer.provideMerge(layer))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

  it.effect("reads one snapshot for an export, and a new one for the next", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      let snapshots = 0
      yield* telemetry.beforeSnapshot(() => {
        snapshots++
        telemetry.updater(0).setGauge("diskFreeBytes", snapshots * 1_000)
      })
      const read = Effect.map(
        Metric.snapshot,
        (all) => all.find(({ id }) => id === "effect_wal_disk_free_bytes")?.state
      )
      assert.deepStrictEqual(yield* read, { value: 1_000 })
      yield* Effect.promise(() => Promise.resolve())
      assert.deepStrictEqual(yield* read, { value: 2_000 })
      assert.strictEqual(snapshots, 2)
    }).pipe(
      Effect.provide(layerMetrics().pipe(Layer.provideMerge(layer))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))

  it.effect("registers every series before there are samples, and takes them back in the end", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      yield* Effect.gen(function*() {
        const all = yield* Metric.snapshot
        const histogram = all.find(({ id }) => id === "effect_wal_persistence_sync_latency_seconds")
        assert.strictEqual(histogram?.type, "Histogram")
        assert.isTrue(all.some(({ id }) => id === "effect_wal_maintenance_deletion_jitter_seconds"))
        assert.isTrue(all.some(({ id }) => id === "effect_wal_compression_ratio"))
      }).pipe(
        Effect.provide(layerMetrics().pipe(Layer.provide(layer))),
        Effect.provideService(Metric.MetricRegistry, registry)
      )
      assert.strictEqual(registry.size, 0)
    }))

  it.effect("gives two logs of one process two series, by their directories", () =>
    Effect.gen(function*() {
      const logOf = (directory: string) => layerMetrics().pipe(Layer.provideMerge(Wal.layer({ directory })))
      const one = yield* Layer.build(logOf("/logs/one"))
      const two = yield* Layer.build(logOf("/logs/two"))
      const record = Effect.flatMap(Recorder, ({ appendDurable }) => appendDurable(new Uint8Array(1)))
      yield* Effect.provideContext(record, one)
      yield* Effect.provideContext(Effect.andThen(record, record), two)
      const written = (yield* PrometheusMetrics.format()).split("\n")
        .filter((line) => line.startsWith("effect_wal_written_events_total{"))
      assert.deepStrictEqual(written.map((line) => [/log="([^"]*)"/.exec(line)?.[1], line.split(" ").at(-1)]), [
        ["/logs/one", "1"],
        ["/logs/two", "2"]
      ])
    }).pipe(
      Effect.scoped,
      Effect.provide(SimulatedDisk.layer({ seed: 1 })),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))
})

describe("the label `log`", () => {
  const strange = "/logs/\"quoted\"\\ and\nbroken"

  it.effect("is escaped, whatever the name of a directory, as Effect's exporter escapes it", () =>
    Effect.gen(function*() {
      const telemetry = yield* worked
      const ours = prometheusText(telemetry.snapshotUnsafe(), { log: strange }).split("\n")
      const series = ours.filter((line) => line.startsWith("effect_wal_"))
      const theirs = new Set((yield* PrometheusMetrics.format()).split("\n"))
      for (const line of series) {
        assert.isTrue(theirs.has(line), line)
        assert.include(line, String.raw`log="/logs/\"quoted\"\\ and\nbroken"`)
      }
      assert.isAbove(series.length, 100)
    }).pipe(
      Effect.provide(layerMetrics({ log: strange }).pipe(Layer.provideMerge(layer))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    ))
})
