/** What the storage of a server without encryption has: by stores, entries with their sequences. */
import { Entry, RemoteEntry } from "effect/eventlog/EventJournal"
import type { State } from "./Folded.ts"
import { KeyIndex } from "./KeyIndex.ts"
import { entryFields, entryOf, hexOf } from "./Lines.ts"
import type { Kind } from "./Lines.ts"
import { serverEventOf, serverLine, ServerState } from "./ServerState.ts"
import type { ServerEvent } from "./ServerState.ts"

/** An entry gets the next sequence of its store: `["entry",STORE,ID,"UserCreated","ada"]⇥payload`. */
export type EntryEvent = { readonly type: "entry"; readonly store: string; readonly entry: Entry }

export type EntriesEvent = ServerEvent | EntryEvent

const server = "unencrypted"

export const kind: Kind<EntriesEvent> = {
  of: "an event-log server without encryption",
  lineOf: (event) =>
    event.type === "entry"
      ? { head: ["entry", event.store, ...entryFields(event.entry)], payload: event.entry.payload }
      : serverLine(server, event),
  eventOf: (head, payload) => {
    const [type, store, ...fields] = head
    if (type !== "entry") return serverEventOf(server, head)
    const entry = entryOf(fields, payload)
    return entry === undefined || typeof store !== "string" ? undefined : { type, store, entry }
  }
}

/** The first sequence of a store. */
export const firstSequence = 1

/** The entries of one store. */
class StoreEntries {
  /** In the order of their sequences, which have no gap. */
  readonly all: Array<RemoteEntry> = []
  readonly #byId = new Map<string, RemoteEntry>()
  readonly #byKey = new KeyIndex<RemoteEntry>()

  get next(): number {
    return firstSequence + this.all.length
  }

  byId(id: Uint8Array): RemoteEntry | undefined {
    return this.#byId.get(hexOf(id))
  }

  add(entry: Entry): void {
    const id = hexOf(entry.id)
    if (this.#byId.has(id)) return
    const remoteEntry = new RemoteEntry({ remoteSequence: this.next, entry }, { disableChecks: true })
    this.all.push(remoteEntry)
    this.#byId.set(id, remoteEntry)
    this.#byKey.add(entry.event, entry.primaryKey, remoteEntry)
  }

  from(sequence: number): ReadonlyArray<RemoteEntry> {
    return this.all.slice(Math.max(0, sequence - firstSequence))
  }

  /**
   * Those at or after an entry; with a batch only those with an id of the batch, and those at or after the entry with
   * an event and a primary key of it. In the order of their sequences.
   */
  after(oldest: Entry, batch: ReadonlyArray<Entry> | undefined): Array<RemoteEntry> {
    const isAfter = ({ entry }: RemoteEntry) => Entry.Order(entry, oldest) >= 0
    if (batch === undefined) return this.all.filter(isAfter)
    const found = new Set(this.#byKey.all(batch).flat().filter(isAfter))
    for (const { id } of batch) {
      const known = this.byId(id)
      if (known !== undefined) found.add(known)
    }
    return [...found].sort((one, other) => one.remoteSequence - other.remoteSequence)
  }
}

export class EntriesState extends ServerState implements State<EntriesEvent> {
  readonly #stores = new Map<string, StoreEntries>()

  store(store: string): StoreEntries {
    return this.#stores.get(store) ?? new StoreEntries()
  }

  apply(event: EntriesEvent): void {
    if (event.type !== "entry") return this.applyServer(event)
    const entries = this.store(event.store)
    this.#stores.set(event.store, entries)
    entries.add(event.entry)
  }

  *events(): Generator<EntriesEvent, void, void> {
    yield* this.serverEvents()
    for (const [store, { all }] of this.#stores) for (const { entry } of all) yield { type: "entry", store, entry }
  }
}
