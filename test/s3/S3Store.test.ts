/** What a store in a bucket makes of what servers do and answer, and what it never does. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { addressOf, urlOf } from "../../src/s3/S3Address.ts"
import { failureWithoutAnswer } from "../../src/s3/S3Failure.ts"
import * as S3Store from "../../src/s3/S3Store.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import type { StoreError } from "../../src/store/ObjectStore.ts"
import { startServer } from "../store/S3Server.ts"
import type { Mishap, S3Server, ServerOptions } from "../store/S3Server.ts"
import { credentials } from "../store/subjects.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

type Store = ObjectStore["Service"]

const storeAt = <A, E>(options: S3Store.Options, use: (store: Store) => Effect.Effect<A, E>) =>
  ObjectStore.use(use).pipe(
    Effect.provide(S3Store.layer(options)),
    Effect.provide(FetchHttpClient.layer)
  )

const ruling = (
  name: string,
  body: (server: S3Server, store: Store) => Effect.Effect<void, unknown>,
  options: Partial<ServerOptions> = {},
  client: Partial<S3Store.Options> = {}
) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const server = yield* startServer({ bucket: "wal", ...options })
      yield* storeAt(
        { url: "s3://wal/log", endpoint: server.endpoint, credentials, ...client },
        (store) => body(server, store)
      )
    }))

const outcomeOf = (
  error: StoreError
): ReadonlyArray<string | boolean> => [error.reason._tag, error.isApplied, error.isRetryable]

const failureOf = <A>(request: Effect.Effect<A, StoreError>) => Effect.map(Effect.flip(request), outcomeOf)

/** What a `put` gives for each answer of a server. */
const answers: ReadonlyArray<readonly [number, string | undefined, ReadonlyArray<string | boolean>]> = [
  [500, "InternalError", ["Busy", "unknown", true]],
  [502, undefined, ["Busy", "unknown", true]],
  [503, "SlowDown", ["Busy", "unknown", true]],
  [504, undefined, ["Busy", "unknown", true]],
  [409, "ConditionalRequestConflict", ["Busy", "no", true]],
  [429, "TooManyRequests", ["Busy", "no", true]],
  [412, "PreconditionFailed", ["Taken", "no", false]],
  [400, "BadDigest", ["Corrupt", "no", true]],
  [400, "RequestTimeout", ["Unreachable", "unknown", true]],
  [400, "EntityTooLarge", ["Unsuitable", "no", false]],
  [400, "ExpiredToken", ["Denied", "no", false]],
  [401, undefined, ["Denied", "no", false]],
  [403, "AccessDenied", ["Denied", "no", false]],
  [403, undefined, ["Denied", "no", false]],
  [404, "NoSuchBucket", ["Unsuitable", "no", false]],
  [405, "MethodNotAllowed", ["Unsuitable", "no", false]],
  [501, "NotImplemented", ["Unsuitable", "no", false]]
]

describe("a store in a bucket", () => {
  ruling("tells for each answer what it means and whether it may have been done, and sends nothing twice", (
    { mishaps, objects, requests },
    store
  ) =>
    Effect.gen(function*() {
      for (const [status, code, outcome] of answers) {
        mishaps.push({ method: "PUT", mishap: { kind: "answer", status, ...(code === undefined ? {} : { code }) } })
        const before = requests.length
        const found = yield* failureOf(store.put("a", bytes("a"), { onlyIf: "absent" }))
        assert.deepStrictEqual(found, outcome, `${status} ${code}`)
        assert.strictEqual(requests.length, before + 1, `${status} ${code}`)
      }
      assert.strictEqual(objects.size, 0)
    }))

  const cuts: ReadonlyArray<readonly [string, Mishap, boolean]> = [
    ["before it is done", { kind: "cut", isDone: false }, false],
    ["after it was done", { kind: "cut", isDone: true }, true],
    ["with 500 after it was done", { kind: "answer", status: 500, code: "InternalError", isDone: true }, true]
  ]
  for (const [name, mishap, isDone] of cuts) {
    ruling(
      `does not know whether a put was done that breaks off ${name}, and does not repeat it`,
      (server, store) =>
        Effect.gen(function*() {
          server.mishaps.push({ method: "PUT", mishap })
          const [, isApplied, isRetryable] = yield* failureOf(store.put("a", bytes("a"), { onlyIf: "absent" }))
          assert.deepStrictEqual([isApplied, isRetryable], ["unknown", true])
          yield* Effect.promise(() => delay(100))
          assert.strictEqual(server.requests.length, 1)
          assert.strictEqual(server.objects.has("log/a"), isDone)
        })
    )
  }

  ruling("takes half an answer for none", (server, store) =>
    Effect.gen(function*() {
      yield* store.put("a", bytes("0123456789"))
      server.mishaps.push({ method: "GET", mishap: { kind: "half" } })
      const [tag, isApplied, isRetryable] = yield* failureOf(store.get("a"))
      assert.match(String(tag), /^(Unreachable|Corrupt)$/)
      assert.deepStrictEqual([isApplied, isRetryable], ["no", true])
      server.mishaps.push({ method: "GET", mishap: { kind: "half" } })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Stream.runCollect(store.list("")))))
    }))

  ruling("names the region of the bucket when it is another", (_server, store) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(store.get("a"))
      assert.deepStrictEqual(outcomeOf(error), ["Unsuitable", "no", false])
      assert.include(error.message, "the bucket wal is in the region eu-central-1; give region: \"eu-central-1\"")
    }), { region: "eu-central-1" })

  ruling("follows no redirect, and names where it leads", (server, store) =>
    Effect.gen(function*() {
      const redirects: ReadonlyArray<readonly [Readonly<Record<string, string>>, string]> = [
        [{ "x-amz-bucket-region": "eu-west-3" }, "give region: \"eu-west-3\""],
        [{ location: "https://elsewhere.example/wal/log/a" }, "give the endpoint of https://elsewhere.example"]
      ]
      for (const [headers, words] of redirects) {
        for (const status of [301, 307]) {
          server.mishaps.push({ method: "PUT", mishap: { kind: "answer", status, code: "PermanentRedirect", headers } })
          const error = yield* Effect.flip(store.put("a", bytes("a")))
          assert.deepStrictEqual(outcomeOf(error), ["Unsuitable", "no", false])
          assert.include(error.message, words)
        }
      }
      assert.strictEqual(server.requests.length, 4)
    }))

  const refused: ReadonlyArray<readonly [string, Partial<ServerOptions>, Partial<S3Store.Options>, string, string]> = [
    [
      "an access key that the server does not know",
      { accessKeyId: "other" },
      {},
      "Denied",
      "does not know the access key"
    ],
    ["a wrong secret", { secretAccessKey: "other" }, {}, "Denied", "the secret access key is wrong"],
    ["a session token that is missing", { sessionToken: "token" }, {}, "Denied", "renew the credentials"],
    [
      "a clock that is 20 minutes off",
      { nowMillis: () => Date.now() + 20 * 60_000 },
      {},
      "Denied",
      "the clock of this machine is wrong; set it"
    ],
    ["a bucket that is not there", { bucket: "other" }, {}, "Unsuitable", "there is no bucket wal; make it"],
    [
      "credentials that cannot be had",
      {},
      { credentials: Effect.fail({ message: "the metadata service is away" }) },
      "Denied",
      "the metadata service is away"
    ]
  ]
  for (const [name, options, client, tag, words] of refused) {
    ruling(
      `says in one line what to do about ${name}, and shows no secret`,
      (_server, store) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(store.put("a", bytes("a"), { onlyIf: "absent" }))
          assert.deepStrictEqual(outcomeOf(error), [tag, "no", false])
          assert.include(error.message, words)
          assert.notInclude(error.message, "\n")
          assert.notInclude(`${error.message} ${JSON.stringify(error)} ${Cause.pretty(Cause.fail(error))}`, "walwalwal")
        }),
      options,
      client
    )
  }

  ruling(
    "says what a credential must be allowed when the store is read-only",
    (server, store) =>
      Effect.gen(function*() {
        server.mishaps.push({ method: "PUT", mishap: { kind: "answer", status: 403, code: "AccessDenied" } })
        const error = yield* Effect.flip(store.put("a", bytes("a")))
        assert.include(
          error.message,
          "the credentials do not allow it, or are wrong; it takes s3:PutObject: 403 AccessDenied"
        )
      })
  )

  ruling(
    "signs with a session token, and asks for the credentials before each request",
    (server, store) =>
      Effect.gen(function*() {
        yield* store.put("a", bytes("a"))
        yield* store.get("a")
        assert.strictEqual(server.requests.length, 2)
        for (const { headers } of server.requests) assert.strictEqual(headers["x-amz-security-token"], "token")
      }),
    { sessionToken: "token" },
    {
      credentials: Effect.map(credentials, (found) => ({ ...found, sessionToken: Redacted.make("token") }))
    }
  )

  ruling("sends ETags without quotes, MD5 with each put, and no trace", (server, store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("a", bytes("hello"), { onlyIf: "absent" })
      yield* store.put("a", bytes("again"), { onlyIf: { etag } })
      const [first, second] = server.requests
      assert.strictEqual(first?.path, "/wal/log/a")
      assert.strictEqual(first?.headers["content-md5"], "XUFAKrxLKna5cZ2REBfFkg==")
      assert.strictEqual(first?.headers["if-none-match"], "*")
      assert.strictEqual(second?.headers["if-match"], etag)
      assert.strictEqual(second?.headers["accept-encoding"], "identity")
      for (const name of ["traceparent", "b3"]) assert.isUndefined(first?.headers[name])
    }).pipe(Effect.withSpan("test")))

  ruling(
    "removes a hundred objects, and tells of the one that it could not remove",
    (server, store) =>
      Effect.gen(function*() {
        const keys = Array.from({ length: 100 }, (_, at) => `${at}`)
        yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { concurrency: 8, discard: true })
        server.mishaps.push({ method: "DELETE", mishap: { kind: "answer", status: 403, code: "AccessDenied" } })
        const error = yield* Effect.flip(store.remove(keys))
        assert.deepStrictEqual(outcomeOf(error), ["Denied", "no", false])
        assert.include(error.message, "s3:DeleteObject")
        yield* store.remove(keys)
        assert.strictEqual(server.objects.size, 0)
      })
  )

  ruling(
    "shows no object of another prefix, and no directory that a tool has made",
    (server, store) =>
      Effect.gen(function*() {
        yield* store.put("a", bytes("a"))
        for (const key of ["log/", "log/folder/", "logs/b", "c"]) {
          server.objects.set(key, { bytes: Buffer.alloc(0), etag: "e", modified: new Date(0) })
        }
        assert.deepStrictEqual((yield* Stream.runCollect(store.list(""))).map(({ key }) => key), ["a"])
      }),
    { pageLength: 1 }
  )

  it.live("knows that nothing was sent where nobody listens, and tells it of TLS that fails", () =>
    Effect.gen(function*() {
      const port = yield* Effect.promise(() =>
        new Promise<number>((resolve) => {
          const server = createServer().listen(0, "127.0.0.1", () => {
            const { port } = server.address() as AddressInfo
            server.close(() => resolve(port))
          })
        })
      )
      const put = (store: Store) => failureOf(store.put("a", bytes("a")))
      const outcome = yield* storeAt({ url: "s3://wal", endpoint: `http://127.0.0.1:${port}`, credentials }, put)
      assert.deepStrictEqual(outcome, ["Unreachable", "no", true])
      const server = yield* startServer({ bucket: "wal" })
      const error = yield* storeAt(
        { url: "s3://wal", endpoint: server.endpoint.replace("http:", "https:"), credentials },
        (store) => Effect.flip(store.put("a", bytes("a")))
      )
      assert.deepStrictEqual(outcomeOf(error), ["Unsuitable", "no", false])
      assert.include(error.message, "TLS fails; is it the right endpoint")
    }))

  it("reads the reason of a failed request at the bottom of what a client reports", () => {
    const cause = {
      reason: {
        cause: new TypeError("fetch failed", {
          cause: Object.assign(new Error("self-signed certificate"), { code: "DEPTH_ZERO_SELF_SIGNED_CERT" })
        })
      }
    }
    const { isApplied, reason } = failureWithoutAnswer("put", cause)
    assert.deepStrictEqual([reason._tag, isApplied], ["Unsuitable", "no"])
    assert.include(reason.message, "DEPTH_ZERO_SELF_SIGNED_CERT: self-signed certificate")
  })

  it.effect("waits for no answer longer than the request may take", () =>
    Effect.gen(function*() {
      const server = yield* startServer({ bucket: "wal" })
      server.mishaps.push({ method: "PUT", mishap: { kind: "silence" } })
      const request = storeAt({ url: "s3://wal", endpoint: server.endpoint, credentials }, (store) =>
        failureOf(store.put("a", bytes("a"))))
      const fiber = yield* Effect.forkChild(request)
      while (server.requests.length === 0) {
        yield* Effect.promise(() =>
          delay(5)
        )
      }
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["Unreachable", "unknown", true])
    }))

  it.effect("signs with the time of Effect's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 1, 3, 4, 5, 6))
      const nowMillis = yield* Clock.currentTimeMillis
      const server = yield* startServer({ bucket: "wal", nowMillis: () => nowMillis })
      yield* storeAt({ url: "s3://wal", endpoint: server.endpoint, credentials }, (store) => store.put("a", bytes("a")))
      assert.strictEqual(server.requests[0]?.headers["x-amz-date"], "20260203T040506Z")
    }))

  it("has the address of a bucket at AWS, or at the endpoint", () => {
    const url = (options: Parameters<typeof addressOf>[0]) => urlOf(addressOf(options), "a/b c")
    assert.strictEqual(url({ url: "s3://wal" }), "https://wal.s3.us-east-1.amazonaws.com/a/b%20c")
    assert.strictEqual(
      url({ url: "s3://wal/x/y/", region: "eu-west-1" }),
      "https://wal.s3.eu-west-1.amazonaws.com/x/y/a/b%20c"
    )
    assert.strictEqual(
      url({ url: "s3://w.al", region: "cn-north-1" }),
      "https://s3.cn-north-1.amazonaws.com.cn/w.al/a/b%20c"
    )
    assert.strictEqual(url({ url: "s3://wal/x", endpoint: "http://h:9000/s3/" }), "http://h:9000/s3/wal/x/a/b%20c")
    for (const wrong of ["wal", "s3://", "s3:///x", "http://wal/x", "s3://wal/../x", "s3://-wal"]) {
      assert.throws(() => addressOf({ url: wrong }), /options\.url/, wrong)
    }
    for (const wrong of ["h:9000", "ftp://h", "http://user:word@h", "http://h/?x=1"]) {
      assert.throws(() => addressOf({ url: "s3://wal", endpoint: wrong }), /options\.endpoint/, wrong)
    }
  })
})
