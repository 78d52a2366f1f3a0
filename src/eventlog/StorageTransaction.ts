/** What is written within a transaction of a server's storage, before it is committed as a whole. */
import { Entry, RemoteEntry } from "effect/eventlog/EventJournal"
import type { EntriesState, EntryEvent } from "./EntriesState.ts"
import { copyOf, hexOf } from "./Lines.ts"

export class StorageTransaction {
  /** What is written after its end is no part of it: a fiber may live longer than the transaction it was forked in. */
  isOpen = true
  readonly #state: EntriesState
  #written: Array<{ readonly store: string; readonly written: RemoteEntry }> = []

  /** Nothing else writes entries to the state meanwhile. */
  constructor(state: EntriesState) {
    this.#state = state
  }

  #writtenTo(store: string): ReadonlyArray<RemoteEntry> {
    return this.#written.flatMap((one) => one.store === store ? [one.written] : [])
  }

  /** Writes what the store does not have. Gives each entry once, with its sequence. */
  write(store: string, entries: ReadonlyArray<Entry>): ReadonlyArray<RemoteEntry> {
    const stored = this.#state.store(store)
    const byId = new Map(this.#writtenTo(store).map((one) => [hexOf(one.entry.id), one]))
    let next = stored.next + byId.size
    const answer = new Set<RemoteEntry>()
    for (const entry of entries) {
      const id = hexOf(entry.id)
      let one = stored.byId(entry.id) ?? byId.get(id)
      if (one === undefined) {
        one = new RemoteEntry({ remoteSequence: next++, entry: copyOf(entry) }, { disableChecks: true })
        byId.set(id, one)
        this.#written.push({ store, written: one })
      }
      answer.add(one)
    }
    return [...answer]
  }

  /** As `StoreEntries.after`, with what was written. */
  after(store: string, oldest: Entry, batch: ReadonlyArray<Entry> | undefined): Array<RemoteEntry> {
    const written = this.#writtenTo(store).filter(({ entry }) => {
      const isAfter = Entry.Order(entry, oldest) >= 0
      return batch === undefined ? isAfter : batch.some((one) =>
        hexOf(one.id) === hexOf(entry.id) ||
        (isAfter && one.event === entry.event && one.primaryKey === entry.primaryKey)
      )
    })
    return [...this.#state.store(store).after(oldest, batch), ...written]
  }

  /** Undoes what is done after this, when the function that it gives is called. */
  savepoint(): () => void {
    const { length } = this.#written
    return () => {
      this.#written = this.#written.slice(0, length)
    }
  }

  events(): ReadonlyArray<EntryEvent> {
    return this.#written.map(({ store, written }) => ({ type: "entry", store, entry: written.entry }))
  }

  /** By stores, in the order of their sequences. */
  writtenByStore(): ReadonlyMap<string, ReadonlyArray<RemoteEntry>> {
    const stores = new Set(this.#written.map(({ store }) => store))
    return new Map([...stores].map((store) => [store, this.#writtenTo(store)]))
  }
}
