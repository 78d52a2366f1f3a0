/** `effect-wal verify`: checks every byte of every segment. Prints one line per fault. Exit code 1 if there is one. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { verifiedName } from "../../disk/FileNames.ts"
import { withReadRate } from "../../disk/ReadRate.ts"
import * as Verify from "../../reading/recovery/Verify.ts"
import type { VerifyReport } from "../../reading/recovery/Verify.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import { directoryFlag, jsonFlag, parseBytes, switchFlag } from "../flags/flags.ts"
import { foreignNames, requireDirectory } from "../flags/requireDirectory.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { checkAhead } from "../verifying/VerifyAhead.ts"

/** The command. */
export const verify = Command.make(
  "verify",
  {
    dir: directoryFlag,
    incremental: switchFlag(
      "incremental",
      `Skip closed segments that were verified before; ${verifiedName} lists them`
    ),
    again: switchFlag("again", "With --incremental: verify all segments, and list them anew"),
    rate: Flag.String("rate").pipe(
      Flag.withMetavar("SIZE"),
      Flag.withDescription("Read at most this much per second, as in 50MiB, to leave disk time to a recorder"),
      Flag.filterMap(
        (text) => Option.filter(parseBytes(text), (bytes) => bytes >= 1),
        () => "a size of at least 1 byte, as in 50MiB"
      ),
      Flag.optional
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function*({ again, dir, incremental, json, rate }) {
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
    yield* report(json ? writeJson(verified) : writeLines(linesOf(verified)), verified.faults.length > 0)
  })
).pipe(
  Command.withDescription("Check every segment, hot and cold, and that each continues the one before"),
  Command.withExamples([{
    command: "effect-wal verify --dir ./log",
    description: "Exit code 1 if something is wrong"
  }, {
    command: "effect-wal verify --dir ./log --incremental --rate 50MiB",
    description: "Only new segments, at a limited rate beside a recorder"
  }])
)

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
