/** Declares `effect-wal replay`; `../running/replay.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, switchFlag } from "../flags/flags.ts"
import { framingFlag } from "../flags/framingFlags.ts"
import { rangeFlags, skipLostFlag } from "../flags/rangeFlags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const replay = Command.make(
  "replay",
  {
    dir: Flag.optional(directoryFlag),
    archive: Flag.optional(archiveFlag),
    ...rangeFlags,
    framing: framingFlag,
    follow: switchFlag(
      "follow",
      "At the end, wait for events that another process records, until --to, --until or an interruption; also for the directory"
    ),
    skipLost: skipLostFlag,
    diagnostic: switchFlag(
      "diagnostic",
      "Continue after damage, and report on standard error what is missing; exit code 1 if anything is"
    )
  },
  lazily(async () => (await import("../running/replay.ts")).replay)
).pipe(
  Command.withDescription("Write the recorded events to standard output"),
  Command.withExamples([
    { command: "effect-wal replay --dir ./log > access.log", description: "All events" },
    { command: "effect-wal replay --dir ./log --from 1000 --to 1999", description: "A thousand events" },
    { command: "effect-wal replay --dir ./log --since 10m", description: "The events of the last ten minutes" },
    { command: "effect-wal replay --dir ./log --follow", description: "All events, and then new ones as they come" },
    { command: "effect-wal replay --dir ./log --diagnostic", description: "The intact events of a damaged log" },
    { command: "effect-wal replay --archive s3://bucket/logs/app", description: "From the archive, on any machine" }
  ])
)
