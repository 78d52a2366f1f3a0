/** What an event journal has: its entries in the order in which they came, and how far each remote is. */
import { Entry, EntryIdOrder } from "effect/eventlog/EventJournal"
import type { EntryId } from "effect/eventlog/EventJournal"
import type { State } from "./Folded.ts"
import { KeyIndex } from "./KeyIndex.ts"
import { entryFields, entryOf, hexOf } from "./Lines.ts"
import type { Kind } from "./Lines.ts"

/**
 * An event of a journal. A remote is known by its id in hexadecimal.
 *
 * ```text
 * ["entry",ID,"UserCreated","ada"]⇥…            an entry that was written here: id, event, primary key; payload
 * ["entry",ID,"UserCreated","ada",REMOTE]⇥…     one that a remote has sent
 * ["uploaded",REMOTE,12]                        a remote has the first 12 entries of the journal
 * ["next",REMOTE,7]                             the first sequence of a remote that is not here
 * ["destroy"]                                   everything before is gone
 * ```
 */
export type JournalEvent =
  | { readonly type: "entry"; readonly entry: Entry; readonly remote: string | undefined }
  | { readonly type: "uploaded"; readonly remote: string; readonly count: number }
  | { readonly type: "next"; readonly remote: string; readonly sequence: number }
  | { readonly type: "destroy" }

const eventOf = (head: ReadonlyArray<unknown>, payload: Uint8Array | undefined): JournalEvent | undefined => {
  const [type, first, second, , remote] = head
  if (type === "destroy") return { type }
  if (type === "entry") {
    const entry = entryOf(head.slice(1), payload)
    return entry === undefined || (remote !== undefined && typeof remote !== "string")
      ? undefined
      : { type, entry, remote }
  }
  if (typeof first !== "string" || typeof second !== "number") return undefined
  if (type === "uploaded") return { type, remote: first, count: second }
  return type === "next" ? { type, remote: first, sequence: second } : undefined
}

export const kind: Kind<JournalEvent> = {
  of: "an event journal",
  lineOf: (event) => {
    switch (event.type) {
      case "entry":
        return {
          head: ["entry", ...entryFields(event.entry), ...event.remote === undefined ? [] : [event.remote]],
          payload: event.entry.payload
        }
      case "uploaded":
        return { head: ["uploaded", event.remote, event.count] }
      case "next":
        return { head: ["next", event.remote, event.sequence] }
      case "destroy":
        return { head: ["destroy"] }
    }
  },
  eventOf
}

/** What a remote does not have yet. */
interface Upload {
  /** In the order of their ids. */
  readonly entries: ReadonlyArray<Entry>
  /** How many entries of the journal it has with them. */
  readonly count: number
  /** How many it is known to have. */
  readonly known: number
}

export class JournalState implements State<JournalEvent> {
  /** In the order in which they came, each with the remote that sent it. */
  readonly #journal: Array<{ readonly entry: Entry; readonly remote: string | undefined }> = []
  readonly #byId = new Map<string, Entry>()
  readonly #byKey = new KeyIndex<Entry>()
  /** By remotes: how many entries of the journal each has. */
  readonly #uploaded = new Map<string, number>()
  /** By remotes: the first sequence that is not here. */
  readonly #next = new Map<string, number>()
  /** By ids, when `#isSorted`. */
  #sorted: Array<Entry> = []
  #isSorted = true
  /** The greatest id. */
  latest: EntryId | undefined
  /** How often everything was destroyed since the start. */
  destroyed = 0

  apply(event: JournalEvent): void {
    switch (event.type) {
      case "entry":
        return this.#add(event.entry, event.remote)
      case "uploaded":
        this.#uploaded.set(event.remote, event.count)
        return
      case "next":
        this.#next.set(event.remote, event.sequence)
        return
      case "destroy":
        return this.#destroy()
    }
  }

  #add(entry: Entry, remote: string | undefined): void {
    const id = hexOf(entry.id)
    if (this.#byId.has(id)) return
    if (this.latest === undefined || EntryIdOrder(entry.id, this.latest) > 0) this.latest = entry.id
    else this.#isSorted = false
    this.#sorted.push(entry)
    this.#journal.push({ entry, remote })
    this.#byId.set(id, entry)
    this.#byKey.add(entry.event, entry.primaryKey, entry)
  }

  #destroy(): void {
    this.destroyed += 1
    this.#journal.length = 0
    this.#byId.clear()
    this.#byKey.clear()
    this.#uploaded.clear()
    this.#next.clear()
    this.#sorted = []
    this.#isSorted = true
    this.latest = undefined
  }

  get isEmpty(): boolean {
    return this.#journal.length === 0 && this.#uploaded.size === 0 && this.#next.size === 0
  }

  /** In the order of their ids. */
  entries(): Array<Entry> {
    if (!this.#isSorted) this.#sorted.sort(Entry.Order)
    this.#isSorted = true
    return this.#sorted.slice()
  }

  byId(id: Uint8Array): Entry | undefined {
    return this.#byId.get(hexOf(id))
  }

  /** Those with the event and the primary key of one of these. */
  withKeysOf(entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> {
    return this.#byKey.all(entries).flat()
  }

  next(remote: string): number {
    return this.#next.get(remote) ?? 0
  }

  /** The entries that a remote neither has sent nor is known to have. */
  upload(remote: string): Upload {
    const known = this.uploaded(remote)
    const entries = this.#journal.slice(known).flatMap((one) => one.remote === remote ? [] : [one.entry])
    return { entries: entries.sort(Entry.Order), count: this.#journal.length, known }
  }

  /** How many entries of the journal a remote is known to have. */
  uploaded(remote: string): number {
    return this.#uploaded.get(remote) ?? 0
  }

  *events(): Generator<JournalEvent, void, void> {
    for (const { entry, remote } of this.#journal) yield { type: "entry", entry, remote }
    for (const [remote, count] of this.#uploaded) yield { type: "uploaded", remote, count }
    for (const [remote, sequence] of this.#next) yield { type: "next", remote, sequence }
  }
}
