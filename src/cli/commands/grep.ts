/** Declares `effect-wal grep`; `../running/grep.ts` runs it. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, numberFlag, switchFlag } from "../flags/flags.ts"
import { rangeFlags, skipLostFlag } from "../flags/rangeFlags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const grep = Command.make(
  "grep",
  {
    pattern: Argument.String("pattern").pipe(
      Argument.withDescription("A regular expression, or with --fixed the text itself")
    ),
    dir: Flag.optional(directoryFlag),
    archive: Flag.optional(archiveFlag),
    ...rangeFlags,
    fixed: switchFlag("fixed", "The pattern is text, and nothing in it has a meaning"),
    ignoreCase: switchFlag("ignore-case", "Letters match in both cases"),
    max: Flag.optional(numberFlag("max", "N", 1, "End after so many events")),
    count: switchFlag("count", "Print only how many events match"),
    skipLost: skipLostFlag,
    json: switchFlag("json", "Print each event as a line of JSON, as export does")
  },
  lazily(async () => (await import("../running/grep.ts")).grep)
).pipe(
  Command.withDescription("Print the events that a pattern matches, each with its id"),
  Command.withExamples([
    { command: "effect-wal grep --dir ./log \"status=5..\"", description: "A regular expression" },
    {
      command: "effect-wal grep --dir ./log --since 1h --fixed \"ada@example.org\"",
      description: "A text, in an hour"
    },
    { command: "effect-wal grep --dir ./log --count error", description: "How many events" }
  ])
)
