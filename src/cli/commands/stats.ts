/** Declares `effect-wal stats`; `../running/stats.ts` runs it. */
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag, switchFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const stats = Command.make(
  "stats",
  {
    dir: directoryFlag,
    json: jsonFlag,
    verbose: switchFlag("verbose", "Print every counter, too"),
    watch: switchFlag("watch", "Print again every two seconds, until a signal"),
    prometheus: switchFlag("prometheus", "Print in the Prometheus text format")
  },
  lazily(async () => (await import("../running/stats.ts")).stats)
).pipe(
  Command.withDescription("Print the state of a running recorder once, or of the directory if none runs"),
  Command.withExamples([
    { command: "effect-wal stats --dir ./log", description: "For people" },
    { command: "effect-wal stats --dir ./log --watch --json", description: "A line of JSON every two seconds" },
    { command: "effect-wal stats --dir ./log --prometheus", description: "For a textfile collector" }
  ])
)
