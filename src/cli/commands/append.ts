/** Declares `effect-wal append`; `../running/append.ts` runs it. */
import * as Command from "effect/cli/Command"
import { addressFlag } from "../flags/addressFlag.ts"
import { jsonFlag, switchFlag } from "../flags/flags.ts"
import { framingFlag } from "../flags/framingFlags.ts"
import { tokenFlag } from "../flags/tokenFlag.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const append = Command.make(
  "append",
  {
    to: addressFlag("to", "Where the recorder offers its log: the path of a socket, or http://HOST:PORT"),
    token: tokenFlag("What the recorder asks for"),
    framing: framingFlag,
    acks: switchFlag("acks", "Print `durable ID` on standard output whenever more of these events are durable"),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/append.ts")).append)
).pipe(
  Command.withDescription("Append standard input to the log of a running recorder"),
  Command.withExamples([
    { command: "effect-wal append --to ./log.sock < app.log", description: "The lines of a file" },
    {
      command: "tail -F app.log | effect-wal append --to http://127.0.0.1:8123 --acks",
      description: "Lines as they come, acknowledged when they are durable"
    }
  ])
)
