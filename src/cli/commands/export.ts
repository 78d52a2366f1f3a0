/**
 * `effect-wal export`: writes events for other programs: checked, in order, without a gap.
 *
 * - `ndjson`: one object per line, `{"id":17,"text":"…"}`, or `{"id":17,"base64":"…"}` if the event is not UTF-8
 * - `length-prefixed`: u32 little-endian length + bytes, as `record --framing length-prefixed` reads them
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { isUtf8 } from "node:buffer"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { forEachEvent } from "../../reading/segment/BlockEvents.ts"
import { makeJoiner } from "../events/EventFraming.ts"
import { fromFlag, rangeOf, skipLostFlag, skippingLost, toFlag, writeEvents } from "../events/EventOutput.ts"
import { directoryFlag } from "../flags/flags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"

/** The command. */
export const exportEvents = Command.make(
  "export",
  {
    dir: directoryFlag,
    from: fromFlag,
    to: toFlag,
    skipLost: skipLostFlag,
    format: Flag.Literals("format", ["ndjson", "length-prefixed"]).pipe(
      Flag.withDescription("One JSON object per line, or u32 little-endian length + bytes"),
      Flag.withDefault("ndjson")
    )
  },
  Effect.fnUntraced(function*({ dir, format, from, skipLost, to }) {
    const range = yield* rangeOf(from, to)
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
  forEachEvent(block, (id, bytes, start, end) => {
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    const content = isUtf8(event) ? { text: event.toString() } : { base64: event.toString("base64") }
    lines += `${JSON.stringify({ id, ...content })}\n`
  })
  return lines
}
