/**
 * `effect-wal export`: writes events for other programs: checked, in order, without a gap.
 *
 * - `ndjson`: one object per line, `{"id":17,"time":"2026-11-29T10:00:00.000Z","text":"…"}`, or `base64` instead of
 *   `text` if the event is not UTF-8; without `time` in format 1, which does not tell it
 * - `length-prefixed`: u32 little-endian length + bytes, as `record --framing length-prefixed` reads them
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { isUtf8 } from "node:buffer"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent, timeOf } from "../../reading/segment/BlockEvents.ts"
import { makeJoiner } from "../events/EventFraming.ts"
import { rangeOf, skippingLost, writeEvents } from "../events/EventOutput.ts"
import type { GivenRange } from "../flags/rangeFlags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"

/** What its flags give. */
interface Given extends GivenRange {
  readonly dir: string
  readonly skipLost: boolean
  readonly format: "ndjson" | "length-prefixed"
}

/** Runs the command. */
export const exportEvents = Effect.fnUntraced(function*({ dir, format, skipLost, ...given }: Given) {
  const range = yield* rangeOf(given)
  yield* requireDirectory(dir)
  yield* writeEvents(
    { directory: dir, ...range, ...skippingLost(skipLost) },
    "exporting",
    format === "ndjson" ? jsonLines : makeJoiner("length-prefixed")
  )
})

const jsonLines = (block: VerifiedBlock): string => {
  let lines = ""
  const at = timeOf(block)
  const time = at === undefined ? {} : { time: DateTime.formatIso(at) }
  forEachEvent(block, (id, bytes, start, end) => {
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    const content = isUtf8(event) ? { text: event.toString() } : { base64: event.toString("base64") }
    lines += `${JSON.stringify({ id, ...time, ...content })}\n`
  })
  return lines
}
