/**
 * `effect-wal export`: writes events for other programs: checked, in order, without a gap.
 *
 * - `ndjson`: one object per line, see `jsonLines`
 * - `length-prefixed`: u32 little-endian length + bytes, as `record --framing length-prefixed` reads them
 */
import * as Effect from "effect/Effect"
import { makeJoiner } from "../events/EventFraming.ts"
import { jsonLines } from "../events/EventJson.ts"
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
    format === "ndjson" ? (block) => jsonLines(block) : makeJoiner("length-prefixed")
  )
})
