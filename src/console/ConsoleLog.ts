/** The log that a console shows: its directory, and the recorder, if one answers. */
import * as Effect from "effect/Effect"
import type { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { eventIdMax } from "../format/Limits.ts"
import type { MonitorError } from "../recorder/monitor/MonitorError.ts"
import type { MonitorReport } from "../recorder/monitor/MonitorReport.ts"
import type { Cells } from "./Cells.ts"

/** A log to be shown. */
export interface ConsoleLog {
  readonly directory: SegmentDirectory
  readonly cells: Cells
  /** What the recorder reports now; `undefined` when none answers. */
  readonly report: Effect.Effect<MonitorReport | undefined, MonitorError>
}

/** The last event that may be shown: beside a recorder the last durable one, since later ones may yet be lost. */
export const lastShownId = ({ report }: ConsoleLog): Effect.Effect<number> =>
  report.pipe(
    Effect.map((report) => report?.positions.durable ?? eventIdMax),
    // A recorder that does not answer now says nothing about what is on disk.
    Effect.orElseSucceed(() => eventIdMax)
  )
