/** What `storeVictim.ts` does with an event journal, and with the storage of an event-log server, until it is killed. */
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import { StoreId } from "effect/eventlog/EventLogMessage"
import { Storage } from "effect/eventlog/EventLogServerUnencrypted"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"

/** What the victim tells. Each entry has a number; those of a journal that a remote has sent have a sequence, too. */
export type EventlogLine =
  | {
    readonly type: "open"
    /** By stores, the numbers of the entries; of a journal in the order of their ids. */
    readonly has: Readonly<Record<string, ReadonlyArray<number>>>
    /** Of a journal: what the other remote has not got, and the next sequence of the remote that sends. */
    readonly left?: ReadonlyArray<number>
    readonly next?: number
  }
  /** They are about to be written, together. */
  | { readonly type: "writes"; readonly store: string; readonly entries: ReadonlyArray<number> }
  | {
    readonly type: "accepted"
    readonly store: string
    readonly entries: ReadonlyArray<number>
    readonly sequences?: ReadonlyArray<number>
  }
  /** They are about to come from a remote, from this sequence on. */
  | { readonly type: "receives"; readonly entries: ReadonlyArray<number>; readonly from: number }
  /** An entry has come as a change. */
  | { readonly type: "told"; readonly store: string; readonly entry: number; readonly sequence?: number }
  /** They are handed to a remote, which then has them. */
  | { readonly type: "uploads"; readonly entries: ReadonlyArray<number> }
  | { readonly type: "uploaded"; readonly entries: ReadonlyArray<number> }

interface Tools {
  readonly say: (line: EventlogLine) => void
  readonly random: SeededRandom
  readonly first: number
  readonly drains: boolean
}

const remote = (byte: number) => new Uint8Array(16).fill(byte) as EventJournal.RemoteId

const numberOf = ({ payload }: { readonly payload: Uint8Array }): number =>
  Number.parseInt(Buffer.from(payload).toString())

/** So many bytes that a few of them fit into no block together. */
const largeBytes = 5000

const makers = ({ first, random }: Tools) => {
  let next = first
  const payloadOf = (number: number, bytes: number) => Buffer.from(`${number} `.padEnd(bytes, "x"))
  /** A few entries; sometimes so many bytes that their commit is larger than a block. */
  return () => {
    const isLarge = random.chance(0.1)
    return Array.from({ length: isLarge ? 5 : 1 + random.below(3) }, () => {
      const number = next++
      return {
        number,
        event: "Renamed",
        primaryKey: `key ${number % 7}`,
        payload: payloadOf(number, isLarge ? largeBytes : random.below(100))
      }
    })
  }
}

const entryOf = ({ event, payload, primaryKey }: {
  readonly event: string
  readonly primaryKey: string
  readonly payload: Uint8Array
}) => new EventJournal.Entry({ id: EventJournal.makeEntryIdUnsafe(), event, primaryKey, payload })

const pausing = (random: SeededRandom) => Effect.suspend(() => Effect.sleep(1 + random.below(20)))

export const useJournal = (tools: Tools) =>
  Effect.gen(function*() {
    const { drains, random, say } = tools
    const journal = yield* EventJournal.EventJournal
    const store = "journal"
    const has = (yield* journal.entries).map(numberOf)
    // It fails, so nothing is recorded as uploaded.
    const left = yield* journal.withRemoteUncommited(remote(2), (entries) => Effect.fail(entries.map(numberOf))).pipe(
      Effect.map((): ReadonlyArray<number> => []),
      Effect.catchIf(Array.isArray, (numbers) => Effect.succeed(numbers as ReadonlyArray<number>))
    )
    say({ type: "open", has: { [store]: has }, left, next: yield* journal.nextRemoteSequence(remote(1)) })
    if (drains) return

    const make = makers(tools)
    const changes = yield* journal.changes
    yield* Effect.forkScoped(Effect.forever(Effect.map(
      PubSub.take(changes),
      (entry) => say({ type: "told", store, entry: numberOf(entry) })
    )))
    const write = Effect.gen(function*() {
      const [first, ...rest] = make()
      const entries = [first!, ...rest].map(({ number }) => number)
      say({ type: "writes", store, entries })
      yield* journal.writeMany({ entries: [first!, ...rest], effect: () => Effect.void })
      say({ type: "accepted", store, entries })
      if (random.chance(0.5)) yield* pausing(random)
    })
    const receive = Effect.gen(function*() {
      const made = make()
      const entries = made.map(({ number }) => number)
      const from = yield* journal.nextRemoteSequence(remote(1))
      say({ type: "receives", entries, from })
      const receiving = journal.writeFromRemote({
        remoteId: remote(1),
        entries: made.map((one, index) =>
          new EventJournal.RemoteEntry({ remoteSequence: from + index, entry: entryOf(one) })
        ),
        effect: () => Effect.void
      })
      yield* receiving
      say({ type: "accepted", store, entries })
      if (random.chance(0.2)) yield* receiving
      yield* pausing(random)
    })
    const upload = Effect.gen(function*() {
      let uploads: ReadonlyArray<number> = []
      yield* journal.withRemoteUncommited(remote(2), (entries) => {
        uploads = entries.map(numberOf)
        say({ type: "uploads", entries: uploads })
        return pausing(random)
      })
      say({ type: "uploaded", entries: uploads })
      yield* pausing(random)
    })
    yield* Effect.all([write, write, write, receive, upload].map((each) => Effect.forever(each)), {
      concurrency: "unbounded"
    })
  }).pipe(Effect.scoped)

export const useStorage = (tools: Tools) =>
  Effect.gen(function*() {
    const { drains, random, say } = tools
    const storage = yield* Storage
    const stores = ["a", "b"].map((store) => StoreId.make(store))
    const oldest = new EventJournal.Entry({
      id: new Uint8Array(16) as EventJournal.EntryId,
      event: "",
      primaryKey: "",
      payload: new Uint8Array(0)
    })
    const has: Record<string, ReadonlyArray<number>> = {}
    for (const store of stores) {
      const entries = yield* storage.entriesAfter(store, oldest)
      entries.forEach(({ remoteSequence }, index) => {
        if (remoteSequence !== index + 1) throw new Error(`store ${store} has a gap before sequence ${remoteSequence}`)
      })
      has[store] = entries.map(({ entry }) => numberOf(entry))
    }
    say({ type: "open", has })
    if (drains) return

    const make = makers(tools)
    const follow = (store: StoreId) =>
      Stream.runForEach(
        storage.changes({ storeId: store, startSequence: has[store]!.length + 1, compactors: new Map() }),
        ({ entry, remoteSequence }) =>
          Effect.sync(() => say({ type: "told", store, entry: numberOf(entry), sequence: remoteSequence }))
      )
    yield* Effect.forEach(stores, (store) => Effect.forkScoped(follow(store)))
    const write = (store: StoreId) =>
      Effect.gen(function*() {
        const made = make()
        const entries = made.map(({ number }) => number)
        say({ type: "writes", store, entries })
        const [first, ...rest] = made.map(entryOf)
        const writing = Effect.map(
          storage.withTransaction(Effect.andThen(
            storage.entriesAfter(store, first!, [first!, ...rest]),
            storage.write(store, [first!, ...rest])
          )),
          (written) =>
            say({ type: "accepted", store, entries, sequences: written.map(({ remoteSequence }) => remoteSequence) })
        )
        yield* writing
        // A client that was not answered writes again.
        if (random.chance(0.2)) yield* writing
        if (random.chance(0.5)) yield* pausing(random)
      })
    yield* Effect.all([...stores, ...stores].map((store) => Effect.forever(write(store))), { concurrency: "unbounded" })
  }).pipe(Effect.scoped)
