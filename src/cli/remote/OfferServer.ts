/**
 * The server of `record --offer ADDRESS`: other processes append to the log that is recorded, and read it. At the
 * loopback address every user of the machine may do so, unless there is a token; at any other address there must be
 * one. At a Unix socket the permissions of its file and of the directories above it tell who may.
 *
 * Beside a socket lies the lock of the recorder that offers it, `SOCKET.lock`. A kill leaves both. So a socket beside
 * which such a lock lies, and whose lock can be taken, belongs to a recorder that is dead, and is removed. Any other
 * file stays.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { createServer } from "node:http"
import { basename, dirname } from "node:path"
import { Disk } from "../../disk/Disk.ts"
import type { Parts } from "../../recorder/Log.ts"
import * as LogServer from "../../rpc/LogServer.ts"
import { formatAddress } from "../flags/addressFlag.ts"
import type { LogAddress } from "../flags/addressFlag.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"
import { socketPathFault } from "./socketPath.ts"

/** How long requests that are being answered may take when the recording ends. Whoever follows would take for ever. */
const gracefulShutdownTimeout = "1 second"

const failure = (address: LogAddress, detail: string) =>
  new OperatingFailure({
    message: `the log cannot be offered at ${formatAddress(address)} (${detail}); give --offer another address`
  })

/** Takes the place of a socket, as long as the scope is open: it is free then. Fails with why it is not. */
const takePlace = Effect.fnUntraced(function*(path: string) {
  const tooLong = socketPathFault(path)
  if (tooLong !== undefined) return yield* Effect.fail(tooLong)
  const disk = yield* Disk
  const fileSystem = yield* FileSystem.FileSystem
  const lockName = `${basename(path)}.lock`
  const names = yield* Effect.mapError(disk.list(dirname(path)), ({ message }) => message)
  const isOurs = names.some(({ name }) => name.startsWith(`${lockName}.`))
  yield* Effect.mapError(
    disk.lock(`${path}.lock`),
    ({ message, reason }) =>
      reason._tag === "Held" ? `another recorder offers its log there: ${reason.holder}` : message
  )
  // A link that leads nowhere is not there for `stat`, but for whoever listens.
  const found = yield* Effect.option(fileSystem.stat(path))
  if (Option.isNone(found)) return
  if (found.value.type !== "Socket") return yield* Effect.fail("something else than a socket is there")
  if (!isOurs) return yield* Effect.fail("a socket is there that no recorder has left; remove it if nobody listens")
  yield* Effect.mapError(fileSystem.remove(path), ({ message }) => message)
})

const serverAt = (address: LogAddress) => {
  if (address.kind === "http") {
    const { hostname, port } = address.url
    const host = hostname.replace(/^\[(.*)\]$/, "$1")
    return NodeHttpServer.layer(createServer, { host, port: Number(port || 80), gracefulShutdownTimeout })
  }
  const place = Layer.effectDiscard(
    Effect.mapError(takePlace(address.path), (detail) => failure(address, detail))
  )
  return Layer.provide(
    NodeHttpServer.layer(createServer, { path: address.path, gracefulShutdownTimeout }),
    place
  )
}

/** Offers the log, and writes its address to standard error. */
export const layer = (
  address: LogAddress,
  token: Option.Option<Redacted.Redacted<string>>
): Layer.Layer<never, OperatingFailure, Parts | Disk | FileSystem.FileSystem> => {
  const routes = LogServer.layer(Option.match(token, { onNone: () => ({}), onSome: (token) => ({ token }) }))
  return Layer.effectDiscard(Effect.gen(function*() {
    const server = yield* HttpServer.HttpServer
    const at = address.kind === "socket" ? formatAddress(address) : HttpServer.formatAddress(server.address)
    yield* say(`offered at ${at}, until a signal`)
  })).pipe(
    Layer.provideMerge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })),
    Layer.provide(serverAt(address)),
    Layer.catch((error) =>
      Layer.effectDiscard(
        Effect.fail(error._tag === "OperatingFailure" ? error : failure(address, String(error.cause)))
      )
    )
  )
}
