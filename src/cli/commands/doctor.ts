/** Declares `effect-wal doctor`; `../running/doctor.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const doctor = Command.make(
  "doctor",
  { dir: directoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/doctor.ts")).doctor)
).pipe(
  Command.withDescription(
    "Measure the disk, examine the machine, and recommend flags for record; takes about 3 seconds"
  ),
  Command.withExamples([
    {
      command: "effect-wal doctor --dir ./log",
      description: "Before the first recording; exit code 1 if there is a warning"
    },
    { command: "effect-wal doctor --dir ./log --json | jq .advice", description: "The flags for record" }
  ])
)
