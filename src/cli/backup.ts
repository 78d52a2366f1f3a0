/**
 * `effect-wal backup`: a copy of a directory, which may be in use, that verifies. Exit code 1 when the copy has faults.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Backup from "../recovery/Backup.ts"
import { formatVerifyFault } from "../recovery/Verify.ts"
import { FaultsFound } from "./CliFailure.ts"
import { requireDirectory } from "./directory.ts"
import { directoryFlag, formatSize, jsonFlag } from "./flags.ts"
import { writeJson, writeLines } from "./StandardStreams.ts"

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const backup = Command.make(
  "backup",
  {
    dir: directoryFlag,
    to: Flag.String("to").pipe(
      Flag.withMetavar("E"),
      Flag.withDescription("The directory to make; it must not exist"),
      Flag.filter((path) => path !== "", () => "the path of a directory")
    ),
    json: jsonFlag
  },
  Effect.fnUntraced(function*({ dir, json, to }) {
    yield* requireDirectory(dir)
    const report = yield* Backup.backup({ directory: dir, to })
    const { bytes, faults, firstEventId, lastEventId, segmentCount } = report
    yield* json ? writeJson(report) : writeLines([
      ...faults.map((fault) => `fault: ${formatVerifyFault(fault)}`),
      `${report.to}: ${segmentCount} segments, ${formatSize(bytes)}, events ${firstEventId} to ${lastEventId}, ` +
      `${faults.length} faults`
    ])
    if (faults.length > 0) return yield* new FaultsFound()
  })
).pipe(
  Command.withDescription("Copy a directory, also while it is recorded into, and verify the copy"),
  Command.withExamples([{ command: "effect-wal backup --dir ./log --to /mnt/log-2026-01-31", description: "A copy" }])
)
