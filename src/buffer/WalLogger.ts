/**
 * Records what an application logs: {@link layer} adds a `Logger` to those that are there, whose lines are events of a
 * log. They are read as any other events, with the schema {@link LogLine}.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. Logging never waits. A line is encoded and appended in the call. Where the log has no room, at most 4 MiB of lines
 *    wait for it.
 * 2. A line is durable at most `within` after the call, on a disk that keeps up. When the layer closes, every line of
 *    before is recorded, before the log closes (promise 74).
 * 3. A line that is not recorded is counted, and the first one is told with the reason: one that is too large for a
 *    block, one for which there is no room, and every one after the log has ended.
 * 4. What the log and this logger have to say themselves goes to the other loggers, never into the log.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Latch from "effect/Latch"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { annotated } from "../internal/annotated.ts"
import { refuseArgument, requireDuration } from "../internal/arguments.ts"
import { messageOf } from "../internal/messageOf.ts"
import { requireOptions } from "../internal/options.ts"
import type { Log } from "../recorder/Log.ts"
import type { RecorderError } from "../recorder/RecorderError.ts"
import { Refusal } from "../recorder/SegmentWriter.ts"

/**
 * A line of an application's log, as `Logger.consoleJson` writes it too. What JSON cannot say is left out of it.
 *
 * @since 0.1.0
 * @category models
 */
export const LogLine = Schema.Struct({
  /** When it was logged, by the wall clock. */
  timestamp: Schema.DateTimeUtcFromString,
  level: Schema.Literals(["ALL", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "NONE"]),
  /** What was logged; a list when it was more than one value. */
  message: Schema.Json,
  /** The cause that was logged with it, as text. */
  cause: Schema.optionalKey(Schema.String),
  annotations: Schema.Record(Schema.String, Schema.Json),
  /** The open log spans, each with its milliseconds. */
  spans: Schema.Record(Schema.String, Schema.Number),
  fiberId: Schema.String
})

/**
 * A line of an application's log: the type of {@link LogLine}.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogLine extends Schema.Schema.Type<typeof LogLine> {}

/**
 * How lines are recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A line is durable at most so long after it was logged, on a disk that keeps up. Default: 100 ms. */
  readonly within?: Duration.Input
  /** Whether the loggers that are there stay. Default: true. */
  readonly mergeWithExisting?: boolean
}

const OptionFields = Schema.Struct({
  within: Schema.optional(Schema.Unknown),
  mergeWithExisting: Schema.optional(Schema.Boolean)
})

/** Lines that wait for room in the log. */
const waitingBytesMax = 4 * 1024 * 1024

/** After a commit that failed. */
const commitAgain = Schedule.spaced("1 second")

const textOf = (options: Logger.Options<unknown>): string => {
  const line = Logger.formatStructured.log(options)
  return Formatter.formatJson({ ...line, message: line.message === undefined ? null : line.message })
}

/** A message whose own code throws, in `toJSON` or a getter, must not fail the fiber that logs it. */
const bytesOf = (options: Logger.Options<unknown>): Uint8Array => {
  try {
    return Buffer.from(textOf(options))
  } catch (thrown) {
    return Buffer.from(textOf({ ...options, message: `a message that JSON cannot say: ${messageOf(thrown)}` }))
  }
}

const sample = JSON.stringify({
  timestamp: DateTime.formatIso(DateTime.makeUnsafe(0)),
  level: "INFO",
  message: "",
  annotations: {},
  spans: {},
  fiberId: ""
})

/** Refuses a log whose events are something else; only the types tell, and JavaScript has none. */
const requireLines = Effect.fnUntraced(function*(log: Log<LogLine>) {
  const decoded = yield* Effect.exit(Effect.suspend(() => log.codec.decode(Buffer.from(sample))))
  if (Exit.isFailure(decoded) || !Predicate.hasProperty(decoded.value, "fiberId")) {
    refuseArgument("log", log, "one whose events are log lines: { event: WalLogger.LogLine }")
  }
})

const make = Effect.fnUntraced(function*(log: Log<LogLine>, { within = "100 millis" }: Options) {
  const delay = requireDuration("options.within", within, 0)
  yield* requireLines(log)
  const context = yield* Effect.context<never>()
  const { maintainer: { directory }, recorder } = log
  const said = annotated("WalLogger", directory)

  const lostLines = Metric.counter("effect_wal_buffer_lines_lost_total", {
    description: "Log lines that were not recorded",
    incremental: true,
    attributes: { directory }
  })
  let lost = 0
  let toldLost = 0
  /** Why nothing is recorded any more. */
  let ended: string | undefined
  /** Why a line was lost the last time. */
  let reason = ""
  const lose = (lines: number, why: string): void => {
    lost += lines
    reason = why
    lostLines.updateUnsafe(lines, context)
  }

  let waiting: Array<Uint8Array> = []
  let waitingBytes = 0
  /** Lines wait, or those that have waited are being appended: one that comes now is appended after them. */
  let isBehind = false
  let uncommitted = 0
  const changed = Latch.makeUnsafe(false)

  const refused = (line: Uint8Array): Effect.Effect<void> =>
    Effect.match(recorder.append(line), {
      onSuccess: () => void (uncommitted += 1),
      onFailure: ({ message }) => lose(1, message)
    })

  const add = (line: Uint8Array): void => {
    if (ended !== undefined) return lose(1, ended)
    if (!isBehind) {
      const id = recorder.writer.appendUnsafe(line)
      if (id > 0) {
        uncommitted += 1
        return
      }
      // It has told why, and it does not wait.
      if (id !== Refusal.Full) return Effect.runSyncWith(context)(refused(line))
      isBehind = true
    }
    if (waitingBytes + line.length > waitingBytesMax) {
      return lose(1, `the log has no room, and ${waitingBytes} bytes of lines wait for it`)
    }
    waiting.push(line)
    waitingBytes += line.length
  }

  const appendWaiting = Effect.gen(function*() {
    while (waiting.length > 0) {
      const lines = waiting
      waiting = []
      for (const line of lines) {
        yield* refused(line)
        waitingBytes -= line.length
      }
    }
    isBehind = false
  })

  const tellLost = Effect.suspend(() => {
    if (toldLost > 0 || lost === 0) return Effect.void
    toldLost = lost
    return Effect.logWarning(`log lines are not recorded, they are only counted from here on: ${reason}`)
  })

  let isCommitTold = false
  const tellCommit = ({ message }: RecorderError) => {
    if (isCommitTold) return Effect.void
    isCommitTold = true
    return Effect.logWarning(`log lines are in memory, and not durable yet: ${message}`)
  }
  const commit = Effect.suspend(() => {
    const lines = uncommitted
    return Effect.map(recorder.commit, () => {
      uncommitted -= lines
      isCommitTold = false
    })
  }).pipe(
    Effect.tapError(tellCommit),
    Effect.retry({ schedule: commitAgain, while: ({ isRetryable }) => isRetryable }),
    Effect.catch(({ message }) =>
      Effect.sync(() => {
        if (ended !== undefined) return
        ended = message
        lose(uncommitted, message)
      })
    )
  )

  const oneAtATime = Semaphore.makeUnsafe(1)
  const settle = oneAtATime.withPermit(
    Effect.andThen(appendWaiting, Effect.suspend(() => uncommitted > 0 && ended === undefined ? commit : Effect.void))
  ).pipe(Effect.andThen(tellLost), Effect.withTracerEnabled(false), said)

  yield* Effect.forkScoped(
    changed.await.pipe(
      Effect.andThen(Effect.sleep(delay)),
      Effect.andThen(Effect.sync(() => changed.closeUnsafe())),
      Effect.andThen(settle),
      Effect.forever
    )
  )
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      settle,
      Effect.suspend(() =>
        lost > toldLost ? said(Effect.logWarning(`${lost} log lines were not recorded: ${reason}`)) : Effect.void
      )
    )
  )

  return Logger.make<unknown, void>((options) => {
    add(bytesOf(options))
    changed.openUnsafe()
  })
})

/**
 * Records the lines of every program that this layer is provided to. The other loggers stay.
 *
 * **Example** (Recording an application's log)
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalLogger } from "effect-wal/buffer"
 *
 * class AppLog extends Wal.Service<AppLog>()("app/AppLog", { event: WalLogger.LogLine }) {}
 *
 * const AppLogLive = AppLog.layerWorker({ directory: "./app-log" }).pipe(Layer.provide(NodeDisk.layer))
 *
 * const program = Effect.logInfo("started").pipe(Effect.annotateLogs({ version: "1.2.3" }))
 *
 * // Everything is recorded when the layer of the logger closes, which it does before the log.
 * await Effect.runPromise(
 *   Effect.provide(program, WalLogger.layer(AppLog).pipe(Layer.provide(AppLogLive)))
 * )
 *
 * const lines = AppLog.reader({ directory: "./app-log" }).events()
 * await Effect.runPromise(
 *   Stream.runForEach(lines, ({ event }) => Console.log(event.level, event.message)).pipe( // => INFO started
 *     Effect.provide(NodeDisk.layer)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  log: Context.Key<Self, Log<LogLine>>,
  options: Options = {}
): Layer.Layer<never, never, Self> => {
  if (!Context.isKey(log)) refuseArgument("log", log, "the class of a log")
  const { mergeWithExisting = true } = requireOptions("options", OptionFields, options)
  return Logger.layer([Effect.flatMap(log, (log) => make(log, options))], { mergeWithExisting })
}
