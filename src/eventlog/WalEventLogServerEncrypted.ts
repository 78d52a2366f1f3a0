/**
 * The storage of Effect's event-log server with encryption over a log: the batches that clients have written, which the
 * server cannot read, and its id survive the process without a database. It takes the place of
 * `SqlEventLogServerEncrypted`, but for `compaction`, which it does not have.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. A batch that was accepted is on disk, and no crash takes it back or gives one of its sequences to another entry.
 *    The sequences of a client's store begin with 1 and have no gap (promise 73).
 * 2. Nothing is handed out before it is on disk: no acknowledgement, and no change. Changes come in the order of their
 *    sequences, each once.
 * 3. The batches of one `write` are stored all or none, however many they are.
 * 4. A batch whose entries are all stored is not stored again.
 *
 * All batches are in memory.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { EncryptedBatch, EncryptedRemoteBatch } from "effect/eventlog/EventLogEncryption"
import { Storage } from "effect/eventlog/EventLogServerEncrypted"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { requireBytes } from "../internal/arguments.ts"
import type { Log } from "../recorder/Log.ts"
import type * as StateMachine from "../state/StateMachine.ts"
import { BatchesState, firstSequence, kind, scopeOf } from "./BatchesState.ts"
import type { BatchesEvent, BatchEvent, StoreBatches } from "./BatchesState.ts"
import type { Options } from "./Committing.ts"
import { Feeds } from "./Feeds.ts"
import { hexOf } from "./Lines.ts"
import { requireArray, requireId, requireSequence, requireText } from "./required.ts"
import * as Server from "./Server.ts"

type Service = Storage["Service"]

export type { Options } from "./Committing.ts"

/**
 * The storage of a server over this log of bytes, which has nothing else in it.
 *
 * A batch lies in one block of the log, and Effect's clients put up to 256 KiB of payload into one, or a larger entry.
 * So leave `blockBytesMax` at its default of 1 MiB.
 *
 * The methods of such a storage have no errors. So a log that cannot take a batch is a defect with a
 * `StateMachineError`, and the server tells its client that nothing was persisted.
 *
 * **Example** (A server that cannot read what it stores)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { EventLogServerEncrypted } from "effect/eventlog"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalEventLogServerEncrypted } from "effect-wal/eventlog"
 *
 * class ServerLog extends Wal.Service<ServerLog>()("app/ServerLog") {}
 *
 * const StorageLive = WalEventLogServerEncrypted.layerStorage(ServerLog).pipe(
 *   Layer.provide(ServerLog.layerWorker({ directory: "./server" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * // With an `RpcServer.Protocol` this is the whole server: EventLogServerEncrypted.layer.
 * const HandlersLive = Layer.provideMerge(EventLogServerEncrypted.layerRpcHandlers, StorageLive)
 *
 * const program = Effect.gen(function*() {
 *   const storage = yield* EventLogServerEncrypted.Storage
 *   yield* Console.log((yield* storage.getId).length) // => 16
 * })
 *
 * await Effect.runPromise(Effect.provide(program, HandlersLive))
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

const requireScope = (publicKey: string, storeId: string): void => {
  requireText("publicKey", publicKey)
  requireText("storeId", storeId)
}

const requireBatch = ({ encryptedBatch, entryIds, iv }: EncryptedBatch): void => {
  requireArray("batch.entryIds", entryIds, 1)
  for (const id of entryIds) requireId("batch.entryIds", id)
  requireBytes("batch.iv", iv)
  requireBytes("batch.encryptedBatch", encryptedBatch)
}

const ofCopy = <A extends Uint8Array>(bytes: A): A => Uint8Array.from(bytes) as A

/** The same batch in memory that nobody else has. */
const copyOf = ({ encryptedBatch, entryIds: [first, ...rest], iv }: EncryptedBatch): EncryptedBatch => ({
  entryIds: [ofCopy(first), ...rest.map(ofCopy)],
  iv: ofCopy(iv),
  encryptedBatch: ofCopy(encryptedBatch)
})

/** Those of which an entry is not there yet, with their sequences. */
const freshOf = (stored: StoreBatches, batches: ReadonlyArray<EncryptedBatch>): ReadonlyArray<EncryptedRemoteBatch> => {
  const known = new Set<string>()
  let { next } = stored
  return batches.flatMap((batch) => {
    if (batch.entryIds.every((id) => stored.has(id) || known.has(hexOf(id)))) return []
    batch.entryIds.forEach((id) => known.add(hexOf(id)))
    const fresh = { sequence: next, ...batch }
    next += batch.entryIds.length
    return [fresh]
  })
}

const make = Effect.fnUntraced(function*(log: Log<Uint8Array>, options: Options) {
  const { committing, members } = yield* Server.make<BatchesState, BatchesEvent>(log, {
    ...options,
    kind,
    initial: () => new BatchesState(),
    ofServer: (event) => event
  })
  const feeds = new Feeds<EncryptedRemoteBatch>()
  yield* Effect.addFinalizer(() => feeds.shutdown)

  const write: Service["write"] = (publicKey, storeId, given) =>
    Effect.uninterruptibleMask((restore) => {
      requireScope(publicKey, storeId)
      requireArray("batches", given)
      for (const batch of given) requireBatch(batch)
      const batches = given.map(copyOf)
      const begun = committing.begin((state) => {
        const answer = freshOf(state.store(publicKey, storeId), batches)
        return {
          answer,
          events: answer.map(({ encryptedBatch, entryIds, iv }): BatchEvent => ({
            type: "batch",
            publicKey,
            store: storeId,
            batch: { encryptedBatch, entryIds, iv }
          })),
          publish: () => feeds.publish(scopeOf(publicKey, storeId), answer)
        }
      })
      return Effect.flatMap(begun, (durable) => restore(Effect.orDie(durable)))
    })

  const entrySequences: Service["entrySequences"] = (publicKey, storeId, entryIds) =>
    Effect.suspend(() => {
      requireScope(publicKey, storeId)
      requireArray("entryIds", entryIds)
      for (const id of entryIds) requireId("entryIds", id)
      return Effect.orDie(committing.read((state) => state.store(publicKey, storeId).sequencesOf(entryIds)))
    })

  const changes: Service["changes"] = (publicKey, storeId, startSequence) =>
    Stream.unwrap(Effect.gen(function*() {
      requireScope(publicKey, storeId)
      requireSequence("startSequence", startSequence)
      const live = yield* feeds.subscribe(scopeOf(publicKey, storeId))
      const { backlog, next } = yield* Effect.orDie(committing.read((state) => {
        const stored = state.store(publicKey, storeId)
        return { backlog: stored.from(startSequence), next: stored.next }
      }))
      return Stream.concat(
        Stream.fromArray(backlog),
        Stream.filter(Stream.fromSubscription(live), ({ sequence }) => sequence >= next)
      )
    }))

  return Storage.of({ ...members, firstSequence, write, entrySequences, changes })
})
