/**
 * A batch of telemetry as a log has it: a JSON array of what the request said of its body, a tab, and the body. So
 * `effect-wal replay` prints a line a batch when the exporter makes JSON.
 *
 * ```text
 * ["/v1/traces","application/json",""]⇥{"resourceSpans":[…]}    path, content type, content encoding
 * ```
 *
 * Nothing else of a request is recorded: its other headers, its origin and its query may hold credentials.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { EventCodec } from "../format/EventCodec.ts"

/**
 * A request of an exporter, without anything that may hold credentials.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  /** The path of its URL, as in `/v1/traces`. */
  readonly path: string
  readonly contentType: string
  /** Empty when the body is not compressed. */
  readonly contentEncoding: string
  readonly body: Uint8Array
}

const tab = 9

const parsed = (bytes: Uint8Array): Batch | undefined => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = buffer.indexOf(tab)
  if (end < 0) return undefined
  try {
    const head: unknown = JSON.parse(buffer.toString("utf8", 0, end))
    if (!Array.isArray(head)) return undefined
    const [path, contentType, contentEncoding]: Array<unknown> = head
    return typeof path === "string" && path.startsWith("/") && typeof contentType === "string" &&
        typeof contentEncoding === "string"
      ? { path, contentType, contentEncoding, body: bytes.slice(end + 1) }
      : undefined
  } catch {
    return undefined
  }
}

const decodeNow = (bytes: Uint8Array): Effect.Effect<Batch, Schema.SchemaError> => {
  const batch = parsed(bytes)
  return batch === undefined
    ? Effect.fail(new Schema.SchemaError(new SchemaIssue.InvalidValue({ message: "it is no batch of telemetry" })))
    : Effect.succeed(batch)
}

/** Batches as bytes. Whatever else is in a log is refused. */
export const codec: EventCodec<Batch> = {
  encode: ({ body, contentEncoding, contentType, path }) =>
    Effect.sync(() => {
      // A tab in JSON is an escape, so the first one ends it.
      const head = Buffer.from(`${JSON.stringify([path, contentType, contentEncoding])}\t`)
      return Buffer.concat([head, body])
    }),
  decode: (bytes) => Effect.suspend(() => decodeNow(bytes)),
  decodeNow
}
