/**
 * `effect-wal stats`: prints the state once, of the recorder that runs in the directory on this machine, or of the
 * directory alone if none runs.
 */
import * as Effect from "effect/Effect"
import { prometheusText } from "../../telemetry/TelemetryExport.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { writeJson, writeLines, writeOutput } from "../terminal/StandardStreams.ts"
import { directoryPrometheusText } from "../views/DirectoryReport.ts"
import { directoryLines, readStats, recorderLines } from "../views/Stats.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly json: boolean
  readonly prometheus: boolean
}

/** Runs the command. */
export const stats = Effect.fnUntraced(function*({ dir, json, prometheus }: Given) {
  if (json && prometheus) return yield* new UsageFailure({ message: "give --json or --prometheus, not both" })
  yield* requireDirectory(dir)
  const found = yield* readStats(dir, !json)
  if (json) return yield* writeJson({ source: found.source, ...found.report })
  if (prometheus) {
    if (found.source === "directory") return yield* writeOutput(directoryPrometheusText(found.report))
    return yield* writeOutput(prometheusText(found.report.telemetry, { log: found.report.directory }))
  }
  yield* writeLines(found.source === "recorder" ? recorderLines(found.report) : directoryLines(found.report))
})
