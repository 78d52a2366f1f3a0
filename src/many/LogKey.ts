/** The key of a log in a set. It is the name of the log's directory too, so that nothing has to be looked up. */
import * as Schema from "effect/Schema"

/**
 * Letters have one case, because some file systems take two cases for one name. The first and the last character are
 * letters or digits: a name that begins with a dot may lead out of the root, and some systems drop a dot at the end.
 */
const pattern = /^[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?$/

/** How much of a key that was refused a message shows: it came from outside, and may be of any length. */
const shownMax = 60

/**
 * The key cannot be the name of a directory on every system, or would lead out of the root. Nothing was opened and
 * nothing was made. Keys that are something else are to be encoded, with `Encoding.encodeHex` for example.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeyRefused extends Schema.TaggedError<KeyRefused>()("KeyRefused", {
  /** The beginning of the key. */
  key: Schema.String
}) {
  override get message(): string {
    return `${JSON.stringify(this.key)} cannot be the key of a log: expected 1 to 128 of a to z, 0 to 9 and . _ -, ` +
      "with a letter or digit at both ends; encode it, for example with Encoding.encodeHex"
  }
  /** The same key is refused again. */
  get isRetryable(): boolean {
    return false
  }
}

/** Whether this may be the key of a log. JavaScript checks no types, so anything may come. */
export const isKey = (key: unknown): key is string => typeof key === "string" && pattern.test(key)

/** The error for a key that is none. */
export const keyRefused = (key: unknown): KeyRefused => new KeyRefused({ key: String(key).slice(0, shownMax) })
