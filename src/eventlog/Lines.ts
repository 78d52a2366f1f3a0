/**
 * The form in which entries and what is known about them lie in a log: a JSON array of a word and its fields, and after
 * a tab the payload as it is. So `effect-wal replay` prints a line an event.
 *
 * A commit that is larger than a block takes several batches of events. `["whole", 3]` says that the next three events
 * count together or not at all. A commit that was cut off by a crash, or by a refusal, is followed by `["drop"]`.
 */
import type { Entry } from "effect/eventlog/EventJournal"
import * as EventJournal from "effect/eventlog/EventJournal"
import type * as Schema from "effect/Schema"
import type { EventCodec } from "../format/EventCodec.ts"
import { headedBytes, headedCodec } from "../state/headedLine.ts"

/** An event before it is bytes. */
export interface Line {
  readonly head: ReadonlyArray<string | number>
  readonly payload?: Uint8Array
}

/** The events that the log of a store has. */
export interface Kind<Event> {
  /** What the log is of, for messages: `an event journal`. */
  readonly of: string
  readonly lineOf: (event: Event) => Line
  /** `undefined` when it is no event of this kind. Takes a copy of what it keeps of the payload. */
  readonly eventOf: (head: ReadonlyArray<unknown>, payload: Uint8Array | undefined) => Event | undefined
}

/** An event, or a mark about those after it. */
export type Marked<Event> =
  | { readonly type: "one"; readonly event: Event }
  | { readonly type: "whole"; readonly count: number }
  | { readonly type: "drop" }

const markedLine = <Event>(kind: Kind<Event>, marked: Marked<Event>): Line => {
  if (marked.type === "one") return kind.lineOf(marked.event)
  return { head: marked.type === "whole" ? ["whole", marked.count] : ["drop"] }
}

/** How many bytes an event takes, without making them. */
export const sizeOf = <Event>(kind: Kind<Event>, marked: Marked<Event>): number => {
  const { head, payload } = markedLine(kind, marked)
  return Buffer.byteLength(JSON.stringify(head)) + (payload === undefined ? 0 : 1 + payload.length)
}

const markedOf = <Event>(
  kind: Kind<Event>,
  head: ReadonlyArray<unknown>,
  payload: Uint8Array | undefined
): Marked<Event> | undefined => {
  const [type, count] = head
  if (type === "drop") return { type }
  if (type === "whole") return typeof count === "number" ? { type, count } : undefined
  const event = kind.eventOf(head, payload)
  return event === undefined ? undefined : { type: "one", event }
}

/** Events of a kind as bytes. Whatever else is in a log is refused. */
export const codecOf = <Event>(kind: Kind<Event>): EventCodec<Marked<Event>> =>
  headedCodec<Marked<Event>>({
    refusal: `it is no event of ${kind.of}`,
    bytesOf: (marked) => {
      const { head, payload } = markedLine(kind, marked)
      return headedBytes(head, payload)
    },
    eventOf: (head, payload) => markedOf(kind, head, payload)
  })

/** An event as JSON, for snapshots: its head, and its payload in base64. */
export const rowOf = <Event>(kind: Kind<Event>, marked: Marked<Event>): Schema.Json => {
  const { head, payload } = markedLine(kind, marked)
  return payload === undefined ? [head] : [head, bufferOf(payload).toString("base64")]
}

/** An event of a snapshot. */
export const ofRow = <Event>(kind: Kind<Event>, row: Schema.Json): Marked<Event> | undefined => {
  const [head, base64]: Array<unknown> = Array.isArray(row) ? row : []
  if (!Array.isArray(head)) return undefined
  return markedOf(kind, head, typeof base64 === "string" ? Buffer.from(base64, "base64") : undefined)
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Bytes as text, for keys and heads. */
export const hexOf = (bytes: Uint8Array): string => bufferOf(bytes).toString("hex")

/** The bytes of a text in hexadecimal, in memory of their own; `undefined` when it is none. */
export const ofHex = (hex: unknown): Uint8Array<ArrayBuffer> | undefined =>
  typeof hex === "string" && /^(?:[0-9a-f]{2})+$/.test(hex) ? Uint8Array.from(Buffer.from(hex, "hex")) : undefined

/** The bytes of one id in hexadecimal. */
export const idOf = (hex: unknown): EventJournal.EntryId | undefined => {
  const id = ofHex(hex)
  return id?.length === 16 ? id as EventJournal.EntryId : undefined
}

/** The fields of an entry in a head. */
export const entryFields = ({ event, id, primaryKey }: Entry): ReadonlyArray<string> => [hexOf(id), event, primaryKey]

/** An entry of a head and its payload, in memory of its own. */
export const entryOf = (
  [hex, event, primaryKey]: ReadonlyArray<unknown>,
  payload: Uint8Array | undefined
): Entry | undefined => {
  const id = idOf(hex)
  return id !== undefined && typeof event === "string" && typeof primaryKey === "string" && payload !== undefined
    ? entry(id, event, primaryKey, Uint8Array.from(payload))
    : undefined
}

const entry = (id: EventJournal.EntryId, event: string, primaryKey: string, payload: Uint8Array): Entry =>
  new EventJournal.Entry({ id, event, primaryKey, payload }, { disableChecks: true })

/** The same entry in memory that nobody else has. */
export const copyOf = ({ event, id, payload, primaryKey }: Entry): Entry =>
  entry(Uint8Array.from(id) as EventJournal.EntryId, event, primaryKey, Uint8Array.from(payload))
