/** Declares `effect-wal backup`; `../running/backup.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag, newDirectoryFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const backup = Command.make(
  "backup",
  {
    dir: directoryFlag,
    to: newDirectoryFlag,
    json: jsonFlag
  },
  lazily(async () => (await import("../running/backup.ts")).backup)
).pipe(
  Command.withDescription("Copy a directory, even while a recorder writes to it, and verify the copy"),
  Command.withExamples([{ command: "effect-wal backup --dir ./log --to /mnt/log-2026-01-31", description: "A copy" }])
)
