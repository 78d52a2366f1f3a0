/**
 * Keeps telemetry until the collector has it: {@link layer} is an `HttpClient` for Effect's `Otlp` layers. It records
 * what they send in a log, and a durable consumer of the log sends it on.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. A batch that was answered is on disk, and is sent until the collector accepts it or refuses it for good: in order,
 *    at least once, also after the process was killed (promise 74).
 * 2. A collector that is not reachable, is busy, or does not let the sender in, costs no batch. What it asks for in
 *    `Retry-After` is waited for, an hour at most.
 * 3. What is kept is bounded by `maxLag` and the limits of the log: beyond them the oldest goes, and is counted.
 * 4. What the collector refuses for good is handed to `deadLetter`, and is counted. It stops nothing after it.
 * 5. What the log does not take, because it is too large for a block or because the log has ended, is sent at once, as
 *    without a buffer, and is counted.
 * 6. Of a request its path, its content type, its content encoding and its body are recorded, and nothing else.
 *    Credentials belong into `headers`, which only the sender knows.
 *
 * `effect_wal_buffer_batches_total` counts batches by `outcome`: `recorded`, `sent`, `refused`, `missed` (deleted
 * before they were sent) and `unrecorded` (sent at once). What the buffer logs goes to the loggers that were there
 * before it, so it never feeds itself.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { DiskError } from "../disk/Disk.ts"
import { annotated } from "../internal/annotated.ts"
import { refuseArgument, requireDuration } from "../internal/arguments.ts"
import type { SizeInput } from "../internal/notations.ts"
import { callback, requireOptions } from "../internal/options.ts"
import { plainText } from "../internal/plainText.ts"
import type { ConsumerTaken, FailedEvent } from "../recorder/consumer/Consumer.ts"
import type { Log } from "../recorder/Log.ts"
import { overBytes } from "../state/overBytes.ts"
import * as Batch from "./Batch.ts"
import { makeSender, retryDefault } from "./Sender.ts"

/**
 * How telemetry is kept and sent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Where the collector is: `https://collector.example:4318`. A batch goes to the path that the `Otlp` layer gave it,
   * below this origin; the origin of that layer does not matter.
   */
  readonly origin: string
  /** Sent with every batch, and never recorded: the place for credentials. */
  readonly headers?: Headers.Input
  /**
   * When a batch that was not accepted is sent again; when it ends, the batch is refused. Default: for ever, after a
   * second, then two, up to a minute.
   */
  readonly retry?: Schedule.Schedule<unknown, HttpClientError.HttpClientError>
  /** How long the collector may take to answer. Default: 10 s. */
  readonly timeout?: Duration.Input
  /**
   * What is kept of what is not sent yet, at most: see `ConsumerOptions.maxLag`. Default: the newest 1 GiB. What the
   * limits of the log allow is kept in any case.
   */
  readonly maxLag?: { readonly bytes?: SizeInput; readonly age?: Duration.Input }
  /** Takes a batch that was refused for good. It is done when this ends. Default: it is only counted. */
  readonly deadLetter?: (refused: RefusedBatch) => Effect.Effect<unknown>
  /** When the layer closes, it sends what is left for at most so long; the next start continues. Default: 3 s. */
  readonly shutdownTimeout?: Duration.Input
}

/**
 * A batch that the collector will never accept.
 *
 * @since 0.1.0
 * @category models
 */
export interface RefusedBatch extends Batch.Batch {
  /** The id of its event. */
  readonly id: number
  /** What the collector answered. */
  readonly reason: HttpClientError.HttpClientError
}

export type { Batch } from "./Batch.ts"

const OptionFields = Schema.Struct({
  origin: Schema.Unknown,
  headers: Schema.optional(Schema.Unknown),
  retry: Schema.optional(Schema.Unknown),
  timeout: Schema.optional(Schema.Unknown),
  maxLag: Schema.optional(Schema.Unknown),
  deadLetter: Schema.optional(callback<(refused: RefusedBatch) => Effect.Effect<unknown>>()),
  shutdownTimeout: Schema.optional(Schema.Unknown)
})

const consumerName = "otlp"
const maxLagDefault = { bytes: "1GiB" } as const

/** After the log could not be read. */
const readAgain = Schedule.spaced("1 second")

/** After a batch that is in memory, and could not be made durable yet. */
const commitAgain = Schedule.spaced("1 second")

const outcomes = ["recorded", "sent", "refused", "missed", "unrecorded"] as const

/** The origin of the collector. */
const originOf = (origin: string): string => {
  const url = typeof origin === "string" && URL.canParse(origin) ? new URL(origin) : undefined
  const isOrigin = url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`
  return isOrigin
    ? url.origin
    : refuseArgument(
      "options.origin",
      origin,
      "an http or https URL without a path, as in https://collector.example:4318"
    )
}

const resolveUnsafe = (options: Options) => {
  requireOptions("options", OptionFields, options)
  const { deadLetter, headers, maxLag = maxLagDefault, origin, retry = retryDefault } = options
  if (!Schedule.isSchedule(retry)) refuseArgument("options.retry", retry, "a Schedule")
  if (headers !== undefined && (typeof headers !== "object" || headers === null)) {
    refuseArgument("options.headers", headers, "an object")
  }
  return {
    collector: {
      origin: originOf(origin),
      headers: Headers.fromInput(headers),
      timeout: requireDuration("options.timeout", options.timeout ?? "10 seconds", 1)
    },
    deadLetter: deadLetter ?? (() => Effect.void),
    maxLag,
    retry,
    shutdownTimeout: requireDuration("options.shutdownTimeout", options.shutdownTimeout ?? "3 seconds", 0)
  }
}

/** What is recorded of a request; `undefined` when it is none of an exporter. */
const batchOf = (request: HttpClientRequest.HttpClientRequest, url: URL): Batch.Batch | undefined =>
  request.method === "POST" && request.body._tag === "Uint8Array"
    ? {
      path: url.pathname,
      contentType: request.body.contentType,
      contentEncoding: request.headers["content-encoding"] ?? "",
      body: request.body.body
    }
    : undefined

const make = Effect.fnUntraced(function*(bytes: Log<Uint8Array>, options: Options) {
  const { collector, deadLetter, maxLag, retry, shutdownTimeout } = resolveUnsafe(options)
  const log = yield* overBytes("buffer", bytes, Batch.codec)
  const { maintainer: { directory }, recorder: { writer } } = log
  const context = yield* Effect.context<never>()
  const said = annotated("WalOtlp", directory)
  const warn = (line: string) => said(Effect.logWarning(plainText(line)))

  const counters = Object.fromEntries(outcomes.map((outcome) => [
    outcome,
    Metric.counter("effect_wal_buffer_batches_total", {
      description: "Batches of telemetry, by what has become of them",
      incremental: true,
      attributes: { directory, outcome }
    })
  ]))
  const count = (outcome: typeof outcomes[number], batches = 1): void =>
    counters[outcome]?.updateUnsafe(batches, context)

  const told = new Set<string>()
  /** Tells the first of many. */
  const warnOnce = (what: typeof outcomes[number] | "query", line: string) =>
    Effect.suspend(() => {
      if (told.has(what)) return Effect.void
      told.add(what)
      return warn(line)
    })

  const sender = makeSender(yield* HttpClient.HttpClient, collector)
  const consumer = yield* log.consumer(consumerName, { maxLag })

  let isAway = false
  const onFailure = ({ message }: HttpClientError.HttpClientError) => {
    if (isAway) return Effect.void
    isAway = true
    return warn(`the collector takes no telemetry, which is kept and sent again: ${message}`)
  }
  const onSuccess = Effect.suspend(() => {
    count("sent")
    if (!isAway) return Effect.void
    isAway = false
    return said(Effect.logInfo("the collector takes telemetry again"))
  })

  const refuse = (id: number, batch: Batch.Batch, reason: HttpClientError.HttpClientError) =>
    Effect.suspend(() => {
      count("refused")
      isAway = false
      return Effect.andThen(
        warnOnce(
          "refused",
          `the collector refuses telemetry for good; such batches are only counted: ${reason.message}`
        ),
        deadLetter({ ...batch, id, reason })
      )
    })

  /** Every batch up to this one is sent, refused or gone. */
  let doneId = yield* consumer.position
  /** Opens when everything that was recorded before the layer closes is done. */
  const isDone = Latch.makeUnsafe(false)
  let lastId = Number.POSITIVE_INFINITY
  const done = (id: number): void => {
    doneId = id
    if (doneId >= lastId) isDone.openUnsafe()
  }

  const foreign = ({ id }: FailedEvent<Batch.Batch, never>) =>
    Effect.suspend(() => {
      count("refused")
      done(id)
      return warnOnce("refused", `event ${id} is no batch of telemetry; such events are only counted`)
    })

  const sending = consumer.forEach(
    ({ event: batch, id }) =>
      sender.send(batch, retry, onFailure).pipe(
        Effect.matchEffect({ onSuccess: () => onSuccess, onFailure: (reason) => refuse(id, batch, reason) }),
        Effect.andThen(Effect.sync(() => done(id)))
      ),
    {
      deadLetter: foreign,
      onMissing: ({ error, firstEventId, lastEventId }) => {
        count("missed", lastEventId - firstEventId + 1)
        done(lastEventId)
        return warn(`telemetry is gone before it was sent, ${lastEventId - firstEventId + 1} batches: ${error.message}`)
      }
    }
  ).pipe(
    Effect.tapCause((cause) => said(Effect.logError("telemetry is not sent on for now", cause))),
    Effect.retry(readAgain),
    Effect.withTracerEnabled(false)
  )

  yield* Effect.forkScoped(sending)
  yield* Effect.addFinalizer(Effect.fnUntraced(function*() {
    lastId = writer.lastEventId
    done(doneId)
    // Nothing in a finalizer is interrupted, a wait neither; so the timer ends the wait.
    const timer = yield* Effect.forkChild(Effect.delay(Effect.sync(() => isDone.openUnsafe()), shutdownTimeout))
    yield* isDone.await
    yield* Fiber.interrupt(timer)
    // What the consumer has not noted yet would be sent twice.
    yield* Effect.ignore(consumer.acknowledge(doneId))
  }))

  /** Sends what the log does not take. */
  const sendUnrecorded = (batch: Batch.Batch, why: string) => {
    count("unrecorded")
    return Effect.andThen(
      warnOnce("unrecorded", `telemetry is sent without being kept; such batches are only counted: ${why}`),
      sender.sendOnce(batch)
    )
  }

  return HttpClient.make((request, url) => {
    const batch = batchOf(request, url)
    if (batch === undefined) {
      const description = "only what an OTLP exporter sends is recorded: a POST whose body is bytes"
      return Effect.fail(
        new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, description }) })
      )
    }
    const recording = log.appendDurable(batch).pipe(
      // It is in memory, and this waits for it; nothing is appended twice.
      Effect.retry({
        schedule: commitAgain,
        while: ({ eventId, isRetryable }) => eventId !== undefined && isRetryable
      }),
      Effect.withTracerEnabled(false)
    )
    return Effect.matchEffect(recording, {
      onSuccess: () => {
        count("recorded")
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 200 })))
      },
      onFailure: ({ message }) => sendUnrecorded(batch, message)
    }).pipe(
      Effect.tap(
        url.search === "" ? Effect.void : warnOnce(
          "query",
          "the query of a URL is not recorded, since it may hold credentials; give them in `headers`"
        )
      )
    )
  })
})

/**
 * The `HttpClient` for Effect's `Otlp` layers, over the real one, which sends. The log is one of bytes, with nothing
 * else in it.
 *
 * **Example** (Telemetry that survives a collector that is away)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { Otlp } from "effect/observability"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalOtlp } from "effect-wal/buffer"
 *
 * class Outbox extends Wal.Service<Outbox>()("app/Outbox") {}
 *
 * const origin = "http://127.0.0.1:4318"
 *
 * const TelemetryLive = Otlp.layerJson({ baseUrl: origin, resource: { serviceName: "shop" } }).pipe(
 *   Layer.provide(
 *     WalOtlp.layer(Outbox, {
 *       origin,
 *       headers: { authorization: "Bearer secret" },
 *       // An application that ends while the collector is away waits so long for it.
 *       shutdownTimeout: "100 millis"
 *     })
 *   ),
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(Outbox.layerWorker({ directory: "./outbox" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.logInfo("started").pipe(Effect.withSpan("start"))
 *
 * await Effect.runPromise(Effect.provide(program, TelemetryLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  log: Context.Key<Self, Log<Uint8Array>>,
  options: Options
): Layer.Layer<HttpClient.HttpClient, ConsumerTaken | DiskError, Self | HttpClient.HttpClient> => {
  if (!Context.isKey(log)) refuseArgument("log", log, "the class of a log")
  return Layer.effect(HttpClient.HttpClient, Effect.flatMap(log, (log) => make(log, options)))
}
