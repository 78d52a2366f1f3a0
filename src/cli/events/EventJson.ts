/** Formats events as lines of JSON. */
import * as DateTime from "effect/DateTime"
import { isUtf8 } from "node:buffer"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent, timeOf } from "../../reading/segment/BlockEvents.ts"

/**
 * Formats an event as a line: `{"id":17,"time":"2026-11-29T10:00:00.000Z","text":"…"}`, or `base64` instead of `text`
 * if the event is not UTF-8; without `time` in format 1, which does not tell it.
 */
export const jsonLine = (id: number, at: DateTime.Utc | undefined, event: Buffer): string => {
  const time = at === undefined ? {} : { time: DateTime.formatIso(at) }
  const content = isUtf8(event) ? { text: event.toString() } : { base64: event.toString("base64") }
  return `${JSON.stringify({ id, ...time, ...content })}\n`
}

/** Formats the events of a block that are wanted, one line each. */
export const jsonLines = (block: VerifiedBlock, isWanted: (event: Buffer) => boolean = () => true): string => {
  let lines = ""
  const at = timeOf(block)
  forEachEvent(block, (id, bytes, start, end) => {
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    if (isWanted(event)) lines += jsonLine(id, at, event)
  })
  return lines
}
