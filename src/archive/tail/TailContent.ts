/**
 * What a tail holds: the files of the segments that are not archived yet, put together from the run that reaches
 * farthest. Runs of one log say the same where they overlap, because each begins with what its owner has read of those
 * before it. So the farthest one has everything that was acknowledged.
 */
import * as Effect from "effect/Effect"
import { encodeHeader, headerBytesOf } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { ArchiveError } from "../ArchiveError.ts"
import { Damaged } from "../ArchiveReason.ts"
import { walkBlocks } from "./Blocks.ts"
import type { TailObject } from "./TailObject.ts"

/** A segment of the tail. */
interface TailSegment {
  readonly segmentIndex: number
  /** As the header of its file: closed only when all of its blocks are here. */
  readonly header: SegmentHeader
  /** The blocks of the file, which follow its header. */
  readonly blocks: Uint8Array
  /** 0 while it has no event. */
  readonly lastEventId: number
}

/** The segments of a tail from an index on, consecutive, and the event with which they end: 0 when they have none. */
export interface TailContent {
  /** The number of the first object of the run that it is from; 0 when there is none. */
  readonly run: number
  readonly segments: ReadonlyArray<TailSegment>
  readonly lastEventId: number
}

interface Gathered {
  header: SegmentHeader
  readonly chunks: Array<Uint8Array>
  length: number
}

/** The content of a tail, for segments from `fromIndex` on. Fails with `Damaged` when a run contradicts itself. */
export const contentOf = Effect.fnUntraced(function*(
  log: string,
  objects: ReadonlyArray<TailObject>,
  fromIndex: number
) {
  const runs = new Map<number, Array<TailObject>>()
  let newest = 0
  for (const object of objects) {
    // What an earlier owner has put behind the fence of a later one was never acknowledged.
    if (object.epoch < newest) continue
    newest = object.epoch
    if (object.kind === "fence") continue
    const run = runs.get(object.run)
    if (run === undefined) runs.set(object.run, [object])
    else run.push(object)
  }
  let best: TailContent = { run: 0, segments: [], lastEventId: 0 }
  for (const [first, run] of runs) {
    // Without its beginning it does not tell all that it tells.
    if (run[0]!.number !== first) continue
    const content = yield* contentOfRun(log, run, fromIndex)
    if (content.lastEventId >= best.lastEventId) best = content
  }
  return best
})

const contentOfRun = Effect.fnUntraced(function*(log: string, run: ReadonlyArray<TailObject>, fromIndex: number) {
  const damaged = (number: number, detail: string) =>
    new ArchiveError({ reason: new Damaged({ detail }), key: `${log}/tail/${number}` })
  const gathered = new Map<number, Gathered>()
  let newestIndex = -1
  for (const { number, parts } of run) {
    for (const { bytes, header, offset } of parts) {
      const { segmentIndex } = header
      const headerBytes = headerBytesOf(header.version)
      const known = gathered.get(segmentIndex)
      const at = headerBytes + (known?.length ?? 0)
      if (offset !== at) return yield* damaged(number, `segment ${segmentIndex} continues at ${offset}, not at ${at}`)
      newestIndex = Math.max(newestIndex, segmentIndex)
      if (known === undefined) gathered.set(segmentIndex, { header, chunks: [bytes], length: bytes.length })
      else {
        known.header = header
        known.chunks.push(bytes)
        known.length += bytes.length
      }
    }
  }
  const segments: Array<TailSegment> = []
  let lastEventId = 0
  for (const [segmentIndex, { chunks, header }] of [...gathered].sort(([left], [right]) => left - right)) {
    // It was archived, perhaps before all of it was here.
    if (segmentIndex < fromIndex) continue
    const blocks = Buffer.concat(chunks)
    const found = walkBlocks(header, blocks)
    if (found.bytes !== blocks.length) {
      return yield* damaged(run[0]!.number, `segment ${segmentIndex} has no whole blocks`)
    }
    const isWhole = header.closedNanos !== 0n && header.eventCount === found.events
    if (!isWhole && segmentIndex !== newestIndex) {
      return yield* damaged(run[0]!.number, `segment ${segmentIndex} is not whole, and others follow it`)
    }
    lastEventId = Math.max(lastEventId, found.lastEventId)
    if (segmentIndex !== fromIndex + segments.length) {
      return yield* damaged(run[0]!.number, `segment ${fromIndex + segments.length} is missing before ${segmentIndex}`)
    }
    segments.push({
      segmentIndex,
      header: isWhole ? header : openOf(header),
      blocks,
      lastEventId: found.lastEventId
    })
  }
  // Of a segment that was begun and has no event nothing is to be restored.
  if (segments.at(-1)?.blocks.length === 0 && segments.at(-1)?.header.closedNanos === 0n) segments.pop()
  const content: TailContent = { run: run[0]!.run, segments, lastEventId }
  return content
})

/** The header as it was while the segment was open. */
const openOf = (header: SegmentHeader): SegmentHeader => ({
  ...header,
  blockCount: 0,
  eventCount: 0,
  firstEventId: 0,
  lastEventId: 0,
  closedNanos: 0n,
  lastChainedChecksum: 0n,
  lastFlushNanos: 0n
})

/** The bytes of the segment's file. */
export const fileOf = ({ blocks, header }: TailSegment): Uint8Array => Buffer.concat([encodeHeader(header), blocks])
