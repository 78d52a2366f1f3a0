/** What a command says of input that cannot be cut into events. */
import * as Effect from "effect/Effect"
import * as WalConfig from "../../recorder/WalConfig.ts"
import type { Framing } from "../flags/framingFlags.ts"
import { OperatingFailure } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"
import type { EventSplitter } from "./EventFraming.ts"

/**
 * Fails at a fault of the splitter. A message that a signal cut off is only reported: the sender knows that it was not
 * acknowledged.
 */
export const checkSplit = (
  splitter: EventSplitter,
  framing: Framing,
  bytesMax: number,
  endedBy: string | undefined
): Effect.Effect<void, OperatingFailure> => {
  const fault = splitter.fault()
  if (fault === undefined) return Effect.void
  const name = `${framing === "lines" ? "line" : "message"} ${fault.events + 1}`
  const before = `events recorded before it: ${fault.events}`
  if (fault.kind === "TooLarge") {
    const size = framing === "lines"
      ? `is longer than ${bytesMax} bytes`
      : `claims ${fault.bytes} bytes, more than ${bytesMax}`
    return Effect.fail(
      new OperatingFailure({
        message: `${name} ${size}, the most an event can have; ${before}; ` +
          (bytesMax < WalConfig.defaults.blockBytesMax - 4
            ? "raise --segment-bytes, or cut it into parts"
            : "cut it into parts") +
          (framing === "lines" ? ", or give --on-long-line" : "")
      })
    )
  }
  const missing = `${name} is cut off after ${fault.bytes} of ${fault.bytesExpected} bytes, its prefix included`
  return endedBy === undefined
    ? Effect.fail(new OperatingFailure({ message: `${missing}; ${before}; check --framing, and what wrote the input` }))
    : say(`${missing}, by ${endedBy}; ${before}`)
}
