/** Declares `effect-wal doctor`; `../running/doctor.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, jsonFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const doctor = Command.make(
  "doctor",
  { dir: directoryFlag, archive: Flag.optional(archiveFlag), json: jsonFlag },
  lazily(async () => (await import("../running/doctor.ts")).doctor)
).pipe(
  Command.withDescription(
    "Measure the disk and an archive, examine the machine, and recommend flags for record; takes about 3 seconds each"
  ),
  Command.withExamples([
    {
      command: "effect-wal doctor --dir ./log",
      description: "Before the first recording; exit code 1 if there is a warning"
    },
    {
      command: "effect-wal doctor --dir ./log --archive s3://bucket/logs/orders",
      description: "Measure the store of an archive, too"
    },
    { command: "effect-wal doctor --dir ./log --json | jq .advice", description: "The flags for record" }
  ])
)
