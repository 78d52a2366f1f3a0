/**
 * `effect-wal stats`: prints the state once, of the recorder that runs in the directory on this machine, or of the
 * directory alone if none runs.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { prometheusText } from "../../telemetry/TelemetryExport.ts"
import { directoryFlag, jsonFlag, switchFlag } from "../flags/flags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { writeJson, writeLines, writeOutput } from "../terminal/StandardStreams.ts"
import { directoryPrometheusText } from "../views/DirectoryReport.ts"
import { directoryLines, readStats, recorderLines } from "../views/Stats.ts"

/** The command. */
export const stats = Command.make(
  "stats",
  {
    dir: directoryFlag,
    json: jsonFlag,
    prometheus: switchFlag("prometheus", "Print in the Prometheus text format")
  },
  Effect.fnUntraced(function*({ dir, json, prometheus }) {
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
).pipe(
  Command.withDescription("Print the state of a running recorder once, or of the directory if none runs"),
  Command.withExamples([
    { command: "effect-wal stats --dir ./log", description: "For people" },
    { command: "effect-wal stats --dir ./log --prometheus", description: "For a textfile collector" }
  ])
)
