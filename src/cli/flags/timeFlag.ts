/** The flags that name a point in time: `--since T` and `--until T`. */
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { parseDuration } from "./flags.ts"

/** ISO 8601. What else a JavaScript engine reads as a date is guesswork: it takes `10` for October 2001. */
const pattern = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/

/** Parses a point in time, or how long ago it was. */
const parseTime = (text: string): Option.Option<Effect.Effect<DateTime.DateTime>> =>
  Option.orElse(
    Option.map(parseDuration(text), (ago) => Effect.map(DateTime.now, DateTime.subtractDuration(ago))),
    () => pattern.test(text) ? Option.map(DateTime.make(text), Effect.succeed) : Option.none()
  )

const timeFlag = (name: string, description: string) =>
  Flag.optional(
    Flag.String(name).pipe(
      Flag.withMetavar("T"),
      Flag.withDescription(description),
      Flag.filterMap(parseTime, () => "a time such as 2026-11-29T10:00:00Z, or how long ago, such as 10m"),
      Flag.mapEffect((time) => time)
    )
  )

/** `--since T`: from the first event that is not older. */
export const sinceFlag = timeFlag("since", "Only events recorded at this time or later (UTC), or so long ago: 10m")

/** `--until T`: to the last event that is not newer. */
export const untilFlag = timeFlag("until", "Only events recorded at this time or earlier (UTC), or so long ago: 10m")
