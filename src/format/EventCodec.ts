/**
 * Turns events that a Schema describes into bytes and back: JSON in UTF-8, one document an event. So other programs and
 * later versions of the schema can read a record, and `effect-wal replay` prints it as a line.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { types } from "node:util"
import { refuseArgument, requireBytes } from "../internal/arguments.ts"

/**
 * Turns values into bytes and back. `Encoding` and `Decoding` are the services that this takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventCodec<in out A, out Encoding = never, out Decoding = never> {
  /** UTF-8 JSON of the value's encoded side. */
  readonly encode: (value: A) => Effect.Effect<Uint8Array, Schema.SchemaError, Encoding>
  /** The value; fails when the bytes are no JSON or do not fit the schema. */
  readonly decode: (bytes: Uint8Array) => Effect.Effect<A, Schema.SchemaError, Decoding>
  /**
   * As `decode`, for many events: it runs in the call, so what it returns is an `Exit` if the schema does nothing that
   * takes time. The value keeps nothing of `bytes`.
   *
   * @internal
   */
  readonly decodeNow: (bytes: Uint8Array) => Effect.Effect<A, Schema.SchemaError, Decoding>
}

/**
 * The codec of a schema.
 *
 * **Example** (Encoding and decoding)
 *
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { EventCodec } from "effect-wal"
 *
 * const codec = EventCodec.make(Schema.Struct({ at: Schema.DateFromString, cents: Schema.Int }))
 *
 * const program = Effect.gen(function*() {
 *   const bytes = yield* codec.encode({ at: new Date(0), cents: 120 })
 *   yield* Console.log(Buffer.from(bytes).toString()) // => {"at":"1970-01-01T00:00:00.000Z","cents":120}
 *   yield* Console.log((yield* codec.decode(bytes)).cents) // => 120
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <S extends Schema.Constraint>(
  schema: S
): EventCodec<S["Type"], S["EncodingServices"], S["DecodingServices"]> => {
  if (!Schema.isSchema(schema)) refuseArgument("schema", schema, "a schema")
  const json = Schema.toCodecJson(schema)
  const text = Schema.fromJsonString(json)
  const encodeText = Schema.encodeEffect(text)
  const decodeText = Schema.decodeEffect(text)
  const decodeJson = Schema.decodeUnknownEffect(json)
  const encoder = new TextEncoder()
  const decoder = new TextDecoder()
  // A TextDecoder refuses views on shared memory, and these may be.
  const textOf = (bytes: Uint8Array): string =>
    decoder.decode(types.isSharedArrayBuffer(bytes.buffer) ? bytes.slice() : bytes)
  return {
    encode: (value) => Effect.map(encodeText(value), (json) => encoder.encode(json)),
    decode: (bytes) =>
      Effect.suspend(() => {
        requireBytes("bytes", bytes)
        return decodeText(textOf(bytes))
      }),
    decodeNow: (bytes) => {
      const text = textOf(bytes)
      let parsed: unknown
      try {
        parsed = JSON.parse(text)
      } catch {
        return decodeText(text)
      }
      return decodeJson(parsed)
    }
  }
}

/**
 * The codec of events that are bytes: it changes nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bytes: EventCodec<Uint8Array> = {
  encode: Effect.succeed,
  decode: Effect.succeed,
  decodeNow: (bytes) => Effect.succeed(bytes.slice())
}
