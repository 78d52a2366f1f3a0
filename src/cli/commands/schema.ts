/** Declares `effect-wal schema`; `../running/schema.ts` runs it. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { lazily } from "./lazily.ts"

/** The command. */
export const schema = Command.make(
  "schema",
  {
    command: Argument.String("command").pipe(
      Argument.withDescription("The command, as in `verify` or `archive status`"),
      Argument.atLeast(1)
    )
  },
  lazily(async () => (await import("../running/schema.ts")).schema)
).pipe(
  Command.withDescription("Print the JSON Schema of what a command prints with --json"),
  Command.withExamples([
    { command: "effect-wal schema verify", description: "Of the one object" },
    { command: "effect-wal schema maintain", description: "Of every line" }
  ])
)
