/** Effect's `EventLog` over our journals, through Effect's servers over our storages: clients that come and go. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EventGroup from "effect/eventlog/EventGroup"
import * as EventJournal from "effect/eventlog/EventJournal"
import * as EventLog from "effect/eventlog/EventLog"
import * as EventLogEncryption from "effect/eventlog/EventLogEncryption"
import { EventLogRemoteRpcs, StoreId } from "effect/eventlog/EventLogMessage"
import * as EventLogRemote from "effect/eventlog/EventLogRemote"
import * as EventLogServerEncrypted from "effect/eventlog/EventLogServerEncrypted"
import * as EventLogServerUnencrypted from "effect/eventlog/EventLogServerUnencrypted"
import * as Layer from "effect/Layer"
import * as RpcTest from "effect/rpc/RpcTest"
import * as Schema from "effect/Schema"
import * as WalEventJournal from "../../src/eventlog/WalEventJournal.ts"
import * as WalEventLogServerEncrypted from "../../src/eventlog/WalEventLogServerEncrypted.ts"
import * as WalEventLogServerUnencrypted from "../../src/eventlog/WalEventLogServerUnencrypted.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { EventsLog, logOptions } from "./subjects.ts"

class ServerLog extends Wal.Service<ServerLog>()("test/ServerLog") {}

const Users = EventGroup.empty.add({
  tag: "Renamed",
  primaryKey: ({ id }) => id,
  payload: Schema.Struct({ id: Schema.String, name: Schema.String })
})
const schema = EventLog.schema(Users)

type Seen = Array<string>

/** Notes every entry that a handler is called with, and the conflicts it is told of. */
const handlers = (seen: Seen) =>
  EventLog.group(Users, (handlers) =>
    handlers.handle("Renamed", ({ conflicts, payload }) =>
      Effect.sync(() => {
        seen.push([payload.name, ...conflicts.map(({ payload }) => payload.name)].join(" < "))
      })))

const journalOf = (name: string) =>
  WalEventJournal.layer(EventsLog).pipe(
    Layer.provide(Layer.fresh(EventsLog.layer({ ...logOptions, directory: `/${name}` }))),
    Layer.orDie
  )

// An encrypted batch has up to 256 KiB of payload, and lies in one block.
const serverOptions = { directory: "/server", segmentBytesMax: "1MiB", slots: 3 } as const
const serverLog = Layer.fresh(ServerLog.layer(serverOptions))

const ways = [
  [
    "without encryption",
    EventLogRemote.makeUnencrypted,
    EventLogServerUnencrypted.layerNoRpcServer(schema, handlers([])).pipe(
      Layer.provide(WalEventLogServerUnencrypted.layerStorage(ServerLog)),
      Layer.provide(EventLogServerUnencrypted.layerStoreMappingStatic({ storeId: StoreId.make("default") })),
      Layer.provide(Layer.succeed(EventLogServerUnencrypted.EventLogServerAuthorization, {
        authorizeIdentity: () => Effect.void,
        authorizeRead: () => Effect.void,
        authorizeWrite: () => Effect.void
      }))
    )
  ],
  [
    "with encryption",
    Effect.provide(EventLogRemote.makeEncrypted, EventLogEncryption.layerSubtle),
    EventLogServerEncrypted.layerRpcHandlers.pipe(
      Layer.provide(WalEventLogServerEncrypted.layerStorage(ServerLog))
    )
  ]
] as const

const makeIdentity = Effect.provide(EventLog.makeIdentity, EventLogEncryption.layerSubtle)

const rename = (id: string, name: string) =>
  Effect.flatMap(EventLog.makeClient(schema), (write) => write({ event: "Renamed", payload: { id, name } }))

const count = Effect.flatMap(
  Effect.flatMap(EventJournal.EventJournal, ({ entries }) => entries),
  (entries) => Effect.succeed(entries.length)
)

/** Waits until the journal has so many. */
const has = (entries: number) =>
  Effect.repeat(Effect.andThen(Effect.sleep(1), count), { until: (found) => found >= entries })

describe.each(ways)("clients of a server %s over a log", (_, makeRemote, server) => {
  it.live(
    "have everything that each of them wrote, however often all are started again, and a server has it once",
    () =>
      quiet(
        Effect.gen(function*() {
          const identity = yield* makeIdentity
          const seen: Seen = []
          const life = <A, E>(
            name: string,
            effect: Effect.Effect<A, E, EventLog.EventLog | EventJournal.EventJournal>,
            isOnline: boolean
          ) => {
            const client = EventLog.layer(schema, handlers(seen)).pipe(
              Layer.provideMerge(journalOf(name)),
              Layer.provide(Layer.succeed(EventLog.Identity, identity))
            )
            const connected = Layer.effect(EventLogRemote.EventLogRemote, makeRemote).pipe(
              Layer.provide(Layer.effect(EventLogRemote.EventLogRemoteClient, RpcTest.makeClient(EventLogRemoteRpcs))),
              Layer.provide(Layer.fresh(Layer.provide(server, serverLog))),
              Layer.orDie
            )
            return Effect.provide(
              effect,
              isOnline ? Layer.provideMerge(Layer.provide(connected, client), client) : client
            )
          }
          for (let round = 1; round <= 2; round++) {
            const names = Array.from({ length: 40 }, (_, index) => `${round}.${index} `.padEnd(600, "x"))
            yield* life("one", Effect.forEach(names, (name) => rename("ada", name)), false)
            yield* life("two", rename("bob", `${round}`), false)
            const before = 41 * (round - 1)
            yield* life("one", has(before + 40), true)
            yield* life("two", has(before + 41), true)
            yield* life("one", has(before + 41), true)
          }
          assert.strictEqual(yield* life("one", count, false), 82)
          assert.strictEqual(yield* life("two", count, false), 82)
          // Written here or come from there: each of the two clients has handled every entry once.
          assert.strictEqual(seen.length, 164)
        }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 })))
      ),
    60_000
  )
})
