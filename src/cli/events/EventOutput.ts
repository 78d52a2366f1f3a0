/**
 * Writes recorded events to standard output: checked, in order, without a gap. For every command that does so, it has
 * the range that the flags name, reports where the log begins, and shows the progress of the writing.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import * as Replay from "../../reading/Replay.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import { newestEventId } from "../../report/DirectoryReport.ts"
import type { GivenRange } from "../flags/rangeFlags.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { isShown, withProgress } from "../terminal/Progress.ts"
import type { Progress } from "../terminal/Progress.ts"
import { say, writeOutput } from "../terminal/StandardStreams.ts"

/** The options of a replay that skips what is lost, if it shall. */
export const skippingLost = (isSkipped: boolean): Pick<Replay.ReplayOptions, "onLost"> =>
  isSkipped ? { onLost: (hole) => say(formatHole(hole)) } : {}

/** Gives the range that the range flags name. Fails if one end is named twice, or lies before the other. */
export const rangeOf = Effect.fnUntraced(function*({ from, since, to, until }: GivenRange) {
  const refuse = (message: string) => Effect.fail(new UsageFailure({ message }))
  if (Option.isSome(from) && Option.isSome(since)) {
    return yield* refuse("--from and --since cannot be combined; give one")
  }
  if (Option.isSome(to) && Option.isSome(until)) return yield* refuse("--to and --until cannot be combined; give one")
  if (Option.isSome(from) && Option.isSome(to) && to.value < from.value) {
    return yield* refuse(`--to ${to.value} lies before --from ${from.value}; swap them`)
  }
  if (Option.isSome(since) && Option.isSome(until) && DateTime.isLessThan(until.value, since.value)) {
    const [earlier, later] = [until.value, since.value].map(DateTime.formatIso)
    return yield* refuse(`--until ${earlier} lies before --since ${later}; swap them`)
  }
  const range: Pick<Replay.ReplayOptions, "from" | "to"> = {
    ...Option.match(from, { onNone: () => ({}), onSome: (id) => ({ from: { id } }) }),
    ...Option.match(since, { onNone: () => ({}), onSome: (time) => ({ from: { time } }) }),
    ...Option.match(to, { onNone: () => ({}), onSome: (id) => ({ to: { id } }) }),
    ...Option.match(until, { onNone: () => ({}), onSome: (time) => ({ to: { time } }) })
  }
  return range
})

/**
 * Writes the events of a replay, as the bytes that `join` makes of each block. If no beginning is given and the oldest
 * events were deleted, reports where the log begins. Ends before the end of the range when `isOver`. Shows the progress
 * only if the events go to a file: the reader of a pipe may write to the same terminal.
 */
export const writeEvents = Effect.fnUntraced(function*(
  options: Replay.ReplayOptions,
  label: string,
  join: (block: VerifiedBlock) => string | Uint8Array,
  isOver: () => boolean = () => false
) {
  const { from, to } = options
  /** Not known before the first block when the range begins with a time. */
  let firstId = from === undefined
    ? yield* sayWhatIsGone(options.directory)
    : typeof from === "object" && "id" in from
    ? from.id
    : undefined
  const output = yield* Effect.option(FileSystem.FileSystem.use((fileSystem) => fileSystem.stat("/dev/stdout")))
  const isWanted = Option.exists(output, ({ type }) => type === "File")
  const newestId = isShown(isWanted) && options.follow === undefined
    ? yield* newestEventId(options.directory)
    : undefined
  // A range that ends with a time ends with an event that is not known before.
  const lastId = to === undefined ? newestId : "id" in to ? Math.min(to.id, newestId ?? to.id) : undefined
  let writtenId = 0
  const look = (): Progress => ({
    label,
    unit: "events",
    done: firstId === undefined ? 0 : Math.max(0, writtenId - firstId + 1),
    total: lastId === undefined || firstId === undefined ? undefined : lastId - firstId + 1
  })
  const writing = Stream.runForEachArray(
    Stream.takeWhile(Replay.blocks(options), () => !isOver()),
    // The next read overwrites a block's memory, so each block is written before the next one is requested.
    (blocks) =>
      Effect.forEach(blocks, (block) => {
        firstId ??= block.firstEventId
        writtenId = block.lastEventId
        const text = join(block)
        return text.length === 0 ? Effect.void : writeOutput(text)
      }, { discard: true })
  )
  yield* withProgress(writing, look, isWanted)
})

/** Gives the id of the oldest event, 1 when there is none yet. Reports it if older events were deleted. */
const sayWhatIsGone = Effect.fnUntraced(function*(directory: string) {
  // A directory that does not exist yet has no events; the replay waits for it, or fails.
  const firstAvailableId = yield* Effect.catchReason(
    Replay.firstAvailableId(directory),
    "DiskError",
    "NotFound",
    () => Effect.succeedNone
  )
  const firstId = Option.getOrElse(firstAvailableId, () => 1)
  if (firstId > 1) yield* say(`replay starts at event ${firstId}; older ones were deleted by retention`)
  return firstId
})
