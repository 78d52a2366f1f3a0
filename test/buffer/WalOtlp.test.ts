/** The buffer of telemetry: what it keeps, what it sends and when, and what becomes of what nobody takes. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync } from "node:zlib"
import * as WalOtlp from "../../src/buffer/WalOtlp.ts"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import type { WalOptions } from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { quiet, settle } from "../maintainer/maintaining.ts"
import { temporaryDirectory, threadModule } from "../recorder/fixtures.ts"
import { sweepStep, swept } from "../sweep.ts"
import { counted, otherLogger, ownMetrics } from "./buffering.ts"

class Outbox extends Wal.Service<Outbox>()("test/Outbox") {}
class Words extends Wal.Service<Words>()("test/Words", { event: Schema.String }) {}

const directory = "/outbox"
const small = { segmentBytesMax: 16 * 1024, blockBytesMax: 4 * 1024, slots: 3 } as const
const origin = "https://collector.example:4318"

interface Received {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a collector answers to the request of this number, from 1 on: `away` is no answer at all. */
type Answer = (request: number, received: Received) => number | "away" | readonly [status: number, retryAfter: string]

/** A collector in memory: the real client of a buffer. */
const collector = (answer: Answer, all: Array<Received> = []) => {
  const accepted: Array<string> = []
  const layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.suspend(() => {
        const body = request.body._tag === "Uint8Array" ? Buffer.from(request.body.body).toString() : request.body._tag
        const received = { url: String(url), headers: request.headers, body }
        all.push(received)
        const answered = answer(all.length, received)
        if (answered === "away") {
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
          )
        }
        const [status, retryAfter] = typeof answered === "number" ? [answered, undefined] : answered
        if (status < 300) accepted.push(body)
        const headers: Record<string, string> = retryAfter === undefined ? {} : { "retry-after": retryAfter }
        return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status, headers })))
      })
    )
  )
  return { all, accepted, layer }
}

interface BufferOptions extends Partial<WalOtlp.Options> {
  readonly wal?: Partial<WalOptions>
}

/** One life of a buffer over the disk of the context. */
const life = <A, E>(
  real: Layer.Layer<HttpClient.HttpClient>,
  program: Effect.Effect<A, E, HttpClient.HttpClient | Outbox>,
  { wal, ...options }: BufferOptions = {}
): Effect.Effect<A, E | Layer.Error<ReturnType<typeof WalOtlp.layer>> | Wal.WalError, Disk> =>
  Effect.provide(
    program,
    Layer.fresh(
      WalOtlp.layer(Outbox, { origin, shutdownTimeout: 0, ...options }).pipe(
        Layer.provide(real),
        Layer.provideMerge(Outbox.layer({ directory, ...small, ...wal }))
      )
    )
  )

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>, others: Array<string> = []) =>
  effect.pipe(Effect.provide(otherLogger(others)), ownMetrics, Effect.provide(SimulatedDisk.layer({ seed: 1 })))

/** What an exporter does with a batch. */
const exported = (body: string, path = "/v1/traces") =>
  Effect.flatMap(HttpClient.HttpClient, (client) =>
    client.execute(
      HttpClientRequest.post(`http://exporter.example${path}`).pipe(
        HttpClientRequest.setHeaders({ authorization: "Bearer exporter", "user-agent": "exporter" }),
        HttpClientRequest.bodyText(body, "application/json")
      )
    )).pipe(Effect.map(({ status }) => status))

const batches = (outcome: string) => counted("effect_wal_buffer_batches_total", { outcome })

/** Lets the clock run until this holds. */
const until = Effect.fnUntraced(function*(isSo: () => boolean) {
  for (let seconds = 0; !isSo(); seconds++) {
    if (seconds > 10_000) return yield* Effect.die(new Error("it has not come to that"))
    yield* TestClock.adjust("1 second")
  }
})

/** A life that ends in order; the clock runs meanwhile. */
const ended = <A, E, R>(living: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(living)
    yield* until(() => fiber.pollUnsafe() !== undefined)
    return yield* Fiber.await(fiber)
  })

const bodies = (count: number, from = 1) => Array.from({ length: count }, (_, index) => `{"batch":${from + index}}`)

describe("a batch", () => {
  it.effect("is answered when it is on disk, and sent with the headers of the sender, to its path", () => {
    const { accepted, all, layer } = collector(() => 200)
    return onDisk(Effect.gen(function*() {
      const disk = yield* SimulatedDisk.SimulatedDisk
      yield* life(
        layer,
        Effect.gen(function*() {
          assert.strictEqual(yield* exported("{\"a\":1}", "/otlp/v1/logs?key=query-secret"), 200)
          assert.strictEqual((yield* (yield* Outbox).positions).durable, 1)
          yield* until(() => all.length === 1)
        }),
        { headers: { authorization: "Bearer sender" } }
      )
      assert.deepStrictEqual(accepted, ["{\"a\":1}"])
      assert.strictEqual(all[0]?.url, `${origin}/otlp/v1/logs`)
      assert.strictEqual(all[0]?.headers["authorization"], "Bearer sender")
      assert.strictEqual(all[0]?.headers["content-type"], "application/json")
      const onIt = Array.from((yield* disk.files).values(), (bytes) => Buffer.from(bytes).toString("latin1")).join()
      assert.include(onIt, "/otlp/v1/logs")
      for (const secret of ["Bearer", "query-secret", "exporter.example"]) assert.notInclude(onIt, secret)
    }))
  })

  it.effect("waits for a collector that is away, for an hour; that is told once, and so is its return", () => {
    const lines: Array<string> = []
    let isAway = true
    const { accepted, all, layer } = collector(() => isAway ? "away" : 200)
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          for (const body of bodies(20)) {
            assert.strictEqual(yield* exported(body), 200)
            yield* TestClock.adjust("3 minutes")
          }
          // About once a minute, not faster.
          assert.isAtMost(all.length, 60 * 1.3 + 8)
          assert.isAbove(all.length, 60 * 0.7)
          isAway = false
          yield* until(() => accepted.length === 20)
          assert.deepStrictEqual(accepted, bodies(20))
          assert.strictEqual(yield* batches("recorded"), 20)
          assert.strictEqual(yield* batches("sent"), 20)
          assert.strictEqual(lines.length, 2, lines.join("\n"))
          assert.match(lines[0]!, /takes no telemetry/)
          assert.match(lines[1]!, /takes telemetry again/)
        })
      ),
      lines
    )
  })

  it.effect("waits as long as the collector asks for in Retry-After, an hour at most", () => {
    const asked = ["30", "Thu, 01 Jan 1970 00:20:00 GMT", "999999999", "nonsense"]
    const at: Array<number> = []
    let now = () => 0
    const { accepted, layer } = collector((request) => {
      at.push(now())
      return request <= asked.length ? [request % 2 === 0 ? 503 : 429, asked[request - 1]!] : 200
    })
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          const clock = yield* TestClock.testClockWith(Effect.succeed)
          now = () => clock.currentTimeMillisUnsafe()
          yield* exported("{}")
          yield* until(() => accepted.length === 1)
          const [first, second, third, fourth, fifth] = at.map((millis) => Math.round(millis / 1000))
          assert.isAtLeast(second! - first!, 30)
          assert.isAtMost(second! - first!, 32)
          assert.strictEqual(third, 1200)
          assert.strictEqual(fourth! - third!, 3600)
          assert.isAtMost(fifth! - fourth!, 72)
        })
      )
    )
  })

  it.effect("that is refused for good is handed over and counted, and the next one is sent", () => {
    const lines: Array<string> = []
    const refused: Array<string> = []
    const { accepted, layer } = collector((_, { body }) => Number(/\d+/.exec(body)?.[0]))
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          const statuses = [400, 201, 404, 413, 415, 422, 501, 302, 202]
          for (const status of statuses) yield* exported(`{"status":${status}}`)
          yield* until(() => accepted.length === 2)
          assert.deepStrictEqual(
            refused,
            statuses.filter((status) => status > 202).map((status) => `${status} ${status}`)
          )
          assert.strictEqual(yield* batches("refused"), refused.length)
          assert.strictEqual(lines.length, 1, lines.join("\n"))
          assert.match(lines[0]!, /refuses telemetry for good.*400/)
        }),
        {
          deadLetter: ({ body, reason }) =>
            Effect.sync(() =>
              refused.push(`${/\d+/.exec(Buffer.from(body).toString())?.[0]} ${reason.response?.status}`)
            )
        }
      ),
      lines
    )
  })

  it.effect("is kept while the sender is not let in, and refused after ten errors in the collector", () => {
    const times = new Map<string, number>()
    const { accepted, layer } = collector((request, { body }) => {
      times.set(body, (times.get(body) ?? 0) + 1)
      if (body === "locked") return request <= 30 ? 401 : 200
      return body === "poison" ? 500 : 200
    })
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          for (const body of ["locked", "poison", "last"]) yield* exported(body)
          yield* until(() => accepted.length === 2)
          assert.deepStrictEqual(accepted, ["locked", "last"])
          assert.strictEqual(times.get("poison"), 10)
          assert.strictEqual(yield* batches("refused"), 1)
        })
      )
    )
  })

  it.effect("is refused when the schedule of the program ends", () => {
    const { accepted, all, layer } = collector((_, { body }) => body === "last" ? 200 : 503)
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          for (const body of ["first", "last"]) yield* exported(body)
          yield* until(() => accepted.length === 1)
          assert.deepStrictEqual(all.map(({ body }) => body), ["first", "first", "first", "last"])
        }),
        { retry: Schedule.recurs(2) }
      )
    )
  })

  it.effect("is sent again when the collector does not answer in time", () => {
    let requests = 0
    const layer = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) => {
        requests += 1
        return requests === 1
          ? Effect.never
          : Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 200 })))
      })
    )
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          yield* exported("{}")
          yield* TestClock.adjust("9 seconds")
          yield* settle
          assert.strictEqual(requests, 1)
          yield* TestClock.adjust("10 seconds")
          yield* settle
          assert.strictEqual(requests, 2)
          assert.strictEqual(yield* batches("sent"), 1)
        })
      )
    )
  })

  it.effect("that is larger than a block, or that comes after the log has ended, is sent at once and counted", () => {
    const lines: Array<string> = []
    const { accepted, layer } = collector((_, { body }) => body === "busy" ? 503 : 200)
    return onDisk(
      Effect.gen(function*() {
        const large = "x".repeat(5000)
        const client = yield* life(
          layer,
          Effect.gen(function*() {
            assert.strictEqual(yield* exported(large), 200)
            assert.deepStrictEqual(accepted, [large])
            return yield* HttpClient.HttpClient
          })
        )
        const after = (body: string) => Effect.provideService(exported(body), HttpClient.HttpClient, client)
        assert.strictEqual(yield* after("late"), 200)
        assert.strictEqual(yield* after("busy"), 503)
        assert.deepStrictEqual(accepted, [large, "late"])
        assert.strictEqual(yield* batches("unrecorded"), 3)
        assert.strictEqual(lines.length, 1, lines.join("\n"))
        assert.match(lines[0]!, /sent without being kept.*larger than a block can hold/)
      }),
      lines
    )
  })
})

describe("a buffer that is opened again", () => {
  it.effect("sends what was not sent, and nothing twice after an orderly end", () => {
    let isAway = false
    const { accepted, all, layer } = collector(() => isAway ? "away" : 200)
    return onDisk(Effect.gen(function*() {
      const ends: BufferOptions = { shutdownTimeout: "3 seconds" }
      yield* ended(life(layer, Effect.forEach(bodies(3), (body) => exported(body)), ends))
      assert.deepStrictEqual(accepted, bodies(3), "what is recorded at the end is sent before it")
      isAway = true
      yield* ended(life(layer, Effect.forEach(bodies(2, 4), (body) => exported(body)), ends))
      isAway = false
      const before = all.length
      yield* life(layer, Effect.andThen(exported("{\"batch\":6}"), until(() => accepted.length === 6)), ends)
      assert.deepStrictEqual(accepted, bodies(6))
      assert.strictEqual(all.length, before + 3)
    }))
  })

  it.effect(
    "has lost no batch that was answered, and has kept their order, after a power failure at any operation",
    () =>
      Effect.gen(function*() {
        let crashes = 0
        for (const operation of swept(1)) {
          const hasCrashed = yield* onDisk(Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            const answered: Array<string> = []
            const kept: Array<string> = []
            const { accepted, layer } = collector((request) => request % 3 === 0 ? 503 : 200)
            yield* disk.crashAt((yield* disk.operationCount) + operation)
            const exit = yield* ended(life(
              layer,
              Effect.forEach(bodies(12), (body) =>
                Effect.gen(function*() {
                  const before = yield* batches("recorded")
                  if ((yield* exported(body)) !== 200) return
                  answered.push(body)
                  if ((yield* batches("recorded")) > before) kept.push(body)
                  yield* Effect.sleep("100 millis")
                }))
            ))
            if (Exit.isSuccess(exit)) return false
            yield* disk.crash
            yield* life(layer, Effect.andThen(exported("last"), until(() => accepted.includes("last"))))
            const first = [...new Set(accepted)].filter((body) => body !== "last")
            assert.includeMembers(first, answered, `operation ${operation}`)
            // What the log did not take was sent at once, and has no place in the order.
            assert.deepStrictEqual(first.filter((body) => kept.includes(body)), kept, `operation ${operation}`)
            return true
          }))
          if (!hasCrashed) break
          crashes += 1
        }
        assert.isAbove(crashes, 20 / sweepStep)
      }).pipe(quiet),
    60_000
  )
})

describe("a buffer whose collector stays away", () => {
  it.effect("keeps what `maxLag` and the limits of the log allow; the oldest goes, is counted, and the rest is sent", () => {
    const lines: Array<string> = []
    let isAway = true
    const { accepted, layer } = collector(() => isAway ? "away" : 200)
    const count = 400
    return onDisk(
      Effect.gen(function*() {
        const disk = yield* SimulatedDisk.SimulatedDisk
        yield* life(
          layer,
          Effect.gen(function*() {
            for (const body of bodies(count)) {
              yield* exported(body + "x".repeat(1000))
              yield* TestClock.adjust("1 second")
            }
            const bytes = Array.from((yield* disk.files).values()).reduce((sum, { length }) => sum + length, 0)
            assert.isBelow(bytes, 250_000)
            isAway = false
            yield* until(() => accepted.at(-1)?.startsWith(`{"batch":${count}}`) === true)
            const missed = yield* batches("missed")
            assert.isAbove(missed, 100)
            assert.strictEqual(missed + accepted.length, count)
            // What was being sent, or was read already, is sent too.
            const numbers = accepted.map((body) => Number(/\d+/.exec(body)?.[0]))
            assert.deepStrictEqual(numbers, [...new Set(numbers)].toSorted((a, b) => a - b))
            assert.deepStrictEqual(numbers.slice(-50), Array.from({ length: 50 }, (_, index) => count - 49 + index))
            assert.isAbove(lines.filter((line) => line.includes("gone before it was sent")).length, 0)
          }),
          { maxLag: { bytes: "32KiB" }, wal: { limits: { maxSegments: 4, maxCompressedSegments: 4 } } }
        )
      }),
      lines
    )
  })
})

describe("a buffer", () => {
  it.effect("feeds itself nothing: what it says goes to the loggers that were there before it", () => {
    const lines: Array<string> = []
    const { all, layer } = collector(() => 400)
    return onDisk(
      Effect.gen(function*() {
        const telemetry = Otlp.layerJson({
          baseUrl: "http://exporter.example",
          resource: { serviceName: "test" },
          headers: { authorization: "Bearer exporter" },
          metricsExportInterval: "1 day"
        }).pipe(
          Layer.provide(WalOtlp.layer(Outbox, { origin, shutdownTimeout: 0 })),
          Layer.provide(layer),
          Layer.provide(Outbox.layer({ directory, ...small }))
        )
        yield* Effect.gen(function*() {
          yield* Effect.logInfo("the only line").pipe(Effect.withSpan("the only span"))
          for (let second = 0; second < 120; second++) yield* TestClock.adjust("1 second")
          yield* settle
          assert.deepStrictEqual(all.map(({ url }) => url).toSorted(), [`${origin}/v1/logs`, `${origin}/v1/traces`])
          assert.include(all.map(({ body }) => body).join(), "the only span")
        }).pipe(Effect.provide(Layer.fresh(telemetry)))
        assert.isTrue(lines.some((line) => line.includes("refuses telemetry for good")), lines.join("\n"))
      }),
      lines
    )
  })

  it.effect("stops at nothing else that is in its log, and records nothing but what an exporter sends", () => {
    const { accepted, layer } = collector(() => 200)
    return onDisk(
      life(
        layer,
        Effect.gen(function*() {
          const log = yield* Outbox
          const foreign = ["{}", "[\"v1\",\"\",\"\"]\t", "[\"/v1\"]\t", "[\"/v1\",1,\"\"]\t", "\t", "["]
          for (const event of foreign) yield* log.appendDurable(Buffer.from(event))
          const client = yield* HttpClient.HttpClient
          const wrong = [
            HttpClientRequest.get("http://exporter.example/v1/traces"),
            HttpClientRequest.post("http://exporter.example/v1/traces")
          ]
          for (const request of wrong) {
            assert.match((yield* Effect.flip(client.execute(request))).message, /only what an OTLP exporter sends/)
          }
          yield* exported("{}")
          yield* until(() => accepted.length === 1)
          assert.deepStrictEqual(accepted, ["{}"])
          assert.strictEqual(yield* batches("refused"), foreign.length)
        })
      )
    )
  })

  it.effect("has its log alone: a second one of the same log is refused", () => {
    const { layer } = collector(() => 200)
    return onDisk(life(
      layer,
      Effect.gen(function*() {
        const log = yield* Outbox
        const second = WalOtlp.layer(Outbox, { origin }).pipe(
          Layer.provide(layer),
          Layer.provide(Layer.succeed(Outbox, log))
        )
        const error = yield* Effect.flip(Effect.provide(Effect.void, second))
        assert.strictEqual(error._tag, "ConsumerTaken")
      })
    ))
  })

  it.effect("refuses, from JavaScript, what it does not understand, and names it", () =>
    onDisk(Effect.gen(function*() {
      const { layer } = collector(() => 200)
      const disk = yield* Effect.context<Disk>()
      const defectOf = (options: unknown) =>
        Effect.exit(Effect.suspend(() => life(layer, Effect.void, options as never))).pipe(
          Effect.provideContext(disk),
          Effect.map((exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")
        )
      for (
        const wrong of [
          1,
          "",
          "collector",
          "ftp://a",
          "https://a/otlp",
          "https://a?key=1",
          "https://u:p@a",
          "https://a#b"
        ]
      ) {
        assert.include(yield* defectOf({ origin: wrong }), "options.origin is", String(wrong))
      }
      for (
        const [name, wrong] of [
          ["headers", 1],
          ["retry", "often"],
          ["timeout", 0],
          ["shutdownTimeout", "soon"],
          ["deadLetter", 1],
          ["url", "https://a"]
        ]
      ) {
        assert.include(yield* defectOf({ [String(name)]: wrong }), `options.${name} is`, String(name))
      }
      assert.include(yield* defectOf({ maxLag: { bytes: "much" } }), "bytes")
      const words = WalOtlp.layer(Words as never, { origin }).pipe(
        Layer.provide(layer),
        Layer.provide(Words.layer({ directory: "/words", ...small }))
      ) as Layer.Layer<HttpClient.HttpClient, unknown, Disk>
      const exit = yield* Effect.exit(Effect.provide(Effect.void, words))
      assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none", "log is an Object")
      assert.throws(() => WalOtlp.layer({} as never, { origin }), /log is an Object, expected the class of a log/)
    })))
})

const layers: ReadonlyArray<
  readonly [string, (options: WalOptions) => Layer.Layer<Outbox, Wal.WalError, Disk>]
> = [
  ["fiber", (options) => Outbox.layer(options)],
  ["thread", (options) => Outbox.layerWorker({ ...options, threadModule })]
]

/** A collector of Node's HTTP, at a port that stays its own. */
const listening = Effect.fnUntraced(function*(port: number, onBody: (path: string, body: string) => void) {
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const bytes = Buffer.concat(chunks)
      const isZipped = request.headers["content-encoding"] === "gzip"
      onBody(request.url ?? "", (isZipped ? gunzipSync(bytes) : bytes).toString())
      response.writeHead(request.headers.authorization === "Bearer sender" ? 200 : 401).end("{}")
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  return (server.address() as AddressInfo).port
})

describe.each(layers)("telemetry of Effect's exporters (%s)", (_, layer) => {
  it.live("comes to a collector of Node's HTTP that was away when it was recorded, compressed as the exporter did it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const port = yield* Effect.scoped(listening(0, () => {}))
      const origin = `http://127.0.0.1:${port}`
      const program = (spans: number, shutdownTimeout: number | "10 seconds") =>
        Effect.forEach(Array.from({ length: spans }), (_, span) => Effect.withSpan(Effect.void, `span ${span}`)).pipe(
          Effect.provide(
            Otlp.layerJson({
              baseUrl: origin,
              compression: "gzip",
              resource: { serviceName: "test" },
              headers: { authorization: "Bearer exporter" }
            }).pipe(
              Layer.provide(
                WalOtlp.layer(Outbox, {
                  origin,
                  headers: { authorization: "Bearer sender" },
                  retry: Schedule.spaced("10 millis"),
                  shutdownTimeout
                })
              ),
              Layer.provide(FetchHttpClient.layer),
              Layer.provide(layer({ directory, segmentBytesMax: "1MiB" }))
            )
          )
        )
      yield* program(100, 0)
      const received: Array<string> = []
      const hasAll = yield* Deferred.make<void>()
      yield* listening(port, (path, body) => {
        received.push(`${path} ${body}`)
        if (received.join().includes("\"span 99\"")) Deferred.doneUnsafe(hasAll, Effect.void)
      })
      yield* program(0, "10 seconds")
      yield* Deferred.await(hasAll)
      const names = received.filter((batch) => batch.startsWith("/v1/traces")).join().match(/"span \d+"/g) ?? []
      assert.deepStrictEqual(names, Array.from({ length: 100 }, (_, span) => `"span ${span}"`))
    }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer)))
})
