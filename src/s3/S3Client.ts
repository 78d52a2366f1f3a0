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
import { StoreError } from "../store/ObjectStore.ts"
import type { PutOptions, StoreOperation } from "../store/ObjectStore.ts"
import { storeReason } from "../store/StoreReason.ts"
import type { Credentials } from "./AwsEnvironment.ts"
import type { S3Address } from "./S3Address.ts"
import { failureOf, failureWithoutAnswer, isAppliedBy } from "./S3Failure.ts"
import type { S3Failure } from "./S3Failure.ts"
import { readError } from "./S3Xml.ts"

/** One request. */
export interface S3Request {
  readonly operation: StoreOperation
  /** The key as the caller knows it, for errors. */
  readonly key: string
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE"
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly onlyIf?: PutOptions["onlyIf"]
  /** How many bytes the answer has, at most or about. */
  readonly answerBytes?: number
}

/** What a request may take, in milliseconds: for the answer to begin, and for each KiB. */
const answerMillis = 30_000
const kibibyteMillis = 16

/** Sends a request and gives what `read` makes of an answer that tells of success. */
type Send = <A>(
  request: S3Request,
  read: (answer: HttpClientResponse.HttpClientResponse) => Effect.Effect<A, S3Failure>
) => Effect.Effect<A, StoreError>

/** Makes `send` for a bucket. */
export const makeSend = Effect.fnUntraced(function*(
  address: S3Address,
  credentials: Effect.Effect<Credentials, { readonly message: string }>
) {
  const client = yield* HttpClient.HttpClient
  const fetchOptions = Option.getOrElse(yield* Effect.serviceOption(FetchHttpClient.RequestInit), () => ({}))

  const sign = Effect.fnUntraced(function*(request: S3Request) {
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
    const unsent = HttpClientRequest.setHeaders(HttpClientRequest.make(request.method)(request.url), headers)
    return request.body === undefined ? unsent : HttpClientRequest.bodyUint8Array(unsent, request.body)
  })

  const refused = Effect.fnUntraced(function*(request: S3Request, answer: HttpClientResponse.HttpClientResponse) {
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
  })

  const send: Send = (request, read) => {
    const { key, operation } = request
    const kibibytes = ((request.body?.length ?? 0) + (request.answerBytes ?? 0)) / 1024
    const limitMillis = Math.ceil(answerMillis + kibibytes * kibibyteMillis)
    return Effect.gen(function*() {
      const signed = yield* sign(request)
      const answer = yield* Effect.mapError(
        client.execute(signed),
        (error) => failureWithoutAnswer(operation, error)
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
      Effect.mapError(({ isApplied, reason }) => new StoreError({ reason, operation, key, isApplied }))
    )
  }
  return send
})

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
