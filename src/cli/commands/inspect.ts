/** Declares `effect-wal inspect`; `../running/inspect.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const inspect = Command.make(
  "inspect",
  { dir: directoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/inspect.ts")).inspect)
).pipe(
  Command.withDescription("List the segments: state, events, ids, bytes, ratio, times"),
  Command.withExamples([{ command: "effect-wal inspect --dir ./log", description: "One row per segment" }])
)
