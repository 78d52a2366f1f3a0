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
import { UsageFailure } from "./CliFailure.ts"
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
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const replay = Command.make(
  "replay",
  {
    dir: directoryFlag,
    from: idFlag("from", "The first event; without it the oldest there is"),
    to: idFlag("to", "The last event, included; without it the newest there is"),
    framing: framingFlag
  },
  Effect.fnUntraced(function*({ dir, framing, from, to }) {
    if (Option.isSome(from) && Option.isSome(to) && to.value < from.value) {
      return yield* new UsageFailure({ message: `--to ${to.value} lies before --from ${from.value}; swap them` })
    }
    yield* requireDirectory(dir)
    if (Option.isNone(from)) yield* sayWhatIsGone(dir)
    const join = makeJoiner(framing)
    yield* Stream.runForEachArray(
      Replay.blocks({
        directory: dir,
        ...(Option.isSome(from) ? { from: { id: from.value } } : {}),
        ...(Option.isSome(to) ? { to: { id: to.value } } : {})
      }),
      // A block lies in memory that the next read uses again, so each is written before more is asked for.
      (blocks) => Effect.forEach(blocks, (block) => writeOutput(join(block)), { discard: true })
    )
  })
).pipe(
  Command.withDescription("Write the recorded events to standard output"),
  Command.withExamples([
    { command: "effect-wal replay --dir ./log > access.log", description: "Everything that is there" },
    { command: "effect-wal replay --dir ./log --from 1000 --to 1999", description: "A thousand events" }
  ])
)

const sayWhatIsGone = Effect.fnUntraced(function*(directory: string) {
  const firstAvailableId = yield* Replay.firstAvailableId(directory)
  if (firstAvailableId > 1) {
    yield* say(`replay starts at event ${firstAvailableId}; older ones were deleted by retention`)
  }
})
