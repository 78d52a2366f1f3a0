/** Declares `effect-wal dump`; `../running/dump.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { directoryFlag, jsonFlag, numberFlag } from "../flags/flags.ts"
import { sinceFlag, untilFlag } from "../flags/timeFlag.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const dump = Command.make(
  "dump",
  {
    dir: directoryFlag,
    segment: Flag.optional(numberFlag("segment", "N", 0, "The index of the segment")),
    block: Flag.optional(numberFlag("block", "B", 0, "A block of it, counted from 0")),
    event: Flag.optional(numberFlag("event", "ID", 1, "An event of it")),
    since: sinceFlag,
    until: untilFlag,
    json: jsonFlag
  },
  lazily(async () => (await import("../running/dump.ts")).dump)
).pipe(
  Command.withDescription("Show a segment's header, a block or an event in hex and as text"),
  Command.withExamples([
    { command: "effect-wal dump --dir ./log --segment 12", description: "The header" },
    { command: "effect-wal dump --dir ./log --segment 12 --block 3", description: "A block" },
    { command: "effect-wal dump --dir ./log --segment 12 --event 4711", description: "An event" },
    {
      command: "effect-wal dump --dir ./log --since 2026-11-29T10:00:00Z",
      description: "The first block that was written then or later"
    },
    {
      command: "effect-wal dump --dir ./log --segment 12 --event 4711 --json | jq -r .base64 | base64 -d",
      description: "Its bytes"
    }
  ])
)
