/** Declares `effect-wal check`; `../running/check.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import { directoryFlag, jsonFlag, parseBytes, parseDuration, switchFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const check = Command.make(
  "check",
  {
    dir: directoryFlag,
    maxLag: Flag.String("max-lag").pipe(
      Flag.withMetavar("DURATION"),
      Flag.withDescription("Critical when the oldest event that is not durable is older than this; default 30s"),
      Flag.filterMap(parseDuration, () => "a duration as in 30s, 12h or 7d"),
      Flag.withDefault(Duration.seconds(30))
    ),
    minFree: Flag.String("min-free").pipe(
      Flag.withMetavar("BYTES"),
      Flag.withDescription("Critical when the disk has less room than this; default: no limit"),
      Flag.filterMap(parseBytes, () => "a size as in 500MB or 20GiB"),
      Flag.withDefault(0)
    ),
    stopped: switchFlag("stopped", "That nobody records into the directory is no trouble"),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/check.ts")).check)
).pipe(
  Command.withDescription("Tell in one line how a log is doing, for monitoring: 0 well, 1 warning, 2 critical"),
  Command.withExamples([
    { command: "effect-wal check --dir ./log", description: "How the recorder is doing" },
    { command: "effect-wal check --dir ./log --min-free 20GiB --max-lag 5s", description: "With limits of your own" }
  ])
)
