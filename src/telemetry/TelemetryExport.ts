/**
 * Exports telemetry to monitoring systems: to Effect's `Metric`, from where any exporter reads it (OTLP, StatsD,
 * Prometheus), and as Prometheus text. Values are read when an exporter asks for them; nothing runs in between.
 *
 * Names: the recorder counts in nanoseconds, milliseconds and percent, and the names of its counters end with these
 * units. Monitoring systems expect base units. So they become seconds and ratios here, and a counter's name ends with
 * `_total`, by one rule: `…_total_ns` becomes `…_seconds_total`, `…_ns` and `…_ms` become `…_seconds`, `…_percent` is
 * dropped after a ratio, and a name without a unit stays. `promtool check metrics` accepts these names. `names:
 * "as-counted"` keeps the names and units in which the recorder counts.
 *
 * Latency histograms have a bucket for each power of two from 128 ns to 17.2 s. A bucket counts the times below its
 * bound; a time equal to the bound counts in the next bucket.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { groups } from "./CounterLayout.ts"
import { operations } from "./Counters.ts"
import type { OperationName, Unit } from "./Counters.ts"
import { bucketLowestNanos, countOf } from "./LatencyHistogram.ts"
import { Telemetry } from "./Telemetry.ts"
import { collect, defaultPrefix, type HistogramSample, type Sample } from "./TelemetryCollect.ts"
import type { OperationSnapshot, TelemetrySnapshot } from "./TelemetrySnapshot.ts"

/**
 * Options for the names and labels of exported values.
 *
 * @since 0.1.0
 * @category models
 */
export interface ExportOptions {
  /** The beginning of every name; `effect_wal` by default. */
  readonly prefix?: string | undefined
  /** Base units (the default), or the names and units in which the recorder counts. */
  readonly names?: "base-units" | "as-counted" | undefined
  /**
   * The value of the label `log`, which every series has: two logs of one process share no series. The layers take the
   * directory of the log when nothing is given. Without a value there is no such label.
   */
  readonly log?: string | undefined
}

/** A series, as an exporter sees it. */
type Series =
  | { readonly type: "counter" | "gauge"; readonly sample: Sample }
  | HistogramSeries

/** `boundScale`: the number of nanoseconds in one exported unit. */
interface HistogramSeries {
  readonly type: "histogram"
  readonly sample: HistogramSample
  readonly boundScale: number
}

const scaleOf = (unit: Unit): number => {
  if (unit === "ns") return 1e9
  if (unit === "ms") return 1e3
  return unit === "percent" ? 100 : 1
}

const suffixOf = (unit: Unit): string => {
  if (unit === "ns" || unit === "ms") return "_seconds"
  return ""
}

const baseName = (type: Series["type"], name: string, unit: Unit): string => {
  const bare = unit === "ns" || unit === "ms" || unit === "percent" ? name.replace(/_(ns|ms|percent)$/, "") : name
  if (type !== "counter") return bare + suffixOf(unit)
  return `${bare.replace(/_total(?=_|$)/, "")}${suffixOf(unit)}_total`
}

const seriesOf = (snapshot: TelemetrySnapshot, options: ExportOptions): Array<Series> => {
  const series: Array<Series> = []
  const { log = "" } = options
  const labelsOf = ({ labels }: Sample | HistogramSample) => log === "" ? labels : { log, ...labels }
  const isAsCounted = options.names === "as-counted"
  const value = (type: "counter" | "gauge") => (sample: Sample) => {
    const name = isAsCounted ? sample.name : baseName(type, sample.name, sample.unit)
    const scale = isAsCounted ? 1 : scaleOf(sample.unit)
    series.push({ type, sample: { ...sample, name, labels: labelsOf(sample), value: sample.value / scale } })
  }
  collect(snapshot, {
    counter: value("counter"),
    gauge: value("gauge"),
    histogram: (sample) => {
      const name = isAsCounted ? sample.name : baseName("histogram", sample.name, sample.unit)
      const labelled = { ...sample, name, labels: labelsOf(sample) }
      series.push({ type: "histogram", sample: labelled, boundScale: isAsCounted ? 1 : 1e9 })
    }
  }, options.prefix ?? defaultPrefix)
  return series
}

/** The bounds of the exported buckets, in nanoseconds: 2^7 to 2^34. */
const boundsNanos = Array.from({ length: 28 }, (_, index) => 2 ** (index + 7))

/** Counts the times below each bound. Exact, because every bound is also a bound of the fine histogram. */
const cumulativeCounts = ({ counts }: HistogramSample): Array<number> => {
  let next = 0
  let below = 0
  return boundsNanos.map((bound) => {
    while (next < counts.length && bucketLowestNanos(counts[next]![0]) < bound) below += counts[next++]![1]
    return below
  })
}

/** A value of a label may be the path of a directory, and a path may have any character. */
const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\"": "\\\"", "\n": "\\n" }

const labelsText = (labels: Readonly<Record<string, string>>): string =>
  `{${
    Object.entries(labels)
      .map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (character) => escapes[character] ?? "")}"`)
      .join(",")
  }}`

const seriesLines = (series: Series): Array<string> => {
  if (series.type !== "histogram") {
    return [`${series.sample.name}${labelsText(series.sample.labels)} ${series.sample.value}`]
  }
  const { boundScale, sample } = series
  const { counts, labels, name, sum } = sample
  const bucket = (bound: string, count: number) => `${name}_bucket${labelsText({ ...labels, le: bound })} ${count}`
  const cumulative = cumulativeCounts(sample)
  return [
    ...boundsNanos.map((bound, index) => bucket(String(bound / boundScale), cumulative[index]!)),
    bucket("+Inf", countOf(counts)),
    `${name}_sum${labelsText(labels)} ${sum / boundScale}`,
    `${name}_count${labelsText(labels)} ${countOf(counts)}`
  ]
}

/**
 * Formats a snapshot in the Prometheus text format, version 0.0.4.
 *
 * @since 0.1.0
 * @category conversions
 */
export const prometheusText = (snapshot: TelemetrySnapshot, options: ExportOptions = {}): string => {
  const families = new Map<string, Array<string>>()
  for (const series of seriesOf(snapshot, options)) {
    const { help, name } = series.sample
    const lines = families.get(name) ?? [`# HELP ${name} ${help}`, `# TYPE ${name} ${series.type}`]
    lines.push(...seriesLines(series))
    families.set(name, lines)
  }
  return `${[...families.values()].flat().join("\n")}\n`
}

/** Makes a snapshot in which every value is shown, so that every series is known beforehand. */
const completeSnapshot = (): TelemetrySnapshot => {
  const kinds: Record<string, Record<string, number>> = {}
  for (const group of groups) {
    for (const field of group.fields) kinds[group.kind] = { ...kinds[group.kind], [field.name]: 2 }
  }
  const operation = { ...kinds.operation, latency: [[2, 2]] } as unknown as OperationSnapshot
  const names = Object.keys(operations) as ReadonlyArray<OperationName>
  return { ...kinds, operations: Object.fromEntries(names.map((name) => [name, operation])) } as TelemetrySnapshot
}

const keyOf = ({ sample }: Series): string => sample.name + labelsText(sample.labels)

/**
 * Gives series of one moment: they are taken at the first read of an export, and dropped at the end of its microtask.
 */
const makeCurrent = (telemetry: Telemetry["Service"], options: ExportOptions) => {
  let current: ReadonlyMap<string, Series> | undefined
  return (key: string): Series | undefined => {
    if (current === undefined) {
      current = new Map(seriesOf(telemetry.snapshotUnsafe(), options).map((series) => [keyOf(series), series]))
      queueMicrotask(() => {
        current = undefined
      })
    }
    return current.get(key)
  }
}

const histogramState = ({ boundScale, sample }: HistogramSeries): Metric.HistogramState => {
  const count = countOf(sample.counts)
  const cumulative = cumulativeCounts(sample)
  return {
    buckets: [
      ...boundsNanos.map((bound, index): [number, number] => [bound / boundScale, cumulative[index]!]),
      [Infinity, count]
    ],
    count,
    min: sample.min / boundScale,
    max: sample.max / boundScale,
    sum: sample.sum / boundScale
  }
}

const register = (
  series: Series,
  current: (key: string) => Series | undefined,
  context: Context.Context<never>
): Metric.Registration => {
  const key = keyOf(series)
  const { help: description, labels: attributes, name } = series.sample
  const value = (): number => {
    const found = current(key)
    return found === undefined || found.type === "histogram" ? 0 : found.sample.value
  }
  const ignored = { update() {}, modify() {} }
  switch (series.type) {
    case "counter":
      return Metric.registerUnsafe(Metric.counter(name, { description, attributes, incremental: true }), context, {
        get: () => ({ count: value(), incremental: true }),
        ...ignored
      })
    case "gauge":
      return Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, {
        get: () => ({ value: value() }),
        ...ignored
      })
    case "histogram": {
      const empty = { ...series, sample: { ...series.sample, counts: [], min: 0, max: 0, sum: 0 } }
      const boundaries = boundsNanos.map((bound) => bound / series.boundScale)
      return Metric.registerUnsafe(Metric.histogram(name, { description, attributes, boundaries }), context, {
        get: () => {
          const found = current(key)
          return histogramState(found?.type === "histogram" ? found : empty)
        },
        ...ignored
      })
    }
  }
}

/**
 * Registers every series with Effect's metrics until the layer's scope closes. An export takes one snapshot for all of
 * them, when it reads the first one. A series without a value yet, such as a minimum before the second sample, is 0.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import { Console, Effect, Layer, Metric } from "effect"
 * import { NodeDisk, TelemetryExport, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const EventsLive = TelemetryExport.layerMetrics().pipe(
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log" }))
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Events).appendDurable(Buffer.from("hello"))
 *   // Every exporter of Effect's metrics exports these too; `Metric.dump` is the simplest.
 *   yield* Console.log(yield* Metric.dump) // => effect_wal_hot_segments
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(EventsLive), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const layerMetrics = (options: ExportOptions = {}): Layer.Layer<never, never, Telemetry> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const telemetry = yield* Telemetry
    const context = yield* Effect.context<never>()
    const named = { ...options, log: options.log ?? telemetry.log }
    const current = makeCurrent(telemetry, named)
    yield* Effect.acquireRelease(
      Effect.sync(() => seriesOf(completeSnapshot(), named).map((series) => register(series, current, context))),
      (registrations) => Effect.sync(() => registrations.forEach((registration) => registration.remove()))
    )
  }))
