/** Declares `effect-wal serve`; `../running/serve.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { directoryFlag } from "../flags/flags.ts"
import { tokenFlag } from "../flags/tokenFlag.ts"
import { lazily } from "./lazily.ts"

const portMax = 65_535

/** The command. */
export const serve = Command.make(
  "serve",
  {
    dir: directoryFlag,
    port: Flag.Int("port").pipe(
      Flag.withMetavar("PORT"),
      Flag.withDescription("The port; default: any free one"),
      Flag.filter((port) => port >= 0 && port <= portMax, () => `a port from 0 to ${portMax}`),
      Flag.withDefault(0)
    ),
    host: Flag.String("host").pipe(
      Flag.withMetavar("ADDRESS"),
      Flag.withDescription("The address to listen at; another than the loopback needs --token"),
      Flag.filter((host) => /^[\w.:-]+$/.test(host), () => "an address of this machine, as in 127.0.0.1"),
      Flag.withDefault("127.0.0.1")
    ),
    token: tokenFlag("What a viewer must bring")
  },
  lazily(async () => (await import("../running/serve.ts")).serve)
).pipe(
  Command.withDescription("Show a log in a browser: its segments live, its latencies, its events"),
  Command.withExamples([
    { command: "effect-wal serve --dir ./log", description: "On this machine, until Ctrl-C" },
    {
      command: "EFFECT_WAL_TOKEN=$(openssl rand -hex 16) effect-wal serve --dir ./log --host 0.0.0.0 --port 8123",
      description: "For other machines; the address that is printed has the token"
    }
  ])
)
