/**
 * Directories of segments for reading and opening, made with the library's own sealer, without syncs: what a recorder
 * would have left, but made in a moment.
 */
import { compressSync } from "lz4-napi"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { blockChunks, frameEnd, frameHeader, pieceBytes } from "../../src/format/lz4/Lz4Frame.ts"
import { encodeHeader, headerBytesOf } from "../../src/format/SegmentHeader.ts"
import type { FormatVersion } from "../../src/format/SegmentHeader.ts"
import type { SegmentLayout } from "../../src/format/SegmentLayout.ts"
import { coldName, defaultNaming, hotName } from "../../src/format/SegmentName.ts"
import { seal, sealStart } from "../../src/format/SegmentSealer.ts"
import { xxh32 } from "../../src/internal/xxh64.ts"
import { layoutOf } from "../../src/recorder/WalParts.ts"

export interface SegmentsToMake {
  readonly directory: string
  readonly form: "hot" | "cold"
  readonly segments: number
  readonly segmentBytes: number
  readonly eventSize: number
  /** Default: 2. In format 1 the ids are written into the first 8 bytes of a copy of each event. */
  readonly version?: FormatVersion
  /** Payload of every segment: whole events of `eventSize` bytes. */
  readonly payload: Uint8Array
}

/** One closed segment after the other, chained; ids from 1. Returns the number of events. */
export const makeSegments = (options: SegmentsToMake): number => {
  const { directory, eventSize, form, version = 2 } = options
  const layout: SegmentLayout = layoutOf({
    directory,
    eventSize,
    format: version,
    segmentBytesMax: options.segmentBytes
  })
  const payload = version === 1 ? new Uint8Array(options.payload) : options.payload
  const walId = new Uint8Array(16).fill(7)
  const eventsPerSegment = payload.length / eventSize
  mkdirSync(directory, { recursive: true })
  let chain = 0n
  for (let segmentIndex = 0; segmentIndex < options.segments; segmentIndex++) {
    const firstEventId = 1 + segmentIndex * eventsPerSegment
    if (version === 1) writeIds(payload, eventSize, firstEventId)
    const flushNanos = 1_700_000_000_000_000_001n + BigInt(segmentIndex)
    const sealed = seal(layout, firstEventId, sealStart(version, chain), payload, flushNanos, undefined)
    const { blockCount, chainedChecksum, eventCount, fileOffset } = sealed.state
    const header = encodeHeader({
      version,
      segmentIndex,
      blockCount,
      eventCount,
      firstEventId,
      lastEventId: firstEventId + eventCount - 1,
      createdNanos: 1_700_000_000_000_000_000n + BigInt(segmentIndex),
      closedNanos: flushNanos,
      lastFlushNanos: version === 1 ? 0n : flushNanos,
      lastChainedChecksum: chainedChecksum,
      walId,
      previousChainedChecksum: chain,
      blockBytesMax: layout.blockBytesMax,
      eventSize
    })
    const file = Buffer.alloc(fileOffset)
    let at = Buffer.from(header).copy(file)
    if (at !== headerBytesOf(version)) throw new Error("a header has the size of its format")
    for (const chunk of sealed.parts.flat()) {
      file.set(chunk, at)
      at += chunk.length
    }
    if (form === "hot") writeFileSync(join(directory, hotName(defaultNaming, segmentIndex)), file)
    else writeFileSync(join(directory, coldName(defaultNaming, segmentIndex, "frame")), frameOf(file))
    // In format 1 every segment begins a chain of its own.
    chain = version === 1 ? 0n : chainedChecksum
  }
  return options.segments * eventsPerSegment
}

const writeIds = (payload: Uint8Array, eventSize: number, firstEventId: number): void => {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  for (let at = 0, id = firstEventId; at < payload.length; at += eventSize, id++) {
    view.setBigUint64(at, BigInt(id), true)
  }
}

const frameOf = (content: Buffer): Buffer => {
  const parts: Array<Uint8Array> = [frameHeader(content.length)]
  for (let at = 0; at < content.length; at += pieceBytes) {
    const piece = content.subarray(at, at + pieceBytes)
    parts.push(...blockChunks(piece, compressSync(piece)))
  }
  parts.push(frameEnd(xxh32(content)))
  return Buffer.concat(parts)
}
