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
import { headedBytes, headedCodec } from "../state/headedLine.ts"

/** A change. */
export type KvsEvent =
  | { readonly type: "set"; readonly key: string; readonly value: string | Uint8Array }
  | { readonly type: "remove"; readonly key: string }
  | { readonly type: "clear"; readonly prefix: string }

const bytesOf = (event: KvsEvent): Uint8Array => {
  if (event.type === "clear") return headedBytes(["clear", event.prefix])
  if (event.type === "remove") return headedBytes(["remove", event.key])
  const { key, value } = event
  if (typeof value !== "string") return headedBytes(["bytes", key], value)
  return value.isWellFormed() ? headedBytes(["set", key], Buffer.from(value)) : headedBytes(["set", key, value])
}

const eventOf = ([type, key, text]: ReadonlyArray<unknown>, rest: Buffer | undefined): KvsEvent | undefined => {
  if (typeof key !== "string") return undefined
  if (type === "remove") return { type, key }
  if (type === "clear") return { type, prefix: key }
  if (type === "set" && typeof text === "string") return { type, key, value: text }
  if (rest === undefined) return undefined
  if (type === "set") return { type, key, value: rest.toString() }
  // A copy: what is read lies in the memory of a whole block.
  return type === "bytes" ? { type: "set", key, value: Uint8Array.from(rest) } : undefined
}

/** Changes as bytes. Whatever else is in a log is refused. */
export const codec = headedCodec({ refusal: "it is no change of a key and its value", bytesOf, eventOf })
