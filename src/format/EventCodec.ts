/**
 * Events that are described by a Schema, as bytes: JSON in UTF-8, one document an event. So a record can be read by other
 * programs and by later versions of the schema, and `effect-wal replay` prints it as a line.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * Turns values into bytes and back.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventCodec<A> {
  /** UTF-8 JSON of the value's encoded side. */
  readonly encode: (value: A) => Effect.Effect<Uint8Array, Schema.SchemaError>
  /** The value; fails when the bytes are no JSON or do not fit the schema. */
  readonly decode: (bytes: Uint8Array) => Effect.Effect<A, Schema.SchemaError>
}

/**
 * The codec of a schema.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <A, I>(schema: Schema.Codec<A, I>): EventCodec<A> => {
  const text = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encodeText = Schema.encodeEffect(text)
  const decodeText = Schema.decodeEffect(text)
  const encoder = new TextEncoder()
  const decoder = new TextDecoder()
  return {
    encode: (value) => Effect.map(encodeText(value), (json) => encoder.encode(json)),
    // A TextDecoder refuses views on shared memory, and these may be.
    decode: (bytes) => decodeText(decoder.decode(bytes.buffer instanceof SharedArrayBuffer ? bytes.slice() : bytes))
  }
}
