/**
 * A recorder of events that are described by a Schema. What goes in is checked and encoded, what comes out is decoded and
 * checked; the bytes are those of `EventCodec`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as EventCodec from "../format/EventCodec.ts"
import { Recorder } from "./Recorder.ts"
import { RecorderError } from "./RecorderError.ts"

/**
 * The typed half of a recorder. Positions, flushing and rotation are the recorder's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface TypedRecorder<A> {
  /** Encodes and appends; returns the id. `Unencodable` when the value does not fit the schema. */
  readonly append: (event: A) => Effect.Effect<number, RecorderError>
  /** Appends in order and returns the id of the last one. */
  readonly appendAll: (events: Iterable<A>) => Effect.Effect<number, RecorderError>
  /** Appends and waits until it is durable. */
  readonly appendDurable: (event: A) => Effect.Effect<number, RecorderError>
}

/**
 * The typed half of the recorder in the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const typed = <A, I>(schema: Schema.Codec<A, I>): Effect.Effect<TypedRecorder<A>, never, Recorder> =>
  Effect.map(Recorder, (recorder) => {
    const codec = EventCodec.make(schema)
    const encode = (event: A) =>
      Effect.mapError(
        codec.encode(event),
        (error) => new RecorderError({ reason: "Unencodable", detail: error.message })
      )
    return {
      append: (event) => Effect.flatMap(encode(event), recorder.append),
      appendAll: (events) => Effect.flatMap(Effect.forEach(events, encode), recorder.appendAll),
      appendDurable: (event) => Effect.flatMap(encode(event), recorder.appendDurable)
    }
  })
