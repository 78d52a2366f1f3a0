/**
 * Makes the contents of the arena durable: flushes the active segment, and persists full ones. The order of effects,
 * each arrow meaning "durable before":
 *
 * ```text
 * first flush    header + blocks in the .tmp → fdatasync → renamed to .wal → directory synced → positions published
 * later flush    the next blocks → fdatasync → positions published
 * persist        the last blocks, the file cut to its length → fdatasync → closed header → fdatasync → slot given back
 * persist, never flushed    all of it in the .tmp → fdatasync → renamed to .wal → directory synced → slot given back
 * ```
 *
 * A segment that an earlier run has closed, and that this one continues, stays as it is until its first flush or
 * persist. That copies its blocks to a `.tmp`, with the new ones after them, and replaces the closed file by a rename.
 * So a crash finds the one or the other, and a reader that has opened the closed file reads on in it.
 *
 * Blocks of format 1 do not tell which flush wrote them. So what is written to a `.wal` of that format has one more
 * arrow: a block that is not full, as the last one of a flush never is, is written after the blocks before it are
 * durable. A reader that finds such a block after a damaged one knows that the damage is no torn write.
 *
 * A crash between two arrows leaves a segment that opens to at least every event that was published (promise 1 of
 * docs/RELIABILITY.md). A slot is given back only after its segment is durable (promise 18). The closed header replaces
 * the open one in two writes, so that a reader finds one of the two meanwhile (promise 13; see `SegmentHeader`).
 *
 * While a full segment is being synced, the next full one is staged: see `SegmentStage`.
 *
 * Segments are persisted in the order of their indices, by one flusher at a time, since each chain starts from the one
 * before. Everything that must be remembered is in the arena (the seal record of each slot), so after a flusher dies
 * another that knows nothing may follow.
 *
 * After a failed fdatasync the file is never synced again: its pages may be lost although the next sync would succeed.
 * The whole segment is still in its slot, and is written again to a fresh file that replaces the old one by a rename
 * (promise 4). The same is done after a failed sync of the directory, which may have lost the file's name.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Disk, DiskError, openScoped, readFully, writeFully } from "../../disk/Disk.ts"
import type { DiskFile } from "../../disk/Disk.ts"
import { Io } from "../../disk/DiskReason.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { closedNanosOf } from "../../format/Limits.ts"
import { closingWrites, encodeHeader, headerBytesOf } from "../../format/SegmentHeader.ts"
import { chainsSegments, fileBytesOf, keepsFileLength, usedBytesOf } from "../../format/SegmentLayout.ts"
import { seal, sealStart } from "../../format/SegmentSealer.ts"
import type { SealedBlocks, SealState } from "../../format/SegmentSealer.ts"
import { invariant } from "../../internal/invariant.ts"
import * as Arena from "../../shared/Arena.ts"
import { SlotState } from "../../shared/Arena.ts"
import * as BatchMarks from "../../shared/BatchMarks.ts"
import * as Doorbell from "../../shared/Doorbell.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import { fromDisk } from "../steps/StepError.ts"
import type { StepError, StepName } from "../steps/StepError.ts"
import * as Format1Room from "./Format1Room.ts"
import * as SegmentPreparer from "./SegmentPreparer.ts"
import * as SegmentStage from "./SegmentStage.ts"

/** What a persisted segment was. */
interface PersistedSegment {
  readonly segmentIndex: number
  readonly bytes: number
  readonly usedBytes: number
  readonly firstEventId: number
  readonly lastEventId: number
  readonly closedMillis: number
}

/** Bytes that are copied at once. */
const copiedBytes = 1024 * 1024

/** One flusher. All effects are to be run one at a time. */
interface SegmentFlusher {
  /** Whether this slot's segment is next in order and may have a file. */
  readonly mayWrite: (slot: number) => "yes" | "not next" | "hot limit"
  /** Makes everything up to the slot's watermark durable; `false` when there was nothing. */
  readonly flush: (slot: number) => Effect.Effect<boolean, StepError, Disk>
  /** Makes a full slot's segment durable and closed, and gives the slot back. */
  readonly persist: (slot: number) => Effect.Effect<PersistedSegment, StepError, Disk>
  /** Prepares one file, if one is missing; `true` when it did. A failure does no harm. */
  readonly prepare: Effect.Effect<boolean, DiskError, Disk>
  /** Removes the files that were made ahead: a full disk needs their room for what is first in line. */
  readonly discardAhead: Effect.Effect<void, never, Disk>
  /** How far the log is durable, for the meta file. */
  readonly lastDurable: () => { readonly segmentIndex: number; readonly fileOffset: number; readonly eventId: number }
  /** Closes the files; the arena stays as it is. */
  readonly close: Effect.Effect<void, never, Disk>
}

/** The file of the segment that is being written. */
interface OpenFile {
  readonly slot: number
  readonly segmentIndex: number
  readonly file: DiskFile
  /** Whether it has its `.wal` name. */
  named: boolean
  /** Whether it has begun as a copy of the closed file of this segment. */
  readonly isCopy: boolean
  /** The blocks of the full segment, if all of them are in the file already, after room for the header. */
  readonly staged: SegmentStage.StagedBlocks | undefined
}

/** A flusher for the segments of an arena. */
export const make = (options: {
  readonly arena: Arena.Arena
  readonly directory: SegmentDirectory
  readonly telemetry: SegmentMaintainerUpdater
  /** A segment's file has got its `.wal` name. */
  readonly onOpened: (segmentIndex: number) => void
}): SegmentFlusher => {
  const { arena, directory, telemetry } = options
  const { layout } = arena
  const { version } = layout
  const fileBytes = fileBytesOf(version, arena.slotBytes)
  const preparer = SegmentPreparer.make({
    directory,
    fileBytes
  })
  let open: OpenFile | undefined
  const stage = SegmentStage.make(version, preparer.take)
  let last = { segmentIndex: 0, fileOffset: 0, eventId: 0 }

  const closedBytes = (state: SealState): number => keepsFileLength(version) ? fileBytes : state.fileOffset

  const headerOf = (slot: number, state: SealState, closedNanos: bigint): Uint8Array => {
    const firstEventId = Arena.firstEventIdOf(arena, slot)
    const isClosed = closedNanos !== 0n
    return encodeHeader({
      version,
      segmentIndex: Arena.segmentIndexOf(arena, slot),
      blockCount: isClosed ? state.blockCount : 0,
      eventCount: isClosed ? state.eventCount : 0,
      firstEventId: isClosed ? firstEventId : 0,
      lastEventId: isClosed ? firstEventId + state.eventCount - 1 : 0,
      createdNanos: Arena.createdNanosOf(arena, slot),
      closedNanos,
      lastChainedChecksum: isClosed ? state.chainedChecksum : 0n,
      walId: Arena.walId(arena),
      previousChainedChecksum: Arena.chainStart(arena, slot),
      blockBytesMax: layout.blockBytesMax,
      eventSize: layout.eventSize,
      lastFlushNanos: !isClosed ? 0n : state.eventCount === 0 ? Arena.flushNanos(arena) : state.flushNanos
    })
  }

  /** After this the next write goes to a fresh file, with every byte of the slot. */
  const abandon = Effect.suspend(() => {
    const abandoned = open
    open = undefined
    return abandoned === undefined ? Effect.void : abandoned.file.close
  })

  const discardAhead = Effect.andThen(stage.discard, preparer.discard)

  const timedSync = Effect.fnUntraced(function*(file: DiskFile) {
    const startNanos = telemetry.nowNanos()
    return yield* file.sync.pipe(
      Effect.tap(() => Effect.sync(() => telemetry.onSync(true, startNanos))),
      Effect.tapError(() => Effect.sync(() => telemetry.onSync(false, startNanos)))
    )
  })

  /**
   * The file to continue with, and how much of the slot it holds durably. When a slot has a record but no open file, an
   * earlier flusher died or a sync failed: its segment is written again from its first byte.
   */
  const fileFor = Effect.fnUntraced(function*(slot: number) {
    const segmentIndex = Arena.segmentIndexOf(arena, slot)
    if (open !== undefined && open.slot === slot && open.segmentIndex === segmentIndex) {
      return { open, state: open.named || open.isCopy ? Arena.sealStateOf(arena, slot) : startOf(slot) }
    }
    yield* abandon
    if (Arena.isAsFound(arena, slot)) return yield* copyFound(slot)
    if (Arena.sealRecord(arena, slot) === undefined) {
      // Only the first attempt to write a segment takes the chain from the one before; a repeated one finds it stored.
      const closed = Arena.closed(arena)
      invariant(closed.index + 1 === segmentIndex, "segments are written in order")
      Arena.putChainStartUnsafe(arena, slot, chainsSegments(version) ? closed.chain : 0n)
    }
    const chainStart = Arena.chainStart(arena, slot)
    const taken = stage.take(segmentIndex, chainStart, Arena.flushNanos(arena))
    const staged = yield* Effect.uninterruptible(Effect.map(taken, (staged) => {
      if (staged === undefined) return undefined
      open = { slot, segmentIndex, file: staged.file, named: false, isCopy: false, staged: staged.blocks }
      return open
    }))
    if (staged !== undefined) return { open: staged, state: startOf(slot) }
    return { open: yield* takeFile(slot, false), state: startOf(slot) }
  })

  const takeFile = (slot: number, isCopy: boolean): Effect.Effect<OpenFile, DiskError, Disk> => {
    const segmentIndex = Arena.segmentIndexOf(arena, slot)
    return Effect.uninterruptible(Effect.map(preparer.take(segmentIndex), (file) => {
      open = { slot, segmentIndex, file, named: false, isCopy, staged: undefined }
      return open
    }))
  }

  /**
   * A fresh file with the blocks of the closed one that this run continues, after room for the header. When that cannot
   * be read any more, the next attempt writes the slot instead.
   */
  const copyFound = Effect.fnUntraced(function*(slot: number) {
    const state = Arena.sealStateOf(arena, slot)
    const opened = yield* takeFile(slot, true)
    const unreadable = () => Effect.sync(() => Arena.replacedUnsafe(arena, slot))
    const copy = Effect.scoped(Effect.gen(function*() {
      const path = directory.hotPath(opened.segmentIndex)
      const found = yield* Effect.tapError(openScoped(path, "read"), unreadable)
      const piece = new Uint8Array(Math.min(copiedBytes, state.fileOffset))
      for (let offset = headerBytesOf(version); offset < state.fileOffset; offset += piece.length) {
        const part = piece.subarray(0, state.fileOffset - offset)
        const count = yield* Effect.tapError(readFully(found, part, offset), unreadable)
        if (count < part.length) {
          yield* unreadable()
          return yield* new DiskError({ operation: "read", path, reason: new Io({ detail: "it has become shorter" }) })
        }
        yield* writeFully(opened.file, [part], offset)
      }
    }))
    yield* Effect.onError(copy, () => abandon)
    return { open: opened, state }
  })

  /** Stages the segment after `slot`'s, if it is full. */
  const stageNext = (slot: number, chain: bigint): Effect.Effect<void, never, Disk> =>
    Effect.suspend(() => {
      const next = (slot + 1) % arena.slots
      const segmentIndex = Arena.segmentIndexOf(arena, slot) + 1
      const isDue = stage.isEmpty() && Arena.stateOf(arena, next) === SlotState.Full &&
        Arena.segmentIndexOf(arena, next) === segmentIndex
      if (!isDue) return Effect.void
      const chainStart = chainsSegments(version) ? chain : 0n
      return stage.put(
        segmentIndex,
        chainStart,
        Effect.suspend(() => sealTo(next, sealStart(version, chainStart), Arena.watermarkOf(arena, next)))
      )
    })

  const startOf = (slot: number): SealState => sealStart(version, Arena.chainStart(arena, slot))

  const giveName = Effect.fnUntraced(function*(opened: OpenFile) {
    const disk = yield* Disk
    // If this fails, either file may have the name.
    Arena.replacedUnsafe(arena, opened.slot)
    yield* disk.changeNames(
      directory.path,
      disk.rename(opened.file.path, directory.hotPath(opened.segmentIndex))
    )
    opened.named = true
    options.onOpened(opened.segmentIndex)
  })

  const publish = (slot: number, state: SealState, bytes: number, events: number) => {
    const eventId = Arena.firstEventIdOf(arena, slot) + state.eventCount - 1
    last = { segmentIndex: Arena.segmentIndexOf(arena, slot), fileOffset: state.fileOffset, eventId }
    telemetry.count("bytesWritten", bytes)
    telemetry.count("eventsWritten", events)
    Arena.putSealRecordUnsafe(arena, slot, state)
    if (eventId > Arena.durableEventId(arena)) Arena.putDurableEventIdUnsafe(arena, eventId)
    Doorbell.ringUnsafe(arena.durable)
  }

  /** The events of a slot after `state`, sealed up to `end` as one flush. */
  const sealTo = Effect.fnUntraced(function*(slot: number, state: SealState, end: number) {
    const flushNanos = Arena.nextFlushNanosUnsafe(arena, yield* Clock.currentTimeNanos)
    const payload = Arena.slotData(arena, slot).subarray(state.sealedBytes, end)
    const marks = BatchMarks.reader(arena, slot)
    const continuesBatch = marks && ((offset: number) => marks(state.sealedBytes + offset))
    const sealed = seal(layout, Arena.firstEventIdOf(arena, slot), state, payload, flushNanos, continuesBatch)
    invariant(!keepsFileLength(version) || sealed.state.fileOffset <= fileBytes, "a segment fits into its file")
    return sealed
  })

  /** Writes a header and the blocks of a flush to a file that has no name yet, which needs no order. */
  const writeUnnamed = Effect.fnUntraced(function*(
    { file, isCopy }: OpenFile,
    header: Uint8Array,
    { fileOffset }: SealState,
    { parts }: SealedBlocks
  ) {
    if (!isCopy) return yield* writeFully(file, [header, ...parts.flat()], 0)
    return (yield* writeFully(file, [header], 0)) + (yield* writeFully(file, parts.flat(), fileOffset))
  })

  /** Writes the blocks of a flush after what the `.wal` holds. The last part of them is not synced yet. */
  const writeBlocks = Effect.fnUntraced(function*({ file }: OpenFile, offset: number, { parts }: SealedBlocks) {
    let bytes = 0
    for (const part of parts) {
      if (bytes > 0) yield* timedSync(file)
      bytes += yield* writeFully(file, part, offset + bytes)
    }
    return bytes
  })

  /** Any failed sync, and any write that the device failed, ends the use of the file. Lack of space does not. */
  const guard = (step: StepName, slot: number) => <A, R>(effect: Effect.Effect<A, DiskError, R>) =>
    effect.pipe(
      Effect.tapError((error) => error.reason._tag === "Full" && error.operation === "write" ? Effect.void : abandon),
      Effect.onInterrupt(() => abandon),
      Effect.mapError(fromDisk(step, Arena.segmentIndexOf(arena, slot)))
    )

  const flush = Effect.fnUntraced(function*(slot: number) {
    const watermark = Arena.watermarkOf(arena, slot)
    if (watermark === 0 || watermark === (Arena.sealRecord(arena, slot)?.sealedBytes ?? 0)) return false
    const startNanos = telemetry.nowNanos()
    const { open: opened, state } = yield* fileFor(slot)
    if (keepsFileLength(version)) Format1Room.keepRoomUnsafe(arena, slot, state)
    const sealed = yield* sealTo(slot, state, Arena.watermarkOf(arena, slot))
    const bytes = opened.named
      ? yield* writeBlocks(opened, state.fileOffset, sealed)
      : yield* writeUnnamed(opened, headerOf(slot, state, 0n), state, sealed)
    yield* timedSync(opened.file)
    if (!opened.named) yield* giveName(opened)
    publish(slot, sealed.state, bytes, sealed.state.eventCount - state.eventCount)
    telemetry.onFlush(true, startNanos)
    return true
  })

  /** Gives back the slot of a segment that is durable and closed. */
  const giveBack = (slot: number, state: SealState, closedMillis: number): PersistedSegment => {
    const segmentIndex = Arena.segmentIndexOf(arena, slot)
    const firstEventId = Arena.firstEventIdOf(arena, slot)
    const lastEventId = firstEventId + state.eventCount - 1
    const bytes = closedBytes(state)
    Arena.giveBackUnsafe(arena, slot)
    Doorbell.ringUnsafe(arena.durable)
    const usedBytes = usedBytesOf(version, arena.slotBytes, { ...state, contentBytes: state.fileOffset })
    return { segmentIndex, bytes, usedBytes, firstEventId, lastEventId, closedMillis }
  }

  const persist = Effect.fnUntraced(function*(slot: number) {
    const startNanos = telemetry.nowNanos()
    const segmentIndex = Arena.segmentIndexOf(arena, slot)
    if (Arena.closed(arena).index >= segmentIndex) {
      // An earlier flusher died before it gave the slot back. The file may be frozen by now, and is not made again.
      const sealed = Arena.sealStateOf(arena, slot)
      return giveBack(slot, sealed, yield* Clock.currentTimeMillis)
    }
    const found = Arena.sealStateOf(arena, slot)
    if (Arena.isAsFound(arena, slot) && Arena.watermarkOf(arena, slot) === found.sealedBytes) {
      // Closed and durable since an earlier run, and nothing was added.
      publish(slot, found, 0, 0)
      Arena.putClosedUnsafe(arena, segmentIndex, found.chainedChecksum)
      return giveBack(slot, found, yield* Clock.currentTimeMillis)
    }
    const { open: opened, state } = yield* fileFor(slot)
    const sealed: SealedBlocks = opened.staged === undefined
      ? yield* sealTo(slot, state, Arena.watermarkOf(arena, slot))
      : { state: opened.staged.state, parts: [] }
    const syncAndStage = Effect.all([timedSync(opened.file), stageNext(slot, sealed.state.chainedChecksum)], {
      concurrency: 2,
      discard: true
    })
    const closedMillis = yield* Clock.currentTimeMillis
    const header = headerOf(slot, sealed.state, closedNanosOf(closedMillis))
    let bytes: number
    if (opened.named) {
      bytes = yield* writeBlocks(opened, state.fileOffset, sealed)
      yield* opened.file.truncate(closedBytes(sealed.state))
      yield* syncAndStage
      for (const part of closingWrites(header)) bytes += yield* writeFully(opened.file, [part.bytes], part.offset)
      yield* timedSync(opened.file)
    } else {
      bytes = (opened.staged?.bytes ?? 0) + (yield* writeUnnamed(opened, header, state, sealed))
      yield* opened.file.truncate(closedBytes(sealed.state))
      yield* syncAndStage
      yield* giveName(opened)
    }
    publish(slot, sealed.state, bytes, sealed.state.eventCount - state.eventCount)
    Arena.putClosedUnsafe(arena, segmentIndex, sealed.state.chainedChecksum)
    yield* abandon
    telemetry.onPersist(true, startNanos)
    return giveBack(slot, sealed.state, closedMillis)
  })

  return {
    mayWrite: (slot) => {
      const segmentIndex = Arena.segmentIndexOf(arena, slot)
      if (open?.segmentIndex === segmentIndex || Arena.sealRecord(arena, slot) !== undefined) return "yes"
      if (Arena.closed(arena).index + 1 !== segmentIndex) return "not next"
      return Arena.mayOpenHot(arena, segmentIndex) ? "yes" : "hot limit"
    },
    flush: (slot) => {
      const startNanos = telemetry.nowNanos()
      return flush(slot).pipe(
        Effect.tapError(() => Effect.sync(() => telemetry.onFlush(false, startNanos))),
        guard("flush", slot)
      )
    },
    persist: (slot) => {
      const startNanos = telemetry.nowNanos()
      return persist(slot).pipe(
        Effect.tapError(() => Effect.sync(() => telemetry.onPersist(false, startNanos))),
        guard("persist", slot)
      )
    },
    prepare: Effect.suspend(() => {
      const active = Arena.activeSlot(arena)
      if (active < 0) return Effect.succeed(false)
      return preparer.prepareNext(Arena.segmentIndexOf(arena, active) + 1)
    }),
    lastDurable: () => last,
    discardAhead,
    close: Effect.andThen(abandon, discardAhead)
  }
}
