/**
 * `effect-wal stats`: prints the state once, of the recorder that runs in the directory on this machine, or of the
 * directory alone if none runs.
 */
import * as Effect from "effect/Effect"
import { directoryPrometheusText } from "../../report/DirectoryReport.ts"
import { prometheusText } from "../../telemetry/TelemetryExport.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { UsageFailure } from "../terminal/CliFailure.ts"
import { writeJson, writeLines, writeOutput } from "../terminal/StandardStreams.ts"
import { directoryLines, readStats, recorderLines } from "../views/Stats.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly json: boolean
  readonly verbose: boolean
  readonly watch: boolean
  readonly prometheus: boolean
}

/** How often `--watch` prints. */
const watchInterval = "2 seconds"

/** Runs the command. */
export const stats = Effect.fnUntraced(function*(given: Given) {
  const { dir, json, prometheus, verbose, watch } = given
  if (json && prometheus) return yield* new UsageFailure({ message: "give --json or --prometheus, not both" })
  if ((json || prometheus) && verbose) {
    return yield* new UsageFailure({ message: "--verbose is for people; --json and --prometheus have everything" })
  }
  if (prometheus && watch) return yield* new UsageFailure({ message: "give --prometheus or --watch, not both" })
  yield* requireDirectory(dir)
  if (!watch) return yield* print(given)
  const again = Effect.andThen(json ? Effect.void : writeLines([""]), print(given))
  yield* print(given)
  yield* Effect.forever(Effect.andThen(Effect.sleep(watchInterval), again))
})

const print = Effect.fnUntraced(function*({ dir, json, prometheus, verbose, watch }: Given) {
  const found = yield* readStats(dir, !json && !watch)
  if (json) {
    const output: Output<"stats"> = found.source === "recorder"
      ? { source: found.source, ...found.report }
      : { source: found.source, ...found.report }
    return yield* writeJson(output)
  }
  if (prometheus) {
    if (found.source === "directory") return yield* writeOutput(directoryPrometheusText(found.report))
    return yield* writeOutput(prometheusText(found.report.telemetry, { log: found.report.directory }))
  }
  yield* writeLines(found.source === "recorder" ? recorderLines(found.report, verbose) : directoryLines(found.report))
})
