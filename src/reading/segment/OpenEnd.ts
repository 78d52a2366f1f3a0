/**
 * Whether an open segment may end where its last whole block ends. A crash tears what one flush wrote, and nothing
 * else: every flush begins after the one before it is durable, and the first is durable before the file has its name.
 * So a block that does not count is damage, and no torn write, when
 *
 * - a block of a later flush follows it. In format 2 a block tells where its flush began. In format 1 the last block of
 *   a flush is the only one that is not full, and it is written after the others are durable
 * - it belongs to the first flush
 * - the meta file names an event of this segment that would come after it, since that file names only what was durable
 *
 * What another writer of format 1 left open (its header has no checksum yet) tells nothing of its flushes. There any
 * block after it is taken for a later one: what was acknowledged must not be cut, and a person decides (`Repair`).
 *
 * Recorded bytes may look like a block of a later flush; such a place must at least lie where a block with its index
 * and its ids can lie. When it misleads all the same, a torn tail is taken for damage. Nothing is lost by that.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { directoryOf } from "../../disk/SegmentDirectory.ts"
import {
  blockAlignment,
  blockBytesInFile,
  blockEventsMax,
  blockHeaderBytes,
  readBlockHeader
} from "../../format/Block.ts"
import type { BlockHeader } from "../../format/Block.ts"
import { segmentFault } from "../../format/SegmentFault.ts"
import type { SegmentFault } from "../../format/SegmentFault.ts"
import { headerBytesOf, isUnclosedByAnother } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { blocksTellFlush, blockStepBytes, hasFixedBlocks } from "../../format/SegmentLayout.ts"
import type { SegmentPoint } from "../../format/SegmentVerifier.ts"
import { SegmentVerifier } from "../../format/SegmentVerifier.ts"
import { contentFrom, scan } from "./BlockScan.ts"
import type { Candidate } from "./BlockScan.ts"
import type { SeekableContent } from "./SeekableContent.ts"
import type { SegmentContent } from "./SegmentContent.ts"

/** The end of an open segment that is to be judged. */
interface OpenEnd {
  readonly file: SegmentFile
  /** Of a hot file: stands for the file that was read. */
  readonly identity: string
  readonly header: SegmentHeader
  /** Where its last whole block ends. */
  readonly point: SegmentPoint
  /** Why what follows there is no block. */
  readonly torn: SegmentFault
}

/**
 * The fault of an open segment that ends in damage; `undefined` when what follows its last whole block may be what a
 * crash left of one flush; `again` when it is a whole block by now, because a recorder was writing it.
 */
export const judge = Effect.fnUntraced(function*(end: OpenEnd, content: SeekableContent | undefined) {
  const why = yield* whyDurable(end, content)
  if (why === undefined) return undefined
  const { header, point, torn } = end
  // It was durable before what tells so was written. So a second look, after that was seen, must find it.
  if (content !== undefined && (yield* isWholeNow(content, header, point))) return "again"
  const isZero = torn.kind === "NotZero" && torn.offset >= point.offset + blockHeaderBytes
  return isZero
    ? segmentFault("BadBlockHeader", point.offset, `block ${point.blockIndex}`, `zeros, ${why}`)
    : segmentFault(torn.kind, torn.offset, torn.expected, `${torn.found}, ${why}`)
}, Effect.scoped)

/** In words, why what follows the last whole block was durable once; `undefined` when nothing shows that it was. */
const whyDurable = Effect.fnUntraced(
  function*({ file, header, identity, point }: OpenEnd, content: SeekableContent | undefined) {
    const first = yield* beginning(yield* contentFrom(file, content, 0), headerBytesOf(header.version))
    const isByAnother = isUnclosedByAnother(first)
    const here = yield* headerAt(yield* contentFrom(file, content, point.offset), header, point)
    const isOfFirstFlush = point.blockIndex === 0 || blocksTellFlush(header.version) && here?.flushFirstBlock === 0
    if (isOfFirstFlush && !isByAnother) return "in the first flush, which was durable before the file had its name"
    // What a block holds that is only damaged inside is not taken for blocks.
    const from = point.offset +
      (here === undefined ? blockStepBytes(header.version) : blockBytesInFile(header.version, here.payloadBytes))
    const isLater = ({ block, offset }: Candidate): boolean =>
      isPlausible(header, point, block, offset) &&
      (isByAnother || (blocksTellFlush(header.version)
        ? block.flushFirstBlock > point.blockIndex
        : endsFlush(header, block) || here !== undefined && endsFlush(header, here)))
    const later = yield* scan(file, content, header, point, from, isLater)
    if (later !== undefined) {
      return isByAnother ? `with a block at offset ${later.offset}` : `with a later flush at offset ${later.offset}`
    }
    const meta = yield* metaOf(file, identity)
    if (meta === undefined || meta.lastSegmentIndex !== file.segmentIndex) return undefined
    const lostEvents = meta.lastEventId - point.lastEventId
    return lostEvents > 0 && lostEvents <= meta.restBytes(point.offset)
      ? `although event ${meta.lastEventId} was durable`
      : undefined
  }
)

/**
 * The meta file beside a segment, while the segment's name stands for the file that was read, and not for a newer one.
 */
const metaOf = Effect.fnUntraced(function*({ form, path }: SegmentFile, identity: string) {
  const found = yield* MetaStore.read(directoryOf(path))
  const stat = yield* Effect.orElseSucceed(Disk.use((disk) => disk.stat(path)), () => undefined)
  if (found.meta === undefined || stat === undefined || form === "hot" && stat.identity !== identity) return undefined
  // An event takes at least one byte; how many a compressed file has room for is not known.
  const restBytes = (offset: number) => form === "hot" ? stat.bytes - offset : Number.POSITIVE_INFINITY
  return { ...found.meta, restBytes }
})

/** In format 1: a flush ends with a block that is not full. */
const endsFlush = ({ version }: SegmentHeader, { eventCount }: BlockHeader): boolean =>
  eventCount < blockEventsMax(version)

/** Whether a block with this index and these ids can begin there. */
const isPlausible = (header: SegmentHeader, point: SegmentPoint, block: BlockHeader, offset: number): boolean => {
  const blocksBetween = block.blockIndex - point.blockIndex
  const bytesBetween = offset - point.offset
  if (hasFixedBlocks(header.version)) return blocksBetween * blockStepBytes(header.version) === bytesBetween
  const eventsBetween = block.firstEventId - point.lastEventId - 1
  const eventBytesMin = header.eventSize === 0 ? lengthBytes : header.eventSize
  return block.flushFirstBlock <= block.blockIndex && eventsBetween >= blocksBetween &&
    blocksBetween * (blockHeaderBytes + blockAlignment) <= bytesBetween &&
    blocksBetween * blockHeaderBytes + eventsBetween * eventBytesMin <= bytesBetween
}

/** In front of every event of variable length. */
const lengthBytes = 4

/** The header of the block at the point, if that is intact and the block is the next. */
const headerAt = Effect.fnUntraced(function*(content: SegmentContent, header: SegmentHeader, point: SegmentPoint) {
  const block = readBlockHeader(header.version, yield* beginning(content, blockHeaderBytes), 0)
  const isNext = block !== undefined && block.blockIndex === point.blockIndex &&
    block.payloadBytes > 0 && block.payloadBytes <= header.blockBytesMax
  return isNext ? block : undefined
})

const beginning = Effect.fnUntraced(function*(content: SegmentContent, bytes: number) {
  const target = new Uint8Array(bytes)
  return target.subarray(0, yield* content.read(target))
})

/** Whether a whole block stands at the point by now. The file may have grown since it was opened. */
const isWholeNow = Effect.fnUntraced(function*(content: SeekableContent, header: SegmentHeader, point: SegmentPoint) {
  const block = yield* headerAt(content.from(point.offset), header, point)
  if (block === undefined) return false
  const bytes = yield* beginning(content.from(point.offset), blockBytesInFile(header.version, block.payloadBytes))
  const verifier = new SegmentVerifier({}, "sufficient")
  verifier.resume(header, point)
  let blocks = 0
  verifier.push(bytes, true, () => {
    blocks += 1
  })
  return blocks > 0
})
