/**
 * Telemetry that survives: a program exports spans while its collector is away, and is killed; the next start sends them
 * when the collector is back. What the killed program has logged is read from a log, too.
 *
 *     node examples/telemetry-buffer.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { WalLogger, WalOtlp } from "../src/buffer/index.ts"
import { NodeDisk, Wal } from "../src/index.ts"

const orders = 50

/** The program is started a second time by itself, as the one that is killed: with the folder of its files. */
const [, , folder, givenPort] = process.argv
const root = folder ?? mkdtempSync(join(tmpdir(), "effect-wal-telemetry-"))

class Outbox extends Wal.Service<Outbox>()("example/Outbox") {}
class AppLog extends Wal.Service<AppLog>()("example/AppLog", { event: WalLogger.LogLine }) {}

const telemetry = (port: number) => {
  const origin = `http://127.0.0.1:${port}`
  return Otlp.layerJson({ baseUrl: origin, resource: { serviceName: "shop" }, tracerExportInterval: "100 millis" })
    .pipe(
      Layer.provide(
        WalOtlp.layer(Outbox, {
          origin,
          headers: { authorization: "Bearer secret" },
          retry: Schedule.spaced("50 millis"),
          maxLag: { bytes: "64MiB" }
        })
      ),
      Layer.provide(FetchHttpClient.layer),
      Layer.provide(Outbox.layerWorker({ directory: join(root, "outbox"), segmentBytesMax: "1MiB" })),
      Layer.provide(NodeDisk.layer)
    )
}

const LoggerLive = WalLogger.layer(AppLog, { mergeWithExisting: false }).pipe(
  Layer.provide(AppLog.layerWorker({ directory: join(root, "app-log"), segmentBytesMax: "1MiB" })),
  Layer.provide(NodeDisk.layer)
)

/** Works, and is killed: no finalizer runs, nothing is closed. Nobody listens at the collector's port meanwhile. */
const first = Effect.gen(function*() {
  for (let order = 1; order <= orders; order++) {
    yield* Effect.logInfo(`order ${order}`).pipe(Effect.withSpan(`order ${order}`))
  }
  // Succeeds when the batches are on disk. Without a buffer they would be lost here.
  yield* (yield* OtlpExporter.Flusher).flush
  // The lines are on disk after 100 ms.
  yield* Effect.sleep("1 second")
  process.kill(process.pid, "SIGKILL")
})

/** A collector that counts the spans of orders. */
const collector = (port: number, spans: Set<string>) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (chunk: Buffer) => (body += chunk.toString()))
        request.on("end", () => {
          if (request.url === "/v1/traces") { for (const span of body.match(/"order \d+"/g) ?? []) spans.add(span) }
          response.writeHead(200).end("{}")
        })
      })
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

/** A port at which nobody listens. */
const freePort = Effect.scoped(Effect.map(collector(0, new Set()), (server) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}))

const second = (port: number) =>
  Effect.scoped(Effect.gen(function*() {
    const spans = new Set<string>()
    yield* collector(port, spans)
    // When the layer closes, what is on disk has been sent: the collector answers.
    yield* Effect.provide(Effect.void, telemetry(port))
    yield* Console.log(`${spans.size} spans of the killed program came to the collector`)
    const lines = yield* Stream.runCount(AppLog.reader({ directory: join(root, "app-log") }).events()).pipe(
      Effect.provide(NodeDisk.layer)
    )
    yield* Console.log(`${lines} lines of the killed program are in the log`)
    if (spans.size !== orders || lines !== orders) return yield* Effect.die(new Error("something was lost"))
  }))

NodeRuntime.runMain(
  folder !== undefined
    ? Effect.provide(first, [telemetry(Number(givenPort)), LoggerLive])
    : Effect.gen(function*() {
      const port = yield* freePort
      const { signal, stderr } = spawnSync(process.execPath, [import.meta.filename, root, String(port)], {
        encoding: "utf8"
      })
      if (signal !== "SIGKILL") return yield* Effect.die(new Error(`the first program was not killed: ${stderr}`))
      yield* second(port)
    }).pipe(Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true }))))
)
