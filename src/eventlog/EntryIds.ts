/** The ids of local entries. */
import type { EntryId } from "effect/eventlog/EventJournal"
import { entryIdMillis, EntryIdOrder, makeEntryIdUnsafe } from "effect/eventlog/EventJournal"

const counterMax = 0xfff
const millisMax = 2 ** 48 - 1

const counterOf = (id: EntryId): number => ((id[6]! & 0x0f) << 8) | id[7]!

/** The first id after this one: the next of its millisecond, or of the one after it. Throws after the last one. */
const following = (id: EntryId): EntryId => {
  const isFull = counterOf(id) === counterMax
  const millis = entryIdMillis(id) + (isFull ? 1 : 0)
  if (millis > millisMax) throw new RangeError("the journal has an entry of the last millisecond that an id can have")
  const counter = isFull ? 0 : counterOf(id) + 1
  const next = makeEntryIdUnsafe({ msecs: millis })
  next[6] = 0x70 | (counter >> 8)
  next[7] = counter & 0xff
  return next
}

/** Ids that ascend, also past those that came from elsewhere. */
export class EntryIds {
  #last: EntryId | undefined

  /** An id after all that this has given, and after `latest`. */
  nextUnsafe(latest: EntryId | undefined): EntryId {
    const floor = latest === undefined || (this.#last !== undefined && EntryIdOrder(this.#last, latest) > 0)
      ? this.#last
      : latest
    const id = makeEntryIdUnsafe()
    return this.#last = floor === undefined || EntryIdOrder(id, floor) > 0 ? id : following(floor)
  }
}
