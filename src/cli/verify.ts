/**
 * `effect-wal verify`: checks every byte of every segment. One line for each fault, exit code 1 when there is one.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Verify from "../recovery/Verify.ts"
import type { VerifyReport } from "../recovery/Verify.ts"
import { FaultsFound } from "./CliFailure.ts"
import { foreignNames, requireDirectory } from "./directory.ts"
import { directoryFlag, jsonFlag } from "./flags.ts"
import { writeJson, writeLines } from "./StandardStreams.ts"

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const verify = Command.make(
  "verify",
  { dir: directoryFlag, json: jsonFlag },
  Effect.fnUntraced(function*({ dir, json }) {
    yield* requireDirectory(dir)
    const found = yield* Verify.verify({ directory: dir })
    const report = { ...found, foreign: foreignNames(found.foreign) }
    yield* json ? writeJson(report) : writeLines(linesOf(report))
    if (report.faults.length > 0) return yield* new FaultsFound()
  })
).pipe(
  Command.withDescription("Check every segment, hot and cold, and that each goes on from the one before"),
  Command.withExamples([{
    command: "effect-wal verify --dir ./log",
    description: "Exit code 1 when something is wrong"
  }])
)

const linesOf = ({ directory, faults, foreign, segments, severalForms }: VerifyReport): ReadonlyArray<string> => {
  const events = segments.reduce((sum, { eventCount }) => sum + eventCount, 0)
  return [
    ...faults.map((fault) => `fault: ${Verify.formatVerifyFault(fault)}`),
    ...segments.filter(({ tornBytes }) => tornBytes > 0).map(({ path, tornBytes }) =>
      `note: ${path}: ${tornBytes} bytes behind its last whole block, as a crash leaves them; the next recording cuts them`
    ),
    ...severalForms.map((index) => `note: segment ${index} is there in several forms, as during a freeze`),
    ...foreign.map((name) => `note: ${name} is no segment; it is left alone`),
    `${directory}: ${segments.length} segments with ${events} events hold, ${faults.length} faults`
  ]
}
