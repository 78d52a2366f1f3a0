/** What an event journal does, of whatever kind: what `EventJournal` of Effect documents. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import { StoreId } from "effect/eventlog/EventLogMessage"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import { bytes, entryAt, idAt, payloads, remoteEntry, remoteId, text } from "./entries.ts"
import { journals } from "./subjects.ts"

type Journal = EventJournal.EventJournal["Service"]

const written = (payload: string, primaryKey = "ada") => ({ event: "Renamed", primaryKey, payload: bytes(payload) })

const write = (journal: Journal, payload: string, primaryKey?: string) =>
  journal.write({ ...written(payload, primaryKey), effect: Effect.succeed })

/** Imports entries, with sequences from this one on; gives what the effect was called with. */
const receive = (
  journal: Journal,
  remote: EventJournal.RemoteId,
  from: number,
  entries: ReadonlyArray<EventJournal.Entry>
) =>
  Effect.gen(function*() {
    const calls: Array<ReadonlyArray<{ entry: string | undefined; conflicts: ReadonlyArray<string | undefined> }>> = []
    const { duplicateEntries } = yield* journal.writeFromRemote({
      remoteId: remote,
      entries: entries.map((entry, index) => remoteEntry(from + index, entry)),
      effect: (batch) =>
        Effect.sync(() => {
          calls.push(batch.map(({ conflicts, entry }) => ({
            entry: text(entry.payload),
            conflicts: payloads(conflicts)
          })))
        })
    })
    return { calls, duplicates: payloads(duplicateEntries) }
  })

/** What a remote has not got, by payloads; it has it afterwards. */
const upload = (journal: Journal, remote: EventJournal.RemoteId) =>
  Effect.map(
    journal.withRemoteUncommited(remote, (entries) => Effect.succeed(payloads(entries))),
    Option.getOrElse(() => [] as ReadonlyArray<string | undefined>)
  )

const one = remoteId(1)
const other = remoteId(2)

describe.each(journals)("an event journal ($name)", ({ isReopened, lacks, open }) => {
  const rulingIf = (holds: boolean) =>
  (
    name: string,
    test: (journal: Journal) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    holds
      ? it.live(name, () => Effect.scoped(Effect.flatMap(open, test)))
      : it.skip(`${name} (it does not)`, () => {})
  const ruling = rulingIf(true)

  ruling(
    "has what was written, with ascending ids, and answers with what the effect made",
    Effect.fnUntraced(function*(journal) {
      const answers: Array<EventJournal.Entry> = []
      for (const payload of ["one", "two", "three"]) answers.push(yield* write(journal, payload, `key of ${payload}`))
      const entries = yield* journal.entries
      assert.deepStrictEqual(payloads(entries), ["one", "two", "three"])
      assert.deepStrictEqual(entries.map(({ idString }) => idString), answers.map(({ idString }) => idString))
      assert.deepStrictEqual(
        entries.map(({ idString }) => idString).toSorted(),
        entries.map(({ idString }) => idString)
      )
      assert.deepStrictEqual([entries[1]!.event, entries[1]!.primaryKey], ["Renamed", "key of two"])
    })
  )

  ruling(
    "runs the effect of a write before the entry is there",
    Effect.fnUntraced(function*(journal) {
      const seen = yield* journal.write({
        ...written("one"),
        effect: (entry) => Effect.map(journal.entriesById([entry.id]), ([found]) => found)
      })
      assert.isUndefined(seen)
      assert.strictEqual((yield* journal.entries).length, 1)
    })
  )

  ruling(
    "writes nothing when the effect fails",
    Effect.fnUntraced(function*(journal) {
      const failing = journal.writeMany({
        entries: [written("one"), written("two")],
        effect: () => Effect.fail("refused" as const)
      })
      assert.strictEqual(yield* Effect.flip(failing), "refused")
      const dying = journal.write({ ...written("three"), effect: () => Effect.die("broken") })
      assert.isTrue(Exit.isFailure(yield* Effect.exit(dying)))
      assert.deepStrictEqual(yield* journal.entries, [])
      assert.deepStrictEqual(yield* upload(journal, one), [])
    })
  )

  ruling(
    "writes many with one effect, in their order",
    Effect.fnUntraced(function*(journal) {
      let calls = 0
      const answer = yield* journal.writeMany({
        entries: [written("one"), written("two"), written("three")],
        effect: (entries) => {
          calls += 1
          return Effect.succeed(payloads(entries))
        }
      })
      assert.strictEqual(calls, 1)
      assert.deepStrictEqual(answer, ["one", "two", "three"])
      assert.deepStrictEqual(payloads(yield* journal.entries), ["one", "two", "three"])
    })
  )

  ruling(
    "gives entries by their ids, and nothing for an id that is not there",
    Effect.fnUntraced(function*(journal) {
      const first = yield* write(journal, "one")
      const second = yield* write(journal, "two")
      const found = yield* journal.entriesById([second.id, idAt(1), first.id, second.id])
      assert.deepStrictEqual(payloads(found), ["two", undefined, "one", "two"])
      assert.deepStrictEqual(yield* journal.entriesById([]), [])
    })
  )

  ruling(
    "gives local entries ids after those that came from a remote whose clock is ahead",
    Effect.fnUntraced(function*(journal) {
      const ahead = entryAt(Date.now() + 60_000, { payload: "ahead" })
      yield* receive(journal, one, 0, [ahead])
      yield* write(journal, "one")
      yield* journal.writeMany({ entries: [written("two"), written("three")], effect: () => Effect.void })
      assert.deepStrictEqual(payloads(yield* journal.entries), ["ahead", "one", "two", "three"])
    })
  )

  rulingIf(!isReopened)(
    "tells of local entries when they are there, in their order, and of no others",
    Effect.fnUntraced(function*(journal) {
      const changes = yield* journal.changes
      yield* write(journal, "one")
      yield* receive(journal, one, 0, [entryAt(1)])
      yield* Effect.ignore(journal.write({ ...written("failed"), effect: () => Effect.fail("refused") }))
      yield* journal.writeMany({ entries: [written("two"), written("three")], effect: () => Effect.void })
      assert.deepStrictEqual(payloads(yield* PubSub.takeUpTo(changes, 10)), ["one", "two", "three"])
    })
  )

  ruling(
    "has every entry of many that are written at once, each once",
    Effect.fnUntraced(function*(journal) {
      const all = Array.from({ length: 50 }, (_, index) => `entry ${index}`)
      yield* Effect.forEach(all, (payload) => write(journal, payload), { concurrency: "unbounded", discard: true })
      const entries = yield* journal.entries
      assert.sameMembers(payloads(entries), all)
      assert.strictEqual(new Set(entries.map(({ idString }) => idString)).size, all.length)
      assert.sameMembers([...(yield* upload(journal, one))], all)
    })
  )

  ruling(
    "gives the entries of a remote to one effect, in the order of their ids",
    Effect.fnUntraced(function*(journal) {
      const { calls, duplicates } = yield* receive(journal, one, 5, [entryAt(30), entryAt(10), entryAt(20)])
      assert.deepStrictEqual(calls, [[
        { entry: "at 10", conflicts: [] },
        { entry: "at 20", conflicts: [] },
        { entry: "at 30", conflicts: [] }
      ]])
      assert.deepStrictEqual(duplicates, [])
      assert.deepStrictEqual(payloads(yield* journal.entries), ["at 10", "at 20", "at 30"])
    })
  )

  ruling(
    "gives with each entry of a remote those that conflict: of its event and key, with a greater id",
    Effect.fnUntraced(function*(journal) {
      yield* receive(journal, other, 0, [
        entryAt(10),
        entryAt(40),
        entryAt(20),
        entryAt(50, { primaryKey: "bob" }),
        entryAt(60, { event: "Removed" })
      ])
      const local = yield* write(journal, "local")
      const { calls } = yield* receive(journal, one, 0, [
        entryAt(15),
        entryAt(30),
        entryAt(5, { primaryKey: "bob", payload: "of bob" }),
        entryAt(70, { event: "Removed", payload: "removed" }),
        entryAt(local.createdAtMillis + 1000, { payload: "after local" })
      ])
      assert.deepStrictEqual(calls, [[
        { entry: "of bob", conflicts: ["at 50"] },
        { entry: "at 15", conflicts: ["at 20", "at 40", "local"] },
        { entry: "at 30", conflicts: ["at 40", "local"] },
        { entry: "removed", conflicts: [] },
        { entry: "after local", conflicts: [] }
      ]])
    })
  )

  ruling(
    "takes an entry that comes again for a duplicate, and one that comes twice at once for one",
    Effect.fnUntraced(function*(journal) {
      const [first, second, third] = [entryAt(10), entryAt(20), entryAt(30)]
      yield* receive(journal, one, 0, [first])
      const again = yield* receive(journal, other, 0, [first, second, second])
      assert.deepStrictEqual(again.duplicates, ["at 10"])
      assert.deepStrictEqual(again.calls, [[{ entry: "at 20", conflicts: [] }]])
      const local = yield* write(journal, "local")
      const echo = yield* receive(journal, one, 1, [local, third])
      assert.deepStrictEqual(echo.duplicates, ["local"])
      assert.deepStrictEqual(payloads(yield* journal.entries), ["at 10", "at 20", "at 30", "local"])
    })
  )

  ruling(
    "does not call the effect when nothing new comes, but knows how far the remote is",
    Effect.fnUntraced(function*(journal) {
      const entry = entryAt(10)
      yield* receive(journal, one, 0, [entry])
      const { calls } = yield* receive(journal, one, 8, [entry])
      assert.deepStrictEqual(calls, [])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 9)
    })
  )

  ruling(
    "imports nothing when the effect fails, and has not come further with the remote",
    Effect.fnUntraced(function*(journal) {
      yield* receive(journal, one, 3, [entryAt(10)])
      const refused = new EventJournal.EventJournalError({ method: "test", cause: "refused" })
      const failing = journal.writeFromRemote({
        remoteId: one,
        entries: [remoteEntry(4, entryAt(20)), remoteEntry(5, entryAt(30))],
        effect: () => Effect.fail(refused)
      })
      assert.strictEqual((yield* Effect.flip(failing)).cause, "refused")
      assert.deepStrictEqual(payloads(yield* journal.entries), ["at 10"])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 4)
      const { calls } = yield* receive(journal, one, 4, [entryAt(20)])
      assert.strictEqual(calls.length, 1)
    })
  )

  ruling(
    "gives the effect what a compaction leaves, and has what came",
    Effect.fnUntraced(function*(journal) {
      yield* receive(journal, other, 0, [entryAt(100)])
      const seen: Array<string> = []
      let compactions = 0
      yield* journal.writeFromRemote({
        remoteId: one,
        entries: [remoteEntry(0, entryAt(10)), remoteEntry(1, entryAt(20)), remoteEntry(2, entryAt(30))],
        compact: (uncommitted) => {
          compactions += uncommitted.length
          return Effect.succeed([uncommitted[2]!.entry])
        },
        effect: (batch) =>
          Effect.sync(() => {
            for (const { conflicts, entry } of batch) seen.push(`${text(entry.payload)} <- ${payloads(conflicts)}`)
          })
      })
      assert.strictEqual(compactions, 3)
      assert.deepStrictEqual(seen, ["at 30 <- at 100"])
      assert.deepStrictEqual(payloads(yield* journal.entries), ["at 10", "at 20", "at 30", "at 100"])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 3)
    })
  )

  ruling(
    "uploads what a remote has neither sent nor acknowledged, in the order of ids, and once",
    Effect.fnUntraced(function*(journal) {
      yield* receive(journal, one, 0, [entryAt(10), entryAt(30)])
      yield* receive(journal, other, 0, [entryAt(20)])
      yield* write(journal, "local")
      assert.deepStrictEqual(yield* upload(journal, one), ["at 20", "local"])
      assert.deepStrictEqual(yield* upload(journal, one), [])
      assert.deepStrictEqual(yield* upload(journal, other), ["at 10", "at 30", "local"])
      yield* write(journal, "more")
      assert.deepStrictEqual(yield* upload(journal, one), ["more"])
      assert.isTrue(Option.isNone(yield* journal.withRemoteUncommited(one, () => Effect.succeed(1))))
    })
  )

  ruling(
    "uploads again what failed, and later what came meanwhile",
    Effect.fnUntraced(function*(journal) {
      yield* write(journal, "one")
      const failing = journal.withRemoteUncommited(one, () => Effect.fail("away"))
      assert.strictEqual(yield* Effect.flip(failing), "away")
      const during = yield* journal.withRemoteUncommited(
        one,
        (entries) => Effect.as(write(journal, "meanwhile"), payloads(entries))
      )
      assert.deepStrictEqual(Option.getOrUndefined(during), ["one"])
      assert.deepStrictEqual(yield* upload(journal, one), ["meanwhile"])
    })
  )

  ruling(
    "has the next sequence of a remote: after all that it sent, and after what it acknowledged without a gap",
    Effect.fnUntraced(function*(journal) {
      const entryId = idAt(1)
      const ack = (...sequences: ReadonlyArray<number>) => sequences.map((sequence) => ({ entryId, sequence }))
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 0)
      yield* receive(journal, one, 4, [entryAt(10), entryAt(20)])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 6)
      yield* journal.writeRemoteAcks({ remoteId: one, acks: ack(8, 6, 7, 10, 6) })
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 9)
      yield* journal.writeRemoteAcks({ remoteId: one, acks: ack(3) })
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 9)
      assert.strictEqual(yield* journal.nextRemoteSequence(other), 0)
      yield* journal.writeRemoteAcks({ remoteId: other, acks: ack(2, 3) })
      assert.strictEqual(yield* journal.nextRemoteSequence(other), 0)
      yield* journal.writeRemoteAcks({ remoteId: other, acks: ack(2, 1), firstSequence: 1 })
      assert.strictEqual(yield* journal.nextRemoteSequence(other), 3)
      yield* receive(journal, one, 2, [entryAt(30)])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 9)
    })
  )

  ruling(
    "keeps every entry as it is, whatever characters and bytes it has",
    Effect.fnUntraced(function*(journal) {
      const odd = ["", "a\tb\n", "é\u0000\"\\", "__proto__", "[1]", "\ud83d\ude00", "a".repeat(1000)]
      for (const name of odd) {
        yield* journal.write({
          event: `event ${name}`,
          primaryKey: name,
          payload: bytes(name),
          effect: () => Effect.void
        })
      }
      yield* journal.write({
        event: "bytes",
        primaryKey: "",
        payload: Uint8Array.of(9, 0, 255, 10),
        effect: () => Effect.void
      })
      const entries = yield* journal.entries
      assert.deepStrictEqual(
        entries.slice(0, -1).map(({ event, payload, primaryKey }) => [event, primaryKey, text(payload)]),
        odd.map((name) => [`event ${name}`, name, name])
      )
      assert.deepStrictEqual(Array.from(entries.at(-1)!.payload), [9, 0, 255, 10])
    })
  )

  ruling(
    "runs one effect at a time under the lock of a store",
    Effect.fnUntraced(function*(journal) {
      const store = StoreId.make("store")
      const isHeld = yield* Deferred.make<void>()
      const mayEnd = yield* Deferred.make<void>()
      const order: Array<string> = []
      const first = yield* Effect.forkChild(
        journal.withLock(store)(Effect.gen(function*() {
          yield* Deferred.succeed(isHeld, undefined)
          yield* Deferred.await(mayEnd)
          order.push("first")
        }))
      )
      yield* Deferred.await(isHeld)
      const second = yield* Effect.forkChild(journal.withLock(store)(Effect.sync(() => order.push("second"))), {
        startImmediately: true
      })
      yield* Deferred.succeed(mayEnd, undefined)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.deepStrictEqual(order, ["first", "second"])
    })
  )

  rulingIf(!lacks.has("life after its end"))(
    "has nothing after it was destroyed, and goes on",
    Effect.fnUntraced(function*(journal) {
      yield* write(journal, "one")
      yield* upload(journal, other)
      const entry = entryAt(10)
      yield* receive(journal, one, 4, [entry])
      yield* journal.destroy
      assert.deepStrictEqual(yield* journal.entries, [])
      assert.strictEqual(yield* journal.nextRemoteSequence(one), 0)
      const { calls, duplicates } = yield* receive(journal, one, 0, [entry])
      assert.deepStrictEqual([calls.length, duplicates.length], [1, 0])
      yield* write(journal, "two")
      assert.deepStrictEqual(payloads(yield* journal.entries), ["at 10", "two"])
      assert.deepStrictEqual(yield* upload(journal, other), ["at 10", "two"])
    })
  )
})
