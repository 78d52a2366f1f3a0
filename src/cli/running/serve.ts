/**
 * `effect-wal serve`: shows a log in a browser, until a signal. It only reads, so it works beside a recorder, beside
 * nobody, and without the right to write. At the loopback address every user of the machine may look, unless there is a
 * token; at any other address there must be one.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createServer } from "node:http"
import { layerDirectory } from "../../console/Console.ts"
import { isLoopback } from "../flags/isLoopback.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import { OperatingFailure, UsageFailure } from "../terminal/CliFailure.ts"
import { firstSignal } from "../terminal/Signals.ts"
import { say } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly port: number
  readonly host: string
  readonly token: Option.Option<Redacted.Redacted<string>>
}

/** Runs the command. */
export const serve = Effect.fnUntraced(function*({ dir, host, port, token }: Given) {
  if (Option.isNone(token) && !isLoopback(host)) {
    return yield* new UsageFailure({
      message: `--host ${host} shows the log to other machines; give --token, or set EFFECT_WAL_TOKEN`
    })
  }
  yield* requireDirectory(dir)
  const signal = yield* firstSignal
  yield* Effect.raceFirst(Layer.launch(serving({ dir, host, port, token })), signal)
}, Effect.scoped)

const serving = ({ dir, host, port, token }: Given) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const fragment = Option.match(token, {
      onNone: () => "",
      onSome: (token) => `#token=${encodeURIComponent(Redacted.value(token))}`
    })
    yield* say(`console at ${HttpServer.formatAddress(address)}/${fragment}`)
  })).pipe(
    Layer.provideMerge(HttpRouter.serve(
      layerDirectory({
        directory: dir,
        ...Option.match(token, { onNone: () => ({}), onSome: (token) => ({ token }) })
      }),
      { disableLogger: true, disableListenLog: true }
    )),
    // A page that is open would keep the server for ever.
    Layer.provide(NodeHttpServer.layer(createServer, { host, port, gracefulShutdownTimeout: "100 millis" })),
    Layer.catch((error) =>
      Layer.effectDiscard(Effect.fail(
        new OperatingFailure({
          message: `the console cannot be served at ${host}:${port} (${String(error.cause)}); ` +
            `give another --port, or another --host`
        })
      ))
    )
  )
