/** Entries for tests. */
import * as EventJournal from "effect/eventlog/EventJournal"

export const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** An id of a millisecond; `place` orders those of the same one. */
export const idAt = (millis: number, place = 0): EventJournal.EntryId => {
  const id = EventJournal.makeEntryIdUnsafe({ msecs: millis })
  id[6] = 0x70 | (place >> 8)
  id[7] = place & 0xff
  return id
}

export const entryAt = (millis: number, of: { event?: string; primaryKey?: string; payload?: string } = {}) =>
  new EventJournal.Entry({
    id: idAt(millis),
    event: of.event ?? "Renamed",
    primaryKey: of.primaryKey ?? "ada",
    payload: bytes(of.payload ?? `at ${millis}`)
  })

export const remoteEntry = (remoteSequence: number, entry: EventJournal.Entry) =>
  new EventJournal.RemoteEntry({ remoteSequence, entry })

export const remoteId = (byte: number) => new Uint8Array(16).fill(byte) as EventJournal.RemoteId

export const payloads = (entries: ReadonlyArray<{ readonly payload: Uint8Array } | undefined>) =>
  entries.map((entry) => entry === undefined ? undefined : text(entry.payload))
