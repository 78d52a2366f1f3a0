/** The state of a log at one moment: as its recorder reports it, or as the files show it if none runs. */
import * as Effect from "effect/Effect"
import * as Monitor from "../recorder/monitor/Monitor.ts"
import type { MonitorError } from "../recorder/monitor/MonitorError.ts"
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import type { DirectoryReport } from "./DirectoryReport.ts"

/** The report of a recorder that answered, or of a directory without a recorder. */
export type Stats =
  | { readonly source: "recorder"; readonly report: MonitorReport }
  | { readonly source: "directory"; readonly report: DirectoryReport }

/** Asks the recorder of a directory for its report. If none runs, `readDirectory` tells. */
export const readStatsBy = <E, R>(
  directory: string,
  readDirectory: Effect.Effect<DirectoryReport, E, R>
): Effect.Effect<Stats, MonitorError | E, R> =>
  Effect.flatMap(
    Monitor.read(directory),
    (report): Effect.Effect<Stats, E, R> =>
      report === undefined
        ? Effect.map(readDirectory, (report) => ({ source: "directory", report }))
        : Effect.succeed({ source: "recorder", report })
  )
