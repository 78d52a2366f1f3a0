/**
 * Reads and copies the start of a segment: its whole blocks before damage, or before its end when it is still open.
 * Every block of it verifies and continues the one before.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { writeCopy } from "../../disk/CopyFile.ts"
import type { Disk, DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { encodeHeader } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { openContent } from "../segment/SegmentContent.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { forVerification, openSegment } from "../segment/SegmentReader.ts"
import type { Reading } from "../segment/SegmentReader.ts"

/** What verifies at the start of a segment. */
export interface SegmentPrefix {
  readonly header: SegmentHeader
  /** Of the uncompressed segment. */
  readonly bytes: number
  readonly blockCount: number
  readonly eventCount: number
  /** 0 when there are no events. */
  readonly firstEventId: number
  readonly lastEventId: number
  readonly chainedChecksum: bigint
}

/**
 * Reads a segment up to its end or its first fault; `undefined` when even its header is damaged. Fails only when the
 * disk does not give the bytes.
 */
export const readPrefix = (file: SegmentFile): Effect.Effect<SegmentPrefix | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const reading: Reading = { ...forVerification(), tail: "left" }
    const cursor = yield* openSegment(file, { segmentIndex: file.segmentIndex }, reading)
    let eventCount = 0
    let firstEventId = 0
    let lastEventId = 0
    while (true) {
      const read = yield* Effect.result(cursor.next)
      if (Result.isFailure(read) && read.failure._tag === "DiskError") return yield* Effect.fail(read.failure)
      if (Result.isFailure(read) || read.success.length === 0) break
      for (const block of read.success) {
        if (eventCount === 0) firstEventId = block.firstEventId
        lastEventId = block.lastEventId
        eventCount += block.eventCount
      }
    }
    const progress = cursor.progress()
    if (progress === undefined) return undefined
    const { header, point } = progress
    const prefix: SegmentPrefix = {
      header,
      bytes: point.offset,
      blockCount: point.blockIndex,
      eventCount,
      firstEventId,
      lastEventId,
      chainedChecksum: point.chainedChecksum ?? header.previousChainedChecksum
    }
    return prefix
  })).pipe(Effect.catchTag("SegmentCorrupt", () => Effect.succeed(undefined)))

/**
 * Writes a prefix as a hot segment file of its own, and syncs it. It is open, as the segment was when its header was
 * read, or closed at `closedNanos`.
 */
export const writePrefix = (
  file: SegmentFile,
  prefix: SegmentPrefix,
  path: string,
  closedNanos: bigint
): Effect.Effect<number, DiskError | SegmentCorrupt, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const content = yield* openContent(file)
    return yield* writeCopy(path, content.read, prefix.bytes, encodeHeader(headerOf(prefix, closedNanos)))
  }))

const headerOf = (prefix: SegmentPrefix, closedNanos: bigint): SegmentHeader => {
  const { blockCount, chainedChecksum, eventCount, firstEventId, header, lastEventId } = prefix
  return closedNanos === 0n
    ? { ...header, blockCount: 0, eventCount: 0, firstEventId: 0, lastEventId: 0, closedNanos }
    : {
      ...header,
      blockCount,
      eventCount,
      firstEventId,
      lastEventId,
      closedNanos,
      lastChainedChecksum: chainedChecksum
    }
}
