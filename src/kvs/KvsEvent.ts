/**
 * The changes of keys and values, as a log has them: a JSON array of a word and a key, and after a tab the value
 * itself.
 *
 * ```text
 * ["set","greeting"]⇥hello        text, in UTF-8
 * ["bytes","picture"]⇥…           bytes, as they are
 * ["set","odd","\ud800"]          text that UTF-8 cannot say
 * ["remove","greeting"]           one key
 * ["clear","session/"]            every key that begins so; with "" all of them
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { EventCodec } from "../format/EventCodec.ts"

/** A change. */
export type KvsEvent =
  | { readonly type: "set"; readonly key: string; readonly value: string | Uint8Array }
  | { readonly type: "remove"; readonly key: string }
  | { readonly type: "clear"; readonly prefix: string }

const tab = 9

const bytesOf = (event: KvsEvent): Uint8Array => {
  if (event.type === "clear") return Buffer.from(JSON.stringify(["clear", event.prefix]))
  if (event.type === "remove") return Buffer.from(JSON.stringify(["remove", event.key]))
  const { key, value } = event
  if (typeof value !== "string") return Buffer.concat([Buffer.from(`${JSON.stringify(["bytes", key])}\t`), value])
  return Buffer.from(
    value.isWellFormed() ? `${JSON.stringify(["set", key])}\t${value}` : JSON.stringify(["set", key, value])
  )
}

const eventOf = (given: Uint8Array): KvsEvent | undefined => {
  const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  const end = bytes.indexOf(tab)
  let head: unknown
  try {
    head = JSON.parse(bytes.toString("utf8", 0, end < 0 ? bytes.length : end))
  } catch {
    return undefined
  }
  if (!Array.isArray(head)) return undefined
  const [type, key, text]: Array<unknown> = head
  if (typeof key !== "string") return undefined
  if (type === "remove") return { type, key }
  if (type === "clear") return { type, prefix: key }
  if (type === "set" && typeof text === "string") return { type, key, value: text }
  if (end < 0) return undefined
  if (type === "set") return { type, key, value: bytes.toString("utf8", end + 1) }
  // A copy: what is read lies in the memory of a whole block.
  return type === "bytes" ? { type: "set", key, value: Uint8Array.from(bytes.subarray(end + 1)) } : undefined
}

const foreign = (): Schema.SchemaError =>
  new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: "it is no change of a key and its value" }))

const decodeNow = (bytes: Uint8Array): Effect.Effect<KvsEvent, Schema.SchemaError> => {
  const event = eventOf(bytes)
  return event === undefined ? Effect.fail(foreign()) : Effect.succeed(event)
}

/** Changes as bytes. Whatever else is in a log is refused. */
export const codec: EventCodec<KvsEvent> = {
  encode: (event) => Effect.succeed(bytesOf(event)),
  decode: (bytes) => Effect.suspend(() => decodeNow(bytes)),
  decodeNow
}
