/** Declares `effect-wal top`; `../running/top.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { directoryFlag, parseDuration } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** Each picture costs the recorder a snapshot, some tenths of a millisecond. */
const intervalMillisMin = 100

/** The command. */
export const top = Command.make(
  "top",
  {
    dir: directoryFlag,
    interval: Flag.String("interval").pipe(
      Flag.withMetavar("DURATION"),
      Flag.withDescription("How often to draw, as in 500ms or 2s"),
      Flag.filterMap(
        (text) => Option.filter(parseDuration(text), (duration) => Duration.toMillis(duration) >= intervalMillisMin),
        () => `a duration of at least ${intervalMillisMin}ms, as in 500ms or 2s`
      ),
      Flag.withDefault(Duration.seconds(1))
    )
  },
  lazily(async () => (await import("../running/top.ts")).top)
).pipe(
  Command.withDescription("Watch a running recorder: rates, latencies, rings, segments, lag"),
  Command.withExamples([{
    command: "effect-wal top --dir ./log --interval 500ms",
    description: "Two pictures a second"
  }])
)
