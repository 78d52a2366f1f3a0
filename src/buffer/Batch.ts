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
import { headedBytes, headedCodec } from "../state/headedLine.ts"

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

/** Batches as bytes. Whatever else is in a log is refused. */
export const codec = headedCodec<Batch>({
  refusal: "it is no batch of telemetry",
  bytesOf: ({ body, contentEncoding, contentType, path }) => headedBytes([path, contentType, contentEncoding], body),
  eventOf: ([path, contentType, contentEncoding], rest) =>
    rest !== undefined && typeof path === "string" && path.startsWith("/") && typeof contentType === "string" &&
      typeof contentEncoding === "string"
      ? { path, contentType, contentEncoding, body: Uint8Array.from(rest) }
      : undefined
})
