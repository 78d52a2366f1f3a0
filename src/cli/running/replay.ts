/** `effect-wal replay`: writes the recorded events to standard output: checked, in order, without a gap. */
import * as Effect from "effect/Effect"
import type * as Replay from "../../reading/Replay.ts"
import { makeJoiner } from "../events/EventFraming.ts"
import { rangeOf, skippingLost, writeEvents } from "../events/EventOutput.ts"
import type { Framing } from "../flags/framingFlags.ts"
import type { GivenRange } from "../flags/rangeFlags.ts"
import { awaitDirectory, requireDirectory } from "../flags/requireDirectory.ts"
import { FaultsFound } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given extends GivenRange {
  readonly dir: string
  readonly framing: Framing
  readonly follow: boolean
  readonly skipLost: boolean
  readonly diagnostic: boolean
}

/** Runs the command. */
export const replay = Effect.fnUntraced(function*({ diagnostic, dir, follow, framing, skipLost, ...given }: Given) {
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

const linesOf = ({ damage, firstMissingId, lastMissingId }: Replay.Hole): ReadonlyArray<string> => [
  ...damage.map(({ error }) => error.message),
  lastMissingId === undefined
    ? `events from ${firstMissingId} on may be missing`
    : lastMissingId < firstMissingId
    ? "no events are missing there"
    : `events ${firstMissingId} to ${lastMissingId} are missing`
]
