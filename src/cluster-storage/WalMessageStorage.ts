/**
 * `MessageStorage` of Effect's cluster in a log: entities and workflows that survive a crash, without a database.
 *
 * Every request, reply, acknowledgement and interrupt that is saved is an event of the log. Its state is in memory,
 * folded from them and kept in snapshots.
 *
 * What is guaranteed (the promises have the numbers of docs/RELIABILITY.md):
 *
 * 1. A call that saves something succeeds when that is durable. No message that was accepted is lost (promise 64).
 * 2. A message is handed out only when it is durable, and no more once its answer is (promise 65). Between the two it
 *    may be processed again after a crash, as with every storage of a cluster.
 * 3. A request with a known primary key is a duplicate, before and after a restart, as long as its answer is kept: for
 *    ever, unless `keepAnswered` tells otherwise.
 * 4. What is saved within a transaction is recorded all or none.
 *
 * Claims are in memory: after a restart every message that has no answer is handed out again. One process holds the
 * directory of a log, so this storage is for one runner.
 *
 * **Example** (What a storage keeps)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalMessageStorage } from "effect-wal/cluster-storage"
 *
 * class Mailbox extends Wal.Service<Mailbox>()("app/Mailbox") {}
 *
 * const envelope = {
 *   _tag: "Request",
 *   requestId: "1",
 *   address: { shardId: { group: "default", id: 1 }, entityType: "Counter", entityId: "visits" },
 *   tag: "Increment",
 *   payload: { by: 1 },
 *   headers: {}
 * } as const
 *
 * const program = Effect.gen(function*() {
 *   const storage = yield* WalMessageStorage.makeEncoded({ log: Mailbox })
 *   const save = storage.saveEnvelope({ envelope, primaryKey: "Counter/visits/Increment/today", deliverAt: null })
 *   yield* Console.log((yield* save)._tag) // => Success
 *   yield* Console.log((yield* save)._tag) // => Duplicate
 *   const messages = yield* storage.unprocessedMessages(["default:1"], Date.now())
 *   yield* Console.log(messages.length) // => 1
 * })
 *
 * await Effect.runPromise(
 *   Effect.scoped(program).pipe(
 *     Effect.provide(Mailbox.layer({ directory: "./mailbox" })),
 *     Effect.provide(NodeDisk.layer)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 */
import { PersistenceError } from "effect/cluster/ClusterError"
import type { EntityAddress } from "effect/cluster/EntityAddress"
import type * as Envelope from "effect/cluster/Envelope"
import * as MessageStorage from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { duration, resolveUnsafe } from "../internal/options.ts"
import type { Log } from "../recorder/Log.ts"
import * as StateMachine from "../state/StateMachine.ts"
import type { StateMachineError } from "../state/StateMachineError.ts"
import { envelopeOf, parse, requestOf } from "./Change.ts"
import type { AckLine, InterruptLine, Line, RequestLine } from "./Change.ts"
import { clearAddress, clearReplies, decodeReply, saveEnvelope, saveReply } from "./decisions.ts"
import { Deliveries } from "./Deliveries.ts"
import { ackSlot, addressOf, isUnprocessed, Messages, MessagesSchema, StoredRequest } from "./Messages.ts"
import type { Message } from "./Messages.ts"
import { Transaction } from "./Transaction.ts"
import type { Decide } from "./Transaction.ts"

/**
 * How a message storage keeps its messages; only `log` is required.
 *
 * - `log`: the class of a log of bytes, with a directory of its own. What else appends to it ends the storage.
 * - `keepAnswered`: how long the answer to a request with a primary key is kept. Until then the same request is a
 *   duplicate, and afterwards it is a new one. Only the time in which a process runs counts. What an open request of
 *   the same entity may ask for again stays longer. Default: infinity
 * - `snapshotEvery`: as of `StateMachine.make`
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out Self> {
  readonly log: Context.Key<Self, Log<Uint8Array>>
  readonly keepAnswered?: Duration.Input
  readonly snapshotEvery?: NonNullable<
    StateMachine.Options<Uint8Array, never, never, typeof MessagesSchema>["snapshotEvery"]
  >
}

const Fields = Schema.Struct({
  log: Schema.declare((value): value is Context.Key<unknown, Log<Uint8Array>> => Context.isKey(value)),
  keepAnswered: Schema.optional(duration(1, Number.POSITIVE_INFINITY)),
  // The state machine looks at it.
  snapshotEvery: Schema.optional(Schema.Unknown)
})

/** While answers grow old, that is recorded so often, or sixteen times within their age if that is more often. */
const ageEvery = Duration.minutes(10)

let storages = 0

/**
 * Makes the encoded half of a storage, for adapters of your own. It ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeEncoded = Effect.fnUntraced(function*<Self>(
  options: Options<Self>
): Effect.fn.Return<MessageStorage.Encoded, StateMachineError, Scope.Scope | Self> {
  const { keepAnswered } = resolveUnsafe(Fields, options)
  const scope = yield* Effect.scope
  /** What the update that decided last has recorded; none while the log is folded. */
  let recorded: Array<Line> | undefined
  /** How many lines about a request are not durable yet; under `undefined` those about any. */
  const underWay = new Map<string | undefined, number>()
  const machine = yield* StateMachine.make({
    log: yield* options.log,
    state: MessagesSchema,
    initial: () => new Messages(),
    apply: (messages, bytes: Uint8Array) => {
      const text = textOf(bytes)
      const line = parse(text)
      messages.apply(text, line)
      if (recorded !== undefined) {
        recorded.push(line)
        const id = requestOf(line)
        underWay.set(id, (underWay.get(id) ?? 0) + 1)
      }
      return messages
    },
    name: "messages",
    ...options.snapshotEvery === undefined ? {} : { snapshotEvery: options.snapshotEvery }
  })
  // It is changed in place, so it stays the same.
  const messages = yield* machine.get
  const deliveries = new Deliveries()
  for (const request of messages.requests) {
    if (request === undefined || request.exit !== undefined) continue
    deliveries.add(request)
    if (request.ack !== undefined) deliveries.add(request.ack)
    request.interrupts.forEach((signal) => deliveries.add(signal))
  }
  /** Whether the machine may have ended, because something failed or the scope has closed. */
  let isDoubtful = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isDoubtful = true
    })
  )

  const CurrentTransaction = Context.Reference<Transaction | undefined>(
    `effect-wal/cluster-storage/Transaction/${storages++}`,
    { defaultValue: () => undefined }
  )

  /** What is durable can be handed out, or needs it no more. */
  const settle = (lines: ReadonlyArray<Line>): void => {
    for (const line of lines) {
      const id = requestOf(line)
      const left = underWay.get(id)! - 1
      if (left === 0) underWay.delete(id)
      else underWay.set(id, left)
      switch (line[0]) {
        case "request":
        case "clearReplies": {
          deliveries.remove(line[1])
          const request = messages.request(line[1])
          if (request !== undefined) deliveries.add(request)
          break
        }
        case "ack": {
          const ack = messages.request(line[6])?.ack
          if (ack !== undefined) deliveries.add(ack)
          break
        }
        case "interrupt": {
          const signal = messages.request(line[6])?.interrupts.find(({ slot }) => slot === line[1])
          if (signal !== undefined) deliveries.add(signal)
          break
        }
        case "exit": {
          deliveries.remove(line[2])
          deliveries.remove(ackSlot(line[2]))
          break
        }
      }
    }
  }

  const failed = (cause: unknown): PersistenceError => {
    isDoubtful = true
    return new PersistenceError({ cause })
  }

  const commit = <A>(decide: Decide<A>): Effect.Effect<A, PersistenceError> =>
    Effect.suspend(() => {
      let lines: ReadonlyArray<Line> = []
      return machine.update((messages) => {
        lines = recorded = []
        const decided = decide(messages)
        return Effect.isEffect(decided) ? decided : [decided[0], decided[1].map(bytesOf)]
      }).pipe(
        Effect.catchTag("StateMachineError", (error) => Effect.fail(failed(error))),
        Effect.tap(() => Effect.sync(() => settle(lines))),
        // It is recorded, and becomes durable without the one who waited for it.
        Effect.onInterrupt(() =>
          Effect.suspend(() =>
            lines.length === 0 ? Effect.void : machine.read(() => undefined).pipe(
              Effect.tap(() => Effect.sync(() => settle(lines))),
              Effect.ignore,
              Effect.forkIn(scope)
            )
          )
        )
      )
    })

  const save = <A>(decide: Decide<A>): Effect.Effect<A, PersistenceError> =>
    Effect.flatMap(
      CurrentTransaction,
      (transaction) => transaction?.isOpen === true ? transaction.stage(decide) : commit(decide)
    )

  /** Reads what is known of requests. What is durable need not wait for the commit that is under way. */
  const read = <A>(
    ids: ReadonlyArray<string | undefined>,
    f: (messages: Messages) => A
  ): Effect.Effect<A, PersistenceError> =>
    Effect.flatMap(CurrentTransaction, (transaction) => {
      if (transaction?.isOpen === true) return Effect.mapError(machine.read(() => f(transaction.view)), failed)
      if (!isDoubtful && !underWay.has(undefined) && !ids.some((id) => underWay.has(id))) {
        return Effect.succeed(f(messages))
      }
      return Effect.mapError(machine.read(f), failed)
    })

  const withTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(CurrentTransaction, (around) =>
      Effect.suspend(() => {
        const outer = around?.isOpen === true ? around : undefined
        const transaction = new Transaction(outer?.view ?? messages)
        return Effect.provideService(effect, CurrentTransaction, transaction).pipe(
          Effect.onExit((exit) =>
            Effect.suspend(() => {
              transaction.isOpen = false
              if (Exit.isFailure(exit)) return Effect.void
              const { decideAll } = transaction
              return Effect.orDie(outer?.isOpen === true ? outer.stage(decideAll) : commit(decideAll))
            })
          )
        )
      }))

  /** A machine that has ended hands out nothing more. */
  const alive = Effect.suspend(() =>
    isDoubtful
      ? Effect.map(Effect.mapError(machine.read(() => undefined), failed), () => {
        isDoubtful = false
      })
      : Effect.void
  )

  const unprocessedMessages: MessageStorage.Encoded["unprocessedMessages"] = (shardIds, now, options) =>
    Effect.map(alive, () =>
      deliveries.take({
        now,
        shardIds: new Set(shardIds),
        limit: options?.limit ?? Number.POSITIVE_INFINITY,
        addresses: options?.addresses === undefined ? undefined : new Set(options.addresses.map(addressKey))
      }).map(handedOut))

  if (keepAnswered !== undefined && Duration.isFinite(keepAnswered)) {
    const keepMillis = Duration.toMillis(keepAnswered)
    const every = Duration.min(ageEvery, Duration.millis(Math.ceil(keepMillis / 16)))
    const age = commit(() => [undefined, [["age", Duration.toMillis(every), keepMillis]]])
    yield* Effect.sleep(every).pipe(Effect.andThen(age), Effect.forever, Effect.ignore, Effect.forkScoped)
  }

  return {
    saveEnvelope: (options) => save(saveEnvelope(options)),
    saveReply: (reply) => save(saveReply(reply)),
    clearReplies: (requestId, options) => {
      const expected = options?.expectedReplyId
      return save(clearReplies(String(requestId), expected === undefined ? undefined : String(expected)))
    },
    requestIdForPrimaryKey: (primaryKey) =>
      Effect.suspend(() =>
        read(
          [messages.idOfKey(primaryKey)],
          (messages) => Option.map(Option.fromUndefinedOr(messages.idOfKey(primaryKey)), Snowflake.Snowflake)
        )
      ),
    repliesFor: (requestIds) =>
      read(requestIds, (messages) =>
        requestIds.flatMap((id) => {
          const request = messages.request(id)
          if (request === undefined) return []
          const { chunks, exit } = request
          return [...chunks, ...exit === undefined ? [] : [exit]].map(decodeReply)
        })),
    repliesForUnfiltered: (requestIds) =>
      read(requestIds.map(String), (messages) =>
        requestIds.flatMap((id) => {
          const request = messages.request(String(id))
          if (request === undefined) return []
          const { ackedChunk, chunks, exit } = request
          return [...ackedChunk === undefined ? [] : [ackedChunk], ...chunks, ...exit === undefined ? [] : [exit]]
            .map(decodeReply)
        })),
    unprocessedMessages,
    unprocessedMessagesById: (ids, now) =>
      read(ids.map(String), (messages) =>
        ids.flatMap((id) => {
          const request = messages.request(String(id))
          if (request === undefined || !isUnprocessed(request) || request.chunks.length > 0) return []
          return request.deliverAt !== null && request.deliverAt > now ? [] : [handedOut(request)]
        })),
    resetRequests: (ids) => Effect.sync(() => ids.forEach((id) => deliveries.release(String(id)))),
    resetAddresses: (addresses) =>
      Effect.sync(() => {
        const keys = new Set(addresses.map(addressKey))
        deliveries.releaseAll(({ request }) => keys.has(request.address))
      }),
    clearAddress: ({ entityId, entityType }) => save(clearAddress(entityType, entityId)),
    resetShards: (shardIds) =>
      Effect.sync(() => {
        const ids = new Set(shardIds)
        deliveries.releaseAll(({ request }) => ids.has(request.shardId))
      }),
    withTransaction
  }
})

/**
 * Makes a storage. It ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <Self>(
  options: Options<Self>
): Effect.Effect<
  MessageStorage.MessageStorage["Service"],
  StateMachineError,
  Snowflake.Generator | Scope.Scope | Self
> => Effect.flatMap(makeEncoded(options), MessageStorage.makeEncoded)

/**
 * Provides the storage of a cluster with one runner; see `WalSingleRunner.layer` for the whole runner.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  options: Options<Self>
): Layer.Layer<MessageStorage.MessageStorage, StateMachineError, Self> =>
  Layer.effect(MessageStorage.MessageStorage, make(options)).pipe(Layer.provide(Snowflake.layerGenerator))

const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")

const bytesOf = (line: Line): Uint8Array => Buffer.from(JSON.stringify(line))

const addressKey = ({ entityId, entityType, shardId }: EntityAddress): string =>
  addressOf(shardId.group, shardId.id, entityType, entityId)

/** A message as a reader gets it. */
const handedOut = (message: Message): {
  readonly envelope: Envelope.Encoded
  readonly lastSentReply: Option.Option<Reply.Encoded>
} => ({
  envelope: envelopeOf(parse(message.text) as RequestLine | AckLine | InterruptLine),
  lastSentReply: message instanceof StoredRequest
    ? Option.map(Option.fromUndefinedOr(message.lastReply), decodeReply)
    : Option.none()
})
