/** The flags that tell how a stream of bytes is cut into events; see `EventFraming`. */
import * as Flag from "effect/cli/Flag"

/** Lists the framings, as the flag names them. */
const framings = ["lines", "length-prefixed"] as const

/** One of `framings`. */
export type Framing = typeof framings[number]

/** `--framing lines|length-prefixed`. */
export const framingFlag = Flag.Literals("framing", framings).pipe(
  Flag.withDescription("An event is a line with its line feed, or a message of u32 little-endian length + bytes"),
  Flag.withDefault("lines")
)

/**
 * Lists what can be done about a line that is longer than an event may be: end there, leave it out, or make several
 * events of it. Replay writes those one after the other, so it gives the line back as it was.
 */
const longLineRules = ["fail", "skip", "split"] as const

/** One of the rules for long lines. */
export type LongLineRule = typeof longLineRules[number]

/** `--on-long-line fail|skip|split`. */
export const longLineFlag = Flag.Literals("on-long-line", longLineRules).pipe(
  Flag.withDescription(
    "A line that is longer than an event may be ends the recording, is left out, or becomes several"
  ),
  Flag.withDefault("fail")
)
