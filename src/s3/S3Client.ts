/**
 * Sends one request to a bucket, signed, and once: what is repeated, its caller decides. Neither this nor the HTTP
 * client may send a `put` with a condition twice, because the second one is refused by what the first one did.
 *
 * - The content is not part of the signature; its MD5 is. So it is protected without TLS, too, and hashed once.
 * - Redirects are not followed: they tell that the region or the endpoint is wrong.
 * - A request that takes too long for its length fails with `Unreachable`.
 */
import { AwsV4Signer } from "aws4fetch"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { types } from "node:util"
import { readFully } from "../disk/Disk.ts"
import { copyOfContent, EndedEarly, isSource, lengthOf } from "../store/ObjectContent.ts"
import { StoreError } from "../store/ObjectStore.ts"
import type { ObjectContent, PutOptions, StoreOperation } from "../store/ObjectStore.ts"
import { storeReason } from "../store/StoreReason.ts"
import type { Credentials } from "./AwsEnvironment.ts"
import type { S3Address } from "./S3Address.ts"
import { failureOf, failureWithoutAnswer, isAppliedBy } from "./S3Failure.ts"
import type { S3Failure } from "./S3Failure.ts"
import { readError } from "./S3Xml.ts"

/** One request. */
export interface S3Request<E = never> {
  readonly operation: StoreOperation
  /** The key as the caller knows it, for errors. */
  readonly key: string
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE"
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: ObjectContent<E>
  readonly onlyIf?: PutOptions["onlyIf"]
  /** How many bytes the answer has, at most or about. */
  readonly answerBytes?: number
}

/** So much of a source is handed to the client at a time. */
const sentBytesMax = 128 * 1024

/** What a request may take, in milliseconds: for the answer to begin, and for each KiB. */
const answerMillis = 30_000
const kibibyteMillis = 16

/** Sends a request and gives what `read` makes of an answer that tells of success. */
type Send = <A, E = never>(
  request: S3Request<E>,
  read: (answer: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, S3Failure>
) => Effect.Effect<A, StoreError | E>

/** Makes `send` for a bucket. */
export const makeSend = Effect.fnUntraced(function*(
  address: S3Address,
  credentials: Effect.Effect<Credentials, { readonly message: string }>
) {
  const client = yield* HttpClient.HttpClient
  const fetchOptions = Option.getOrElse(yield* Effect.serviceOption(FetchHttpClient.RequestInit), () => ({}))

  const sign = Effect.fnUntraced(function*(request: S3Request<unknown>) {
    const { accessKeyId, secretAccessKey, sessionToken } = yield* Effect.mapError(
      credentials,
      ({ message }): S3Failure => ({ reason: storeReason("Denied", message), isApplied: "no" })
    )
    const signer = new AwsV4Signer({
      method: request.method,
      url: request.url,
      headers: { ...request.headers },
      accessKeyId,
      secretAccessKey: Redacted.value(secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken: Redacted.value(sessionToken) }),
      service: "s3",
      region: address.region,
      datetime: new Date(yield* Clock.currentTimeMillis).toISOString().replace(/[:-]|\.\d{3}/g, "")
    })
    const signed = yield* Effect.promise(() => signer.sign())
    const headers: Record<string, string> = {}
    signed.headers.forEach((value: string, name: string) => {
      headers[name] = value
    })
    // Not signed: a proxy may change it. Objects must arrive as they are stored.
    headers["accept-encoding"] = "identity"
    return HttpClientRequest.setHeaders(HttpClientRequest.make(request.method)(request.url), headers)
  })

  const refused = Effect.fnUntraced(
    function*(request: S3Request<unknown>, answer: HttpClientResponse.HttpClientResponse) {
      const text = yield* Effect.catch(answer.text, () => Effect.succeed(""))
      const { code, endpoint, message, region } = yield* readError(text)
      const refusal = {
        status: answer.status,
        code,
        message,
        region: answer.headers["x-amz-bucket-region"] ?? region,
        location: answer.headers["location"] ?? endpoint
      }
      return yield* Effect.fail(failureOf(request.operation, address.bucket, refusal, request.onlyIf))
    }
  )

  const send: Send = <A, E>(
    request: S3Request<E>,
    read: (answer: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, S3Failure>
  ) => {
    const { body, key, operation } = request
    const bodyBytes = body === undefined ? 0 : lengthOf(body)
    const kibibytes = (bodyBytes + (request.answerBytes ?? 0)) / 1024
    let failed: { readonly error: E | EndedEarly } | undefined
    const limitMillis = Math.ceil(answerMillis + kibibytes * kibibyteMillis)
    const onSourceFailure = (error: E | EndedEarly): void => {
      failed = { error }
    }
    return Effect.gen(function*() {
      const signed = yield* sign(request)
      const unsent = body === undefined ? signed : yield* withContent(signed, body, onSourceFailure)
      const fetch = yield* FetchHttpClient.Fetch
      const answer = yield* client.execute(unsent).pipe(
        Effect.provideService(FetchHttpClient.Fetch, isStreamed(body) ? fetchWithLength(fetch, bodyBytes) : fetch),
        Effect.mapError((error) => failureWithoutAnswer(operation, error))
      )
      return yield* answer.status >= 200 && answer.status < 300 ? read(answer) : refused(request, answer)
    }).pipe(
      Effect.timeoutOrElse({
        duration: limitMillis,
        orElse: () =>
          Effect.fail<S3Failure>({
            reason: storeReason("Unreachable", `no answer for ${Math.round(limitMillis / 1000)} s`),
            isApplied: isAppliedBy(operation)
          })
      }),
      Effect.provideService(FetchHttpClient.RequestInit, { ...fetchOptions, redirect: "manual" }),
      Effect.provideService(HttpClient.TracerPropagationEnabled, false),
      // A server that got less than was announced has put nothing.
      Effect.mapError(({ isApplied, reason }) =>
        failed === undefined
          ? new StoreError({ reason, operation, key, isApplied })
          : endedEarly(key, failed.error)
      )
    )
  }
  return send
})

/**
 * Whether the content goes piece by piece. S3 wants the length in front, and only Node's `fetch` takes it from the
 * header; others would send the pieces without it. There the content is read into memory before.
 */
const isStreamed = (content: ObjectContent<unknown> | undefined): boolean =>
  content !== undefined && isSource(content) && process.versions["bun"] === undefined &&
  process.versions["deno"] === undefined

/** `fetch` that tells a length of the body, which Effect's client takes away because browsers do not allow it. */
const fetchWithLength = (fetch: typeof globalThis.fetch, bytes: number): typeof globalThis.fetch => (url, init) =>
  fetch(url, { ...init, headers: { ...init?.headers as Record<string, string>, "content-length": String(bytes) } })

/** A request with its content. `onFailure` is called when a source fails, or ends early, before the request does. */
const withContent = Effect.fnUntraced(function*<E>(
  request: HttpClientRequest.HttpClientRequest,
  content: ObjectContent<E>,
  onFailure: (error: E | EndedEarly) => void
): Effect.fn.Return<HttpClientRequest.HttpClientRequest, S3Failure> {
  if (!isSource(content)) {
    // A request takes no shared memory.
    const bytes = types.isSharedArrayBuffer(content.buffer) ? new Uint8Array(content) : content
    return HttpClientRequest.bodyUint8Array(request, bytes)
  }
  const failing = <A>(reading: Effect.Effect<A, E | EndedEarly>) =>
    Effect.tapError(reading, (error) => Effect.sync(() => onFailure(error)))
  if (!isStreamed(content)) {
    const bytes = yield* Effect.mapError(failing(copyOfContent(content)), () => corrupt("the source has failed"))
    return HttpClientRequest.bodyUint8Array(request, bytes)
  }
  const stream = Stream.paginate(0, (offset) =>
    Effect.gen(function*() {
      // The client keeps a piece for as long as it likes.
      const piece = new Uint8Array(Math.min(sentBytesMax, content.bytes - offset))
      const count = yield* readFully(content, piece, offset)
      if (count < piece.length) return yield* Effect.fail(new EndedEarly(content.bytes, offset + count))
      const next = offset + count
      return [[piece], next < content.bytes ? Option.some(next) : Option.none<number>()] as const
    }).pipe((reading) => failing(reading)))
  return HttpClientRequest.bodyStream(request, stream, { contentLength: content.bytes })
})

/** The error of a content that failed as it was read. */
export const endedEarly = <E>(key: string, error: E | EndedEarly): StoreError | E =>
  error instanceof EndedEarly
    ? new StoreError({ reason: storeReason("Corrupt", error.detail), operation: "put", key, isApplied: "no" })
    : error

/** The content of an answer. Fewer bytes than were announced are no content. */
export const contentOf = (
  operation: StoreOperation,
  answer: HttpClientResponse.HttpClientResponse
): Effect.Effect<Uint8Array, S3Failure> =>
  Effect.flatMap(
    Effect.mapError(answer.arrayBuffer, (error) => failureWithoutAnswer(operation, error)),
    (buffer) => {
      const announced = answer.headers["content-length"]
      return announced === undefined || Number(announced) === buffer.byteLength
        ? Effect.succeed(new Uint8Array(buffer))
        : Effect.fail(corrupt(`${buffer.byteLength} bytes arrived of ${announced}`))
    }
  )

/** The failure of a request whose answer is not what it should be. */
export const corrupt = (detail: string): S3Failure => ({ reason: storeReason("Corrupt", detail), isApplied: "no" })

/** The failure of a request that the server does not answer as S3 does. */
export const unsuitable = (detail: string, isApplied: "no" | "unknown" = "no"): S3Failure => ({
  reason: storeReason("Unsuitable", detail),
  isApplied
})
