/**
 * `effect-wal verify`: checks every byte of every segment. One line for each fault, exit code 1 when there is one.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { withReadRate } from "../../disk/ReadRate.ts"
import { verifiedName } from "../../reading/recovery/VerifiedFiles.ts"
import * as Verify from "../../reading/recovery/Verify.ts"
import type { VerifyReport } from "../../reading/recovery/Verify.ts"
import { directoryFlag, jsonFlag, parseBytes, switchFlag } from "../flags/flags.ts"
import { foreignNames, requireDirectory } from "../flags/requireDirectory.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const verify = Command.make(
  "verify",
  {
    dir: directoryFlag,
    incremental: switchFlag(
      "incremental",
      `Leave out closed segments that were verified before; ${verifiedName} remembers them`
    ),
    again: switchFlag("again", "With --incremental: verify all, and remember them anew"),
    rate: Flag.String("rate").pipe(
      Flag.withMetavar("SIZE"),
      Flag.withDescription("Read at most so much a second, as in 50MiB, to leave the disk to a recorder"),
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
      return yield* new UsageFailure({ message: "--again goes with --incremental; without it everything is verified" })
    }
    yield* requireDirectory(dir)
    const verifying = withReadProgress(
      Verify.verify({
        directory: dir,
        ...(incremental ? { incremental: again ? "again" as const : "onlyNew" as const } : {})
      }),
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
  Command.withDescription("Check every segment, hot and cold, and that each goes on from the one before"),
  Command.withExamples([{
    command: "effect-wal verify --dir ./log",
    description: "Exit code 1 when something is wrong"
  }, {
    command: "effect-wal verify --dir ./log --incremental --rate 50MiB",
    description: "What is new, at a set rate beside a recorder"
  }])
)

const linesOf = ({ directory, faults, foreign, segments, severalForms }: VerifyReport): ReadonlyArray<string> => {
  const events = segments.reduce((sum, { eventCount }) => sum + eventCount, 0)
  const remembered = segments.filter((segment) => segment.remembered).length
  return [
    ...faults.map((fault) => `fault: ${Verify.formatVerifyFault(fault)}`),
    ...segments.filter(({ tornBytes }) => tornBytes > 0).map(({ path, tornBytes }) =>
      `note: ${path}: ${tornBytes} bytes behind its last whole block, as a crash leaves them; the next recording cuts them`
    ),
    ...severalForms.map((index) => `note: segment ${index} is there in several forms, as during a freeze`),
    ...foreign.map((name) => `note: ${name} is no segment; it is left alone`),
    `${directory}: ${segments.length} segments with ${events} events hold, ${faults.length} faults${
      remembered === 0 ? "" : `; ${remembered} were verified before and not read`
    }`
  ]
}
