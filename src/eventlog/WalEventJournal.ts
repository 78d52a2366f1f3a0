/**
 * Effect's `EventJournal` over a log: the entries of an `EventLog`, and what is known of its remotes, survive the
 * process without a database. So a program that works offline synchronizes after a restart what it wrote before.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. What `write`, `writeMany`, `writeFromRemote` or `writeRemoteAcks` have answered is on disk, and no crash takes it
 *    back. The entries of one call are there all or none, however many they are (promise 72).
 * 2. Nothing is handed out before it is on disk: no entry that is read, uploaded, or comes as a change.
 * 3. Entries with one id are one, whichever way and however often they come.
 * 4. What a remote has, and what has come from it, is known after a restart: nothing is uploaded that it has
 *    acknowledged, and nothing of it is left out.
 * 5. Conflicts are those of Effect's journal in memory: the same code tells them.
 *
 * All entries are in memory.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import type { StoreId } from "effect/eventlog/EventLogMessage"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as References from "effect/References"
import * as Semaphore from "effect/Semaphore"
import { requireBytes } from "../internal/arguments.ts"
import type { Log } from "../recorder/Log.ts"
import type * as StateMachine from "../state/StateMachine.ts"
import * as Committing from "./Committing.ts"
import type { Options } from "./Committing.ts"
import { EntryIds } from "./EntryIds.ts"
import { JournalState, kind } from "./JournalState.ts"
import type { JournalEvent } from "./JournalState.ts"
import { copyOf, hexOf } from "./Lines.ts"
import { requireArray, requireEntry, requireId, requireSequence, requireText } from "./required.ts"

type Journal = EventJournal.EventJournal["Service"]
type WriteFromRemote = Parameters<Journal["writeFromRemote"]>[0]

export type { Options } from "./Committing.ts"

/**
 * An event journal over this log of bytes, which has nothing else in it.
 *
 * **Example** (A journal that survives)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { EventJournal } from "effect/eventlog"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalEventJournal } from "effect-wal/eventlog"
 *
 * class JournalLog extends Wal.Service<JournalLog>()("app/JournalLog") {}
 *
 * const JournalLive = WalEventJournal.layer(JournalLog).pipe(
 *   Layer.provide(JournalLog.layerWorker({ directory: "./journal" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const journal = yield* EventJournal.EventJournal
 *   yield* journal.write({
 *     event: "UserCreated",
 *     primaryKey: "ada",
 *     payload: new TextEncoder().encode("Ada"),
 *     effect: (entry) => Console.log(entry.event) // => UserCreated
 *   }) // on disk from here on
 *   yield* Console.log((yield* journal.entries).length) // => 1
 * })
 *
 * await Effect.runPromise(Effect.provide(program, JournalLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  log: Context.Key<Self, Log<Uint8Array>>,
  options: Options = {}
): Layer.Layer<EventJournal.EventJournal, StateMachine.StateMachineError, Self> =>
  Layer.effect(EventJournal.EventJournal, Effect.flatMap(log, (log) => make(log, options)))

/** The key of a remote. */
const remoteOf = (name: string, remoteId: EventJournal.RemoteId): string => {
  requireId(name, remoteId)
  return hexOf(remoteId)
}

/** The first sequence after the acknowledged ones that follow this one without a gap. */
const afterAcks = (next: number, acks: ReadonlyArray<EventJournal.RemoteAck>): number => {
  const sequences = new Set(acks.map(({ sequence }) => sequence))
  while (sequences.has(next)) next += 1
  return next
}

/**
 * Gives the entries and their conflicts to `effect` of a batch as Effect's own journal does: by such a journal, in
 * memory, that has the stored entries with the same keys. So an entry that a compactor wrote stands for its source
 * here, too, which only Effect's modules know.
 */
const withConflicts = Effect.fnUntraced(function*(
  stored: ReadonlyArray<EventJournal.Entry>,
  options: Pick<WriteFromRemote, "effect" | "remoteId"> & {
    readonly entries: ReadonlyArray<EventJournal.RemoteEntry>
    readonly compacted: ReadonlyArray<EventJournal.Entry>
    readonly clock: Clock.Clock
  }
) {
  const memory = yield* Effect.provideService(EventJournal.makeMemory, Clock.Clock, options.clock)
  yield* memory.writeFromRemote({
    remoteId: options.remoteId,
    entries: stored.map((entry) => new EventJournal.RemoteEntry({ remoteSequence: 0, entry }, { disableChecks: true })),
    effect: () => Effect.void
    // It would warn of stored entries that are ahead of the clock, of which it was warned when they came.
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  yield* memory.writeFromRemote({
    remoteId: options.remoteId,
    entries: options.entries,
    compact: () => Effect.succeed(options.compacted),
    effect: options.effect
  })
})

const make = Effect.fnUntraced(function*(log: Log<Uint8Array>, options: Options) {
  const committing = yield* Committing.make<JournalState, JournalEvent>(log, {
    ...options,
    name: "journal",
    kind,
    initial: () => new JournalState()
  })
  const changes = yield* PubSub.unbounded<EventJournal.Entry>()
  yield* Effect.addFinalizer(() => PubSub.shutdown(changes))
  const clock = yield* Clock.Clock
  const ids = new EntryIds()
  const locks = new Map<StoreId, Semaphore.Semaphore>()

  const failed = (method: keyof Journal) => (cause: unknown) => new EventJournal.EventJournalError({ method, cause })

  const read = <A>(method: keyof Journal, f: (state: JournalState) => A) =>
    Effect.mapError(committing.read(f), failed(method))

  /** Commits what is decided. When the caller is interrupted meanwhile, it is committed all the same. */
  const commit = (method: keyof Journal, decide: (state: JournalState) => ReadonlyArray<JournalEvent>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        committing.begin((state) => ({ answer: undefined, events: decide(state) })),
        (durable) => restore(Effect.mapError(durable, failed(method)))
      )
    )

  const localEntries = (given: Parameters<Journal["writeMany"]>[0]["entries"]) =>
    Effect.suspend(() => {
      requireArray("options.entries", given, 1)
      for (const { event, payload, primaryKey } of given) {
        requireText("event", event)
        requireText("primaryKey", primaryKey)
        requireBytes("payload", payload)
      }
      return Effect.try({
        try: () => {
          const made = ({ event, payload, primaryKey }: typeof given[number]) =>
            new EventJournal.Entry({
              id: ids.nextUnsafe(committing.state.latest),
              event,
              primaryKey,
              payload: Uint8Array.from(payload)
            }, { disableChecks: true })
          const [first, ...rest] = given
          return [made(first), ...rest.map(made)] as const
        },
        catch: failed("writeMany")
      })
    })

  const writeMany: Journal["writeMany"] = ({ effect, entries: given }) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const entries = yield* localEntries(given)
        const events = entries.map((entry): JournalEvent => ({ type: "entry", entry, remote: undefined }))
        // What can never be appended is refused before the effect has done anything.
        yield* Effect.mapError(committing.check(events), failed("writeMany"))
        const answer = yield* restore(effect(entries))
        const publish = () => entries.forEach((entry) => PubSub.publishUnsafe(changes, entry))
        const durable = yield* committing.begin(() => ({ answer, events, publish }))
        return yield* restore(Effect.mapError(durable, failed("writeMany")))
      })
    )

  const writeFromRemote: Journal["writeFromRemote"] = Effect.fnUntraced(
    function*({ compact, effect, entries, remoteId }) {
      const remote = remoteOf("options.remoteId", remoteId)
      requireArray("options.entries", entries)
      for (const { entry, remoteSequence } of entries) {
        requireEntry("entry", entry)
        requireSequence("remoteSequence", remoteSequence)
      }
      const duplicateEntries: Array<EventJournal.Entry> = []
      const fresh = new Map<string, EventJournal.RemoteEntry>()
      yield* read("writeFromRemote", (state) => {
        for (const one of entries) {
          const id = hexOf(one.entry.id)
          if (state.byId(one.entry.id) !== undefined) duplicateEntries.push(one.entry)
          else if (!fresh.has(id)) fresh.set(id, one)
        }
      })
      const uncommitted = [...fresh.values()]
      const imports = uncommitted.map(({ entry }) => ({ type: "entry", entry: copyOf(entry), remote }) as const)
      yield* Effect.mapError(committing.check(imports), failed("writeFromRemote"))
      const compacted = compact === undefined ? uncommitted.map(({ entry }) => entry) : yield* compact(uncommitted)
      if (compacted.length > 0) {
        const stored = yield* read("writeFromRemote", (state) => state.withKeysOf(compacted))
        yield* withConflicts(stored, { remoteId, entries: uncommitted, compacted, effect, clock })
      }
      const next = entries.reduce((next, { remoteSequence }) => Math.max(next, remoteSequence + 1), 0)
      yield* commit("writeFromRemote", (state) => [
        ...imports.filter(({ entry }) => state.byId(entry.id) === undefined),
        ...next > state.next(remote) ? [{ type: "next", remote, sequence: next } as const] : []
      ])
      return { duplicateEntries }
    }
  )

  const withRemoteUncommited: Journal["withRemoteUncommited"] = (remoteId, f) =>
    Effect.suspend(() => {
      const remote = remoteOf("remoteId", remoteId)
      return Effect.flatMap(
        read("withRemoteUncommited", (state) => ({ ...state.upload(remote), destroyed: state.destroyed })),
        ({ count, destroyed, entries, known }) => {
          if (count <= known) return Effect.succeedNone
          const [first, ...rest] = entries
          const uploading = first === undefined ? Effect.succeedNone : Effect.asSome(f([first, ...rest]))
          // Uploads may end in another order than they began; what a remote has is never less than before.
          const isNews = (state: JournalState) => state.destroyed === destroyed && state.uploaded(remote) < count
          return Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(restore(uploading), (answer) =>
              Effect.flatMap(
                committing.begin((state) => ({
                  answer,
                  events: isNews(state) ? [{ type: "uploaded", remote, count }] : []
                })),
                (durable) => restore(Effect.mapError(durable, failed("withRemoteUncommited")))
              ))
          )
        }
      )
    })

  const writeRemoteAcks: Journal["writeRemoteAcks"] = ({ acks, firstSequence = 0, remoteId }) =>
    Effect.suspend(() => {
      const remote = remoteOf("options.remoteId", remoteId)
      requireArray("options.acks", acks)
      for (const { sequence } of acks) requireSequence("sequence", sequence)
      requireSequence("options.firstSequence", firstSequence)
      return commit("writeRemoteAcks", (state) => {
        const sequence = afterAcks(Math.max(state.next(remote), firstSequence), acks)
        return sequence > state.next(remote) ? [{ type: "next", remote, sequence }] : []
      })
    })

  return EventJournal.EventJournal.of({
    entries: read("entries", (state) => state.entries()),
    entriesById: (ids) =>
      Effect.suspend(() => {
        requireArray("ids", ids)
        for (const id of ids) requireId("ids", id)
        return read("entriesById", (state) => ids.map((id) => state.byId(id)))
      }),
    write: ({ effect, ...entry }) => writeMany({ entries: [entry], effect: ([entry]) => effect(entry) }),
    writeMany,
    writeFromRemote,
    withRemoteUncommited,
    writeRemoteAcks,
    nextRemoteSequence: (remoteId) =>
      Effect.suspend(() => {
        const remote = remoteOf("remoteId", remoteId)
        return read("nextRemoteSequence", (state) => state.next(remote))
      }),
    changes: PubSub.subscribe(changes),
    destroy: commit("destroy", (state) => state.isEmpty ? [] : [{ type: "destroy" }]),
    withLock: (storeId) => {
      const lock = locks.get(storeId) ?? Semaphore.makeUnsafe(1)
      locks.set(storeId, lock)
      return lock.withPermit
    }
  })
})
