/** Declares `effect-wal tail`; `../running/tail.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { addressFlag } from "../flags/addressFlag.ts"
import { numberFlag, switchFlag } from "../flags/flags.ts"
import { framingFlag } from "../flags/framingFlags.ts"
import { tokenFlag } from "../flags/tokenFlag.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const tail = Command.make(
  "tail",
  {
    from: addressFlag("from", "Where the recorder offers its log: the path of a socket, or http://HOST:PORT"),
    id: Flag.optional(numberFlag("id", "ID", 1, "The first event; default: the oldest")),
    token: tokenFlag("What the recorder asks for"),
    follow: switchFlag("follow", "At the end, wait for new events, also while the recorder is being restarted"),
    framing: framingFlag,
    json: switchFlag("json", "Print each event as a line of JSON, as export does")
  },
  lazily(async () => (await import("../running/tail.ts")).tail)
).pipe(
  Command.withDescription("Write the durable events of a running recorder to standard output"),
  Command.withExamples([
    { command: "effect-wal tail --from ./log.sock", description: "All events that are durable now" },
    { command: "effect-wal tail --from ./log.sock --id 1000 --follow", description: "From one event on, and new ones" },
    {
      command: "effect-wal tail --from http://127.0.0.1:8123 --follow --json",
      description: "With their ids and times"
    }
  ])
)
