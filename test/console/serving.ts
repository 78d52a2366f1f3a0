/** A console that is served on a free port, and requests to it as any program can make them. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import { createServer, request } from "node:http"
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http"

/** Serves a layer of routes for as long as the scope is open; gives the port. At a Unix socket, when one is given. */
export const served = <E, R>(routes: Layer.Layer<never, E, HttpRouter.HttpRouter | R>, socket?: string) =>
  Effect.gen(function*() {
    const server = NodeHttpServer.layer(createServer, {
      ...(socket === undefined ? { host: "127.0.0.1", port: 0 } : { path: socket }),
      gracefulShutdownTimeout: "10 millis"
    })
    const services = yield* Layer.build(
      Layer.provideMerge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }), server)
    )
    const { address } = Context.get(services, HttpServer.HttpServer)
    return "port" in address ? address.port : 0
  })

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Asks once, with any headers: `fetch` lets nobody choose the host. */
export const asks = (port: number, path: string, headers: OutgoingHttpHeaders = {}, method = "GET") =>
  Effect.callback<Answer>((resume) => {
    const sent = request({ host: "127.0.0.1", port, path, headers, method, agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (part: string) => (text += part))
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, text }))
      )
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end()
  })

/** As `asks`, for an answer in JSON. */
export const asksJson = (port: number, path: string, method = "GET") =>
  // oxlint-disable-next-line typescript/no-explicit-any -- what the page reads, as it reads it
  Effect.map(asks(port, path, {}, method), ({ text }): any => JSON.parse(text))

/** Reads server-sent events until `isEnough`, and goes away then. */
export const listens = (port: number, path: string, isEnough: (message: unknown) => boolean) =>
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  Effect.callback<ReadonlyArray<any>>((resume) => {
    const messages: Array<unknown> = []
    let rest = ""
    const sent = request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      const end = () => {
        response.destroy()
        resume(Effect.succeed(messages))
      }
      response.setEncoding("utf8")
      response.on("error", () => undefined)
      response.on("data", (part: string) => {
        rest += part
        const parts = rest.split("\n\n")
        rest = parts.pop() ?? ""
        for (const one of parts) {
          const message: unknown = JSON.parse(/^data: (.*)$/m.exec(one)?.[1] ?? "null")
          messages.push(message)
          if (isEnough(message)) return end()
        }
      })
      response.on("end", end)
    })
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end()
    return Effect.sync(() => sent.destroy())
  })
