/**
 * An object store in a bucket: of AWS, or of any server that speaks S3's protocol and honours the conditions of PUT. A
 * probe finds out.
 *
 * Five kinds of requests, each sent once:
 *
 * - PUT, with `Content-MD5`, and with `If-None-Match: *` or `If-Match`
 * - GET, with `Range` and `If-Match`
 * - HEAD
 * - the listing of version 2
 * - DELETE, without conditions: not all servers know them there
 *
 * ETags travel without quotes, because some servers compare them with the quotes.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { requireWhole } from "../internal/arguments.ts"
import { makeMd5 } from "../store/Md5.ts"
import { forEachPiece, lengthOf, pieceBytesMax, requireContent } from "../store/ObjectContent.ts"
import { requireKey, requirePrefix } from "../store/ObjectKey.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type {
  GetOptions,
  ListedObject,
  ObjectBytes,
  ObjectContent,
  ObjectFacts,
  PutOptions,
  StoreError
} from "../store/ObjectStore.ts"
import { UsageCounter } from "../store/UsageCounter.ts"
import type { Credentials } from "./AwsEnvironment.ts"
import { addressOf, queryUrl, urlOf } from "./S3Address.ts"
import { contentOf, corrupt, endedEarly, makeSend, unsuitable } from "./S3Client.ts"
import type { S3Request } from "./S3Client.ts"
import { readListing } from "./S3Xml.ts"

/**
 * The options of a store in a bucket.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never> {
  /** The bucket, and what all keys in it begin with: `s3://bucket/prefix`. */
  readonly url: string
  /** The URL of a server that is not AWS, as in `https://storage.example:9000`. */
  readonly endpoint?: string | undefined
  /** The region of the bucket; `us-east-1` by default, which servers other than AWS take. */
  readonly region?: string | undefined
  /** Asked before each request, so they may expire. `AwsEnvironment.credentials`, or a provider of AWS's. */
  readonly credentials: Effect.Effect<Credentials, { readonly message: string }, R>
}

/**
 * A store in a bucket. Building it sends nothing.
 *
 * **Gotchas**
 *
 * - The HTTP client must not repeat requests: a repeated PUT is refused by what the first one did.
 * - A `FetchHttpClient.RequestInit` is taken from the context in which this layer is built.
 *
 * **Example** (A bucket, with the credentials of AWS's tools)
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
 * import { Layer } from "effect"
 * import * as FetchHttpClient from "effect/http/FetchHttpClient"
 * import { AwsEnvironment, S3Store } from "effect-wal/s3"
 *
 * const StoreLive = S3Store.layer({
 *   url: "s3://archive/orders",
 *   region: "eu-central-1",
 *   credentials: AwsEnvironment.credentials
 * }).pipe(Layer.provide([FetchHttpClient.layer, NodeFileSystem.layer]))
 *
 * console.log(Layer.isLayer(StoreLive)) // => true
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<ObjectStore, never, HttpClient.HttpClient | R> =>
  Layer.effect(ObjectStore, Effect.suspend(() => make(options)))

/** How many objects a page of a listing has. */
const pageLength = 1000
/** How long a page is, about. */
const pageBytes = 1024 * 1024
/** How many objects are removed at a time. */
const removals = 8

const make = Effect.fnUntraced(function*<R>(options: Options<R>) {
  const address = addressOf(options)
  const context = yield* Effect.context<R>()
  const credentials = Effect.provideContext(options.credentials, context) as Effect.Effect<
    Credentials,
    { readonly message: string }
  >
  const send = yield* makeSend(address, credentials)
  const usage = new UsageCounter()

  /** The MD5 goes before the content, so a source is read twice. */
  const md5Of = <E>(key: string, content: ObjectContent<E>): Effect.Effect<Uint8Array, StoreError | E> =>
    Effect.suspend(() => {
      const hash = makeMd5()
      const hashed = forEachPiece(content, () => new Uint8Array(pieceBytesMax), (piece) => hash.update(piece))
      return Effect.map(Effect.mapError(hashed, (error) => endedEarly(key, error)), () => hash.digest())
    })

  const put = <E = never>(key: string, content: ObjectContent<E>, putOptions?: PutOptions) =>
    Effect.suspend(() => {
      requireKey("key", key)
      requireContent("content", content)
      usage.request("put", lengthOf(content))
      const known = putOptions?.md5
      return Effect.flatMap(known === undefined ? md5Of(key, content) : Effect.succeed(known), (digest) => {
        const onlyIf = putOptions?.onlyIf
        const request: S3Request<E> = {
          operation: "put",
          key,
          method: "PUT",
          url: urlOf(address, key),
          headers: { "content-md5": Buffer.from(digest).toString("base64"), ...conditionOf(onlyIf) },
          body: content,
          onlyIf
        }
        return send<string, E>(request, (answer) => {
          const etag = etagOf(answer.headers["etag"])
          const drained = Effect.ignore(answer.arrayBuffer)
          return etag === undefined
            ? Effect.fail(unsuitable("the server does not tell the ETag of what was written", "unknown"))
            : Effect.as(drained, etag)
        })
      })
    })

  const get = (key: string, getOptions?: GetOptions) =>
    Effect.suspend(() => {
      requireKey("key", key)
      const { onlyIf, range } = getOptions ?? {}
      if (range !== undefined) {
        requireWhole("options.range.from", range.from)
        requireWhole("options.range.bytes", range.bytes, 1)
      }
      usage.request("get")
      const request: S3Request = {
        operation: "get",
        key,
        method: "GET",
        url: urlOf(address, key),
        headers: {
          ...conditionOf(onlyIf),
          ...(range === undefined ? {} : { range: `bytes=${range.from}-${range.from + range.bytes - 1}` })
        },
        answerBytes: range?.bytes ?? wholeBytes
      }
      return send(request, (answer) =>
        Effect.gen(function*() {
          const bytes = yield* contentOf("get", answer)
          usage.received(bytes.length)
          const etag = etagOf(answer.headers["etag"])
          if (etag === undefined) return yield* Effect.fail(unsuitable("the server tells no ETag"))
          if (range !== undefined) {
            const isPart = answer.status === 206 &&
              (answer.headers["content-range"] ?? "").startsWith(`bytes ${range.from}-`)
            if (!isPart) return yield* Effect.fail(unsuitable("the server ignores Range"))
            if (bytes.length > range.bytes) return yield* Effect.fail(corrupt("there are more than were asked for"))
          }
          return { bytes, etag } satisfies ObjectBytes
        }))
    })

  const head = (key: string) =>
    Effect.suspend(() => {
      requireKey("key", key)
      usage.request("head")
      const request: S3Request = { operation: "head", key, method: "HEAD", url: urlOf(address, key) }
      return send(request, ({ headers }) => {
        const etag = etagOf(headers["etag"])
        const bytes = Number(headers["content-length"] ?? NaN)
        const modifiedMillis = Date.parse(headers["last-modified"] ?? "")
        return etag === undefined || Number.isNaN(bytes) || Number.isNaN(modifiedMillis)
          ? Effect.fail(unsuitable("the server does not tell ETag, length and time of an object"))
          : Effect.succeed<ObjectFacts>({ key, bytes, etag, modifiedMillis })
      })
    })

  /** A page of a listing after a key as it is in the bucket, and after which key the next one begins. */
  const page = (prefix: string, startAfter: string) => {
    usage.request("list")
    const request: S3Request = {
      operation: "list",
      key: prefix,
      method: "GET",
      url: queryUrl(address, {
        "list-type": "2",
        "max-keys": String(pageLength),
        "prefix": address.prefix + prefix,
        ...(startAfter === "" ? {} : { "start-after": startAfter })
      }),
      answerBytes: pageBytes
    }
    return send(request, (answer) =>
      Effect.gen(function*() {
        const listing = yield* readListing(Buffer.from(yield* contentOf("list", answer)).toString())
        if (listing === undefined) return yield* Effect.fail(unsuitable("the server does not list as S3 does"))
        const last = listing.isTruncated ? listing.contents.at(-1)?.key : undefined
        const objects = listing.contents.map((object): ListedObject => ({
          ...object,
          key: object.key.slice(address.prefix.length)
        }))
        // Some tools make empty objects for directories.
        const own = objects.filter(({ key }) => key !== "" && !key.endsWith("/"))
        return [own, Option.fromUndefinedOr(last)] as const
      }))
  }

  const list = (prefix: string, listOptions?: { readonly startAfter?: string }) =>
    Stream.suspend(() => {
      const startAfter = listOptions?.startAfter ?? ""
      requirePrefix("prefix", prefix)
      requirePrefix("options.startAfter", startAfter)
      return Stream.paginate(startAfter === "" ? "" : address.prefix + startAfter, (after) => page(prefix, after))
    })

  const removeOne = (key: string) =>
    Effect.suspend(() => {
      usage.request("remove")
      const request: S3Request = { operation: "remove", key, method: "DELETE", url: urlOf(address, key) }
      return Effect.catchReason(
        send(request, (answer) => Effect.ignore(answer.arrayBuffer)),
        "StoreError",
        "NotFound",
        () => Effect.void
      )
    })

  const remove = (keys: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      for (const key of keys) requireKey("keys", key)
      return Effect.forEach(keys, removeOne, { concurrency: removals, discard: true })
    })

  return ObjectStore.of({ name: address.name, put, get, head, list, remove, usage: Effect.sync(() => usage.usage) })
})

/** A request for an object of unknown length may take as long as one for so many bytes. */
const wholeBytes = 256 * 1024 * 1024

const conditionOf = (onlyIf: PutOptions["onlyIf"]): Readonly<Record<string, string>> =>
  onlyIf === undefined ? {} : onlyIf === "absent" ? { "if-none-match": "*" } : { "if-match": onlyIf.etag }

/** The ETag in a header, without quotes. */
const etagOf = (header: string | undefined): string | undefined => {
  const [, etag] = /^(?:W\/)?"?([^"]+)"?$/.exec(header ?? "") ?? []
  return etag
}
