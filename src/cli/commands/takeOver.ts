/** Declares `effect-wal take-over`; `../running/takeOver.ts` runs it. */
import * as Command from "effect/cli/Command"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, jsonFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const takeOver = Command.make(
  "take-over",
  { archive: archiveFlag, dir: directoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/takeOver.ts")).takeOver)
).pipe(
  Command.withDescription("Claim a replicated log for this machine, and make its directory what the store has"),
  Command.withExamples([{
    command: "effect-wal take-over --archive s3://bucket/logs/orders --dir ./log",
    description: "Whoever records it elsewhere is fenced"
  }])
)
