/**
 * Writes recorded events to standard output: checked, in order, without a gap. For every command that does so, it has
 * the range that the flags name, reports where the log begins, and shows the progress of the writing.
 */
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import * as Replay from "../../reading/Replay.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import { numberFlag, switchFlag } from "../flags/flags.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { isShown, withProgress } from "../terminal/Progress.ts"
import type { Progress } from "../terminal/Progress.ts"
import { say, writeOutput } from "../terminal/StandardStreams.ts"
import { newestEventId } from "../views/DirectoryReport.ts"

/** `--from ID`: the first event. */
export const fromFlag = Flag.optional(
  numberFlag("from", "ID", 1, "The first event; default: the oldest")
)

/** `--to ID`: the last event, included. */
export const toFlag = Flag.optional(
  numberFlag("to", "ID", 1, "The last event, included; default: the newest")
)

/** `--skip-lost`. */
export const skipLostFlag = switchFlag(
  "skip-lost",
  "Continue after events whose loss is acknowledged, and report each such hole on standard error"
)

/** The options of a replay that skips what is lost, if it shall. */
export const skippingLost = (isSkipped: boolean): Pick<Replay.ReplayOptions, "onLost"> =>
  isSkipped ? { onLost: (hole) => say(formatHole(hole)) } : {}

/** Gives the range that `--from` and `--to` name. Fails if it ends before it begins. */
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
 * Writes the events of a replay, as the bytes that `join` makes of each block. If `--from` is missing and the oldest
 * events were deleted, reports where the log begins. Shows the progress only if the events go to a file: the reader of
 * a pipe may write to the same terminal.
 */
export const writeEvents = Effect.fnUntraced(function*(
  options: Replay.ReplayOptions,
  label: string,
  join: (block: VerifiedBlock) => string | Uint8Array
) {
  const firstId = options.from !== undefined && "id" in options.from
    ? options.from.id
    : yield* sayWhatIsGone(options.directory)
  const output = yield* Effect.option(FileSystem.FileSystem.use((fileSystem) => fileSystem.stat("/dev/stdout")))
  const isWanted = Option.exists(output, ({ type }) => type === "File")
  const newestId = isShown(isWanted) && options.follow === undefined
    ? yield* newestEventId(options.directory)
    : undefined
  const lastId = options.to?.id ?? newestId
  let writtenId = firstId - 1
  const look = (): Progress => ({
    label,
    unit: "events",
    done: writtenId - firstId + 1,
    total: lastId === undefined ? undefined : Math.min(lastId, newestId ?? lastId) - firstId + 1
  })
  const writing = Stream.runForEachArray(
    Replay.blocks(options),
    // The next read overwrites a block's memory, so each block is written before the next one is requested.
    (blocks) =>
      Effect.forEach(blocks, (block) => {
        writtenId = block.lastEventId
        return writeOutput(join(block))
      }, { discard: true })
  )
  yield* withProgress(writing, look, isWanted)
})

/** Gives the id of the oldest event, 1 when there is none yet. Reports it if older events were deleted. */
const sayWhatIsGone = Effect.fnUntraced(function*(directory: string) {
  // A directory that does not exist yet has no events; the replay waits for it, or fails.
  const firstAvailableId = yield* Effect.catchIf(
    Replay.firstAvailableId(directory),
    (error) => error.reason === "NotFound",
    () => Effect.succeed(0)
  )
  if (firstAvailableId > 1) {
    yield* say(`replay starts at event ${firstAvailableId}; older ones were deleted by retention`)
  }
  return Math.max(1, firstAvailableId)
})
