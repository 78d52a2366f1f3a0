/** What the storage of a server with encryption has: by clients and stores, batches that it cannot read. */
import type { EntryId } from "effect/eventlog/EventJournal"
import type { EncryptedBatch, EncryptedRemoteBatch } from "effect/eventlog/EventLogEncryption"
import type { WriteAck } from "effect/eventlog/EventLogMessage"
import type { State } from "./Folded.ts"
import { hexOf, idOf, ofHex } from "./Lines.ts"
import type { Kind } from "./Lines.ts"
import { serverEventOf, serverLine, ServerState } from "./ServerState.ts"
import type { ServerEvent } from "./ServerState.ts"

/** A batch gets the next sequences of its store, one for each entry: `["batch",PUBLIC KEY,STORE,IV,ID,…]⇥batch`. */
export type BatchEvent = {
  readonly type: "batch"
  readonly publicKey: string
  readonly store: string
  readonly batch: EncryptedBatch
}

export type BatchesEvent = ServerEvent | BatchEvent

const server = "encrypted"

const batchOf = (iv: unknown, hexes: ReadonlyArray<unknown>, payload: Uint8Array): EncryptedBatch | undefined => {
  const ivBytes = iv === "" ? new Uint8Array(0) : ofHex(iv)
  const ids: Array<EntryId> = []
  for (const hex of hexes) {
    const id = idOf(hex)
    if (id === undefined) return undefined
    ids.push(id)
  }
  const [first, ...rest] = ids
  return ivBytes === undefined || first === undefined
    ? undefined
    : { entryIds: [first, ...rest], iv: ivBytes, encryptedBatch: Uint8Array.from(payload) }
}

export const kind: Kind<BatchesEvent> = {
  of: "an event-log server with encryption",
  lineOf: (event) => {
    if (event.type !== "batch") return serverLine(server, event)
    const { batch: { encryptedBatch, entryIds, iv }, publicKey, store } = event
    return { head: ["batch", publicKey, store, hexOf(iv), ...entryIds.map(hexOf)], payload: encryptedBatch }
  },
  eventOf: (head, payload) => {
    const [type, publicKey, store, iv, ...hexes] = head
    if (type !== "batch") return serverEventOf(server, head)
    const batch = payload === undefined ? undefined : batchOf(iv, hexes, payload)
    return batch === undefined || typeof publicKey !== "string" || typeof store !== "string"
      ? undefined
      : { type, publicKey, store, batch }
  }
}

/** The first sequence of a store. */
export const firstSequence = 1

/** The batches of one client in one store. */
export class StoreBatches {
  readonly publicKey: string
  readonly store: string
  /** In the order of their sequences. */
  readonly all: Array<EncryptedRemoteBatch> = []
  /** By entry ids: the sequence that each had first. */
  readonly #sequences = new Map<string, number>()
  next = firstSequence

  constructor(publicKey: string, store: string) {
    this.publicKey = publicKey
    this.store = store
  }

  has(id: EntryId): boolean {
    return this.#sequences.has(hexOf(id))
  }

  add(batch: EncryptedBatch): void {
    batch.entryIds.forEach((id, index) => {
      const hex = hexOf(id)
      if (!this.#sequences.has(hex)) this.#sequences.set(hex, this.next + index)
    })
    this.all.push({ sequence: this.next, ...batch })
    this.next += batch.entryIds.length
  }

  /** Of those that are there, the sequence that each had first. */
  sequencesOf(ids: ReadonlyArray<EntryId>): ReadonlyArray<WriteAck> {
    return ids.flatMap((entryId) => {
      const sequence = this.#sequences.get(hexOf(entryId))
      return sequence === undefined ? [] : [{ entryId, sequence }]
    })
  }

  /** Every batch whose last sequence is this one or a later one. */
  from(sequence: number): ReadonlyArray<EncryptedRemoteBatch> {
    const first = this.all.findLastIndex((batch) => batch.sequence + batch.entryIds.length <= sequence)
    return this.all.slice(first + 1)
  }
}

/** The key of what a client has in a store. */
export const scopeOf = (publicKey: string, store: string): string => JSON.stringify([publicKey, store])

export class BatchesState extends ServerState implements State<BatchesEvent> {
  readonly #stores = new Map<string, StoreBatches>()

  store(publicKey: string, store: string): StoreBatches {
    return this.#stores.get(scopeOf(publicKey, store)) ?? new StoreBatches(publicKey, store)
  }

  apply(event: BatchesEvent): void {
    if (event.type !== "batch") return this.applyServer(event)
    const batches = this.store(event.publicKey, event.store)
    this.#stores.set(scopeOf(event.publicKey, event.store), batches)
    batches.add(event.batch)
  }

  *events(): Generator<BatchesEvent, void, void> {
    yield* this.serverEvents()
    for (const { all, publicKey, store } of this.#stores.values()) {
      for (const { encryptedBatch, entryIds, iv } of all) {
        yield { type: "batch", publicKey, store, batch: { encryptedBatch, entryIds, iv } }
      }
    }
  }
}
