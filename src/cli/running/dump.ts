/**
 * `effect-wal dump`: shows a segment's header, one of its blocks or one of its events, in hex and as text. Damaged
 * parts are shown too, and marked as damaged.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { types } from "node:util"
import { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { hex } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { idsInEvents } from "../../format/SegmentLayout.ts"
import { makeDirectoryReader, segmentWith } from "../../reading/DirectoryReader.ts"
import { findRawBlock } from "../../reading/recovery/RawBlock.ts"
import type { RawBlock } from "../../reading/recovery/RawBlock.ts"
import * as Replay from "../../reading/Replay.ts"
import { forEachEvent } from "../../reading/segment/BlockEvents.ts"
import { newestEventId } from "../../report/DirectoryReport.ts"
import { requireDirectory } from "../flags/requireDirectory.ts"
import type { Output } from "../outputs/outputs.ts"
import { OperatingFailure, UsageFailure } from "../terminal/CliFailure.ts"
import { writeJson, writeLines } from "../terminal/StandardStreams.ts"

/** What its flags give. */
interface Given {
  readonly dir: string
  readonly segment: Option.Option<number>
  readonly block: Option.Option<number>
  readonly event: Option.Option<number>
  readonly since: Option.Option<DateTime.DateTime>
  readonly until: Option.Option<DateTime.DateTime>
  readonly json: boolean
}

/** Runs the command. */
export const dump = Effect.fnUntraced(function*({ dir, json, ...given }: Given) {
  const { block, event, segment, since, until } = given
  const places = [
    ...Option.isSome(block) ? ["--block"] : [],
    ...Option.isSome(event) ? ["--event"] : [],
    ...Option.isSome(since) ? ["--since"] : [],
    ...Option.isSome(until) ? ["--until"] : []
  ]
  if (places.length > 1) {
    const [first, second] = places
    return yield* new UsageFailure({ message: `${first} and ${second} cannot be combined; give one` })
  }
  const isByTime = Option.isSome(since) || Option.isSome(until)
  if (isByTime === Option.isSome(segment)) {
    return yield* new UsageFailure({
      message: isByTime ? "a time is looked for in all segments; leave out --segment" : "give --segment, or a time"
    })
  }
  yield* requireDirectory(dir)
  const found = isByTime
    ? yield* findByTime(dir, since, until)
    : yield* findIn(
      dir,
      Option.getOrThrow(segment),
      Option.getOrUndefined(Option.orElse(block, () => event)),
      Option.isSome(event) ? "event" : "block"
    )
  yield* json ? writeJson(jsonOf(found) satisfies Output<"dump">) : writeLines(linesOf(found))
})

/** What was found: a segment's header, one of its blocks if a block or an event was asked for, and that event. */
interface Found {
  readonly path: string
  readonly header: SegmentHeader
  readonly headerBytes: Uint8Array
  readonly block: (RawBlock & { readonly index: number }) | undefined
  /** `offset` counts from the beginning of the uncompressed segment. */
  readonly event: { readonly id: number; readonly offset: number; readonly bytes: Uint8Array } | undefined
}

/** Finds a segment, and the block or event of it that is wanted. */
const findIn = Effect.fnUntraced(function*(
  dir: string,
  segment: number,
  wanted: number | undefined,
  kind: "block" | "event" | "blockWith"
) {
  const reader = yield* makeDirectoryReader(new SegmentDirectory(dir))
  const found = yield* reader.use(segment, (file) => find(file, wanted, kind))
  return found ?? (yield* new OperatingFailure({ message: `${dir} has no segment ${segment}; see effect-wal inspect` }))
})

/** Finds the first block that was written at a time or later, or the last one at a time or earlier. */
const findByTime = Effect.fnUntraced(function*(
  dir: string,
  since: Option.Option<DateTime.DateTime>,
  until: Option.Option<DateTime.DateTime>
) {
  const time = Option.getOrThrow(Option.orElse(since, () => until))
  // The first event after that millisecond, for the last one until then.
  const from = { time: Option.isSome(since) ? time : DateTime.addDuration(time, "1 millis") }
  const next = Option.getOrUndefined(yield* Stream.runHead(Replay.blocks({ directory: dir, from })))?.firstEventId
  const id = Option.isSome(since) ? next : next === undefined ? yield* newestEventId(dir) : next - 1
  const segment = id === undefined ? undefined : yield* segmentWith(new SegmentDirectory(dir), id)
  if (id === undefined || segment === undefined) {
    const which = Option.isSome(since) ? "at that time or later" : "at that time or earlier"
    return yield* new OperatingFailure({ message: `${dir} has no event that was recorded ${which}` })
  }
  return yield* findIn(dir, segment, id, "blockWith")
})

const find = Effect.fnUntraced(function*(
  file: SegmentFile,
  wanted: number | undefined,
  kind: "block" | "event" | "blockWith"
) {
  const isEvent = kind === "event"
  let index = -1
  const { block, header, headerBytes } = yield* findRawBlock(file, (candidate) => {
    index += 1
    if (wanted === undefined) return true
    const { firstEventId, lastEventId } = candidate.header
    return kind === "block" ? index === wanted : firstEventId <= wanted && wanted <= lastEventId
  })
  const found: Found = { path: file.path, header, headerBytes, block: undefined, event: undefined }
  if (wanted === undefined) return found
  if (block === undefined) {
    const message = `${file.path} has no ${
      kind === "block" ? "block" : "event"
    } ${wanted}, as far as its blocks can be read`
    return yield* new OperatingFailure({ message })
  }
  const withBlock: Found = { ...found, block: { ...block, index } }
  if (!isEvent) return withBlock
  const place = eventIn(block, header, wanted)
  if (place === undefined) {
    return yield* new OperatingFailure({
      message: `event ${wanted} cannot be located in block ${index} of ${file.path}, which is damaged; ` +
        `see --block ${index}`
    })
  }
  const [start, end] = place
  const offset = block.offset + block.headerBytes.length + start
  const withEvent: Found = { ...withBlock, event: { id: wanted, offset, bytes: block.payload.subarray(start, end) } }
  return withEvent
})

const linesOf = ({ block, event, header, headerBytes, path }: Found): ReadonlyArray<string> => {
  if (block === undefined) {
    const fields = Object.entries(valuesOf(header)).map(([name, value]) => `  ${name}: ${value}`)
    return [path, ...fields, ...hexLines(headerBytes, 0)]
  }
  const about = [`${path}, block ${block.index} at offset ${block.offset}`, ...claimsOf(block)]
  return event === undefined
    ? [
      ...about,
      ...hexLines(block.headerBytes, block.offset),
      "payload",
      ...hexLines(block.payload, block.offset + block.headerBytes.length)
    ]
    : [...about, `event ${event.id}, ${event.bytes.length} bytes`, ...hexLines(event.bytes, event.offset)]
}

const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64")

/** Gives the report as JSON. Its `base64` is the event; without one the block's payload; without a block the header. */
const jsonOf = ({ block, event, header, headerBytes, path }: Found) => {
  if (block === undefined) return { path, header: valuesOf(header), base64: base64Of(headerBytes) }
  const { headerHolds, index, offset, payload, payloadHolds } = block
  const about = { index, offset, headerHolds, payloadHolds, header: valuesOf(block.header) }
  return event === undefined
    ? { path, block: about, base64: base64Of(payload) }
    : { path, block: about, event: { id: event.id, offset: event.offset }, base64: base64Of(event.bytes) }
}

/** Finds the start and the end of an event in a payload. Only an intact block can be cut into events. */
const eventIn = (block: RawBlock, segment: SegmentHeader, wanted: number): readonly [number, number] | undefined => {
  if (!block.payloadHolds || !block.headerHolds) return undefined
  const { blockIndex, eventCount, firstEventId, flushNanos, lastEventId } = block.header
  const { offset, payload } = block
  let found: readonly [number, number] | undefined
  const { eventSize, version } = segment
  forEachEvent(
    {
      offset,
      blockIndex,
      firstEventId,
      lastEventId,
      eventCount,
      eventSize,
      idsInEvents: idsInEvents(version),
      flushNanos,
      payload
    },
    (id, _, start, end) => {
      if (id === wanted) found = [start, end]
    }
  )
  return found
}

/** Gives the fields of a header. Numbers of 64 bits are text, checksums are text in hex. */
const valuesOf = (header: object): Readonly<Record<string, string | number | boolean>> =>
  Object.fromEntries(
    Object.entries(header).map(([name, value]: [string, unknown]) => [name, valueOf(name, value)])
  )

const valueOf = (name: string, value: unknown): string | number | boolean => {
  if (types.isUint8Array(value)) return Buffer.from(value).toString("hex")
  if (typeof value === "bigint" && name.endsWith("Checksum")) return hex(value)
  return typeof value === "number" || typeof value === "boolean" ? value : String(value)
}

const claimsOf = ({ header, headerHolds, payload, payloadHolds }: RawBlock): ReadonlyArray<string> => [
  `  header ${headerHolds ? "intact" : "DAMAGED"}: block ${header.blockIndex}, ${header.eventCount} events, ids ` +
  `${header.firstEventId} to ${header.lastEventId}, chain ${hex(header.chainedChecksum)}` +
  (header.flushNanos === 0n ? "" : `, written ${timeText(header.flushNanos)}`),
  `  payload ${payloadHolds ? "intact" : "DAMAGED"}: ${payload.length} of ${header.payloadBytes} bytes, ` +
  `checksum ${hex(header.blockChecksum)}`
]

const timeText = (nanos: bigint): string =>
  Option.match(DateTime.make(Number(nanos / 1_000_000n)), {
    onNone: () => `at ${nanos} ns`,
    onSome: (time) => DateTime.formatIso(time)
  })

const rowBytes = 16

/** Formats bytes as `hexdump -C` does: the offset, 16 bytes in hex, and the same bytes as text where they are ASCII. */
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
