/** Declares `effect-wal verify`; `../running/verify.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { verifiedName } from "../../disk/FileNames.ts"
import { archiveUrlFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, jsonFlag, parseBytes, switchFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

/** The command. */
export const verify = Command.make(
  "verify",
  {
    dir: directoryFlag,
    incremental: switchFlag(
      "incremental",
      `Skip closed segments that were verified before; ${verifiedName} lists them`
    ),
    again: switchFlag("again", "With --incremental: verify all segments, and list them anew"),
    rate: Flag.String("rate").pipe(
      Flag.withMetavar("SIZE"),
      Flag.withDescription("Read at most this much per second, as in 50MiB, to leave disk time to a recorder"),
      Flag.filterMap(
        (text) => Option.filter(parseBytes(text), (bytes) => bytes >= 1),
        () => "a size of at least 1 byte, as in 50MiB"
      ),
      Flag.optional
    ),
    repairFromArchive: archiveUrlFlag(
      "repair-from-archive",
      "Put back what is damaged or missing and whole in this archive. Refused while a recorder holds the directory"
    ).pipe(Flag.optional),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/verify.ts")).verify)
).pipe(
  Command.withDescription("Check every segment, hot and cold, and that each continues the one before"),
  Command.withExamples([{
    command: "effect-wal verify --dir ./log",
    description: "Exit code 1 if something is wrong"
  }, {
    command: "effect-wal verify --dir ./log --incremental --rate 50MiB",
    description: "Only new segments, at a limited rate beside a recorder"
  }, {
    command: "effect-wal verify --dir ./log --repair-from-archive s3://bucket/logs/orders",
    description: "What is damaged here is taken from the archive"
  }])
)
