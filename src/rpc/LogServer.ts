/** Answers other processes for a log of this application. */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as RpcSerialization from "effect/rpc/RpcSerialization"
import * as RpcServer from "effect/rpc/RpcServer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { accessFields, guarded } from "../console/Access.ts"
import type { AccessOptions } from "../console/Access.ts"
import type { Disk } from "../disk/Disk.ts"
import * as EventCodec from "../format/EventCodec.ts"
import * as Options from "../internal/options.ts"
import type { Parts } from "../recorder/Log.ts"
import { makeLog } from "../recorder/makeLog.ts"
import { batched, meantFrom } from "./EventBatches.ts"
import { LogRpcs, RemoteDiskFailed } from "./LogRpcs.ts"

/**
 * Where a log is offered, and to whom.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerOptions extends AccessOptions {
  /** Default: `/log`. */
  readonly path?: HttpRouter.PathInput
}

/**
 * Offers a log of this application to other processes, which use `connect`. The application provides the router
 * and its server: one that listens at a Unix socket (`{ path: "./log.sock" }`), whose file says who may connect, or at
 * the loopback address, or anywhere with a token.
 *
 * - An append waits while there is no room, as in this process, and so does who has sent it.
 * - Only durable events are handed out. What a reader does not take is read no further, and what it has not read yet is
 *   held against retention under its name, until it goes away; see `heldBytesMax`.
 *
 * **Example** (Appending from another process)
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import * as FetchHttpClient from "effect/http/FetchHttpClient"
 * import * as HttpRouter from "effect/http/HttpRouter"
 * import * as HttpServer from "effect/http/HttpServer"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { connect, layer } from "effect-wal/rpc"
 * import { createServer } from "node:http"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const ServerLive = HttpRouter.serve(layer(), { disableListenLog: true }).pipe(
 *   Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })),
 *   Layer.provide(Events.parts),
 *   Layer.provideMerge(Events.layer({ directory: "./log" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * // In another process, which knows the address.
 * const program = Effect.gen(function*() {
 *   const { address } = yield* HttpServer.HttpServer
 *   const events = yield* connect({ url: `${HttpServer.formatAddress(address)}/log` })
 *   const id = yield* events.append(Buffer.from("hello"))
 *   yield* events.commitTo(id)
 *   yield* Stream.runForEach(events.events(), ({ event, id }) =>
 *     Console.log(id, Buffer.from(event).toString())) // => 1 hello
 * })
 *
 * await Effect.runPromise(
 *   Effect.scoped(program).pipe(Effect.provide(ServerLive), Effect.provide(FetchHttpClient.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: ServerOptions = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Parts | Disk> =>
  Layer.fresh(Layer.effectDiscard(Effect.gen(function*() {
    const fields = {
      ...accessFields,
      path: Schema.optional(Options.matching(/^(\/[\w.~-]+)+$/, "a path such as /log"))
    }
    Options.requireOptions("options", Schema.Struct(fields), options)
    const { path = "/log", ...access } = options
    const router = yield* HttpRouter.HttpRouter
    const log = yield* makeLog("rpc", EventCodec.bytes)
    const handlers = LogRpcs.toLayer(LogRpcs.of({
      append: ({ bytes }) => log.append(bytes),
      appendAll: ({ events }) => log.appendAll(events),
      commit: () => log.commit,
      commitTo: ({ id }) => log.commitTo(id),
      positions: () =>
        Effect.map(log.positions, ({ appended, compressed, deletedBefore, durable }) => ({
          appended,
          compressed,
          deletedBefore,
          durable
        })),
      events: ({ follow, from, name, toId }) => {
        const range = {
          from: meantFrom(from),
          ...(toId === null ? {} : { to: { id: toId } }),
          follow,
          name
        }
        return batched(log.events(range)).pipe(
          Stream.catchTags({
            DiskError: (error) => Stream.fail(new RemoteDiskFailed({ detail: error.message })),
            // Bytes fit any schema of bytes.
            EventUndecodable: (error) => Stream.die(error)
          })
        )
      }
    }))
    const answer = yield* RpcServer.toHttpEffect(LogRpcs, { streamBufferSize: 1, disableFatalDefects: true }).pipe(
      Effect.provide(Layer.merge(handlers, RpcSerialization.layerSchemaBinary()))
    )
    yield* router.add("POST", path, guarded(access)(() => answer))
  })))
