/** The keys and values of a store, folded from its changes. */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { types } from "node:util"
import type { KvsEvent } from "./KvsEvent.ts"

export type Values = Map<string, string | Uint8Array>

const Entry = Schema.Union([
  Schema.Tuple([Schema.String, Schema.String]),
  Schema.Tuple([Schema.String, Schema.Literal("base64"), Schema.String])
])

/** The schema of the state, for snapshots: text as it is, bytes in base64. */
export const Values = Schema.declare((value): value is Values => types.isMap(value), {
  toCodecJson: () =>
    Schema.link<Values>()(
      Schema.Array(Entry),
      SchemaTransformation.transform({
        decode: (entries): Values =>
          new Map(entries.map(([key, text, base64]) => [key, base64 === undefined ? text : bytesOf(base64)])),
        encode: (values) =>
          Array.from(values, ([key, value]) =>
            typeof value === "string" ? [key, value] as const : [key, "base64", base64Of(value)] as const)
      })
    )
})

export const base64Of = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, "base64"))

/** The values after a change. It changes them in place. */
export const apply = (values: Values, event: KvsEvent): Values => {
  if (event.type === "set") values.set(event.key, event.value)
  else if (event.type === "remove") values.delete(event.key)
  else if (event.prefix === "") values.clear()
  else for (const key of values.keys()) if (key.startsWith(event.prefix)) values.delete(key)
  return values
}
