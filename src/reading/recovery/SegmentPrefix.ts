/**
 * Reads and copies the start of a segment: its whole blocks before damage, or before its end when it is still open.
 * Every block of it verifies and continues the one before.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { writeCopy } from "../../disk/CopyFile.ts"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { encodeHeader } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { openContent } from "../segment/SegmentContent.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { forVerification, openSegment } from "../segment/SegmentReader.ts"

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
  /** When the last block was flushed; 0 when that is not known, and in format 1. */
  readonly lastFlushNanos: bigint
}

/** A prefix that was read. */
interface FoundPrefix extends SegmentPrefix {
  /** Damage follows it, and not the end of the segment. */
  readonly isDamaged: boolean
}

/**
 * Reads a segment up to its end or its first fault; `undefined` when even its header is damaged. Fails only when the
 * disk does not give the bytes.
 */
export const readPrefix = (file: SegmentFile): Effect.Effect<FoundPrefix | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const cursor = yield* openSegment(file, { segmentIndex: file.segmentIndex }, forVerification())
    let isDamaged = false
    let eventCount = 0
    let firstEventId = 0
    let lastEventId = 0
    while (true) {
      const read = yield* Effect.result(cursor.next)
      if (Result.isFailure(read) && read.failure._tag === "DiskError") return yield* Effect.fail(read.failure)
      isDamaged = Result.isFailure(read)
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
    const prefix: FoundPrefix = {
      header,
      bytes: point.offset,
      blockCount: point.blockIndex,
      eventCount,
      firstEventId,
      lastEventId,
      chainedChecksum: point.chainedChecksum ?? header.previousChainedChecksum,
      lastFlushNanos: point.flush?.flushNanos ?? 0n,
      isDamaged
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
    const { permissions } = yield* Disk.use((disk) => disk.stat(file.path))
    const head = encodeHeader(headerOf(prefix, closedNanos))
    return yield* writeCopy(path, content.read, prefix.bytes, permissions, head)
  }))

const headerOf = (prefix: SegmentPrefix, closedNanos: bigint): SegmentHeader => {
  const { blockCount, chainedChecksum, eventCount, firstEventId, header, lastEventId, lastFlushNanos } = prefix
  return closedNanos === 0n
    ? { ...header, blockCount: 0, eventCount: 0, firstEventId: 0, lastEventId: 0, closedNanos, lastFlushNanos: 0n }
    : {
      ...header,
      blockCount,
      eventCount,
      firstEventId,
      lastEventId,
      closedNanos,
      lastChainedChecksum: chainedChecksum,
      lastFlushNanos
    }
}
