/**
 * An offline-first list without a database: two clients write while they are offline, and one of them is started again.
 * Then both synchronize through a server in the same process, which is started again, too. Journals and server each have
 * a log.
 *
 *     node examples/offline-journal.ts
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as EventGroup from "effect/eventlog/EventGroup"
import * as EventJournal from "effect/eventlog/EventJournal"
import * as EventLog from "effect/eventlog/EventLog"
import * as EventLogEncryption from "effect/eventlog/EventLogEncryption"
import { EventLogRemoteRpcs, StoreId } from "effect/eventlog/EventLogMessage"
import * as EventLogRemote from "effect/eventlog/EventLogRemote"
import * as EventLogServer from "effect/eventlog/EventLogServerUnencrypted"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as RpcTest from "effect/rpc/RpcTest"
import * as Schema from "effect/Schema"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { WalEventJournal, WalEventLogServerUnencrypted } from "../src/eventlog/index.ts"
import { NodeDisk, Wal } from "../src/index.ts"

const root = mkdtempSync(join(tmpdir(), "effect-wal-offline-journal-"))

const Todos = EventGroup.empty.add({
  tag: "TodoAdded",
  primaryKey: ({ title }) => title,
  payload: Schema.Struct({ title: Schema.String })
})
const schema = EventLog.schema(Todos)
const decode = Schema.decodeUnknownEffect(Todos.events.TodoAdded!.payloadSchemaBinary)

/** Runs wherever an entry arrives that is new there. An application changes its views here. */
const HandlersLive = EventLog.group(Todos, (handlers) => handlers.handle("TodoAdded", () => Effect.void))

class JournalLog extends Wal.Service<JournalLog>()("example/JournalLog") {}
class ServerLog extends Wal.Service<ServerLog>()("example/ServerLog") {}

/** The journal of a client, in a directory of its own. */
const journalOf = (client: string) =>
  WalEventJournal.layer(JournalLog).pipe(
    Layer.provide(JournalLog.layerWorker({ directory: join(root, client) })),
    Layer.provide(NodeDisk.layer)
  )

const StorageLive = WalEventLogServerUnencrypted.layerStorage(ServerLog).pipe(
  Layer.provide(ServerLog.layerWorker({ directory: join(root, "server") })),
  Layer.provide(NodeDisk.layer)
)

const ServerLive = EventLogServer.layerNoRpcServer(schema, HandlersLive).pipe(
  Layer.provideMerge(StorageLive),
  Layer.provide(EventLogServer.layerStoreMappingStatic({ storeId: StoreId.make("default") })),
  Layer.provide(Layer.succeed(EventLogServer.EventLogServerAuthorization, {
    authorizeIdentity: () => Effect.void,
    authorizeRead: () => Effect.void,
    authorizeWrite: () => Effect.void
  }))
)

/** Both clients are of the same person. */
const makeIdentity = Effect.provide(EventLog.makeIdentity, EventLogEncryption.layerSubtle)

type Identity = EventLog.Identity["Service"]

const clientOf = (client: string, identity: Identity) =>
  EventLog.layer(schema, HandlersLive).pipe(
    Layer.provideMerge(Layer.fresh(journalOf(client))),
    Layer.provide(Layer.succeed(EventLog.Identity, identity))
  )

/** Connects a client to the server. A program of its own would do so over HTTP or a socket. */
const Connected = Layer.effect(EventLogRemote.EventLogRemote, EventLogRemote.makeUnencrypted).pipe(
  Layer.provide(Layer.effect(EventLogRemote.EventLogRemoteClient, RpcTest.makeClient(EventLogRemoteRpcs)))
)

const add = (title: string) =>
  Effect.flatMap(EventLog.makeClient(schema), (write) => write({ event: "TodoAdded", payload: { title } }))

const titles = Effect.gen(function*() {
  const { entries } = yield* EventJournal.EventJournal
  const todos = yield* Effect.forEach(yield* entries, ({ payload }) => decode(payload))
  return todos.map(({ title }) => title).toSorted()
})

const show = (client: string) => Effect.flatMap(titles, (all) => Console.log(`${client} has ${all.join(", ")}`))

/** Waits until a client has so many. */
const has = (count: number) =>
  Effect.repeat(Effect.andThen(Effect.sleep("10 millis"), titles), { until: ({ length }) => length >= count })

/** What the server has, with sequences. */
const stored = Effect.gen(function*() {
  const storage = yield* EventLogServer.Storage
  const oldest = new EventJournal.Entry({
    id: EventJournal.makeEntryIdUnsafe({ msecs: 0 }),
    event: "",
    primaryKey: "",
    payload: new Uint8Array(0)
  })
  return yield* storage.entriesAfter(StoreId.make("default"), oldest)
})

const program = Effect.gen(function*() {
  const identity = yield* makeIdentity
  const laptop = clientOf("laptop", identity)
  const phone = clientOf("phone", identity)

  yield* Effect.provide(add("buy milk"), laptop)
  yield* Effect.provide(Effect.andThen(add("call Ada"), show("the laptop, started again,")), laptop)
  yield* Effect.provide(Effect.andThen(add("water the plants"), show("the phone")), phone)

  const synchronize = (count: number) =>
    Effect.all([
      Effect.provide(Effect.andThen(has(count), show("the laptop")), Layer.provideMerge(Connected, laptop)),
      Effect.provide(Effect.andThen(has(count), show("the phone")), Layer.provideMerge(Connected, phone))
    ], { concurrency: 2 })
  yield* Effect.provide(synchronize(3), Layer.fresh(ServerLive))

  yield* Console.log("everything is started again")
  yield* Effect.provide(add("post the letter"), phone)
  const entries = yield* Effect.provide(Effect.andThen(synchronize(4), stored), Layer.fresh(ServerLive))
  yield* Console.log(
    `the server has ${entries.length} entries, with sequences ${
      entries.map(({ remoteSequence }) => remoteSequence).join(", ")
    }`
  )
  if (entries.length !== 4) return yield* Effect.die(new Error("an entry was lost, or is there twice"))
})

NodeRuntime.runMain(
  program.pipe(
    Effect.provideService(References.MinimumLogLevel, "Error"),
    Effect.ensuring(Effect.sync(() => rmSync(root, { recursive: true })))
  )
)
