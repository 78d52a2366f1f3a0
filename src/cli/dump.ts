/**
 * `effect-wal dump`: a segment's header, one of its blocks or one of its events, in hex and as text. What is damaged is
 * shown too, and said to be.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { hex } from "../format/SegmentHeader.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import { defaultNaming } from "../format/SegmentName.ts"
import { forEachEvent } from "../recovery/BlockEvents.ts"
import { findRawBlock } from "../recovery/RawBlock.ts"
import type { RawBlock } from "../recovery/RawBlock.ts"
import { makeDirectoryReader } from "../recovery/SegmentDirectoryReader.ts"
import { OperatingFailure, UsageFailure } from "./CliFailure.ts"
import { requireDirectory } from "./directory.ts"
import { directoryFlag } from "./flags.ts"
import { writeLines } from "./StandardStreams.ts"

const numberFlag = (name: string, metavar: string, least: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.filter((value) => value >= least, () => `a number from ${least}`)
  )

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const dump = Command.make(
  "dump",
  {
    dir: directoryFlag,
    segment: numberFlag("segment", "N", 0, "The index of the segment"),
    block: Flag.optional(numberFlag("block", "B", 0, "A block, counted from 0")),
    event: Flag.optional(numberFlag("event", "ID", 1, "An event"))
  },
  Effect.fnUntraced(function*({ block, dir, event, segment }) {
    if (Option.isSome(block) && Option.isSome(event)) {
      return yield* new UsageFailure({ message: "--block and --event do not go together; give one" })
    }
    yield* requireDirectory(dir)
    const reader = yield* makeDirectoryReader(dir, defaultNaming)
    const wanted = Option.getOrUndefined(Option.orElse(block, () => event))
    const isEvent = Option.isSome(event)
    const lines = yield* reader.use(segment, (file) => dumpFile(file, wanted, isEvent))
    if (lines === undefined) {
      return yield* new OperatingFailure({ message: `${dir} has no segment ${segment}; see effect-wal inspect` })
    }
    yield* writeLines(lines)
  })
).pipe(
  Command.withDescription("Show a segment's header, a block or an event in hex and as text"),
  Command.withExamples([
    { command: "effect-wal dump --dir ./log --segment 12", description: "The header" },
    { command: "effect-wal dump --dir ./log --segment 12 --block 3", description: "A block" },
    { command: "effect-wal dump --dir ./log --segment 12 --event 4711", description: "An event" }
  ])
)

const dumpFile = Effect.fnUntraced(function*(file: SegmentFile, wanted: number | undefined, isEvent: boolean) {
  let index = -1
  const { block, header, headerBytes } = yield* findRawBlock(file, (candidate) => {
    index += 1
    if (wanted === undefined) return true
    const { firstEventId, lastEventId } = candidate.header
    return isEvent ? firstEventId <= wanted && wanted <= lastEventId : index === wanted
  })
  if (wanted === undefined) return [file.path, ...fieldsOf(header), ...hexLines(headerBytes, 0)]
  if (block === undefined) {
    const message = `${file.path} has no ${isEvent ? "event" : "block"} ${wanted}, as far as its blocks can be walked`
    return yield* new OperatingFailure({ message })
  }
  const about = [`${file.path}, block ${index} at offset ${block.offset}`, ...claimsOf(block)]
  if (!isEvent) {
    return [
      ...about,
      ...hexLines(block.headerBytes, block.offset),
      "payload",
      ...hexLines(block.payload, block.offset + block.headerBytes.length)
    ]
  }
  const found = eventIn(block, header, wanted)
  if (found === undefined) {
    return yield* new OperatingFailure({
      message: `event ${wanted} cannot be told apart in block ${index} of ${file.path}, which is damaged; ` +
        `see --block ${index}`
    })
  }
  const [start, end] = found
  return [
    ...about,
    `event ${wanted}, ${end - start} bytes`,
    ...hexLines(block.payload.subarray(start, end), block.offset + block.headerBytes.length + start)
  ]
})

/** Where an event lies in a payload. Only a payload that holds can be cut into events. */
const eventIn = (block: RawBlock, segment: SegmentHeader, wanted: number): readonly [number, number] | undefined => {
  if (!block.payloadHolds || !block.headerHolds) return undefined
  const { blockIndex, eventCount, firstEventId, lastEventId } = block.header
  const { offset, payload } = block
  let found: readonly [number, number] | undefined
  const idsInEvents = segment.version === 1
  const { eventSize } = segment
  forEachEvent(
    { offset, blockIndex, firstEventId, lastEventId, eventCount, eventSize, idsInEvents, payload },
    (id, _, start, end) => {
      if (id === wanted) found = [start, end]
    }
  )
  return found
}

const fieldsOf = (header: SegmentHeader): ReadonlyArray<string> =>
  Object.entries(header).map(([name, value]) =>
    `  ${name}: ${
      value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : typeof value === "bigint" && name.endsWith("Checksum")
        ? hex(value)
        : String(value)
    }`
  )

const claimsOf = ({ header, headerHolds, payload, payloadHolds }: RawBlock): ReadonlyArray<string> => [
  `  header ${headerHolds ? "holds" : "DOES NOT HOLD"}: block ${header.blockIndex}, ${header.eventCount} events, ids ` +
  `${header.firstEventId} to ${header.lastEventId}, chain ${hex(header.chainedChecksum)}`,
  `  payload ${payloadHolds ? "holds" : "DOES NOT HOLD"}: ${payload.length} of ${header.payloadBytes} bytes, ` +
  `checksum ${hex(header.blockChecksum)}`
]

const rowBytes = 16

/** As `hexdump -C`: where, 16 bytes in hex, and what of them is printable ASCII. */
const hexLines = (bytes: Uint8Array, offset: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (let at = 0; at < bytes.length; at += rowBytes) {
    const row = Buffer.from(bytes.subarray(at, at + rowBytes))
    const digits = (row.toString("hex").match(/../g) ?? []).join(" ")
    const text = row.toString("latin1").replace(/[^\x20-\x7e]/g, ".")
    lines.push(`${(offset + at).toString(16).padStart(8, "0")}  ${digits.padEnd(rowBytes * 3 - 1)}  |${text}|`)
  }
  return lines
}
