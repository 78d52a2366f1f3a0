/** What event logs over a log have when they are opened again, after an orderly end or a crash. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import type { EncryptedBatch } from "effect/eventlog/EventLogEncryption"
import { StoreId } from "effect/eventlog/EventLogMessage"
import * as Encrypted from "effect/eventlog/EventLogServerEncrypted"
import * as Unencrypted from "effect/eventlog/EventLogServerUnencrypted"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Disk } from "../../src/disk/Disk.ts"
import * as WalEventJournal from "../../src/eventlog/WalEventJournal.ts"
import * as WalEventLogServerEncrypted from "../../src/eventlog/WalEventLogServerEncrypted.ts"
import * as WalEventLogServerUnencrypted from "../../src/eventlog/WalEventLogServerUnencrypted.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { sweepStep, swept } from "../sweep.ts"
import { bytes, entryAt, idAt, payloads, remoteEntry, remoteId, text } from "./entries.ts"
import { EventsLog, logOptions, overLog } from "./subjects.ts"

const journalLayer = overLog(WalEventJournal.layer)
const storageLayer = overLog(WalEventLogServerUnencrypted.layerStorage)
const encryptedLayer = overLog(WalEventLogServerEncrypted.layerStorage)

const onDisk = <A, E>(effect: Effect.Effect<A, E, Disk | SimulatedDisk.SimulatedDisk>, seed = 1) =>
  quiet(Effect.provide(effect, SimulatedDisk.layer({ seed })))

/** Lets the clock run until this has ended. A life whose disk has no power ends by itself, when its log is down. */
const ended = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkDetach(effect)
    for (let seconds = 0; fiber.pollUnsafe() === undefined; seconds++) {
      if (seconds > 1000) return yield* Effect.die(new Error("it has not ended"))
      yield* TestClock.adjust("1 second")
    }
    return yield* Fiber.await(fiber)
  })

/** Plays a life with a power failure after each number of operations, and holds what the next one finds to it. */
const sweepCrashes = <A, E, E2, I>(options: {
  readonly life: (note: A) => Effect.Effect<void, E, NoInfer<I>>
  readonly note: () => A
  readonly after: (note: A, where: string) => Effect.Effect<void, E2, NoInfer<I>>
  readonly layer: Layer.Layer<I, unknown, Disk>
}) =>
  Effect.gen(function*() {
    let crashes = 0
    for (let seed = 0; seed < 2; seed++) {
      for (const operation of swept(1)) {
        const hasCrashed = yield* onDisk(
          Effect.gen(function*() {
            const disk = yield* SimulatedDisk.SimulatedDisk
            yield* disk.crashAt((yield* disk.operationCount) + operation)
            const note = options.note()
            const exit = yield* ended(Effect.provide(options.life(note), Layer.fresh(options.layer)))
            if (Exit.isSuccess(exit)) return false
            yield* disk.crash
            yield* Effect.provide(
              options.after(note, `seed ${seed}, operation ${operation}`),
              Layer.fresh(options.layer)
            )
            return true
          }),
          seed * 1000 + operation
        )
        if (!hasCrashed) break
        crashes += 1
      }
    }
    assert.isAbove(crashes, 100 / sweepStep)
  })

const one = remoteId(1)
const other = remoteId(2)
const store = StoreId.make("store")

const write = (journal: EventJournal.EventJournal["Service"], ...payloads: ReadonlyArray<string>) => {
  const [first, ...rest] = payloads.map((payload) => ({
    event: "Renamed",
    primaryKey: "ada",
    payload: bytes(payload)
  }))
  return journal.writeMany({ entries: [first!, ...rest], effect: Effect.succeed })
}

/** So many that one commit of them is larger than a block. */
const many = (name: string) => Array.from({ length: 5 }, (_, index) => `${name}.${index} `.padEnd(6000, "x"))

const nameOf = (payload: Uint8Array): string => text(payload).split(" ")[0]!

describe("a journal that is opened again", () => {
  it.effect(
    "loses no entry that was answered or handed out, nor a part of a commit, after a power failure at any operation",
    () =>
      sweepCrashes({
        layer: journalLayer,
        note: () => ({
          /** Names of entries that somebody knows of. */
          seen: new Set<string>(),
          groups: [] as Array<ReadonlyArray<string>>,
          /** Of what was offered to the remote, what it is known to have. */
          offered: new Set<string>(),
          uploaded: new Set<string>(),
          next: 0
        }),
        life: (note) =>
          Effect.gen(function*() {
            const journal = yield* EventJournal.EventJournal
            const changes = yield* journal.changes
            yield* PubSub.take(changes).pipe(
              Effect.tap(({ payload }) => Effect.sync(() => note.seen.add(nameOf(payload)))),
              Effect.forever,
              Effect.forkScoped({ startImmediately: true })
            )
            const writing = (...payloads: ReadonlyArray<string>) => {
              note.groups.push(payloads.map((payload) => payload.split(" ")[0]!))
              return Effect.tap(
                write(journal, ...payloads),
                (entries) => Effect.sync(() => entries.forEach(({ payload }) => note.seen.add(nameOf(payload))))
              )
            }
            for (let round = 0; round < 3; round++) {
              yield* Effect.all([writing(`a${round}`), writing(...many(`b${round}`)), writing(`c${round}`)], {
                concurrency: "unbounded"
              })
              const arriving = [
                remoteEntry(3 * round, entryAt(10 + round, { payload: `r${round}` })),
                ...many(`s${round}`).slice(0, 2).map((payload, index) =>
                  remoteEntry(3 * round + 1 + index, entryAt(20 + 3 * round + index, { payload }))
                )
              ]
              yield* journal.writeFromRemote({ remoteId: one, entries: arriving, effect: () => Effect.void })
              arriving.forEach(({ entry }) => note.seen.add(nameOf(entry.payload)))
              note.next = 3 * round + 3
              // A read waits for what it sees.
              const setting = yield* Effect.forkChild(Effect.ignore(writing(`d${round}`)), { startImmediately: true })
              for (const { payload } of yield* journal.entries) note.seen.add(nameOf(payload))
              yield* Fiber.join(setting)
              yield* Effect.tap(
                journal.withRemoteUncommited(one, (entries) => {
                  const names = entries.map(({ payload }) => nameOf(payload))
                  names.forEach((name) => note.offered.add(name))
                  return Effect.succeed(names)
                }),
                (names) => Effect.sync(() => Option.map(names, (all) => all.forEach((name) => note.uploaded.add(name))))
              )
            }
          }).pipe(Effect.scoped),
        after: ({ groups, next, offered, seen, uploaded }, where) =>
          Effect.gen(function*() {
            const journal = yield* EventJournal.EventJournal
            const found = (yield* journal.entries).map(({ payload }) => nameOf(payload))
            assert.strictEqual(new Set(found).size, found.length, where)
            for (const name of seen) assert.include(found, name, where)
            for (const group of groups) {
              const there = group.filter((name) => found.includes(name))
              assert.include([0, group.length], there.length, `${where}: ${there}`)
            }
            const nextNow = yield* journal.nextRemoteSequence(one)
            assert.isAtLeast(nextNow, next, where)
            assert.strictEqual(nextNow % 3, 0, where)
            assert.strictEqual(found.filter((name) => /^[rs]/.test(name)).length, nextNow, where)
            // What was cut off does not stand in the way.
            yield* write(journal, ...many("last"))
            const left = yield* journal.withRemoteUncommited(
              one,
              (entries) => Effect.succeed(entries.map(({ payload }) => nameOf(payload)))
            )
            const names = left._tag === "Some" ? left.value : []
            assert.isEmpty(names.filter((name) => uploaded.has(name)), where)
            assert.isEmpty(names.filter((name) => /^[rs]/.test(name)), where)
            const all = [...found, ...many("last").map((payload) => payload.split(" ")[0]!)]
            for (const name of all.filter((name) => !/^[rs]/.test(name) && !offered.has(name))) {
              assert.include(names, name, where)
            }
          })
      }),
    120_000
  )

  it.effect("has what it had, in order", () =>
    onDisk(Effect.gen(function*() {
      const life = <A, E>(effect: Effect.Effect<A, E, EventJournal.EventJournal>) =>
        Effect.provide(effect, Layer.fresh(journalLayer))
      const before = yield* life(Effect.gen(function*() {
        const journal = yield* EventJournal.EventJournal
        yield* write(journal, "a", "b")
        yield* journal.writeFromRemote({
          remoteId: one,
          entries: [remoteEntry(7, entryAt(10))],
          effect: () => Effect.void
        })
        yield* journal.withRemoteUncommited(other, () => Effect.void)
        yield* write(journal, ...many("c"))
        return yield* journal.entries
      }))
      yield* life(Effect.gen(function*() {
        const journal = yield* EventJournal.EventJournal
        assert.deepStrictEqual(yield* journal.entries, before)
        assert.strictEqual(yield* journal.nextRemoteSequence(one), 8)
        const left = yield* journal.withRemoteUncommited(other, (entries) => Effect.succeed(payloads(entries)))
        assert.deepStrictEqual(left._tag === "Some" ? left.value : [], many("c"))
      }))
    })))

  it.effect(
    "takes no more disk for its entries than a snapshot and what came since",
    () =>
      onDisk(Effect.gen(function*() {
        const layer = WalEventJournal.layer(EventsLog, { snapshotEvery: { bytes: "64KiB" } }).pipe(
          Layer.provideMerge(
            EventsLog.layer({ ...logOptions, limits: { maxSegments: 2, maxCompressedSegments: 2 } })
          )
        )
        for (let turn = 0; turn < 2; turn++) {
          const exit = yield* ended(Effect.provide(
            Effect.gen(function*() {
              const journal = yield* EventJournal.EventJournal
              assert.strictEqual((yield* journal.entries).length, turn * 150)
              for (let round = 0; round < 30; round++) yield* write(journal, ...many(`${turn}.${round}`))
              const { maintainer } = yield* EventsLog
              yield* maintainer.drain
            }),
            Layer.fresh(layer)
          ))
          assert.isTrue(Exit.isSuccess(exit), String(exit))
        }
        const disk = yield* Disk
        const segments = (yield* disk.list(logOptions.directory)).filter(({ name }) => /\.wal/.test(name))
        assert.isAtMost(segments.length, 12, "of 1.8 MB in segments of 64 KiB")
        yield* Effect.provide(
          Effect.gen(function*() {
            const entries = yield* Effect.flatMap(EventJournal.EventJournal, ({ entries }) => entries)
            assert.strictEqual(entries.length, 300)
            assert.strictEqual(nameOf(entries[0]!.payload), "0.0.0")
            assert.strictEqual(nameOf(entries.at(-1)!.payload), "1.29.4")
          }),
          Layer.fresh(layer)
        )
      })),
    60_000
  )
})

describe("the storage of a server that is opened again", () => {
  it.effect(
    "gives each entry that was acknowledged or handed out the same sequence, and never to another, after a power failure at any operation",
    () =>
      sweepCrashes({
        layer: storageLayer,
        note: () => ({ sequences: new Map<string, number>(), groups: [] as Array<ReadonlyArray<string>>, id: "" }),
        life: (note) =>
          Effect.gen(function*() {
            const storage = yield* Unencrypted.Storage
            note.id = (yield* storage.getId).join()
            const see = ({ entry, remoteSequence }: EventJournal.RemoteEntry) => {
              assert.strictEqual(note.sequences.get(nameOf(entry.payload)) ?? remoteSequence, remoteSequence)
              note.sequences.set(nameOf(entry.payload), remoteSequence)
            }
            const changes = storage.changes({ storeId: store, startSequence: 0, compactors: new Map() })
            yield* Effect.forkScoped(Stream.runForEach(changes, (change) => Effect.sync(() => see(change))), {
              startImmediately: true
            })
            const writing = (...payloads: ReadonlyArray<string>) => {
              note.groups.push(payloads.map((payload) => payload.split(" ")[0]!))
              const entries = payloads.map((payload, index) => entryAt(index, { payload }))
              return Effect.tap(
                storage.withTransaction(storage.write(store, entries)),
                (written) => Effect.sync(() => written.forEach(see))
              )
            }
            for (let round = 0; round < 5; round++) {
              yield* Effect.all([writing(`a${round}`), writing(...many(`b${round}`)), writing(`c${round}`)], {
                concurrency: "unbounded"
              })
            }
          }).pipe(Effect.scoped),
        after: ({ groups, id, sequences }, where) =>
          Effect.gen(function*() {
            const storage = yield* Unencrypted.Storage
            if (id !== "") assert.strictEqual((yield* storage.getId).join(), id, where)
            const [added] = yield* storage.write(store, [entryAt(1, { payload: "last" })])
            const found = yield* Stream.runCollect(Stream.take(
              storage.changes({ storeId: store, startSequence: 0, compactors: new Map() }),
              added!.remoteSequence
            ))
            const names = found.map(({ entry }) => nameOf(entry.payload))
            assert.deepStrictEqual(
              found.map(({ remoteSequence }) => remoteSequence),
              found.map((_, index) => index + 1),
              where
            )
            assert.strictEqual(new Set(names).size, names.length, where)
            for (const [name, sequence] of sequences) assert.strictEqual(names[sequence - 1], name, where)
            for (const group of groups) {
              const there = group.filter((name) => names.includes(name))
              assert.include([0, group.length], there.length, where)
            }
          })
      }),
    120_000
  )

  it.effect("with encryption: the same of batches", () =>
    sweepCrashes({
      layer: encryptedLayer,
      note: () => ({ sequences: new Map<string, number>() }),
      life: ({ sequences }) =>
        Effect.gen(function*() {
          const storage = yield* Encrypted.Storage
          const see = ({ encryptedBatch, sequence }: { encryptedBatch: Uint8Array; sequence: number }) => {
            assert.strictEqual(sequences.get(nameOf(encryptedBatch)) ?? sequence, sequence)
            sequences.set(nameOf(encryptedBatch), sequence)
          }
          yield* Effect.forkScoped(
            Stream.runForEach(storage.changes("ada", store, 0), (batch) => Effect.sync(() => see(batch))),
            { startImmediately: true }
          )
          let ids = 1
          const batchOf = (payload: string): EncryptedBatch => ({
            entryIds: [idAt(ids++), idAt(ids++)],
            iv: new Uint8Array(12),
            encryptedBatch: bytes(payload)
          })
          for (let round = 0; round < 6; round++) {
            yield* Effect.forEach(
              [[`a${round}`], many(`b${round}`)],
              (payloads) =>
                Effect.tap(
                  storage.write("ada", store, payloads.map(batchOf)),
                  (written) => Effect.sync(() => written.forEach(see))
                ),
              { concurrency: "unbounded" }
            )
          }
        }).pipe(Effect.scoped),
      after: ({ sequences }, where) =>
        Effect.gen(function*() {
          const storage = yield* Encrypted.Storage
          const [added] = yield* storage.write("ada", store, [{
            entryIds: [idAt(1000)],
            iv: new Uint8Array(0),
            encryptedBatch: bytes("last")
          }])
          const found = yield* Stream.runCollect(Stream.takeUntil(
            storage.changes("ada", store, 0),
            ({ sequence }) => sequence === added!.sequence
          ))
          assert.deepStrictEqual(
            found.map(({ sequence }) => sequence),
            found.map((_, index) => 2 * index + 1),
            where
          )
          const names = found.map(({ encryptedBatch }) => nameOf(encryptedBatch))
          for (const [name, sequence] of sequences) assert.strictEqual(names[(sequence - 1) / 2], name, where)
          const big = names.filter((name) => name.startsWith("b")).length
          assert.strictEqual(big % 5, 0, where)
        })
    }), 120_000)
})
