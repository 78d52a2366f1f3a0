/**
 * Sends batches of telemetry to a collector, and knows what its answers mean.
 *
 * | the collector | the batch |
 * |---|---|
 * | answers 2xx | is sent |
 * | is not reachable, or answers nothing in time | is sent again |
 * | answers 408, 429, 502, 503 or 504 | is sent again, as OTLP demands |
 * | answers 401, 403 or 407 | is sent again: the sender is not let in, and the batch is as good as before |
 * | answers 500 | is refused the tenth time in a row: most collectors mean "not now" by it, and some "never" |
 * | answers anything else | is refused for good |
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { Batch } from "./Batch.ts"

/** How the collector is reached. */
interface Collector {
  readonly origin: string
  readonly headers: Headers.Headers
  readonly timeout: Duration.Duration
}

const laterStatuses = [401, 403, 407, 408, 429, 500, 502, 503, 504]
const internalErrorsMax = 10

/** A collector that asks for more is asked again after it. */
const retryAfterMax = Duration.hours(1)

const statusOf = (error: HttpClientError.HttpClientError): number | undefined => error.response?.status

/** Whether a batch may be accepted later, after it has failed so often with the last error. */
const isForLater = (error: HttpClientError.HttpClientError, times: number): boolean => {
  const status = statusOf(error)
  if (status === undefined) return error.reason._tag === "TransportError"
  return laterStatuses.includes(status) && (status !== 500 || times < internalErrorsMax)
}

const retryAfter = (error: HttpClientError.HttpClientError, nowMillis: number): Duration.Duration => {
  const parsed = Headers.parseRetryAfter(error.response?.headers["retry-after"] ?? "")
  if (Result.isFailure(parsed)) return Duration.zero
  return Duration.min(Headers.retryAfterDelay(parsed.success, nowMillis), retryAfterMax)
}

/** The same schedule, which waits at least as long as the collector asks for. */
const withRetryAfter = (schedule: Schedule.Schedule<unknown, HttpClientError.HttpClientError>) =>
  Schedule.fromStep(
    Effect.map(Schedule.toStep(schedule), (step) => (now: number, error: HttpClientError.HttpClientError) =>
      Effect.map(
        step(now, error),
        ([output, delay]): [unknown, Duration.Duration] => [output, Duration.max(delay, retryAfter(error, now))]
      ))
  )

/** From a second to a minute, and a little apart from other senders; for ever. */
export const retryDefault: Schedule.Schedule<unknown, HttpClientError.HttpClientError> = Schedule.jittered(
  Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])
)

/** Sends over this client, which traces nothing: a span of a request with spans would be sent with the next one. */
export const makeSender = (real: HttpClient.HttpClient, { headers, origin, timeout }: Collector) => {
  const client = real.pipe(
    HttpClient.tap((response) => Effect.ignore(response.arrayBuffer)),
    HttpClient.transformResponse(Effect.withTracerEnabled(false))
  )
  const requestOf = ({ body, contentEncoding, contentType, path }: Batch) =>
    HttpClientRequest.post(new URL(path, origin)).pipe(
      HttpClientRequest.bodyUint8Array(body, contentType),
      HttpClientRequest.setHeaders({
        ...headers,
        ...(contentEncoding === "" ? {} : { "content-encoding": contentEncoding })
      })
    )

  /** Sends once, and gives the answer of the collector, whatever it is. */
  const sendOnce = (
    batch: Batch
  ): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
    const request = requestOf(batch)
    return client.execute(request).pipe(
      Effect.timeout(timeout),
      Effect.catchTag("TimeoutError", (cause) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({
              request,
              cause,
              description: `no answer in ${Duration.format(timeout)}`
            })
          })
        ))
    )
  }

  /** Sends until the collector accepts the batch, refuses it for good, or `retry` ends. */
  const send = (
    batch: Batch,
    retry: Schedule.Schedule<unknown, HttpClientError.HttpClientError>,
    onFailure: (error: HttpClientError.HttpClientError) => Effect.Effect<void>
  ): Effect.Effect<void, HttpClientError.HttpClientError> =>
    Effect.suspend(() => {
      let internalErrors = 0
      const isAgain = (error: HttpClientError.HttpClientError): boolean => {
        internalErrors = statusOf(error) === 500 ? internalErrors + 1 : 0
        return isForLater(error, internalErrors)
      }
      return sendOnce(batch).pipe(
        Effect.flatMap(HttpClientResponse.filterStatusOk),
        Effect.asVoid,
        Effect.retry({
          schedule: withRetryAfter(retry),
          while: (error) => isAgain(error) ? Effect.as(onFailure(error), true) : Effect.succeed(false)
        })
      )
    })

  return { sendOnce, send }
}
