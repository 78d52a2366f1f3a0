/** Uses the log of another process. */
import * as Effect from "effect/Effect"
import { filterStatusOk, HttpClient, mapRequest } from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as RpcClient from "effect/rpc/RpcClient"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { bytes } from "../format/EventCodec.ts"
import type * as EventCodec from "../format/EventCodec.ts"
import { requireList, requireWhole } from "../internal/arguments.ts"
import * as Options from "../internal/options.ts"
import type { EventsDeleted, EventsLost, SegmentMissing } from "../reading/ReplayError.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { EventUndecodable } from "../recorder/EventUndecodable.ts"
import type { LogEvent } from "../recorder/Log.ts"
import type { Positions } from "../recorder/Positions.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Unencodable } from "../recorder/RecorderReason.ts"
import { decodeWith, Range, sentFrom, undecoded } from "./EventBatches.ts"
import type { RemoteRange } from "./EventBatches.ts"
import { LogRpcs } from "./LogRpcs.ts"
import type { RemoteDiskFailed } from "./LogRpcs.ts"

/**
 * Where the log is, and what its events are.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectOptions<Event, Encoding = never, Decoding = never> {
  /** The address of the server and the path of the log: `http://127.0.0.1:8123/log`. */
  readonly url: string
  /** `EventCodec.make` with the schema of the log; events are bytes when it is left out. */
  readonly codec: EventCodec.EventCodec<Event, Encoding, Decoding>
  /** What the server asks for. */
  readonly token?: Redacted.Redacted<string>
}

/**
 * The log of another process. Every call fails with `RpcClientError` when that process cannot be reached, or goes away
 * meanwhile. After that of an append nobody knows whether it was done: sending it again may record it twice.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteLog<in out Event, out Encoding = never, out Decoding = never> {
  /** Appends the event and returns its id; it is durable after a commit. Waits while there is no room. */
  readonly append: (event: Event) => Effect.Effect<number, RecorderError | RpcClientError, Encoding>
  /** Appends all of these events as one batch, or none of them; see `Recorder.appendAll`. */
  readonly appendAll: (events: Iterable<Event>) => Effect.Effect<number, RecorderError | RpcClientError, Encoding>
  /** Succeeds with the durable position when everything that was appended is durable. */
  readonly commit: Effect.Effect<number, RecorderError | RpcClientError>
  /** Succeeds with the durable position when it has reached this id. */
  readonly commitTo: (eventId: number) => Effect.Effect<number, RecorderError | RpcClientError>
  readonly positions: Effect.Effect<Omit<Positions, "heldBack">, RpcClientError>
  /** Reads durable events, in order, decoded. What is not taken is not sent. */
  readonly events: (range?: RemoteRange) => Stream.Stream<
    LogEvent<Event>,
    | EventsDeleted
    | EventsLost
    | SegmentMissing
    | SegmentCorrupt
    | RemoteDiskFailed
    | EventUndecodable
    | RpcClientError,
    Decoding
  >
}

const Given = Schema.Struct({
  url: Options.matching(/^https?:\/\/.+[^/]$/, "an address such as http://127.0.0.1:8123/log"),
  codec: Schema.optional(
    Schema.declare((value): value is EventCodec.EventCodec<unknown> =>
      typeof value === "object" && value !== null && "encode" in value && "decode" in value
    )
  ),
  token: Schema.optional(Schema.declare((value): value is Redacted.Redacted<string> => Redacted.isRedacted(value)))
})

/**
 * Uses the log that another process offers with `layer`. The `HttpClient` says how it is reached: `fetch`, or
 * Node's client with a Unix socket (`NodeHttpClient.layerUndiciOptions({ connect: { socketPath } })`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect: {
  (
    options: Omit<ConnectOptions<Uint8Array>, "codec">
  ): Effect.Effect<RemoteLog<Uint8Array>, never, HttpClient | Scope.Scope>
  <Event, Encoding, Decoding>(
    options: ConnectOptions<Event, Encoding, Decoding>
  ): Effect.Effect<RemoteLog<Event, Encoding, Decoding>, never, HttpClient | Scope.Scope>
} = (options: Omit<ConnectOptions<unknown, unknown, unknown>, "codec"> & { readonly codec?: unknown }) =>
  Effect.suspend(() => {
    Options.requireOptions("options", Given, options as typeof Given.Encoded)
    // Which of the two types it is, the caller knows.
    const codec = (options.codec ?? bytes) as EventCodec.EventCodec<unknown>
    return connectWith(options, codec) as Effect.Effect<never, never, HttpClient | Scope.Scope>
  })

const connectWith = Effect.fnUntraced(function*<Event, Encoding, Decoding>(
  { token, url }: Omit<ConnectOptions<Event, Encoding, Decoding>, "codec">,
  codec: EventCodec.EventCodec<Event, Encoding, Decoding>
): Effect.fn.Return<RemoteLog<Event, Encoding, Decoding>, never, HttpClient | Scope.Scope> {
  const protocol = RpcClient.layerProtocolHttp({
    url,
    transformClient: (client) => token === undefined ? client : mapRequest(client, HttpClientRequest.bearerToken(token))
  }).pipe(Layer.provide(RpcSerialization.layerSchemaBinary()))
  // An answer without success has no requests in it, but says why: who asks is refused, or no log is offered there.
  const http = filterStatusOk(yield* HttpClient)
  const client = yield* Effect.provide(
    RpcClient.make(LogRpcs),
    yield* Layer.build(Layer.provide(protocol, Layer.succeed(HttpClient, http)))
  )

  const isOfBytes = Object.is(codec, bytes)
  const encode = (event: Event) =>
    Effect.mapError(
      codec.encode(event),
      (error) => new RecorderError({ reason: new Unencodable({ detail: error.message }) })
    )

  const log: RemoteLog<Event, Encoding, Decoding> = {
    append: (event) => Effect.flatMap(encode(event), (bytes) => client.append({ bytes })),
    appendAll: (events) =>
      Effect.suspend(() => {
        requireList("events", events)
        return Effect.flatMap(Effect.forEach(events, encode), (events) => client.appendAll({ events }))
      }),
    commit: client.commit(),
    commitTo: (id) =>
      Effect.suspend(() => {
        requireWhole("eventId", id, 0)
        return client.commitTo({ id })
      }),
    positions: client.positions(),
    events: (range = {}) =>
      Stream.suspend(() => {
        Options.requireOptions("range", Range, range)
        const { follow = false, from = "oldest", name = "rpc", toId = null } = range
        const batches = client.events({ from: sentFrom(from), toId, follow, name })
        return isOfBytes
          // Bytes are the events, without an effect around each of them.
          ? Stream.flattenIterable(Stream.map(batches, (batch) =>
            batch.map((element) =>
              undecoded(element) as LogEvent<unknown> as LogEvent<Event>
            )))
          : Stream.mapEffect(Stream.flattenIterable(batches), decodeWith(codec))
      })
  }
  return log
})
