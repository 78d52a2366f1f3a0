/** Declares `effect-wal maintain`; `../running/maintain.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, switchFlag } from "../flags/flags.ts"
import { maintainerFlags } from "../flags/maintainerFlags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const maintain = Command.make(
  "maintain",
  {
    dir: directoryFlag,
    ...maintainerFlags,
    json: switchFlag("json", "Print each action as a line of JSON")
  },
  lazily(async () => (await import("../running/maintain.ts")).maintain)
).pipe(
  Command.withDescription("Compress and delete the segments that another program writes, until a signal"),
  Command.withExamples([
    {
      command: "effect-wal maintain --dir ./log --max-segments 8 --max-compressed-segments 64",
      description: "Keep 8 segments as they are and 64 compressed ones"
    }
  ])
)
