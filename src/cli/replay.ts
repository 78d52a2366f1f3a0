/**
 * `effect-wal replay`: the recorded events on standard output, checked, in order, without a gap.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Replay from "../recovery/Replay.ts"
import { FaultsFound, UsageFailure } from "./CliFailure.ts"
import { requireDirectory } from "./directory.ts"
import { makeJoiner } from "./EventFraming.ts"
import { directoryFlag, framingFlag } from "./flags.ts"
import { say, writeOutput } from "./StandardStreams.ts"

const idFlag = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription(description),
    Flag.filter((id) => id >= 1, () => "an event id, from 1"),
    Flag.optional
  )

/**
 * `--from ID` and `--to ID`.
 *
 * @since 0.1.0
 * @category flags
 */
export const fromFlag = idFlag("from", "The first event; without it the oldest there is")

/**
 * `--to ID`: the last event, included.
 *
 * @since 0.1.0
 * @category flags
 */
export const toFlag = idFlag("to", "The last event, included; without it the newest there is")

/**
 * The range that `--from` and `--to` name.
 *
 * @since 0.1.0
 * @category flags
 */
export const rangeOf = (
  from: Option.Option<number>,
  to: Option.Option<number>
): Effect.Effect<Pick<Replay.ReplayOptions, "from" | "to">, UsageFailure> =>
  Option.isSome(from) && Option.isSome(to) && to.value < from.value
    ? Effect.fail(new UsageFailure({ message: `--to ${to.value} lies before --from ${from.value}; swap them` }))
    : Effect.succeed({
      ...(Option.isSome(from) ? { from: { id: from.value } } : {}),
      ...(Option.isSome(to) ? { to: { id: to.value } } : {})
    })

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const replay = Command.make(
  "replay",
  {
    dir: directoryFlag,
    from: fromFlag,
    to: toFlag,
    framing: framingFlag,
    follow: Flag.Boolean("follow").pipe(
      Flag.withDescription("At the end, wait for what another process records; until --to, or until interrupted"),
      Flag.withDefault(false)
    ),
    diagnostic: Flag.Boolean("diagnostic").pipe(
      Flag.withDescription(
        "Go on behind damage, and say on standard error what is missing; exit code 1 when something is"
      ),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*({ diagnostic, dir, follow, framing, from, to }) {
    const range = yield* rangeOf(from, to)
    yield* requireDirectory(dir)
    if (range.from === undefined) yield* sayWhatIsGone(dir)
    const join = makeJoiner(framing)
    let holes = 0
    const onHole = (hole: Replay.Hole) => {
      holes += 1
      return Effect.forEach(linesOf(hole), say, { discard: true })
    }
    yield* Stream.runForEachArray(
      Replay.blocks({
        directory: dir,
        ...range,
        ...(follow ? { follow: "poll" as const } : {}),
        ...(diagnostic ? { onHole } : {})
      }),
      // A block lies in memory that the next read uses again, so each is written before more is asked for.
      (blocks) => Effect.forEach(blocks, (block) => writeOutput(join(block)), { discard: true })
    )
    if (holes > 0) return yield* new FaultsFound()
  })
).pipe(
  Command.withDescription("Write the recorded events to standard output"),
  Command.withExamples([
    { command: "effect-wal replay --dir ./log > access.log", description: "Everything that is there" },
    { command: "effect-wal replay --dir ./log --from 1000 --to 1999", description: "A thousand events" },
    { command: "effect-wal replay --dir ./log --follow", description: "Everything, and what comes" },
    { command: "effect-wal replay --dir ./log --diagnostic", description: "What can be read of a damaged log" }
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

/**
 * Says where the log begins when its beginning was deleted.
 *
 * @since 0.1.0
 * @category reading
 */
export const sayWhatIsGone = Effect.fnUntraced(function*(directory: string) {
  const firstAvailableId = yield* Replay.firstAvailableId(directory)
  if (firstAvailableId > 1) {
    yield* say(`replay starts at event ${firstAvailableId}; older ones were deleted by retention`)
  }
})
