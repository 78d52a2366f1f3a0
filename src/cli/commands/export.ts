/**
 * `effect-wal export`: writes events for other programs: checked, in order, without a gap.
 *
 * - `ndjson`: one object per line, `{"id":17,"time":"2026-11-29T10:00:00.000Z","text":"…"}`, or `base64` instead of
 *   `text` if the event is not UTF-8; without `time` in format 1, which does not tell it
 * - `length-prefixed`: u32 little-endian length + bytes, as `record --framing length-prefixed` reads them
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { isUtf8 } from "node:buffer"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent, timeOf } from "../../reading/segment/BlockEvents.ts"
import { makeJoiner } from "../events/EventFraming.ts"
import { rangeFlags, rangeOf, skipLostFlag, skippingLost, writeEvents } from "../events/EventOutput.ts"
import { directoryFlag } from "../flags/flags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"

/** The command. */
export const exportEvents = Command.make(
  "export",
  {
    dir: directoryFlag,
    ...rangeFlags,
    skipLost: skipLostFlag,
    format: Flag.Literals("format", ["ndjson", "length-prefixed"]).pipe(
      Flag.withDescription("One JSON object per line, or u32 little-endian length + bytes"),
      Flag.withDefault("ndjson")
    )
  },
  Effect.fnUntraced(function*({ dir, format, skipLost, ...given }) {
    const range = yield* rangeOf(given)
    yield* requireDirectory(dir)
    yield* writeEvents(
      { directory: dir, ...range, ...skippingLost(skipLost) },
      "exporting",
      format === "ndjson" ? jsonLines : makeJoiner("length-prefixed")
    )
  })
).pipe(
  Command.withDescription("Write events as NDJSON or length-prefixed messages"),
  Command.withExamples([
    { command: "effect-wal export --dir ./log --from 1000 --to 1999 > events.ndjson", description: "A thousand events" }
  ])
)

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
