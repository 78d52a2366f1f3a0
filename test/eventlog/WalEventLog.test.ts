/** What event logs over a log refuse, and what they do when something is in their way. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import { StoreId } from "effect/eventlog/EventLogMessage"
import * as Encrypted from "effect/eventlog/EventLogServerEncrypted"
import * as Unencrypted from "effect/eventlog/EventLogServerUnencrypted"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Disk } from "../../src/disk/Disk.ts"
import * as Batches from "../../src/eventlog/BatchesState.ts"
import * as Entries from "../../src/eventlog/EntriesState.ts"
import { Folded, schemaOf } from "../../src/eventlog/Folded.ts"
import type { State } from "../../src/eventlog/Folded.ts"
import * as Journal from "../../src/eventlog/JournalState.ts"
import { codecOf } from "../../src/eventlog/Lines.ts"
import type { Kind, Marked } from "../../src/eventlog/Lines.ts"
import * as WalEventJournal from "../../src/eventlog/WalEventJournal.ts"
import * as WalEventLogServerEncrypted from "../../src/eventlog/WalEventLogServerEncrypted.ts"
import * as WalEventLogServerUnencrypted from "../../src/eventlog/WalEventLogServerUnencrypted.ts"
import * as EventCodec from "../../src/format/EventCodec.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { bytes, entryAt, idAt, payloads, remoteEntry, remoteId } from "./entries.ts"
import { EventsLog, logOptions, overLog } from "./subjects.ts"

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk>) =>
  quiet(Effect.provide(effect, SimulatedDisk.layer({ seed: 1 })))

const inJournal = <A, E>(
  f: (journal: EventJournal.EventJournal["Service"]) => Effect.Effect<A, E, EventsLog>
) => onDisk(Effect.provide(Effect.flatMap(EventJournal.EventJournal, f), Layer.fresh(overLog(WalEventJournal.layer))))

const inStorage = <A, E>(f: (storage: Unencrypted.Storage["Service"]) => Effect.Effect<A, E, EventsLog>) =>
  onDisk(Effect.provide(
    Effect.flatMap(Unencrypted.Storage, f),
    Layer.fresh(overLog(WalEventLogServerUnencrypted.layerStorage))
  ))

const inEncrypted = <A, E>(f: (storage: Encrypted.Storage["Service"]) => Effect.Effect<A, E, EventsLog>) =>
  onDisk(Effect.provide(
    Effect.flatMap(Encrypted.Storage, f),
    Layer.fresh(overLog(WalEventLogServerEncrypted.layerStorage))
  ))

const written = (payload: string) => ({ event: "Renamed", primaryKey: "ada", payload: bytes(payload) })
const write = (journal: EventJournal.EventJournal["Service"], payload: string) =>
  journal.write({ ...written(payload), effect: Effect.succeed })

const store = StoreId.make("store")

const defectOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "none")

describe("an event journal over a log", () => {
  it.effect("refuses an entry that is larger than a block before its effect has run, and goes on", () =>
    inJournal(Effect.fnUntraced(function*(journal) {
      let hasRun = false
      const effect = () =>
        Effect.sync(() => {
          hasRun = true
        })
      const large = "x".repeat(20_000)
      const error = yield* Effect.flip(journal.writeMany({ entries: [written("small"), written(large)], effect }))
      assert.deepStrictEqual([error._tag, error.method], ["EventJournalError", "writeMany"])
      assert.include(String(error.cause), "blockBytesMax")
      const entries = [remoteEntry(0, entryAt(1)), remoteEntry(1, entryAt(2, { payload: large }))]
      const imported = yield* Effect.flip(journal.writeFromRemote({ remoteId: remoteId(1), entries, effect }))
      assert.strictEqual(imported.method, "writeFromRemote")
      assert.isFalse(hasRun)
      assert.deepStrictEqual(yield* journal.entries, [])
      yield* write(journal, "small")
      assert.deepStrictEqual(payloads(yield* journal.entries), ["small"])
    })))

  it.effect("takes many entries at once that fit into no block together", () =>
    inJournal(Effect.fnUntraced(function*(journal) {
      const all = Array.from({ length: 300 }, (_, index) => `${index}`.padEnd(1000))
      yield* journal.writeMany({
        entries: [written("first"), ...all.map(written)],
        effect: () => Effect.void
      })
      assert.deepStrictEqual(payloads(yield* journal.entries), ["first", ...all])
    })))

  it.effect("commits and tells of what was written by a caller that is interrupted while it waits for the disk", () =>
    inJournal((journal) =>
      Effect.scoped(Effect.gen(function*() {
        const changes = yield* journal.changes
        const isWritten = yield* Deferred.make<void>()
        const writing = yield* Effect.forkChild(
          journal.write({ ...written("one"), effect: () => Effect.asVoid(Deferred.succeed(isWritten, undefined)) }),
          { startImmediately: true }
        )
        yield* Deferred.await(isWritten)
        assert.isUndefined(writing.pollUnsafe())
        yield* Fiber.interrupt(writing)
        assert.deepStrictEqual(payloads([yield* PubSub.take(changes)]), ["one"])
        assert.deepStrictEqual(payloads(yield* journal.entries), ["one"])
      }))
    ))

  it.effect("has copies of what it was given", () =>
    inJournal(Effect.fnUntraced(function*(journal) {
      const payload = bytes("one")
      yield* journal.write({ event: "Renamed", primaryKey: "ada", payload, effect: () => Effect.void })
      payload.fill(0)
      const entry = entryAt(1, { payload: "two" })
      yield* journal.writeFromRemote({
        remoteId: remoteId(1),
        entries: [remoteEntry(0, entry)],
        effect: () => Effect.void
      })
      entry.payload.fill(0)
      assert.deepStrictEqual(payloads(yield* journal.entries), ["two", "one"])
    })))

  it.effect("refuses what it does not understand, and goes on", () =>
    inJournal(Effect.fnUntraced(function*(journal) {
      const effect = () => Effect.void
      const odd = (entry: object): Effect.Effect<unknown, EventJournal.EventJournalError> =>
        journal.write({ ...written("one"), effect, ...entry } as never)
      assert.include(yield* defectOf(odd({ event: 1 })), "event is 1, expected a string")
      assert.include(yield* defectOf(odd({ primaryKey: undefined })), "primaryKey is undefined, expected a string")
      assert.include(yield* defectOf(odd({ payload: "text" })), "payload is a string")
      assert.include(
        yield* defectOf(journal.writeMany<void, never, never>({ entries: [] as never, effect })),
        "options.entries is an Array"
      )
      const remote = { remoteId: remoteId(1), entries: [], effect }
      assert.include(
        yield* defectOf(journal.writeFromRemote({ ...remote, remoteId: bytes("short") as never })),
        "options.remoteId.length is 5, expected 16 bytes"
      )
      const wrong = { remoteSequence: -1, entry: entryAt(1) } as EventJournal.RemoteEntry
      assert.include(
        yield* defectOf(journal.writeFromRemote({ ...remote, entries: [wrong] })),
        "remoteSequence is -1, expected a whole number"
      )
      assert.include(yield* defectOf(journal.entriesById([bytes("short")] as never)), "expected 16 bytes")
      assert.include(yield* defectOf(journal.nextRemoteSequence("ada" as never)), "remoteId is a string")
      assert.include(yield* defectOf(journal.withRemoteUncommited(1 as never, Effect.succeed)), "remoteId is 1")
      assert.include(
        yield* defectOf(journal.writeRemoteAcks({ remoteId: remoteId(1), acks: 1 as never })),
        "options.acks is 1, expected an array"
      )
      yield* write(journal, "one")
      assert.deepStrictEqual(payloads(yield* journal.entries), ["one"])
    })))

  it.effect("ends with an error that names the event when something else is in its log", () =>
    inJournal(Effect.fnUntraced(function*(journal) {
      yield* write(journal, "one")
      const log = yield* EventsLog
      yield* log.appendDurable(bytes("[\"other\"]"))
      const error = yield* Effect.flip(write(journal, "two"))
      assert.include(String(error.cause), "event 2 does not fit the schema: it is no event of an event journal")
      assert.include(String((yield* Effect.flip(journal.entries)).cause), "event 2")
    })))
})

describe("the storage of a server over a log", () => {
  it.effect("dies of an entry that is larger than a block, stores nothing of it, and goes on", () =>
    inStorage(Effect.fnUntraced(function*(storage) {
      const large = entryAt(2, { payload: "x".repeat(20_000) })
      assert.include(yield* defectOf(storage.write(store, [entryAt(1), large])), "blockBytesMax")
      const [stored] = yield* storage.write(store, [entryAt(3)])
      assert.strictEqual(stored!.remoteSequence, 1)
    })))

  it.effect("has no part of a transaction in what a fiber of it writes after its end", () =>
    inStorage(Effect.fnUntraced(function*(storage) {
      const isOver = yield* Deferred.make<void>()
      const late = yield* storage.withTransaction(
        Effect.forkDetach(Effect.andThen(Deferred.await(isOver), storage.write(store, [entryAt(2)])))
      )
      yield* storage.write(store, [entryAt(1)])
      yield* Deferred.succeed(isOver, undefined)
      assert.strictEqual((yield* Fiber.join(late))[0]!.remoteSequence, 2)
    })))

  it.effect("lets the next transaction see what the one before wrote, although its caller was interrupted", () =>
    inStorage(Effect.fnUntraced(function*(storage) {
      const isWritten = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(
        storage.withTransaction(Effect.andThen(
          storage.write(store, Array.from({ length: 40 }, (_, index) => entryAt(index, { payload: "x".repeat(900) }))),
          Deferred.succeed(isWritten, undefined)
        )),
        { startImmediately: true }
      )
      yield* Deferred.await(isWritten)
      yield* Fiber.interrupt(first)
      const [next] = yield* storage.write(store, [entryAt(100)])
      const changes = storage.changes({ storeId: store, startSequence: 0, compactors: new Map() })
      const found = yield* Stream.runCollect(Stream.take(changes, next!.remoteSequence))
      assert.strictEqual(found.at(-1)!.entry.createdAtMillis, 100)
      assert.include([1, 41], next!.remoteSequence)
    })))

  it.effect("refuses what it does not understand, and goes on", () =>
    inStorage(Effect.fnUntraced(function*(storage) {
      assert.include(yield* defectOf(storage.write(1 as never, [])), "storeId is 1, expected a string")
      assert.include(yield* defectOf(storage.write(store, entryAt(1) as never)), "entries is an Object")
      assert.include(yield* defectOf(storage.write(store, [{} as never])), "entry.id is undefined")
      assert.include(yield* defectOf(storage.entriesAfter(store, null as never)), "entry is null, expected an Entry")
      assert.include(yield* defectOf(storage.getOrCreateSessionAuthBinding("ada", "key" as never)), "signingPublicKey")
      const odd = storage.changes({ storeId: store, startSequence: Number.NaN, compactors: new Map() })
      assert.include(yield* defectOf(Stream.runDrain(odd)), "options.startSequence is NaN")
      assert.strictEqual((yield* storage.write(store, [entryAt(3)]))[0]!.remoteSequence, 1)
    })))

  it.effect("refuses what it does not understand with encryption, and goes on", () =>
    inEncrypted(Effect.fnUntraced(function*(storage) {
      const batch = { entryIds: [idAt(1)], iv: new Uint8Array(12), encryptedBatch: bytes("a") } as const
      const odd = (of: object) => storage.write("ada", store, [{ ...batch, ...of } as never])
      assert.include(
        yield* defectOf(odd({ entryIds: [] })),
        "batch.entryIds is an Array, expected an array that is not empty"
      )
      assert.include(yield* defectOf(odd({ entryIds: [bytes("a")] })), "expected 16 bytes")
      assert.include(yield* defectOf(odd({ iv: 1 })), "batch.iv is 1")
      assert.include(yield* defectOf(odd({ encryptedBatch: "text" })), "batch.encryptedBatch is a string")
      assert.include(yield* defectOf(storage.write(1 as never, store, [])), "publicKey is 1")
      assert.include(yield* defectOf(storage.entrySequences("ada", store, [1 as never])), "entryIds is 1")
      assert.include(yield* defectOf(Stream.runDrain(storage.changes("ada", store, -1))), "startSequence is -1")
      assert.strictEqual((yield* odd({}))[0]!.sequence, 1)
    })))
})

const layers: ReadonlyArray<readonly [of: string, layer: Layer.Layer<never, unknown, EventsLog>]> = [
  ["an event journal", WalEventJournal.layer(EventsLog)],
  ["an event-log server without encryption", WalEventLogServerUnencrypted.layerStorage(EventsLog)],
  ["an event-log server with encryption", WalEventLogServerEncrypted.layerStorage(EventsLog)]
]

const id = "01".repeat(16)

describe.each(layers)("%s over a log", (of, layer) => {
  it.effect("does not open over a log of something else, and names the event", () =>
    onDisk(Effect.gen(function*() {
      const foreign = [
        "{}",
        "\u0000",
        "[\"other\"]",
        "[\"whole\",\"one\"]",
        `["entry","${id}","event"]\tpayload`,
        `["entry","store","0g","event","key"]\tpayload`,
        `["entry","store","${id}","event","key"]`,
        `["batch","ada","store","0g","${id}"]\tbatch`,
        "[\"batch\",\"ada\",\"store\",\"00\"]\tbatch",
        "[\"server\",\"other\",\"00\"]",
        "[\"signer\",\"ada\",1]",
        "[\"uploaded\",1,2]",
        "[\"next\",\"00\",\"1\"]"
      ]
      for (const [index, wrong] of foreign.entries()) {
        const options = { ...logOptions, directory: `/other-${index}` }
        const log = Layer.fresh(EventsLog.layer(options))
        yield* Effect.provide(Effect.flatMap(EventsLog, (log) => log.appendDurable(bytes(wrong))), log)
        const error = yield* Effect.flip(Effect.provide(Effect.void, Layer.provide(layer, log)))
        assert.include(String(error), `event 1 does not fit the schema: it is no event of ${of}`, wrong)
      }
    })))

  it.effect("does not open over the log of another kind", () =>
    onDisk(Effect.gen(function*() {
      const seed = of === "an event journal" ? layers[1]![1] : of.includes("without") ? layers[2]![1] : layers[1]![1]
      const log = EventsLog.layer(logOptions)
      yield* Effect.provide(Effect.void, Layer.provide(seed, Layer.fresh(log)))
      const opening = Layer.provide(layer, Layer.fresh(log))
      const error = yield* Effect.flip(Effect.provide(Effect.void, opening))
      assert.include(String(error), `it is no event of ${of}`)
    })))
})

describe("the state of an event log", () => {
  const held = <S extends State<Event>, Event>(
    kind: Kind<Event>,
    initial: () => S,
    events: ReadonlyArray<Event>
  ) =>
    Effect.gen(function*() {
      const codec = codecOf(kind)
      const snapshot = EventCodec.make(schemaOf(kind, initial))
      const marked = events.map((event): Marked<Event> => ({ type: "one", event }))
      const whole: ReadonlyArray<Marked<Event>> = [
        ...marked,
        { type: "whole", count: events.length },
        ...marked.slice(0, -1)
      ]
      const folded = new Folded<S, Event>(initial())
      for (const one of whole) folded.apply(yield* codec.decode(yield* codec.encode(one)))
      const restored = yield* snapshot.decode(yield* snapshot.encode(folded))
      assert.deepStrictEqual(restored, folded)
      assert.deepStrictEqual([...restored.marked()], [...folded.marked()])
      return restored
    })

  it.effect("is in a snapshot as a whole, with a commit that is under way", () =>
    Effect.gen(function*() {
      const [first, second] = [entryAt(1, { event: "é\t\n\ud800" }), entryAt(2, { payload: "" })]
      yield* held<Journal.JournalState, Journal.JournalEvent>(Journal.kind, () => new Journal.JournalState(), [
        { type: "entry", entry: second, remote: undefined },
        { type: "entry", entry: first, remote: "02".repeat(16) },
        { type: "uploaded", remote: "__proto__", count: 1 },
        { type: "next", remote: "01", sequence: 7 }
      ])
      yield* held<Entries.EntriesState, Entries.EntriesEvent>(Entries.kind, () => new Entries.EntriesState(), [
        { type: "server", id: remoteId(1) },
        { type: "signer", publicKey: "ada", key: new Uint8Array(0) },
        { type: "entry", store: "\ud800", entry: second },
        { type: "entry", store: "", entry: first }
      ])
      yield* held<Batches.BatchesState, Batches.BatchesEvent>(Batches.kind, () => new Batches.BatchesState(), [
        { type: "server", id: remoteId(1) },
        {
          type: "batch",
          publicKey: "a",
          store: "b/c",
          batch: { entryIds: [idAt(1), idAt(2)], iv: new Uint8Array(0), encryptedBatch: bytes("") }
        },
        {
          type: "batch",
          publicKey: "a/b",
          store: "c",
          batch: { entryIds: [idAt(1)], iv: bytes("iv"), encryptedBatch: bytes("x\ty") }
        }
      ])
    }))

  it.effect("has nothing of a commit that was cut off, and everything of one that has come", () =>
    Effect.sync(() => {
      const folded = new Folded<Entries.EntriesState, Entries.EntriesEvent>(new Entries.EntriesState())
      const one = (millis: number): Marked<Entries.EntriesEvent> => ({
        type: "one",
        event: { type: "entry", store: "store", entry: entryAt(millis) }
      })
      const has = () => payloads(folded.state.store("store").all.map(({ entry }) => entry))
      for (const marked of [one(1), { type: "whole", count: 2 } as const, one(2)]) folded.apply(marked)
      assert.deepStrictEqual(has(), ["at 1"])
      for (const marked of [{ type: "drop" } as const, one(3), { type: "whole", count: 2 } as const, one(4)]) {
        folded.apply(marked)
      }
      assert.deepStrictEqual(has(), ["at 1", "at 3"])
      folded.apply(one(5))
      assert.deepStrictEqual(has(), ["at 1", "at 3", "at 4", "at 5"])
    }))
})
