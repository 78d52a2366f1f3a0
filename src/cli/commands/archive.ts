/** Declares `effect-wal archive` and its commands; `../running/archive.ts` runs them. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, jsonFlag, newDirectoryFlag, numberFlag } from "../flags/flags.ts"
import { lazily } from "./lazily.ts"

const status = Command.make(
  "status",
  { archive: archiveFlag, json: jsonFlag },
  lazily(async () => (await import("../running/archive.ts")).archiveStatus)
).pipe(
  Command.withDescription("Show which segments and events an archive has, how large it is, and who writes it"),
  Command.withExamples([{
    command: "effect-wal archive status --archive s3://bucket/logs/orders",
    description: "Credentials come from where AWS's tools take them"
  }])
)

const verify = Command.make(
  "verify",
  {
    archive: archiveFlag,
    sample: numberFlag("sample", "N", 0, "Read and prove N segments, drawn at random; default 8").pipe(
      Flag.withDefault(8)
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("../running/archive.ts")).archiveVerify)
).pipe(
  Command.withDescription("Compare every archived segment with its object, and read some of them"),
  Command.withExamples([{
    command: "effect-wal archive verify --archive s3://bucket/logs/orders --sample 100",
    description: "Exit code 1 if something is wrong"
  }])
)

const push = Command.make(
  "push",
  { archive: archiveFlag, dir: directoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/archive.ts")).archivePush)
).pipe(
  Command.withDescription("Archive everything that a directory has and the archive does not"),
  Command.withExamples([{
    command: "effect-wal archive push --archive file:///mnt/archive/orders --dir ./log",
    description: "A log that is not being recorded"
  }])
)

const restore = Command.make(
  "restore",
  { archive: archiveFlag, to: newDirectoryFlag, json: jsonFlag },
  lazily(async () => (await import("../running/archive.ts")).archiveRestore)
).pipe(
  Command.withDescription("Make a directory of an archive, and verify it"),
  Command.withExamples([{
    command: "effect-wal archive restore --archive s3://bucket/logs/orders --to ./log",
    description: "On a new machine"
  }])
)

/** The command. */
export const archive = Command.make("archive").pipe(
  Command.withDescription("Look at the archive of a log, check it, fill it, and restore from it"),
  Command.withSubcommands([status, verify, push, restore])
)
