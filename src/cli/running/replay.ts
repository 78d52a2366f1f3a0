/** `effect-wal replay`: writes the recorded events to standard output: checked, in order, without a gap. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ArchiveDisk from "../../archive/ArchiveDisk.ts"
import type * as Replay from "../../reading/Replay.ts"
import { makeJoiner } from "../events/EventFraming.ts"
import { rangeOf, skippingLost, writeEvents } from "../events/EventOutput.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import type { Framing } from "../flags/framingFlags.ts"
import type { GivenRange } from "../flags/rangeFlags.ts"
import { awaitDirectory, requireDirectory } from "../flags/requireDirectory.ts"
import { requireArchive } from "../stores/requireArchive.ts"
import { storeOf } from "../stores/storeOf.ts"
import { FaultsFound, UsageFailure } from "../terminal/CliFailure.ts"
import { say } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given extends GivenRange {
  readonly dir: Option.Option<string>
  readonly archive: Option.Option<ArchiveAddress>
  readonly framing: Framing
  readonly follow: boolean
  readonly skipLost: boolean
  readonly diagnostic: boolean
}

/** What the range flags mean. */
type Range = Pick<Replay.ReplayOptions, "from" | "to">

/** Runs the command. */
export const replay = Effect.fnUntraced(function*(given: Given) {
  const dir = Option.getOrUndefined(given.dir)
  const range = yield* rangeOf(given)
  if (Option.isSome(given.archive)) return yield* replayArchive(given.archive.value, dir, range, given)
  if (dir === undefined) {
    return yield* new UsageFailure({ message: "--dir D or --archive URL is missing; give one, or both" })
  }
  yield* (given.follow ? awaitDirectory(dir) : requireDirectory(dir))
  yield* replayDirectory(dir, range, given)
})

/** What the archive has, and what the directory has beside it. */
const replayArchive = Effect.fnUntraced(
  function*(archive: ArchiveAddress, dir: string | undefined, range: Range, given: Given) {
    const { log } = archive
    yield* requireArchive(archive)
    yield* Effect.provide(
      replayDirectory(dir ?? ArchiveDisk.shownDirectory(log), range, given),
      ArchiveDisk.layer({ log, directory: dir })
    )
  },
  (effect, archive) => Effect.provide(effect, storeOf(archive))
)

const replayDirectory = Effect.fnUntraced(function*(
  directory: string,
  range: Range,
  { diagnostic, follow, framing, skipLost }: Given
) {
  let holes = 0
  const onHole = (hole: Replay.Hole) => {
    holes += 1
    return Effect.forEach(linesOf(hole), say, { discard: true })
  }
  yield* writeEvents(
    {
      directory,
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
