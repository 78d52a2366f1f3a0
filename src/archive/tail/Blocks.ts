/** Walks over the blocks of a segment of format 2, each checked by its checksums and by the chain. */
import { blockBytesInFile, blockHeaderBytes, readBlockHeader } from "../../format/Block.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { xxh64 } from "../../internal/xxh64.ts"

/** Where a walk stands: after so many blocks, with this chain. */
export interface BlockPoint {
  readonly blocks: number
  readonly chain: bigint
}

/** What a walk has found. */
interface WalkedBlocks extends BlockPoint {
  /** Of whole blocks, padding included. */
  readonly bytes: number
  readonly events: number
  /** Of the last one; 0 when there was none. */
  readonly lastEventId: number
  /** Bytes that the block needs at which the walk ended, from `bytes` on; 0 when there is no block. */
  readonly neededBytes: number
}

/** The start of a segment. */
export const startOfBlocks = ({ previousChainedChecksum }: SegmentHeader): BlockPoint => ({
  blocks: 0,
  chain: previousChainedChecksum
})

/** Walks over whole blocks at the beginning of `bytes`, as long as they continue the point and have no later event. */
export const walkBlocks = (
  header: SegmentHeader,
  bytes: Uint8Array,
  from: BlockPoint = startOfBlocks(header),
  throughEventId = Number.MAX_SAFE_INTEGER,
  bytesMax = Number.POSITIVE_INFINITY
): WalkedBlocks => {
  let { blocks, chain } = from
  let at = 0
  let events = 0
  let lastEventId = 0
  let neededBytes = 0
  while (true) {
    const block = readBlockHeader(header.version, bytes, at)
    if (block === undefined) {
      if (at + blockHeaderBytes > bytes.length) neededBytes = blockHeaderBytes
      break
    }
    if (block.blockIndex !== blocks || block.lastEventId > throughEventId) break
    const size = blockBytesInFile(header.version, block.payloadBytes)
    if (at > 0 && at + size > bytesMax) break
    if (at + size > bytes.length) {
      neededBytes = size
      break
    }
    const payload = bytes.subarray(at + blockHeaderBytes, at + blockHeaderBytes + block.payloadBytes)
    if (xxh64(payload) !== block.blockChecksum || xxh64(payload, chain) !== block.chainedChecksum) break
    chain = block.chainedChecksum
    blocks += 1
    events += block.eventCount
    lastEventId = block.lastEventId
    at += size
  }
  return { blocks, chain, bytes: at, events, lastEventId, neededBytes }
}
