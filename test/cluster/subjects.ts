/** The storages that keep to one suite: Effect's own in memory and in SQLite, and ours. */
import type * as Envelope from "effect/cluster/Envelope"
import * as MessageStorage from "effect/cluster/MessageStorage"
import type * as Reply from "effect/cluster/Reply"
import * as Snowflake from "effect/cluster/Snowflake"
import * as SqlMessageStorage from "effect/cluster/SqlMessageStorage"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as WalMessageStorage from "../../src/cluster-storage/WalMessageStorage.ts"
import type { Disk } from "../../src/disk/Disk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SqliteClient from "../fixtures/sqliteClient.ts"

type Encoded = MessageStorage.Encoded

/** A storage, and what it does not do although the interface tells it to. */
export interface Subject {
  readonly name: string
  readonly open: Effect.Effect<Encoded, never, Scope.Scope>
  /** Claims are in the memory of the process. */
  readonly losesClaims?: boolean
  readonly lacks: ReadonlySet<Lack>
}

export type Lack =
  /** It takes the times of claims from the wall clock, so a test cannot make them old. */
  | "claims that follow the reader's time"
  /** It hands out what waits for an acknowledgement. */
  | "streams that wait"
  /** It does not refuse a second answer. */
  | "one answer"
  /** The same request again is an error, or the same reply. */
  | "retries"
  /** What was saved in a transaction that failed is there. */
  | "transactions"
  /** Handed-out signals are gone. */
  | "claimed signals"
  /** It keeps what a stream sent before it was cleared. */
  | "cleared chunks"

export class Mailbox extends Wal.Service<Mailbox>()("test/Mailbox") {}

const options = { directory: "/mailbox", segmentBytesMax: "64KiB", blockBytesMax: "16KiB" } as const

/** Opens our storage; the log closes with the scope. */
export const openOurs: Effect.Effect<Encoded, never, Scope.Scope | Disk> = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.fresh(Mailbox.layer(options)))
  return yield* Effect.provideContext(WalMessageStorage.makeEncoded({ log: Mailbox }), context)
}).pipe(Effect.orDie)

/** A storage that is closed and opened again before every call. */
const reopened = Effect.gen(function*() {
  const outer = yield* Effect.scope
  let scope = yield* Scope.fork(outer)
  let opened = yield* Scope.provide(openOurs, scope)
  const disk = yield* Effect.context<Disk>()
  const renewed = Effect.gen(function*() {
    yield* Scope.close(scope, Exit.void)
    scope = yield* Scope.fork(outer)
    opened = yield* Scope.provide(openOurs, scope)
    return opened
  }).pipe(Effect.provideContext(disk))
  let isInTransaction = false
  const calls = Object.keys(opened).map((name) => [
    name,
    (...args: ReadonlyArray<never>) =>
      Effect.flatMap(isInTransaction ? Effect.sync(() => opened) : renewed, (storage) => {
        const call = storage[name as keyof Encoded] as unknown as (
          ...args: ReadonlyArray<never>
        ) => Effect.Effect<never>
        if (name !== "withTransaction" || isInTransaction) return call(...args)
        isInTransaction = true
        return Effect.ensuring(call(...args), Effect.sync(() => isInTransaction = false))
      })
  ])
  return Object.fromEntries(calls) as Encoded
})

const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: 1 }))),
    (context) => Effect.provideContext(effect, context)
  )

export const subjects: ReadonlyArray<Subject> = [
  {
    name: "Effect's storage in memory",
    open: Effect.map(MessageStorage.MemoryDriver.make, ({ encoded }) => encoded).pipe(
      Effect.provide(Snowflake.layerGenerator)
    ),
    lacks: new Set(["streams that wait", "one answer", "transactions", "claimed signals"])
  },
  {
    name: "Effect's storage in SQLite",
    open: Effect.flatMap(
      Layer.build(Layer.fresh(Layer.merge(SqliteClient.layer(":memory:"), Digest.layerWebCrypto))),
      (context) => Effect.provideContext(SqlMessageStorage.makeEncoded(), context)
    ).pipe(Effect.orDie),
    lacks: new Set(["claims that follow the reader's time", "retries", "cleared chunks"])
  },
  { name: "WalMessageStorage", open: onDisk(openOurs), lacks: new Set() },
  {
    name: "WalMessageStorage, opened again before every call",
    open: onDisk(reopened),
    losesClaims: true,
    lacks: new Set()
  }
]

let lastId = 0

/** An id that no other message has. */
export const nextId = (): string => String(++lastId)

export const address = (entityId: string, shard = 1, entityType = "Counter") => ({
  shardId: { group: "default", id: shard },
  entityType,
  entityId
})

export const request = (
  fields: Partial<Omit<Envelope.PartialRequestEncoded, "_tag">> = {}
): Envelope.PartialRequestEncoded => ({
  _tag: "Request",
  requestId: nextId(),
  address: address("one"),
  tag: "Increment",
  payload: { by: 1 },
  headers: {},
  ...fields
})

export const interruptOf = ({ address, requestId }: Envelope.PartialRequestEncoded): Envelope.Encoded => ({
  _tag: "Interrupt",
  id: nextId(),
  address,
  requestId
})

export const ackOf = ({ address }: Envelope.PartialRequestEncoded, chunk: Reply.Encoded): Envelope.Encoded => ({
  _tag: "AckChunk",
  id: nextId(),
  address,
  requestId: chunk.requestId,
  replyId: chunk.id
})

export const exitOf = ({ requestId }: Envelope.PartialRequestEncoded, value: unknown = 1): Reply.Encoded => ({
  _tag: "WithExit",
  id: nextId(),
  requestId,
  exit: { _tag: "Success", value }
})

export const chunkOf = ({ requestId }: Envelope.PartialRequestEncoded, sequence: number): Reply.Encoded => ({
  _tag: "Chunk",
  id: nextId(),
  requestId,
  sequence,
  values: [sequence]
})

/** The key that Effect gives a request. */
export const keyOf = ({ address, tag }: Envelope.PartialRequestEncoded, id: string): string =>
  `${address.entityType}/${address.entityId}/${tag}/${id}`
