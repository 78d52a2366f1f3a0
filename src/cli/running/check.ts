/**
 * `effect-wal check`: tells in one line how a log is doing. Its exit codes are those of monitoring plugins: 0 well, 1
 * warning, 2 critical. So a check that cannot look is critical, too.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { findingsOf, wellText } from "../../report/Health.ts"
import type { Finding } from "../../report/Health.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { CheckFailed } from "../terminal/CliFailure.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"
import { readStats } from "../views/Stats.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly maxLag: Duration.Duration
  readonly minFree: number
  readonly stopped: boolean
  readonly json: boolean
}

/** Runs the command. */
export const check = Effect.fnUntraced(function*({ dir, json, maxLag, minFree, stopped }: Given) {
  const looked = yield* Effect.result(Effect.andThen(requireDirectory(dir), readStats(dir, false)))
  const findings: ReadonlyArray<Finding> = looked._tag === "Failure"
    ? [{ severity: "critical", text: looked.failure.message }]
    : findingsOf(looked.success, { maxLag, freeBytesMin: minFree, isRecorderWanted: !stopped })
  const severity = findings.some(({ severity }) => severity === "critical") ? "critical" : findings[0]?.severity ?? "ok"
  const texts = findings.map(({ text }) => text)
  if (looked._tag === "Success" && findings.length === 0) texts.push(wellText(looked.success))
  const write = json
    ? writeJson({ directory: dir, severity, findings } satisfies Output<"check">)
    : writeLines([`${severity.toUpperCase()} ${dir}: ${texts.join("; ")}`])
  if (severity === "ok") return yield* write
  // A reader that goes away hides nothing from a script that checks the exit code.
  yield* Effect.catchTag(write, "BrokenPipe", () => Effect.void)
  return yield* new CheckFailed({ code: severity === "warning" ? 1 : 2 })
})
