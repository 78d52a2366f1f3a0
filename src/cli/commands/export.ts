/** Declares `effect-wal export`; `../running/export.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { directoryFlag } from "../flags/flags.ts"
import { rangeFlags, skipLostFlag } from "../flags/rangeFlags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const exportEvents = Command.make(
  "export",
  {
    dir: directoryFlag,
    ...rangeFlags,
    skipLost: skipLostFlag,
    format: Flag.Literals("format", ["ndjson", "length-prefixed"]).pipe(
      Flag.withDescription("One JSON object per line, or u32 little-endian length + bytes"),
      Flag.withDefault("ndjson")
    )
  },
  lazily(async () => (await import("../running/export.ts")).exportEvents)
).pipe(
  Command.withDescription("Write events as NDJSON or length-prefixed messages"),
  Command.withExamples([
    { command: "effect-wal export --dir ./log --from 1000 --to 1999 > events.ndjson", description: "A thousand events" }
  ])
)
