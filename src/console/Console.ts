/**
 * A page that shows a log: its segments as a river, heat maps of its latencies, and an explorer of its events. The page
 * asks the same server for everything; nothing comes from elsewhere. It only reads: nothing that it can ask changes the
 * log.
 *
 * What is guaranteed:
 *
 * 1. Without a viewer nothing runs. All viewers of a log share one look a second.
 * 2. What was recorded stays text: the page never makes markup or code of it, and its `Content-Security-Policy` runs
 *    nothing but its own script.
 * 3. A request that names another host, or that another site sends, is refused. With a token so is one without it.
 * 4. Beside a recorder, only durable events are shown.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Disk } from "../disk/Disk.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { eventIdMax, segmentIndexMax } from "../format/Limits.ts"
import * as Options from "../internal/options.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import type { Parts } from "../recorder/Log.ts"
import * as Monitor from "../recorder/monitor/Monitor.ts"
import { makeReporter } from "../recorder/monitor/MonitorReport.ts"
import { accessFields, guarded, protections } from "./Access.ts"
import type { AccessOptions } from "./Access.ts"
import { Cells } from "./Cells.ts"
import type { ConsoleLog } from "./ConsoleLog.ts"
import { blocksOf, eventOf, pageOf } from "./Explorer.ts"
import type { PageFrom } from "./Explorer.ts"
import * as pageFiles from "./pageFiles.ts"
import { finderOf, search } from "./Search.ts"
import * as Watch from "./Watch.ts"

/**
 * Where a console is served, and to whom.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConsoleOptions extends AccessOptions {
  /** Where the page is: default `/`. Below it lie the files and the answers of the page. */
  readonly path?: HttpRouter.PathInput
}

const optionFields = {
  ...accessFields,
  path: Schema.optional(Options.matching(/^\/$|^(\/[\w.~-]+)+$/, "a path such as /wal, without a slash at its end"))
}

/**
 * Serves the console of a log of this application. The application provides the router and its server, as for
 * `PrometheusRoute.layer`, and lets them listen at the loopback address only, or gives a token.
 *
 * Looking costs the application's thread some milliseconds a second while a page is open, and a search what reading the
 * log costs. `effect-wal serve` does the same in a process of its own.
 *
 * **Example** (A console in an application)
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServer from "effect/http/HttpServer"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { layer } from "effect-wal/console"
 * import { createServer } from "node:http"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const ConsoleLive = HttpRouter.serve(layer({ path: "/wal" }), { disableListenLog: true }).pipe(
 *   Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Events).appendDurable(Buffer.from("hello"))
 *   const { address } = yield* HttpServer.HttpServer
 *   const url = `${HttpServer.formatAddress(address).replace("0.0.0.0", "127.0.0.1")}/wal/api/events?from=1`
 *   return yield* Effect.promise(async () => (await fetch(url)).text())
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, ConsoleLive))) // => "text":"hello"
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: ConsoleOptions = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Parts | Disk> =>
  Layer.fresh(Layer.effectDiscard(Effect.gen(function*() {
    Options.requireOptions("options", Schema.Struct(optionFields), options)
    const { directory, naming } = yield* SegmentMaintainer
    yield* serve(new SegmentDirectory(directory, naming), options, yield* makeReporter)
  })))

/**
 * Serves the console of a directory that another process, or nobody, records into. A recorder with `Monitor.layer` is
 * asked how it is doing; of any other only the files are shown.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDirectory = (
  { directory, ...options }: ConsoleOptions & { readonly directory: string }
): Layer.Layer<never, never, HttpRouter.HttpRouter | Disk> =>
  Layer.fresh(Layer.effectDiscard(Effect.gen(function*() {
    Options.requireOptions("options", Schema.Struct({ ...optionFields, directory: Options.path }), {
      directory,
      ...options
    })
    const { path } = new SegmentDirectory(directory)
    yield* serve(new SegmentDirectory(path), options, Monitor.read(path))
  })))

const serve = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  { hosts, path = "/", token }: ConsoleOptions,
  report: ConsoleLog["report"]
) {
  const log: ConsoleLog = { directory, cells: new Cells(directory), report }
  const disk = yield* Disk
  const router = (yield* HttpRouter.HttpRouter).prefixed(path)
  const looks = yield* Watch.make(log)
  const ask = guarded({ hosts, token })
  const base = path === "/" ? "" : path

  const file = (content: string, contentType: string) =>
    HttpServerResponse.text(content, { contentType, headers: protections })
  const page = file(pageFiles.html.replaceAll("{base}", base), "text/html; charset=utf-8")
  // Its files hold nothing of the log, so they need no token: the page asks for it.
  yield* router.add("GET", "/", page)
  yield* router.add("GET", "/page.css", file(pageFiles.css, "text/css; charset=utf-8"))
  yield* router.add("GET", "/page.mjs", file(pageFiles.script, "text/javascript; charset=utf-8"))
  yield* router.add("GET", "/icon.svg", file(pageFiles.icon, "image/svg+xml"))

  yield* router.add(
    "GET",
    "/api/live",
    ask(() => Effect.succeed(eventStream(Stream.provideService(looks, Disk, disk))))
  )

  yield* router.add(
    "GET",
    "/api/events",
    ask((request) =>
      Effect.gen(function*() {
        const query = queryOf(request)
        const from = fromOf(query)
        const count = wholeOf(query.get("count") ?? "50", 1, 500)
        if (from === undefined) return refuse(400, "from is an event id, newest, or a time as in 2026-11-29T10:00:00Z")
        if (count === undefined) return refuse(400, "count is a number from 1 to 500")
        return answer(yield* pageOf(log, from, count))
      }).pipe(Effect.provideService(Disk, disk), failing)
    )
  )

  yield* router.add(
    "GET",
    "/api/events/:id",
    ask(() =>
      Effect.gen(function*() {
        const id = wholeOf((yield* HttpRouter.params)["id"], 1, eventIdMax)
        const event = id === undefined ? undefined : yield* eventOf(log, id)
        return event === undefined ? refuse(404, "there is no event with this id") : answer(event)
      }).pipe(Effect.provideService(Disk, disk), failing)
    )
  )

  yield* router.add(
    "GET",
    "/api/segments/:index/blocks",
    ask((request) =>
      Effect.gen(function*() {
        const index = wholeOf((yield* HttpRouter.params)["index"], 0, segmentIndexMax)
        const query = queryOf(request)
        const from = wholeOf(query.get("from") ?? "0", 0, Number.MAX_SAFE_INTEGER)
        const count = wholeOf(query.get("count") ?? "100", 1, 1000)
        if (from === undefined || count === undefined) {
          return refuse(400, "from and count are numbers, count up to 1000")
        }
        const found = index === undefined ? undefined : yield* blocksOf(log, index, from, count)
        return found === undefined ? refuse(404, "there is no such segment") : answer(found)
      }).pipe(Effect.provideService(Disk, disk), failing)
    )
  )

  yield* router.add(
    "POST",
    "/api/segments/:index/verify",
    ask(() =>
      Effect.gen(function*() {
        const index = wholeOf((yield* HttpRouter.params)["index"], 0, segmentIndexMax)
        const found = index === undefined ? undefined : yield* log.cells.verify(index)
        return found === undefined ? refuse(404, "there is no such segment") : answer(found)
      }).pipe(Effect.provideService(Disk, disk), failing)
    )
  )

  yield* router.add(
    "GET",
    "/api/search",
    ask((request) =>
      Effect.sync(() => {
        const query = queryOf(request)
        const max = wholeOf(query.get("max") ?? "200", 1, 10_000)
        if (max === undefined) return refuse(400, "max is a number from 1 to 10000")
        const finder = finderOf({
          kind: query.get("kind") === "path" ? "path" : "text",
          text: query.get("text") ?? "",
          ignoreCase: query.get("case") === "ignore"
        })
        if (Result.isFailure(finder)) return refuse(400, finder.failure)
        const found = search(log, finder.success, max)
        return eventStream(Stream.provideService(found, Disk, disk))
      })
    )
  )
})

const answer = (body: unknown): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(body, { headers: protections })

const refuse = (status: number, error: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ error }, { status, headers: protections })

/** Answers with what failed, in words. */
const failing = <E extends { readonly message: string }, R>(
  effect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  Effect.catch(effect, ({ message }) => Effect.succeed(refuse(500, message)))

/** Server-sent events, each with one line of JSON. A failure is the last one. */
const eventStream = <A, E extends { readonly message: string }>(
  messages: Stream.Stream<A, E>
): HttpServerResponse.HttpServerResponse => {
  const sent = messages.pipe(
    Stream.map((message) => lineOf("message", message)),
    Stream.catch(({ message }: E) => Stream.succeed(lineOf("failed", { error: message })))
  )
  return HttpServerResponse.stream(sent, { contentType: "text/event-stream; charset=utf-8", headers: protections })
}

const lineOf = (name: string, value: unknown): Uint8Array =>
  Buffer.from(`event: ${name}\ndata: ${JSON.stringify(value)}\n\n`)

const queryOf = ({ url }: HttpServerRequest.HttpServerRequest): URLSearchParams =>
  new URL(url, "http://localhost").searchParams

const wholeOf = (text: string | undefined, minimum: number, maximum: number): number | undefined => {
  const value = /^\d{1,16}$/.test(text ?? "") ? Number(text) : Number.NaN
  return value >= minimum && value <= maximum ? value : undefined
}

const fromOf = (query: URLSearchParams): PageFrom | undefined => {
  const time = query.get("time")
  if (time !== null) {
    const found = /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(time) ? DateTime.make(time) : Option.none()
    return Option.getOrUndefined(Option.map(found, (time) => ({ time })))
  }
  const from = query.get("from") ?? "newest"
  if (from === "newest") return from
  const id = wholeOf(from, 1, eventIdMax)
  return id === undefined ? undefined : { id }
}
