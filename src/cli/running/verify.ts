/** `effect-wal verify`: checks every byte of every segment. Prints one line per fault. Exit code 1 if there is one. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ArchiveRepair from "../../archive/ArchiveRepair.ts"
import { withReadRate } from "../../disk/ReadRate.ts"
import * as Verify from "../../reading/recovery/Verify.ts"
import type { VerifyReport } from "../../reading/recovery/Verify.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import type { ArchiveAddress } from "../flags/archiveFlag.ts"
import { foreignNames, requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { requireArchive } from "../stores/requireArchive.ts"
import { storeOf } from "../stores/storeOf.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { checkAhead } from "../verifying/VerifyAhead.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly incremental: boolean
  readonly again: boolean
  readonly rate: Option.Option<number>
  readonly repairFromArchive: Option.Option<ArchiveAddress>
  readonly json: boolean
}

/** Runs the command. */
export const verify = Effect.fnUntraced(function*(given: Given) {
  const { again, dir, incremental, json, rate, repairFromArchive } = given
  if (Option.isSome(repairFromArchive)) {
    if (!incremental && Option.isNone(rate)) return yield* repaired(dir, repairFromArchive.value, json)
    return yield* new UsageFailure({
      message: "--repair-from-archive reads every segment; give it without --incremental and --rate"
    })
  }
  if (again && !incremental) {
    return yield* new UsageFailure({
      message: "--again needs --incremental; without --incremental everything is verified"
    })
  }
  yield* requireDirectory(dir)
  const verifying = withReadProgress(
    Verify.verifyWith(
      {
        directory: dir,
        ...(incremental ? { incremental: again ? "again" as const : "onlyNew" as const } : {})
      },
      // A rate holds for what this thread reads.
      Option.isSome(rate) ? Verify.checkNothingAhead : checkAhead
    ),
    { label: "verifying", directory: dir, passes: 1, isWanted: !json }
  )
  const found = yield* Option.match(rate, {
    onNone: () => verifying,
    onSome: (bytes) => withReadRate(verifying, bytes)
  })
  const verified = { ...found, foreign: foreignNames(found.foreign) }
  yield* report(
    json ? writeJson(verified satisfies Output<"verify">) : writeLines(linesOf(verified)),
    verified.faults.length > 0
  )
})

/** Puts back what the archive has, and reports what is left. */
const repaired = (directory: string, archive: ArchiveAddress, json: boolean) =>
  Effect.gen(function*() {
    yield* requireDirectory(directory)
    yield* requireArchive(archive)
    // Before and after.
    const repairing = ArchiveRepair.repair({ directory, log: archive.log, apply: true })
    const progress = { label: "repairing", directory, passes: 2, isWanted: !json }
    const found = yield* withReadProgress(repairing, progress)
    const { left, quarantine, steps } = found
    const lines = [
      ...steps.map(({ because, firstEventId, lastEventId, segmentIndex }) =>
        `put back: segment ${segmentIndex} with events ${firstEventId} to ${lastEventId}, which was ${because}`
      ),
      ...left.map((fault) => `left: ${Verify.formatVerifyFault(fault)}`),
      ...found.holes.map((hole) => `hole: ${formatHole(hole)}`),
      `${found.directory}: ${steps.length} segments were put back from ${archive.url}, ${left.length} faults left${
        quarantine === null ? "" : `; the damaged files are in ${quarantine}`
      }`
    ]
    yield* report(json ? writeJson(found satisfies Output<"verify">) : writeLines(lines), left.length > 0)
  }).pipe(Effect.provide(storeOf(archive)))

const linesOf = (
  { directory, faults, foreign, holes, ignoredHints, notRemembered, segments, severalForms }: VerifyReport
): ReadonlyArray<string> => {
  const events = segments.reduce((sum, { eventCount }) => sum + eventCount, 0)
  const remembered = segments.filter((segment) => segment.remembered).length
  return [
    ...faults.map((fault) => `fault: ${Verify.formatVerifyFault(fault)}`),
    ...holes.map((hole) => `hole: ${formatHole(hole)}`),
    ...segments.filter(({ tornBytes }) => tornBytes > 0).map(({ path, tornBytes }) =>
      `note: ${path}: ${tornBytes} bytes after its last intact block, left by a crash; the next recording cuts them off`
    ),
    ...severalForms.map((index) => `note: segment ${index} exists in several forms, as during a freeze`),
    ...ignoredHints.map((hint) => `note: ${hint}; it is ignored, and written anew when it is due`),
    ...(notRemembered === "" ? [] : [`note: what was verified is not remembered: ${notRemembered}`]),
    ...foreign.map((name) => `note: ${name} is not a segment; it is left alone`),
    `${directory}: ${segments.length} segments with ${events} events are intact, ${faults.length} faults${
      remembered === 0 ? "" : `; ${remembered} were verified before and not read`
    }`
  ]
}
