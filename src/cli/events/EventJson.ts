/** Formats events as lines of JSON. */
import * as DateTime from "effect/DateTime"
import { isUtf8 } from "node:buffer"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent, timeOf } from "../../reading/segment/BlockEvents.ts"

/**
 * Formats the events of a block, one line each: `{"id":17,"time":"2026-11-29T10:00:00.000Z","text":"…"}`, or `base64`
 * instead of `text` if the event is not UTF-8; without `time` in format 1, which does not tell it.
 */
export const jsonLines = (block: VerifiedBlock, isWanted: (event: Buffer) => boolean = () => true): string => {
  let lines = ""
  const at = timeOf(block)
  const time = at === undefined ? {} : { time: DateTime.formatIso(at) }
  forEachEvent(block, (id, bytes, start, end) => {
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    if (!isWanted(event)) return
    const content = isUtf8(event) ? { text: event.toString() } : { base64: event.toString("base64") }
    lines += `${JSON.stringify({ id, ...time, ...content })}\n`
  })
  return lines
}
