/** What the tests of buffers look at: the lines of the other loggers, and the counters. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"

/** A logger that is there before a buffer, and its lines. */
export const otherLogger = (
  lines: Array<string>,
  level: "All" | "Info" = "Info"
): Layer.Layer<never> =>
  Layer.merge(
    Logger.layer([Logger.make(({ message }) => void lines.push([message].flat().map(String).join(" ")))]),
    Layer.succeed(References.MinimumLogLevel, level)
  )

/** The metrics of one test alone. */
export const ownMetrics = Effect.provideServiceEffect(Metric.MetricRegistry, Effect.sync(() => new Map()))

/** A counter, over all logs. */
export const counted = (id: string, attributes: Readonly<Record<string, string>> = {}): Effect.Effect<number> =>
  Effect.map(Metric.snapshot, (metrics) =>
    metrics.filter((metric) =>
      metric.id === id && metric.type === "Counter" &&
      Object.entries(attributes).every(([name, value]) => metric.attributes?.[name] === value)
    ).reduce((sum, { state }) => sum + Number("count" in state ? state.count : 0), 0))
