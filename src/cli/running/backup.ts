/**
 * `effect-wal backup`: copies a directory, even while a recorder writes to it, and verifies the copy. Exit code 1 if
 * the copy has faults. A signal ends the command, after it has removed what was copied.
 */
import * as Effect from "effect/Effect"
import * as Backup from "../../reading/recovery/Backup.ts"
import { formatVerifyFault } from "../../reading/recovery/Verify.ts"
import { formatHole } from "../../reading/ReplayError.ts"
import { formatSize } from "../flags/flags.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { withReadProgress } from "../terminal/Progress.ts"
import { untilSignal } from "../terminal/Signals.ts"
import { report, writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly to: string
  readonly json: boolean
}

/** Runs the command. */
export const backup = Effect.fnUntraced(function*({ dir, json, to }: Given) {
  yield* requireDirectory(dir)
  // Two passes: each segment is copied, and then verified.
  const copied = yield* withReadProgress(
    Backup.backup({ directory: dir, to }),
    { label: "copying", directory: dir, passes: 2, isWanted: !json }
  )
  yield* writeCopy(copied, json)
}, untilSignal)

/** Reports a copy; with exit code 1 if it has faults. */
export const writeCopy = (copied: Backup.BackupReport, json: boolean) => {
  const { bytes, faults, firstEventId, holes, lastEventId, segmentCount } = copied
  const write = json ? writeJson(copied satisfies Output<"backup">) : writeLines([
    ...faults.map((fault) => `fault: ${formatVerifyFault(fault)}`),
    ...holes.map((hole) => `hole: ${formatHole(hole)}`),
    `${copied.to}: ${segmentCount} segments, ${formatSize(bytes)}, events ${firstEventId} to ${lastEventId}, ` +
    `${faults.length} faults`
  ])
  return report(write, faults.length > 0)
}
