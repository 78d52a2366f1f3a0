/** Declares `effect-wal record`; `../running/record.ts` runs it. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { segmentPayloadBytesMax } from "../../format/Limits.ts"
import { workersMax } from "../../maintainer/MaintainerOptions.ts"
import { segmentBytesDefault } from "../../recorder/SegmentBytes.ts"
import { offerFlag } from "../flags/addressFlag.ts"
import { archiveFlag } from "../flags/archiveFlag.ts"
import { directoryFlag, formatSize, jsonFlag, parseBytes, parseDuration, switchFlag } from "../flags/flags.ts"
import { framingFlag, longLineFlag } from "../flags/framingFlags.ts"
import { maintainerFlags } from "../flags/maintainerFlags.ts"
import { metricsFlag } from "../flags/metricsFlag.ts"
import { tokenFlag } from "../flags/tokenFlag.ts"
import type { CommitPolicy } from "../running/record.ts"
import { lazily } from "./lazily.ts"

/** The smallest `--segment-bytes`, 4 KiB: one page, with room for a block of a few events. */
const segmentBytesMin = 4096

const parseCommit = (text: string): Option.Option<CommitPolicy> => {
  if (text === "every" || text === "rotate") return Option.some(text)
  return Option.flatMap(parseDuration(text), (duration) => {
    const everyMillis = Duration.toMillis(duration)
    return everyMillis >= 1 ? Option.some({ everyMillis }) : Option.none()
  })
}

const flags = {
  dir: directoryFlag,
  segmentBytes: Flag.String("segment-bytes").pipe(
    Flag.withMetavar("BYTES"),
    Flag.withDescription(
      `Payload of a segment, as in 256KiB; ${formatSize(segmentBytesMin)} to ${
        formatSize(segmentPayloadBytesMax)
      }, default ${formatSize(segmentBytesDefault)}`
    ),
    Flag.filterMap(parseBytes, () => "a size as in 65536, 256KiB or 16MiB"),
    Flag.filter(
      (bytes) => bytes >= segmentBytesMin && bytes <= segmentPayloadBytesMax,
      () => `a size from ${formatSize(segmentBytesMin)} to ${formatSize(segmentPayloadBytesMax)}`
    ),
    Flag.withDefault(segmentBytesDefault)
  ),
  ...maintainerFlags,
  archive: Flag.optional(archiveFlag),
  framing: framingFlag,
  onLongLine: longLineFlag,
  commit: Flag.String("commit").pipe(
    Flag.withMetavar("WHEN"),
    Flag.withDescription(
      "When events become durable: `every` (at once, the default), a duration as in 250ms, or `rotate`"
    ),
    Flag.filterMap(parseCommit, () => "every, rotate, or a duration of at least 1ms as in 250ms or 2s"),
    Flag.withDefault<CommitPolicy>("every")
  ),
  acks: switchFlag("acks", "Print `durable ID` on standard output whenever more events are durable"),
  threads: Flag.Int("threads").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(
      `Maintainer threads, up to ${workersMax}; 0 = none, the maintainer is a fiber of the main thread; default 1`
    ),
    Flag.withDefault(1)
  ),
  metrics: metricsFlag,
  offer: Flag.optional(offerFlag),
  token: tokenFlag("What another process must bring"),
  json: jsonFlag
}

/** The command. */
export const record = Command.make(
  "record",
  flags,
  lazily(async () => (await import("../running/record.ts")).record)
).pipe(
  Command.withDescription("Record standard input: each line, or each length-prefixed message, is an event"),
  Command.withExamples([
    { command: "effect-wal record --dir ./log < access.log", description: "Record the lines of a file" },
    {
      command: "tail -F app.log | effect-wal record --dir ./log --commit 250ms",
      description: "Record lines as they come, durable four times a second"
    },
    {
      command: "effect-wal record --dir ./log --archive s3://bucket/logs/app < app.log",
      description: "Delete nothing that the archive does not have"
    },
    {
      command: "effect-wal record --dir ./log --offer ./log.sock < /dev/null",
      description: "Record what other processes append, until a signal"
    }
  ])
)
