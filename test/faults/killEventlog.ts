/**
 * Kills a program that writes to an event journal, or to the storage of an event-log server, again and again in the same
 * directory, and holds what the next life finds to what the ones before were answered.
 *
 * ```text
 * node test/faults/killEventlog.ts --kills 200 --layer fiber|worker [--seed S]     so many of each
 * ```
 *
 * No entry that was accepted, or came as a change, is lost, and none is there twice. What was written together is there
 * together or not at all. A journal knows how far its remotes are: it has exactly what one has sent before the next
 * sequence, and uploads everything that the other has not acknowledged, and nothing that it has. Of a storage, no sequence
 * ever belongs to another entry.
 */
import { fileURLToPath } from "node:url"
import type { EventlogLine } from "./eventlogVictim.ts"
import { killStore, runKills } from "./storeKills.ts"
import type { StoreKillOptions } from "./storeKills.ts"

/** What many kills came to. */
export interface EventlogKillReport {
  readonly kills: number
  readonly accepted: number
  /** Under way at a kill, and there. */
  readonly unanswered: number
  readonly entries: number
  readonly millis: number
}

const broken = (what: string): never => {
  throw new Error(what)
}

const kill = async (
  store: "journal" | "eventlog",
  options: StoreKillOptions
): Promise<EventlogKillReport> => {
  const begun = Date.now()
  /** What somebody knows of, by stores. */
  const known = new Map<string, Set<number>>()
  const groups: Array<{ readonly store: string; readonly entries: ReadonlyArray<number> }> = []
  /** By stores and sequences. */
  const sequences = new Map<string, Map<number, number>>()
  /** By numbers: those that a remote has sent, with their sequences. */
  const received = new Map<number, number>()
  const offered = new Set<number>()
  const uploaded = new Set<number>()
  const accepted = new Set<number>()
  const counts = { unanswered: 0, entries: 0 }
  let number = 0

  const know = (store: string, entry: number, sequence?: number): void => {
    const ofStore = known.get(store) ?? new Set()
    known.set(store, ofStore.add(entry))
    if (sequence === undefined) return
    const bySequence = sequences.get(store) ?? new Map<number, number>()
    sequences.set(store, bySequence)
    const before = bySequence.get(sequence) ?? entry
    if (before !== entry) broken(`sequence ${sequence} of ${store} is that of entry ${before}, and of ${entry}`)
    bySequence.set(sequence, entry)
  }

  /** What a journal knows of its remotes. */
  const findRemotes = (has: ReadonlySet<number>, left: ReadonlyArray<number>, next: number): void => {
    const found = [...has].flatMap((entry) => received.has(entry) ? [received.get(entry)!] : []).toSorted((a, b) =>
      a - b
    )
    found.forEach((sequence, index) => {
      if (sequence !== index) broken(`what the remote has sent has a gap before sequence ${sequence}`)
    })
    if (found.length !== next) broken(`${found.length} entries of the remote are here, and the next is ${next}`)
    const again = left.find((entry) => uploaded.has(entry))
    if (again !== undefined) broken(`entry ${again} is uploaded after it was acknowledged`)
    const uploads = new Set(left)
    for (const entry of has) {
      if (!uploads.has(entry) && !offered.has(entry)) broken(`entry ${entry} is not uploaded`)
    }
  }

  const find = ({ has, left, next }: Extract<EventlogLine, { readonly type: "open" }>): void => {
    counts.entries = 0
    const found = new Map(Object.entries(has).map(([store, entries]) => [store, new Set(entries)]))
    for (const [store, entries] of Object.entries(has)) {
      counts.entries += entries.length
      const unique = found.get(store)!
      if (unique.size !== entries.length) broken(`an entry of ${store} is there twice`)
      for (const entry of known.get(store) ?? []) {
        if (!unique.has(entry)) broken(`entry ${entry} of ${store} is lost`)
      }
      counts.unanswered += entries.length - (known.get(store)?.size ?? 0)
      entries.forEach((entry, index) => know(store, entry, left === undefined ? index + 1 : undefined))
    }
    for (const { entries, store } of groups.splice(0)) {
      const there = entries.filter((entry) => found.get(store)?.has(entry))
      if (there.length > 0 && there.length < entries.length) {
        broken(`of entries ${entries.join()} only ${there.join()} are there`)
      }
    }
    if (left !== undefined) findRemotes(found.get("journal")!, left, next ?? 0)
  }

  const onLine = (line: EventlogLine): void => {
    switch (line.type) {
      case "open":
        return find(line)
      case "receives":
        line.entries.forEach((entry, index) => received.set(entry, line.from + index))
        groups.push({ store: "journal", entries: line.entries })
        number = Math.max(number, ...line.entries.map((entry) => entry + 1))
        return
      case "writes":
        groups.push(line)
        number = Math.max(number, ...line.entries.map((entry) => entry + 1))
        return
      case "accepted":
        line.entries.forEach((entry, index) => {
          accepted.add(entry)
          know(line.store, entry, line.sequences?.[index])
        })
        return
      case "told":
        return know(line.store, line.entry, line.sequence)
      case "uploads":
        line.entries.forEach((entry) => offered.add(entry))
        return
      case "uploaded":
        line.entries.forEach((entry) => uploaded.add(entry))
    }
  }
  await killStore<EventlogLine>(store, options, { onLine, next: () => number, onEnd: () => {} })
  return { kills: options.kills, accepted: accepted.size, ...counts, millis: Date.now() - begun }
}

/** Kills a program with a journal so often; throws with the first promise that is broken. */
export const killJournal = (options: StoreKillOptions): Promise<EventlogKillReport> => kill("journal", options)

/** The same with the storage of a server. */
export const killEventlog = (options: StoreKillOptions): Promise<EventlogKillReport> => kill("eventlog", options)

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runKills(async (options) => ({ journal: await killJournal(options), server: await killEventlog(options) }))
}
