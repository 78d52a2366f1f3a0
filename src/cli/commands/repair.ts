/** Declares `effect-wal repair`; `../running/repair.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag, switchFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const repair = Command.make(
  "repair",
  {
    dir: directoryFlag,
    apply: switchFlag(
      "apply",
      "Do it; without this flag nothing is written. Refused while a recorder holds the directory"
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/repair.ts")).repair)
).pipe(
  Command.withDescription("Move damaged segments to quarantine and keep what is intact"),
  Command.withExamples([
    { command: "effect-wal repair --dir ./log", description: "Only report what would be done" },
    { command: "effect-wal repair --dir ./log --apply", description: "Do it" },
    {
      command: "effect-wal replay --diagnostic --dir ./log/quarantine/2026-01-31T12-00-00-000Z",
      description: "Everything intact in what was moved"
    }
  ])
)
