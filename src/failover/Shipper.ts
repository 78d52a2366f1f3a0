/**
 * Brings what is durable on the local disk into the tail: the blocks of the segments, in order, as they lie in their
 * files.
 *
 * One object is on its way at a time, and what becomes durable meanwhile gathers for the next. Each continues the chain
 * of the one before. Where a file was written anew since, as after a sync that failed, a block does not, and then the
 * tail is begun anew, with the first segment that is not archived.
 *
 * It is begun anew after an opening, too, and after so many objects. Once the new run reaches as far as the one before,
 * the manifest names its beginning (`tailFrom`), and then what is before it is removed, but for fences. So an opening
 * elsewhere reads at most so many small objects, and two segments.
 */
import * as Effect from "effect/Effect"
import { ArchiveError } from "../archive/ArchiveError.ts"
import { Damaged } from "../archive/ArchiveReason.ts"
import { startOfBlocks, walkBlocks } from "../archive/tail/Blocks.ts"
import type { BlockPoint } from "../archive/tail/Blocks.ts"
import type { TailPart } from "../archive/tail/TailObject.ts"
import type { Put, TailStore } from "../archive/tail/TailStore.ts"
import { openScoped, readFully } from "../disk/Disk.ts"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { isSegmentFault } from "../format/SegmentFault.ts"
import { decodeHeader, headerBytesOf } from "../format/SegmentHeader.ts"
import { openContent } from "../reading/segment/SegmentContent.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { ReplicatedLog } from "../recorder/Replication.ts"
import * as Arena from "../shared/Arena.ts"
import type { StoreError } from "../store/ObjectStore.ts"

/** An object has so many bytes of blocks at most, or one block. */
const objectBytesMax = 4 * 1024 * 1024

/** Read at first; a block that needs more is read again. */
const readBytes = 64 * 1024

/** Where the next blocks lie. */
interface Cursor {
  readonly segmentIndex: number
  /** In the file; 0: its first block. */
  readonly offset: number
  /** `undefined`: as the header says. */
  readonly point: BlockPoint | undefined
  /** With what the segment before ended; `undefined` where that is not known. */
  readonly chainBefore: bigint | undefined
  /** The newest event of the run. */
  readonly lastEventId: number
}

/** What is next, and where the cursor is afterwards. */
interface Gathered {
  readonly parts: ReadonlyArray<TailPart>
  readonly cursor: Cursor
}

/** An object on its way, and where the cursor is after it. */
interface Pending {
  readonly put: Effect.Effect<Put, StoreError | ArchiveError>
  readonly cursor: Cursor
}

/** What a shipper needs. */
interface ShipperOptions {
  readonly directory: SegmentDirectory
  readonly tail: TailStore
  readonly epoch: number
  /** The number of the first object. */
  readonly number: number
  readonly replicatedId: number
  /** Segments before this one were archived when the log was opened. */
  readonly archivedBefore: number
  /** A run that has so many objects is begun anew. */
  readonly runObjectsMax: number
  /** Lets the manifest name the beginning of the tail. */
  readonly moveTail: (tailFrom: number) => Effect.Effect<void, ShipFailure>
}

/** Why nothing is shipped now. */
export type ShipFailure = StoreError | ArchiveError | DiskError | SegmentCorrupt

/** Ships one log. */
interface Shipper {
  /** Ships one object, if there is something to ship, and what follows from that. `true` when it did. */
  readonly ship: (log: ReplicatedLog) => Effect.Effect<boolean, ShipFailure, Disk>
  /** Every event up to this one is in the tail, or in the archive. */
  readonly replicatedId: () => number
  /** Whether the tail has everything that is durable. */
  readonly isEven: (log: ReplicatedLog) => boolean
}

/** A shipper that begins a run. */
export const make = (options: ShipperOptions): Shipper => {
  const { directory, epoch, tail } = options
  let { number, replicatedId } = options
  let run = number
  let cursor: Cursor | undefined
  /** Whether the manifest is to name the beginning of this run. */
  let isTailDue = true
  /** Runs that were begun without a step forward. */
  let restartsInVain = 0

  const archivedBefore = Effect.fnUntraced(function*({ maintainer }: ReplicatedLog) {
    // The archive above may not have looked yet.
    return Math.max(options.archivedBefore, (yield* maintainer.status).archive?.archivedBefore ?? 0)
  })

  const beginAnew = () => {
    run = number
    cursor = undefined
    isTailDue = true
  }

  const startAt = (segmentIndex: number): Cursor => ({
    segmentIndex,
    offset: 0,
    point: undefined,
    chainBefore: undefined,
    lastEventId: 0
  })

  /** The header of a segment and bytes of its file from `offset` on; `undefined` when there is no file. */
  const readAt = Effect.fnUntraced(function*(segmentIndex: number, offset: number, bytes: number) {
    const hot = Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(directory.hotPath(segmentIndex), "read")
      const head = new Uint8Array(128)
      const header = decodeHeader(head.subarray(0, yield* readFully(file, head, 0)))
      if (isSegmentFault(header)) return undefined
      const target = new Uint8Array(Math.min(bytes, Math.max(0, (yield* file.stat).bytes - offset)))
      return { header, bytes: target.subarray(0, yield* readFully(file, target, offset)) }
    }))
    const cold = (compression: "frame" | "block") =>
      Effect.scoped(Effect.gen(function*() {
        const path = directory.coldPath(segmentIndex, compression)
        const content = yield* openContent({ segmentIndex, path, form: "cold", compression })
        const head = new Uint8Array(128)
        const header = decodeHeader(head.subarray(0, yield* readFully({ read: (to) => content.read(to) }, head, 0)))
        if (isSegmentFault(header)) return undefined
        let at = head.length
        while (at < offset) {
          const count = yield* content.read(new Uint8Array(Math.min(objectBytesMax, offset - at)))
          if (count === 0) break
          at += count
        }
        const target = new Uint8Array(bytes)
        return { header, bytes: target.subarray(0, yield* readFully({ read: (to) => content.read(to) }, target, 0)) }
      }))
    for (const read of [hot, cold("frame"), cold("block")]) {
      const found = yield* read.pipe(Effect.catchReason("DiskError", "NotFound", () => Effect.succeed("gone" as const)))
      if (found !== "gone") return found
    }
    return undefined
  })

  /** What the tail lacks, up to one object; `undefined` when a file is not what the run has of it. */
  const gather = Effect.fnUntraced(function*(
    log: ReplicatedLog,
    from: Cursor
  ): Effect.fn.Return<Gathered | undefined, DiskError | SegmentCorrupt, Disk> {
    const durableId = Arena.durableEventId(log.arena)
    const parts: Array<TailPart> = []
    let at = from
    let left = objectBytesMax
    while (left > 0) {
      const archived = yield* archivedBefore(log)
      if (at.segmentIndex < archived) {
        const before = yield* readAt(archived - 1, 128, 0)
        at = { ...startAt(archived), lastEventId: Math.max(at.lastEventId, before?.header.lastEventId ?? 0) }
      }
      const { segmentIndex } = at
      const isNewest = segmentIndex >= log.writer.activeSegmentIndex
      let wanted = readBytes
      while (true) {
        const found = yield* readAt(segmentIndex, at.offset === 0 ? 128 : at.offset, wanted)
        // It is not begun, or goes into the archive now.
        if (found === undefined) return { parts, cursor: at }
        const { header } = found
        const offset = at.offset === 0 ? headerBytesOf(header.version) : at.offset
        if (
          at.point === undefined && at.chainBefore !== undefined && header.previousChainedChecksum !== at.chainBefore
        ) {
          return undefined
        }
        const walked = walkBlocks(header, found.bytes, at.point ?? startOfBlocks(header), durableId, left)
        if (walked.neededBytes > 0 && walked.bytes === 0 && found.bytes.length === wanted) {
          wanted = Math.max(walked.neededBytes, wanted * 4)
          continue
        }
        const after: Cursor = {
          segmentIndex,
          offset: offset + walked.bytes,
          point: walked,
          chainBefore: undefined,
          lastEventId: walked.bytes > 0 ? walked.lastEventId : at.lastEventId
        }
        const isClosed = header.closedNanos !== 0n
        const isWhole = isClosed && header.blockCount === walked.blocks && header.lastChainedChecksum === walked.chain
        if (walked.bytes > 0 || isWhole && !isNewest) {
          parts.push({ header, offset, bytes: found.bytes.slice(0, walked.bytes) })
          left -= Math.max(1, walked.bytes)
        }
        const isAtEnd = walked.bytes === 0 || isWhole
        at = after
        if (isWhole && !isNewest) {
          at = { ...startAt(segmentIndex + 1), chainBefore: walked.chain, lastEventId: after.lastEventId }
          break
        }
        if (!isAtEnd) break
        // Durable events follow that are not where the run has got to.
        const isMissing = walked.bytes === 0 && at.lastEventId < durableId && (isNewest || isClosed)
        return isMissing && parts.length === 0 ? undefined : { parts, cursor: at }
      }
    }
    return { parts, cursor: at }
  })

  const ship: Shipper["ship"] = Effect.fnUntraced(function*(log) {
    if (pending !== undefined) return yield* finish(pending)
    if (isTailDue && number > run && reaches()) yield* settleTail
    cursor ??= startAt(yield* archivedBefore(log))
    const gathered = yield* gather(log, cursor)
    if (gathered === undefined) {
      beginAnew()
      restartsInVain += 1
      if (restartsInVain < 3) return true
      const detail = `the files of segments from ${yield* archivedBefore(log)} on do not hold what is durable`
      return yield* new ArchiveError({ reason: new Damaged({ detail }), key: directory.path })
    }
    if (gathered.parts.length === 0) {
      cursor = gathered.cursor
      replicatedId = Math.max(replicatedId, cursor.lastEventId)
      return false
    }
    const put = yield* tail.prepare({ kind: "blocks", epoch, number, run, parts: gathered.parts })
    pending = { put, cursor: gathered.cursor }
    return yield* finish(pending)
  })

  /** An object whose answer was lost is put again as it was: only its own bytes tell that it is there. */
  let pending: Pending | undefined

  const finish = Effect.fnUntraced(function*(under: Pending) {
    const done = yield* under.put
    pending = undefined
    number += 1
    if (done._tag === "Passed") {
      beginAnew()
      return true
    }
    cursor = under.cursor
    restartsInVain = 0
    replicatedId = Math.max(replicatedId, cursor.lastEventId)
    if (!isTailDue && number - run >= options.runObjectsMax) beginAnew()
    return true
  })

  /** Whether the run has everything that was replicated before it. */
  const reaches = (): boolean => cursor !== undefined && cursor.lastEventId >= replicatedId

  const settleTail: Effect.Effect<void, ShipFailure> = Effect.suspend(() => {
    const from = run
    return Effect.andThen(
      options.moveTail(from),
      Effect.suspend(() => {
        isTailDue = false
        return tail.removeBefore(from)
      })
    )
  })

  return {
    ship,
    replicatedId: () => replicatedId,
    isEven: ({ arena }) => replicatedId >= Arena.durableEventId(arena)
  }
}
