/**
 * The form in which stores write their events into a log: a JSON array, the head, and after a tab whatever follows it,
 * as it is. A tab in JSON is an escape, so the first one ends the head. So `effect-wal replay` prints a line an event.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { EventCodec } from "../format/EventCodec.ts"

const tab = 9

/** The events that a store writes. */
interface Form<Event> {
  /** What the store says of anything else in its log: `it is no event of a queue`. */
  readonly refusal: string
  readonly bytesOf: (event: Event) => Uint8Array
  /**
   * `undefined` when it is no event of this store. `rest` lies in memory that is used again, so what is kept of it is
   * copied; it is `undefined` when no tab follows the head.
   */
  readonly eventOf: (head: ReadonlyArray<unknown>, rest: Buffer | undefined) => Event | undefined
}

/** The bytes of an event: its head, and what follows it. */
export const headedBytes = (head: ReadonlyArray<unknown>, rest?: Uint8Array): Buffer =>
  rest === undefined
    ? Buffer.from(JSON.stringify(head))
    : Buffer.concat([Buffer.from(`${JSON.stringify(head)}\t`), rest])

/** Events of a store as bytes. Whatever else is in a log is refused. */
export const headedCodec = <Event>({ bytesOf, eventOf, refusal }: Form<Event>): EventCodec<Event> => {
  const parsed = (given: Uint8Array): Event | undefined => {
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    const end = bytes.indexOf(tab)
    let head: unknown
    try {
      head = JSON.parse(bytes.toString("utf8", 0, end < 0 ? bytes.length : end))
    } catch {
      return undefined
    }
    return Array.isArray(head) ? eventOf(head, end < 0 ? undefined : bytes.subarray(end + 1)) : undefined
  }
  const refused = () => new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: refusal }))
  const decodeNow = (bytes: Uint8Array): Effect.Effect<Event, Schema.SchemaError> => {
    const event = parsed(bytes)
    return event === undefined ? Effect.fail(refused()) : Effect.succeed(event)
  }
  return {
    encode: (event) => Effect.sync(() => bytesOf(event)),
    decode: (bytes) => Effect.suspend(() => decodeNow(bytes)),
    decodeNow
  }
}
