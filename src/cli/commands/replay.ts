/** `effect-wal replay`: writes the recorded events to standard output: checked, in order, without a gap. */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Replay from "../../reading/Replay.ts"
import { framingFlag, makeJoiner } from "../events/EventFraming.ts"
import { rangeFlags, rangeOf, skipLostFlag, skippingLost, writeEvents } from "../events/EventOutput.ts"
import { directoryFlag, switchFlag } from "../flags/flags.ts"
import { awaitDirectory, requireDirectory } from "../flags/requireDirectory.ts"
import { FaultsFound } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"

/** The command. */
export const replay = Command.make(
  "replay",
  {
    dir: directoryFlag,
    ...rangeFlags,
    framing: framingFlag,
    follow: switchFlag(
      "follow",
      "At the end, wait for events that another process records, until --to, --until or an interruption; also for the directory"
    ),
    skipLost: skipLostFlag,
    diagnostic: switchFlag(
      "diagnostic",
      "Continue after damage, and report on standard error what is missing; exit code 1 if anything is"
    )
  },
  Effect.fnUntraced(function*({ diagnostic, dir, follow, framing, skipLost, ...given }) {
    const range = yield* rangeOf(given)
    yield* (follow ? awaitDirectory(dir) : requireDirectory(dir))
    let holes = 0
    const onHole = (hole: Replay.Hole) => {
      holes += 1
      return Effect.forEach(linesOf(hole), say, { discard: true })
    }
    yield* writeEvents(
      {
        directory: dir,
        ...range,
        ...(follow ? { follow: "poll" as const } : {}),
        ...skippingLost(skipLost),
        ...(diagnostic ? { onHole } : {})
      },
      "replaying",
      makeJoiner(framing)
    )
    if (holes > 0) return yield* new FaultsFound()
  })
).pipe(
  Command.withDescription("Write the recorded events to standard output"),
  Command.withExamples([
    { command: "effect-wal replay --dir ./log > access.log", description: "All events" },
    { command: "effect-wal replay --dir ./log --from 1000 --to 1999", description: "A thousand events" },
    { command: "effect-wal replay --dir ./log --since 10m", description: "The events of the last ten minutes" },
    { command: "effect-wal replay --dir ./log --follow", description: "All events, and then new ones as they come" },
    { command: "effect-wal replay --dir ./log --diagnostic", description: "The intact events of a damaged log" }
  ])
)

const linesOf = ({ damage, firstMissingId, lastMissingId }: Replay.Hole): ReadonlyArray<string> => [
  ...damage.map(({ error }) => error.message),
  lastMissingId === undefined
    ? `events from ${firstMissingId} on may be missing`
    : lastMissingId < firstMissingId
    ? "no events are missing there"
    : `events ${firstMissingId} to ${lastMissingId} are missing`
]
