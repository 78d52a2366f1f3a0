/** An event as the page gets it: as text when it is UTF-8, otherwise in base64, and cut when it is long. */
import * as DateTime from "effect/DateTime"
import { isUtf8 } from "node:buffer"
import type { RecordedEvent } from "../reading/segment/BlockEvents.ts"

/** An event, or the part of it that is shown. */
export interface EventView {
  readonly id: number
  /** ISO 8601, UTC; null in format 1, which tells none. */
  readonly time: string | null
  /** Of the whole event. */
  readonly bytes: number
  /** Where in the event the content begins. */
  readonly offset: number
  readonly text: string | null
  /** Of what is no UTF-8. */
  readonly base64: string | null
  readonly isCut: boolean
}

/** Shows at most `bytesMax` bytes of an event, from `offset` on, in whole characters. */
export const viewOf = (
  { bytes, id, time }: Pick<RecordedEvent, "id" | "time" | "bytes">,
  bytesMax: number,
  offset = 0
): EventView => {
  const isText = isUtf8(bytes)
  const start = isText ? characterAt(bytes, offset) : offset
  const end = Math.min(bytes.length, start + bytesMax)
  const shown = Buffer.from(bytes.buffer, bytes.byteOffset + start, Math.max(0, end - start))
  return {
    id,
    time: time === undefined ? null : DateTime.formatIso(time),
    bytes: bytes.length,
    offset: start,
    // A character that is cut in two is left out: the decoder keeps it for what follows.
    text: isText ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(shown, { stream: true }) : null,
    base64: isText ? null : shown.toString("base64"),
    isCut: start > 0 || end < bytes.length
  }
}

/** The beginning of the character in which this byte lies. */
const characterAt = (bytes: Uint8Array, offset: number): number => {
  let start = Math.min(offset, bytes.length)
  while (start > 0 && start < bytes.length && (bytes[start]! & 0xc0) === 0x80) start -= 1
  return start
}
