/**
 * Which messages can be handed out, and which are claimed by a reader. Only durable messages come in, and nothing of it
 * is recorded: after a restart no message is claimed.
 *
 * Times are those of the readers.
 */
import { isUnprocessed, StoredRequest } from "./Messages.ts"
import type { Message } from "./Messages.ts"

/** A claim ends after ten minutes, as in Effect's other storages. */
const claimMillis = 10 * 60 * 1000

/** What a reader asks for. */
interface Wanted {
  readonly now: number
  readonly shardIds: ReadonlySet<string>
  /** As `addressOf` names them. */
  readonly addresses?: ReadonlySet<string> | undefined
  readonly limit: number
}

export class Deliveries {
  /** By slot. */
  #ready = new Map<string, Message>()
  /** Whether they are no longer in the order in which they came. */
  #isMixed = false
  readonly #claimed = new Map<string, { readonly message: Message; readonly atMillis: number }>()
  /** The highest order that was ever ready. */
  #newestReady = 0
  /** Requests for later, the next one last. Some may have gone. */
  #later: Array<StoredRequest> = []
  /** When there are so many, those that have gone are removed. */
  #laterMax = 1024

  /** A message can be handed out, unless it is claimed. */
  add(message: Message): void {
    if (this.#claimed.get(message.slot)?.message === message) return
    this.#claimed.delete(message.slot)
    if (message instanceof StoredRequest && message.deliverAt !== null) this.#addLater(message, message.deliverAt)
    else this.#addReady(message)
  }

  /** It is no longer claimed, and is handed out again. */
  release(slot: string): void {
    const claim = this.#claimed.get(slot)
    if (claim === undefined) return
    this.#claimed.delete(slot)
    this.#addReady(claim.message)
  }

  /** No claim on such a message holds any longer. */
  releaseAll(of: (message: Message) => boolean): void {
    for (const [slot, { message }] of this.#claimed) if (of(message)) this.release(slot)
  }

  /** It needs no more handing out. */
  remove(slot: string): void {
    this.#ready.delete(slot)
    this.#claimed.delete(slot)
  }

  /** Claims messages, in the order in which they came. */
  take({ addresses, limit, now, shardIds }: Wanted): ReadonlyArray<Message> {
    for (const [slot, { atMillis }] of this.#claimed) {
      if (atMillis > now - claimMillis) break
      this.release(slot)
    }
    while (this.#later.length > 0 && this.#later.at(-1)!.deliverAt! <= now) this.#addReady(this.#later.pop()!)
    if (this.#isMixed) {
      this.#ready = new Map([...this.#ready].sort(([, a], [, b]) => a.order - b.order))
      this.#isMixed = false
    }
    const taken: Array<Message> = []
    for (const [slot, message] of this.#ready) {
      if (taken.length >= limit) break
      if (!isUnprocessed(message)) {
        this.#ready.delete(slot)
        continue
      }
      // A stream whose receiver has not acknowledged its last chunk is under way.
      if (message instanceof StoredRequest && message.chunks.length > 0) continue
      const { request } = message
      if (!shardIds.has(request.shardId) || addresses?.has(request.address) === false) continue
      this.#ready.delete(slot)
      this.#claimed.set(slot, { message, atMillis: now })
      taken.push(message)
    }
    return taken
  }

  #addReady(message: Message): void {
    const isNewest = message.order > this.#newestReady
    if (isNewest) this.#newestReady = message.order
    else this.#isMixed = true
    // What it replaces is older.
    this.#ready.delete(message.slot)
    this.#ready.set(message.slot, message)
  }

  #addLater(request: StoredRequest, deliverAt: number): void {
    let from = 0
    let to = this.#later.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#later[middle]!.deliverAt! > deliverAt) from = middle + 1
      else to = middle
    }
    this.#later.splice(from, 0, request)
    if (this.#later.length < this.#laterMax) return
    this.#later = this.#later.filter(isUnprocessed)
    this.#laterMax = 1024 + 2 * this.#later.length
  }
}
