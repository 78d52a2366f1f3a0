/** Declares `effect-wal consumers` and its commands; `../running/consumers.ts` runs them. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import { directoryFlag, jsonFlag, numberFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

const nameArgument = Argument.String("name").pipe(Argument.withDescription("The name of the consumer"))

const list = Command.make(
  "list",
  { dir: directoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/consumers.ts")).consumersList)
).pipe(
  Command.withDescription("List the consumers of a log: where they are, how far behind, and who reads"),
  Command.withExamples([{ command: "effect-wal consumers list --dir ./log", description: "Also while it is recorded" }])
)

const show = Command.make(
  "show",
  { dir: directoryFlag, name: nameArgument, json: jsonFlag },
  lazily(async () => (await import("../running/consumers.ts")).consumersShow)
).pipe(
  Command.withDescription("Show one consumer"),
  Command.withExamples([{ command: "effect-wal consumers show --dir ./log billing", description: "For people" }])
)

const reset = Command.make(
  "reset",
  {
    dir: directoryFlag,
    name: nameArgument,
    to: numberFlag("to", "ID", 1, "The event that it gets next"),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/consumers.ts")).consumersReset)
).pipe(
  Command.withDescription("Let a consumer that nobody reads continue with another event"),
  Command.withExamples([{
    command: "effect-wal consumers reset --dir ./log billing --to 1000001",
    description: "It gets event 1,000,001 next"
  }])
)

const remove = Command.make(
  "remove",
  { dir: directoryFlag, name: nameArgument, json: jsonFlag },
  lazily(async () => (await import("../running/consumers.ts")).consumersRemove)
).pipe(
  Command.withDescription("Forget a consumer that nobody reads: nothing is kept for it any more"),
  Command.withExamples([{ command: "effect-wal consumers remove --dir ./log billing", description: "For good" }])
)

/** The command. */
export const consumers = Command.make("consumers").pipe(
  Command.withDescription("Look at the consumers of a log, move them, and forget them"),
  Command.withSubcommands([list, show, reset, remove])
)
