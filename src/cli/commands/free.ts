/** Declares `effect-wal free`; `../running/free.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag, numberFlag, switchFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const free = Command.make(
  "free",
  {
    dir: directoryFlag,
    before: numberFlag("before", "ID", 1, "Only segments whose events all have smaller ids"),
    apply: switchFlag(
      "apply",
      "Do it; without this flag nothing is deleted. Refused while a recorder holds the directory"
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/free.ts")).free)
).pipe(
  Command.withDescription("Delete the segments whose events all come before an id"),
  Command.withExamples([
    { command: "effect-wal free --dir ./log --before 1000001", description: "Only report what would be deleted" },
    { command: "effect-wal free --dir ./log --before 1000001 --apply", description: "Do it" }
  ])
)
