/**
 * The storage of Effect's event-log server without encryption over a log: what clients have written, and the server's
 * id, survive the process without a database. It takes the place of `SqlEventLogServerUnencrypted`.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. An entry that was accepted is on disk, and no crash takes it back or gives its sequence to another. The sequences
 *    of a store begin with 1 and have no gap (promise 73).
 * 2. Nothing is handed out before it is on disk: no acknowledgement, and no change. Changes come in the order of their
 *    sequences, each once.
 * 3. What is written within `withTransaction` is stored when that succeeds, all of it or nothing, however much it is.
 *    Transactions come one after the other; the next one begins while the one before becomes durable.
 * 4. Entries of a store with one id are one, and have one sequence.
 *
 * All entries are in memory.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { RemoteEntry } from "effect/eventlog/EventJournal"
import { compactBacklog, Storage } from "effect/eventlog/EventLogServerUnencrypted"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Log } from "../recorder/Log.ts"
import type * as StateMachine from "../state/StateMachine.ts"
import type { Options } from "./Committing.ts"
import { EntriesState, firstSequence, kind } from "./EntriesState.ts"
import type { EntriesEvent } from "./EntriesState.ts"
import { Feeds } from "./Feeds.ts"
import { requireArray, requireEntry, requireSequence, requireText } from "./required.ts"
import * as Server from "./Server.ts"
import { StorageTransaction } from "./StorageTransaction.ts"

type Service = Storage["Service"]

export type { Options } from "./Committing.ts"

/**
 * The storage of a server over this log of bytes, which has nothing else in it.
 *
 * The methods of such a storage have no errors. So a log that cannot take an entry is a defect with a
 * `StateMachineError`, and the server tells its client that nothing was persisted.
 *
 * **Example** (A storage that survives)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { EventJournal, EventLogServerUnencrypted } from "effect/eventlog"
 * import { StoreId } from "effect/eventlog/EventLogMessage"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalEventLogServerUnencrypted } from "effect-wal/eventlog"
 *
 * class ServerLog extends Wal.Service<ServerLog>()("app/ServerLog") {}
 *
 * const StorageLive = WalEventLogServerUnencrypted.layerStorage(ServerLog).pipe(
 *   Layer.provide(ServerLog.layerWorker({ directory: "./server" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const storage = yield* EventLogServerUnencrypted.Storage
 *   const entry = new EventJournal.Entry({
 *     id: EventJournal.makeEntryIdUnsafe(),
 *     event: "UserCreated",
 *     primaryKey: "ada",
 *     payload: new TextEncoder().encode("Ada")
 *   })
 *   const [stored] = yield* storage.write(StoreId.make("users"), [entry]) // on disk from here on
 *   yield* Console.log(stored?.remoteSequence) // => 1
 * })
 *
 * await Effect.runPromise(Effect.provide(program, StorageLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStorage = <Self>(
  log: Context.Key<Self, Log<Uint8Array>>,
  options: Options = {}
): Layer.Layer<Storage, StateMachine.StateMachineError, Self> =>
  Layer.effect(Storage, Effect.flatMap(log, (log) => make(log, options)))

let storages = 0

const make = Effect.fnUntraced(function*(log: Log<Uint8Array>, options: Options) {
  const { committing, members } = yield* Server.make<EntriesState, EntriesEvent>(log, {
    ...options,
    kind,
    initial: () => new EntriesState(),
    ofServer: (event) => event
  })
  const feeds = new Feeds<RemoteEntry>()
  yield* Effect.addFinalizer(() => feeds.shutdown)
  const oneTransaction = Semaphore.makeUnsafe(1)

  const CurrentTransaction = Context.Reference<StorageTransaction | undefined>(
    `effect-wal/eventlog/StorageTransaction/${storages++}`,
    { defaultValue: () => undefined }
  )
  const openTransaction = Effect.map(
    CurrentTransaction,
    (transaction) => transaction?.isOpen === true ? transaction : undefined
  )

  /** A transaction within another one: what it wrote is undone when it fails. */
  const within = <A, E, R>(transaction: StorageTransaction, effect: Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const undo = transaction.savepoint()
      return Effect.onExit(effect, (exit) => Exit.isFailure(exit) ? Effect.sync(undo) : Effect.void)
    })

  const begin = (transaction: StorageTransaction) =>
    committing.begin(() => {
      const byStore = transaction.writtenByStore()
      return {
        answer: undefined,
        events: transaction.events(),
        publish: () => byStore.forEach((entries, store) => feeds.publish(store, entries))
      }
    })

  const withTransaction: Service["withTransaction"] = (effect) =>
    Effect.flatMap(openTransaction, (around) => {
      if (around !== undefined) return within(around, effect)
      const running = Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* restore(committing.idle)
          const transaction = new StorageTransaction(committing.state)
          const answer = yield* Effect.ensuring(
            restore(Effect.provideService(effect, CurrentTransaction, transaction)),
            Effect.sync(() => {
              transaction.isOpen = false
            })
          )
          return { answer, durable: yield* begin(transaction) }
        })
      )
      // The next one begins when this one is in the state, and does not wait for the disk.
      return Effect.flatMap(
        oneTransaction.withPermit(running),
        ({ answer, durable }) => Effect.as(Effect.orDie(durable), answer)
      )
    })

  const write: Service["write"] = (storeId, entries) =>
    Effect.suspend(() => {
      requireText("storeId", storeId)
      requireArray("entries", entries)
      for (const entry of entries) requireEntry("entry", entry)
      return withTransaction(
        Effect.map(CurrentTransaction, (transaction) => transaction!.write(storeId, entries))
      )
    })

  const entriesAfter: Service["entriesAfter"] = (storeId, entry, batch) =>
    Effect.suspend(() => {
      requireText("storeId", storeId)
      requireEntry("entry", entry)
      if (batch !== undefined) requireArray("batch", batch)
      return Effect.flatMap(openTransaction, (transaction) =>
        transaction === undefined
          ? Effect.orDie(committing.read((state) => state.store(storeId).after(entry, batch)))
          // What it gives is durable before the transaction has succeeded.
          : Effect.sync(() => transaction.after(storeId, entry, batch)))
    })

  const changes: Service["changes"] = ({ compactors, startSequence, storeId }) =>
    Stream.unwrap(Effect.gen(function*() {
      requireText("options.storeId", storeId)
      requireSequence("options.startSequence", startSequence)
      const live = yield* feeds.subscribe(storeId)
      const remoteEntries = yield* Effect.orDie(committing.read((state) => state.store(storeId).from(startSequence)))
      const backlog = yield* compactBacklog({ remoteEntries, compactors })
      const last = remoteEntries.at(-1)?.remoteSequence ?? startSequence - 1
      return Stream.concat(
        Stream.fromArray(backlog),
        Stream.filter(Stream.fromSubscription(live), ({ remoteSequence }) => remoteSequence > last)
      )
    }))

  return Storage.of({ ...members, firstSequence, entriesAfter, write, changes, withTransaction })
})
