/** What the storages of event-log servers do, of whatever kind: what Effect documents of them. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as EventJournal from "effect/eventlog/EventJournal"
import type { EncryptedBatch } from "effect/eventlog/EventLogEncryption"
import { StoreId } from "effect/eventlog/EventLogMessage"
import type * as Encrypted from "effect/eventlog/EventLogServerEncrypted"
import type * as Unencrypted from "effect/eventlog/EventLogServerUnencrypted"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { bytes, entryAt, idAt, payloads, text } from "./entries.ts"
import { encryptedStorages, storages } from "./subjects.ts"
import type { Subject } from "./subjects.ts"

const rulingOf = <S>(open: Subject<S>["open"]) =>
(holds: boolean) =>
(
  name: string,
  test: (storage: S) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  holds
    ? it.live(name, () => Effect.scoped(Effect.flatMap(open, test)))
    : it.skip(`${name} (it does not)`, () => {})

const store = StoreId.make("store")
const otherStore = StoreId.make("other store")

/** A fiber that takes so many changes, and what it has taken so far. */
const following = Effect.fnUntraced(function*<A, E>(stream: Stream.Stream<A, E>, count: number) {
  const taken: Array<A> = []
  const fiber = yield* stream.pipe(
    Stream.take(count),
    Stream.runForEach((change) => Effect.sync(() => taken.push(change))),
    Effect.forkChild({ startImmediately: true })
  )
  return { taken, all: Effect.as(Fiber.join(fiber), taken) }
})

describe.each(storages)("the storage of a server without encryption ($name)", ({ isReopened, lacks, open }) => {
  type Storage = Unencrypted.Storage["Service"]
  const rulingIf = rulingOf(open)
  const ruling = rulingIf(true)

  const changes = (storage: Storage, storeId = store, startSequence = 0) =>
    storage.changes({ storeId, startSequence, compactors: new Map() })

  const rows = (entries: Iterable<EventJournal.RemoteEntry>, first: number) =>
    Array.from(entries, ({ entry, remoteSequence }) => `${remoteSequence - first} ${text(entry.payload)}`)

  /** All entries of a store from a sequence on, of which so many are there. */
  const stored = (storage: Storage, count: number, storeId = store, startSequence = 0) =>
    Effect.map(
      Stream.runCollect(Stream.take(changes(storage, storeId, startSequence), count)),
      (entries) => rows(entries, storage.firstSequence ?? 0)
    )

  ruling(
    "has one id, of 16 bytes",
    Effect.fnUntraced(function*(storage) {
      const id = yield* storage.getId
      assert.strictEqual(id.length, 16)
      yield* storage.write(store, [entryAt(1)])
      assert.deepStrictEqual(Array.from(yield* storage.getId), Array.from(id))
    })
  )

  ruling(
    "keeps the first key by which a client signs",
    Effect.fnUntraced(function*(storage) {
      const key = (byte: number) => new Uint8Array(32).fill(byte)
      const bind = (publicKey: string, byte: number) =>
        Effect.map(storage.getOrCreateSessionAuthBinding(publicKey, key(byte)), (bound) => bound[31])
      assert.strictEqual(yield* bind("ada", 1), 1)
      assert.strictEqual(yield* bind("bob", 2), 2)
      assert.strictEqual(yield* bind("ada", 3), 1)
      assert.strictEqual(yield* bind("bob", 2), 2)
    })
  )

  ruling(
    "gives the entries of each store consecutive sequences, from the first one on",
    Effect.fnUntraced(function*(storage) {
      const first = storage.firstSequence ?? 0
      assert.deepStrictEqual(
        rows(yield* storage.write(store, [entryAt(20), entryAt(10)]), first),
        ["0 at 20", "1 at 10"]
      )
      assert.deepStrictEqual(rows(yield* storage.write(otherStore, [entryAt(30)]), first), ["0 at 30"])
      assert.deepStrictEqual(rows(yield* storage.write(store, []), first), [])
      assert.deepStrictEqual(rows(yield* storage.write(store, [entryAt(5)]), first), ["2 at 5"])
      assert.deepStrictEqual(yield* stored(storage, 3), ["0 at 20", "1 at 10", "2 at 5"])
      assert.deepStrictEqual(yield* stored(storage, 1, otherStore), ["0 at 30"])
    })
  )

  ruling(
    "gives the entries at or after one, in the order of their sequences",
    Effect.fnUntraced(function*(storage) {
      const all = [entryAt(30), entryAt(10), entryAt(20), entryAt(40, { primaryKey: "bob" })]
      yield* storage.write(store, all)
      const after = yield* storage.entriesAfter(store, all[2]!)
      assert.deepStrictEqual(payloads(after.map(({ entry }) => entry)), ["at 30", "at 20", "at 40"])
      assert.deepStrictEqual(yield* storage.entriesAfter(otherStore, all[1]!), [])
    })
  )

  ruling(
    "gives for a batch what is stored of it, and what may conflict with it",
    Effect.fnUntraced(function*(storage) {
      const known = entryAt(10)
      yield* storage.write(store, [
        entryAt(40),
        known,
        entryAt(5),
        entryAt(50, { primaryKey: "bob" }),
        entryAt(60, { event: "Removed" })
      ])
      const batch = [known, entryAt(20), entryAt(30, { event: "Removed" })] as const
      const after = yield* storage.entriesAfter(store, known, batch)
      assert.deepStrictEqual(
        payloads(after.map(({ entry }) => entry)).filter((payload) => payload !== "at 50"),
        ["at 40", "at 10", "at 60"]
      )
    })
  )

  rulingIf(!lacks.has("single entries"))(
    "stores an entry once, however often it is written, and gives the sequence that it has",
    Effect.fnUntraced(function*(storage) {
      const first = storage.firstSequence ?? 0
      const entry = entryAt(10)
      yield* storage.write(store, [entryAt(5), entry])
      const fresh = entryAt(20)
      assert.deepStrictEqual(
        rows(yield* storage.write(store, [fresh, entry, fresh]), first),
        ["2 at 20", "1 at 10"]
      )
      assert.deepStrictEqual(yield* stored(storage, 3), ["0 at 5", "1 at 10", "2 at 20"])
      assert.deepStrictEqual(rows(yield* storage.write(otherStore, [entry]), first), ["0 at 10"])
    })
  )

  ruling(
    "streams what is there from a sequence on",
    Effect.fnUntraced(function*(storage) {
      const first = storage.firstSequence ?? 0
      yield* storage.write(store, [entryAt(1), entryAt(2), entryAt(3)])
      assert.deepStrictEqual(yield* stored(storage, 2, store, first + 1), ["1 at 2", "2 at 3"])
      assert.deepStrictEqual(yield* stored(storage, 1, store, first + 2), ["2 at 3"])
    })
  )

  rulingIf(!isReopened)(
    "streams what is there and what comes, in the order of sequences, and each once",
    Effect.fnUntraced(function*(storage) {
      yield* storage.write(store, [entryAt(1), entryAt(2)])
      const early = yield* following(changes(storage), 60)
      const expected = ["0 at 1", "1 at 2"]
      const write = (index: number) =>
        Effect.map(
          storage.write(store, [entryAt(100 + index)]),
          ([one]) =>
            expected[one!.remoteSequence - (storage.firstSequence ?? 0)] = rows([one!], storage.firstSequence ?? 0)[0]!
        )
      const writing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 58 }, (_, index) => index), write, { concurrency: 8, discard: true }),
        { startImmediately: true }
      )
      const late = yield* following(changes(storage), 60)
      yield* storage.write(otherStore, [entryAt(1)])
      yield* Fiber.join(writing)
      assert.deepStrictEqual(rows(yield* early.all, storage.firstSequence ?? 0), expected)
      assert.deepStrictEqual(rows(yield* late.all, storage.firstSequence ?? 0), expected)
    })
  )

  ruling(
    "compacts what is there, not what comes",
    Effect.fnUntraced(function*(storage) {
      yield* storage.write(store, [entryAt(1), entryAt(2), entryAt(3, { event: "Removed" })])
      const compactor = {
        events: new Set(["Renamed"]),
        effect: ({ entries, write }: {
          readonly entries: ReadonlyArray<EventJournal.Entry>
          readonly write: (entry: EventJournal.Entry) => Effect.Effect<void>
        }) => write(entries.at(-1)!)
      }
      const compacted = storage.changes({
        storeId: store,
        startSequence: 0,
        compactors: new Map([["Renamed", compactor]])
      })
      const taken = yield* Stream.runCollect(Stream.take(compacted, 2))
      assert.deepStrictEqual(rows(taken, storage.firstSequence ?? 0), ["1 at 2", "2 at 3"])
    })
  )

  ruling(
    "runs one transaction at a time, and gives what it made",
    Effect.fnUntraced(function*(storage) {
      const isIn = yield* Deferred.make<void>()
      const mayEnd = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(storage.withTransaction(Effect.gen(function*() {
        yield* Deferred.succeed(isIn, undefined)
        yield* Deferred.await(mayEnd)
        yield* storage.write(store, [entryAt(10)])
        return "first"
      })))
      yield* Deferred.await(isIn)
      const second = yield* Effect.forkChild(
        storage.withTransaction(Effect.gen(function*() {
          const found = yield* storage.entriesAfter(store, entryAt(1), [entryAt(1)])
          yield* storage.write(store, [entryAt(20)])
          return payloads(found.map(({ entry }) => entry))
        })),
        { startImmediately: true }
      )
      yield* Deferred.succeed(mayEnd, undefined)
      assert.strictEqual(yield* Fiber.join(first), "first")
      assert.deepStrictEqual(yield* Fiber.join(second), ["at 10"])
      assert.deepStrictEqual(yield* stored(storage, 2), ["0 at 10", "1 at 20"])
      assert.strictEqual(yield* Effect.flip(storage.withTransaction(Effect.fail("refused"))), "refused")
    })
  )

  rulingIf(!lacks.has("transactions"))(
    "stores what a transaction wrote when it succeeds, and nothing of one that fails",
    Effect.fnUntraced(function*(storage) {
      const failing = Effect.gen(function*() {
        yield* storage.write(store, [entryAt(1)])
        const seen = yield* storage.entriesAfter(store, entryAt(0), [entryAt(0)])
        assert.include(payloads(seen.map(({ entry }) => entry)), "at 1")
        yield* storage.write(otherStore, [entryAt(1)])
        return yield* Effect.fail("refused")
      })
      assert.strictEqual(yield* Effect.flip(storage.withTransaction(failing)), "refused")
      assert.isTrue(Exit.isFailure(
        yield* Effect.exit(storage.withTransaction(Effect.andThen(
          storage.write(store, [entryAt(2)]),
          Effect.die("broken")
        )))
      ))
      yield* storage.withTransaction(Effect.gen(function*() {
        yield* storage.write(store, [entryAt(3)])
        yield* Effect.ignore(storage.withTransaction(failing))
        yield* storage.withTransaction(storage.write(store, [entryAt(4)]))
      }))
      yield* storage.write(store, [entryAt(5)])
      yield* storage.write(otherStore, [entryAt(6)])
      assert.deepStrictEqual(yield* stored(storage, 3), ["0 at 3", "1 at 4", "2 at 5"])
      assert.deepStrictEqual(yield* stored(storage, 1, otherStore), ["0 at 6"])
    })
  )
})

describe.each(encryptedStorages)("the storage of a server with encryption ($name)", ({ isReopened, open }) => {
  type Storage = Encrypted.Storage["Service"]
  const rulingIf = rulingOf(open)
  const ruling = rulingIf(true)

  let batches = 0
  const batchOf = (payload: string, ...entryIds: EncryptedBatch["entryIds"]): EncryptedBatch => ({
    entryIds,
    iv: new Uint8Array(12).fill(++batches),
    encryptedBatch: bytes(payload)
  })

  const rows = (
    storage: Storage,
    written: Iterable<{ sequence: number; encryptedBatch: Uint8Array; entryIds: ReadonlyArray<unknown> }>
  ) =>
    Array.from(
      written,
      ({ encryptedBatch, entryIds, sequence }) =>
        `${sequence - (storage.firstSequence ?? 0)} ${text(encryptedBatch)} ${entryIds.length}`
    )

  const stored = (storage: Storage, count: number, startSequence = 0, publicKey = "ada", storeId = store) =>
    Effect.map(
      Stream.runCollect(Stream.take(storage.changes(publicKey, storeId, startSequence), count)),
      (taken) => rows(storage, taken)
    )

  ruling(
    "has one id, and keeps the first key by which a client signs",
    Effect.fnUntraced(function*(storage) {
      const id = yield* storage.getId
      assert.strictEqual(id.length, 16)
      const key = (byte: number) => new Uint8Array(32).fill(byte)
      yield* storage.getOrCreateSessionAuthBinding("ada", key(1))
      assert.deepStrictEqual(
        Array.from(yield* storage.getOrCreateSessionAuthBinding("ada", key(2))),
        Array.from(key(1))
      )
      assert.deepStrictEqual(Array.from(yield* storage.getId), Array.from(id))
    })
  )

  ruling(
    "gives each entry of a batch a sequence, by clients and stores",
    Effect.fnUntraced(function*(storage) {
      const [one, two, three, four] = [idAt(1), idAt(2), idAt(3), idAt(4)]
      const written = yield* storage.write("ada", store, [batchOf("a", one, two), batchOf("b", three)])
      assert.deepStrictEqual(rows(storage, written), ["0 a 2", "2 b 1"])
      assert.deepStrictEqual(rows(storage, yield* storage.write("bob", store, [batchOf("c", one)])), ["0 c 1"])
      assert.deepStrictEqual(rows(storage, yield* storage.write("ada", otherStore, [batchOf("d", one)])), ["0 d 1"])
      assert.deepStrictEqual(rows(storage, yield* storage.write("ada", store, [batchOf("e", four)])), ["3 e 1"])
      assert.deepStrictEqual(yield* stored(storage, 3), ["0 a 2", "2 b 1", "3 e 1"])
      assert.deepStrictEqual(yield* stored(storage, 1, 0, "bob"), ["0 c 1"])
    })
  )

  ruling(
    "does not store a batch again of which every entry is there, and tells the first sequence of each entry",
    Effect.fnUntraced(function*(storage) {
      const first = storage.firstSequence ?? 0
      const [one, two, three] = [idAt(1), idAt(2), idAt(3)]
      yield* storage.write("ada", store, [batchOf("a", one, two)])
      const again = yield* storage.write("ada", store, [
        batchOf("a", one, two),
        batchOf("b", two, three),
        batchOf("b", two, three),
        batchOf("c", three)
      ])
      assert.deepStrictEqual(rows(storage, again), ["2 b 2"])
      const acks = yield* storage.entrySequences("ada", store, [three, one, idAt(9), two])
      assert.sameDeepMembers(
        acks.map(({ entryId, sequence }) => [entryId[5], sequence - first]),
        [[3, 3], [1, 0], [2, 1]]
      )
      assert.deepStrictEqual(yield* storage.entrySequences("bob", store, [one]), [])
    })
  )

  ruling(
    "streams every batch whose last sequence is at or after a sequence",
    Effect.fnUntraced(function*(storage) {
      const first = storage.firstSequence ?? 0
      yield* storage.write("ada", store, [
        batchOf("a", idAt(1), idAt(2)),
        batchOf("b", idAt(3), idAt(4)),
        batchOf("c", idAt(5))
      ])
      assert.deepStrictEqual(yield* stored(storage, 3, first + 1), ["0 a 2", "2 b 2", "4 c 1"])
      assert.deepStrictEqual(yield* stored(storage, 2, first + 2), ["2 b 2", "4 c 1"])
      assert.deepStrictEqual(yield* stored(storage, 2, first + 3), ["2 b 2", "4 c 1"])
      assert.deepStrictEqual(yield* stored(storage, 1, first + 4), ["4 c 1"])
    })
  )

  rulingIf(!isReopened)(
    "streams what is there and what comes, in the order of sequences, and each once",
    Effect.fnUntraced(function*(storage) {
      yield* storage.write("ada", store, [batchOf("first", idAt(1))])
      const early = yield* following(storage.changes("ada", store, 0), 41)
      const write = (index: number) =>
        storage.write("ada", store, [batchOf(`${index}`, idAt(100 + index), idAt(200 + index))])
      const writing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 40 }, (_, index) => index), write, { concurrency: 8 }),
        { startImmediately: true }
      )
      const late = yield* following(storage.changes("ada", store, 0), 41)
      yield* storage.write("bob", store, [batchOf("of bob", idAt(1))])
      const expected = ["0 first 1", ...rows(storage, (yield* Fiber.join(writing)).flat())]
        .sort((a, b) => Number.parseInt(a) - Number.parseInt(b))
      assert.deepStrictEqual(rows(storage, yield* early.all), expected)
      assert.deepStrictEqual(rows(storage, yield* late.all), expected)
    })
  )
})
