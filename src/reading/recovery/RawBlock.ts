/**
 * Reads the blocks of a segment as their headers claim, checked or not: for looking at damage. Each block tells whether
 * its checksums are right. The walk goes from header to header, and ends where a header claims something impossible.
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { blockBytesInFile, blockHeaderBytes, blockHeaderChecksums, decodeBlockHeader } from "../../format/Block.ts"
import type { BlockHeader } from "../../format/Block.ts"
import { blockPayloadBytesMax } from "../../format/Limits.ts"
import { isSegmentFault } from "../../format/SegmentFault.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { decodeHeader, headerBytesMax, headerBytesOf } from "../../format/SegmentHeader.ts"
import { xxh64 } from "../../internal/xxh64.ts"
import { openContent } from "../segment/SegmentContent.ts"
import type { SegmentContent } from "../segment/SegmentContent.ts"
import { corrupt } from "../segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"

/** A block as it lies in the file. */
export interface RawBlock {
  /** In the uncompressed segment. */
  readonly offset: number
  readonly headerBytes: Uint8Array
  readonly header: BlockHeader
  readonly headerHolds: boolean
  readonly payload: Uint8Array
  readonly payloadHolds: boolean
}

/**
 * Finds the first block for which `isWanted` is true, and the segment's header; no block when there is none. Fails with
 * `SegmentCorrupt` when the segment's header is invalid or its compressed file cannot be decoded that far.
 */
export const findRawBlock = (
  file: SegmentFile,
  isWanted: (block: RawBlock) => boolean
): Effect.Effect<
  { readonly header: SegmentHeader; readonly headerBytes: Uint8Array; readonly block: RawBlock | undefined },
  DiskError | SegmentCorrupt,
  Disk
> =>
  Effect.scoped(Effect.gen(function*() {
    const content = yield* openContent(file)
    const start = yield* take(content, headerBytesOf(1))
    // Only format 2 has a longer header.
    const rest = start[2] === 1 || start[2] === 0 ? new Uint8Array(0) : yield* take(content, headerBytesMax - 64)
    const headerBytes = Buffer.concat([start, rest])
    const header = decodeHeader(headerBytes)
    if (isSegmentFault(header)) return yield* corrupt(file, header)
    let offset = headerBytes.length
    while (true) {
      const block = yield* next(content, header, offset)
      if (block === undefined || isWanted(block)) return { header, headerBytes, block }
      offset += blockBytesInFile(header.version, block.header.payloadBytes)
    }
  }))

const next = Effect.fnUntraced(function*(content: SegmentContent, { version }: SegmentHeader, offset: number) {
  const headerBytes = yield* take(content, blockHeaderBytes)
  if (headerBytes.length < blockHeaderBytes) return undefined
  const header = decodeBlockHeader(version, headerBytes)
  const { payloadBytes } = header
  if (payloadBytes === 0 || payloadBytes > blockPayloadBytesMax) return undefined
  const body = yield* take(content, blockBytesInFile(version, payloadBytes) - blockHeaderBytes)
  const payload = body.subarray(0, payloadBytes)
  const { computed, stored } = blockHeaderChecksums(headerBytes)
  const block: RawBlock = {
    offset,
    headerBytes,
    header,
    headerHolds: computed === stored,
    payload,
    payloadHolds: payload.length === payloadBytes && xxh64(payload, 0n) === header.blockChecksum
  }
  return block
})

/** As many bytes as there are, at most `bytes`. */
const take = Effect.fnUntraced(function*(content: SegmentContent, bytes: number) {
  const target = new Uint8Array(Math.min(bytes, content.restBytesMax()))
  let done = 0
  while (done < target.length) {
    const count = yield* content.read(target.subarray(done))
    if (count === 0) break
    done += count
  }
  return target.subarray(0, done)
})
