/**
 * `effect-wal grep`: prints the events that a pattern matches, as `ID:TEXT` or as a line of JSON. What is no text is
 * printed in the notation of JSON, so an event cannot control a terminal.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ArchiveDisk from "../../archive/ArchiveDisk.ts"
import type { VerifiedBlock } from "../../format/SegmentVerifier.ts"
import { messageOf } from "../../internal/messageOf.ts"
import { plainText } from "../../internal/plainText.ts"
import { forEachEvent } from "../../reading/segment/BlockEvents.ts"
import { jsonLines } from "../events/EventJson.ts"
import { rangeOf, skippingLost, writeEvents } from "../events/EventOutput.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import type { GivenRange } from "../flags/rangeFlags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import { requireArchive } from "../stores/requireArchive.ts"
import { storeOf } from "../stores/storeOf.ts"
import { FaultsFound, UsageFailure } from "../terminal/CliFailure.ts"
import { writeOutput } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given extends GivenRange {
  readonly pattern: string
  readonly dir: Option.Option<string>
  readonly archive: Option.Option<ArchiveAddress>
  readonly fixed: boolean
  readonly ignoreCase: boolean
  readonly max: Option.Option<number>
  readonly count: boolean
  readonly skipLost: boolean
  readonly json: boolean
}

/** Runs the command. Ends with 1 when no event matches. */
export const grep = Effect.fnUntraced(function*(given: Given) {
  const matches = yield* matcherOf(given)
  const range = yield* rangeOf(given)
  const dir = Option.getOrUndefined(given.dir)
  if (given.count && given.json) return yield* new UsageFailure({ message: "give --count or --json, not both" })
  const search = Effect.fnUntraced(function*(directory: string) {
    const max = Option.getOrElse(given.max, () => Number.POSITIVE_INFINITY)
    let found = 0
    const isWanted = (event: Buffer): boolean => {
      if (found >= max || !matches(event)) return false
      found += 1
      return true
    }
    const format = given.json ? jsonLines : textLines
    const join = (block: VerifiedBlock): string => {
      const lines = format(block, isWanted)
      return given.count ? "" : lines
    }
    const options = { directory, ...range, ...skippingLost(given.skipLost) }
    yield* writeEvents(options, "searching", join, () => found >= max)
    if (given.count) yield* writeOutput(`${found}\n`)
    if (found === 0) return yield* new FaultsFound()
  })
  if (Option.isSome(given.archive)) return yield* searchArchive(given.archive.value, dir, search)
  if (dir === undefined) {
    return yield* new UsageFailure({ message: "--dir D or --archive URL is missing; give one, or both" })
  }
  yield* requireDirectory(dir)
  yield* search(dir)
})

/** Searches what the archive has, and what the directory has beside it. */
const searchArchive = <E, R>(
  archive: ArchiveAddress,
  directory: string | undefined,
  search: (directory: string) => Effect.Effect<void, E, R>
) => {
  const { log } = archive
  return Effect.andThen(
    requireArchive(archive),
    Effect.provide(search(directory ?? ArchiveDisk.shownDirectory(log)), ArchiveDisk.layer({ log, directory }))
  ).pipe(Effect.provide(storeOf(archive)))
}

/** Tells whether an event matches. Text that takes both cases is found by a regular expression, too. */
const matcherOf = (
  { fixed, ignoreCase, pattern }: Pick<Given, "fixed" | "ignoreCase" | "pattern">
): Effect.Effect<(event: Buffer) => boolean, UsageFailure> => {
  if (fixed && !ignoreCase) {
    const wanted = Buffer.from(pattern)
    return Effect.succeed((event) => event.includes(wanted))
  }
  const source = fixed ? pattern.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&") : pattern
  return Effect.try({
    try: () => {
      const expression = new RegExp(source, ignoreCase ? "iu" : "u")
      return (event: Buffer) => expression.test(textOf(event))
    },
    catch: (error) =>
      new UsageFailure({
        message: `${plainText(messageOf(error))}; correct it, or give --fixed`
      })
  })
}

/** An event without the line feed that ends it. */
const textOf = (event: Buffer): string => event.toString().replace(/\r?\n$/, "")

const textLines = (block: VerifiedBlock, isWanted: (event: Buffer) => boolean): string => {
  let lines = ""
  forEachEvent(block, (id, bytes, start, end) => {
    const event = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
    if (isWanted(event)) lines += `${id}:${plainText(textOf(event))}\n`
  })
  return lines
}
