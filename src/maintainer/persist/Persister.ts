/**
 * When the arena's slots become durable: full ones in their order, the active one when somebody waits for it or its time has
 * come. How is the matter of `SegmentFlusher`. Persisting is tried for ever: what was appended is never given up.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { Disk } from "../../disk/Disk.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { Arena } from "../../shared/SegmentArena.ts"
import * as SegmentArena from "../../shared/SegmentArena.ts"
import { HeldBack, SlotState } from "../../shared/SegmentArena.ts"
import type { Task } from "../../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import type { StepError } from "../steps/StepError.ts"
import type { MaintainerEvent } from "../steps/StepOutcome.ts"
import { failed } from "../steps/StepOutcome.ts"
import * as SegmentFlusher from "./SegmentFlusher.ts"

/**
 * The part of the lead that nobody else has. All effects are to be run one at a time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Persister {
  /** Makes the segment of a full slot durable; `true` when the task is done with. */
  readonly persist: (task: Task) => Effect.Effect<boolean, never, Disk>
  /** Makes the active segment durable up to its watermark, if that is asked for or due; says whether there was anything. */
  readonly flush: Effect.Effect<boolean, never, Disk>
  /** Whether the last flush was one that somebody waited for. */
  readonly hasServedFlush: () => boolean
  /** Makes one file ahead, if one is missing; says whether it did. */
  readonly prepare: Effect.Effect<boolean, never, Disk>
  /** Writes down how far the log is durable, as the hint that it is. */
  readonly writeMeta: Effect.Effect<void, never, Disk>
  /** The same, but not so soon after the last time. */
  readonly renewMeta: Effect.Effect<void, never, Disk>
}

/** The meta file is a hint: besides when no full segment waits any more it is renewed at most this often. */
const metaMillisMin = 1000

/**
 * A persister for the segments of an arena. At the end of the scope its files are closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: { readonly directory: SegmentDirectory; readonly flushEveryMillis: number },
  shared: {
    readonly arena: Arena
    readonly telemetry: SegmentMaintainerUpdater
    readonly emit: (event: MaintainerEvent) => void
  }
) => Effect.Effect<Persister, never, Disk | Scope> = Effect.fnUntraced(function*(options, { arena, emit, telemetry }) {
  const flusher = SegmentFlusher.make({
    arena,
    directory: options.directory,
    telemetry,
    onOpened: (segmentIndex) => emit({ _tag: "Opened", segmentIndex })
  })
  yield* Effect.addFinalizer(() => flusher.close)
  SegmentArena.giveBackSpentUnsafe(arena)

  let metaWritten = { millis: 0, eventId: -1 }
  let isMetaWhole = true
  yield* Effect.addFinalizer(() =>
    isMetaWhole ? Effect.void : Effect.ignore(MetaStore.removeTemporary(options.directory.path))
  )

  const writeMeta = Effect.gen(function*() {
    const { eventId, fileOffset, segmentIndex } = flusher.lastDurable()
    if (eventId === metaWritten.eventId) return
    metaWritten = { millis: yield* Clock.currentTimeMillis, eventId }
    const meta = { lastOffset: fileOffset, lastSegmentIndex: segmentIndex, lastEventId: eventId }
    isMetaWhole = false
    yield* Effect.ignore(Effect.map(MetaStore.write(options.directory.path, meta), () => {
      isMetaWhole = true
    }))
  })

  const renewMeta = Effect.gen(function*() {
    if ((yield* Clock.currentTimeMillis) - metaWritten.millis < metaMillisMin) return
    if (flusher.lastDurable().eventId > 0) yield* writeMeta
  })

  /** Failures since the last success. */
  let failuresInARow = 0

  /** One failure of the device is no news to committers: the segment is written to a fresh file. A second one in a row is. */
  const onError = Effect.fnUntraced(function*(error: StepError) {
    failuresInARow += 1
    if (error.reason === "DiskFull") SegmentArena.putHeldBack(arena, HeldBack.DiskFull)
    else if (failuresInARow > 1) SegmentArena.putHeldBack(arena, HeldBack.DiskFailing)
    emit(failed(error, yield* Clock.currentTimeMillis, false))
  })
  const onSuccess = (): void => {
    failuresInARow = 0
    SegmentArena.putHeldBack(arena, HeldBack.None)
  }
  const mayWrite = (slot: number): boolean => {
    const may = flusher.mayWrite(slot)
    if (may === "hot limit") SegmentArena.putHeldBack(arena, HeldBack.HotLimit)
    return may === "yes"
  }

  const persist = Effect.fnUntraced(function*({ segmentIndex, slot }: Task) {
    const isHere = SegmentArena.stateOf(arena, slot) === SlotState.Full &&
      SegmentArena.segmentIndexOf(arena, slot) === segmentIndex
    if (!isHere) return true
    if (!mayWrite(slot)) return false
    return yield* flusher.persist(slot).pipe(
      Effect.matchEffect({
        onFailure: (error) => Effect.as(onError(error), false),
        onSuccess: (persisted) =>
          Effect.sync(() => {
            onSuccess()
            emit({ _tag: "Persisted", ...persisted })
            return true
          })
      })
    )
  })

  let lastFlushMillis = 0
  let hasServedFlush = false

  const flush = Effect.gen(function*() {
    hasServedFlush = false
    const now = yield* Clock.currentTimeMillis
    // A clock that was set back says nothing about how long ago the last flush was.
    const isDue = options.flushEveryMillis > 0 &&
      (now < lastFlushMillis || now - lastFlushMillis >= options.flushEveryMillis)
    const asked = SegmentArena.flushAsked(arena)
    const isAsked = SegmentArena.flushPending(arena)
    if (!isDue && !isAsked) return false
    lastFlushMillis = now
    const slot = SegmentArena.activeSlot(arena)
    // Whoever asked has appended before: it lies in a full segment. What comes now is not let through unseen.
    if (slot < 0 || SegmentArena.watermarkOf(arena, slot) === 0) {
      SegmentArena.flushServedUnsafe(arena, asked)
      return false
    }
    // A full segment that comes before this one is in the queue by now, or will be: the next cycle persists it first.
    if (!mayWrite(slot)) return false
    return yield* flusher.flush(slot).pipe(Effect.matchEffect({
      onFailure: (error) => Effect.as(onError(error), false),
      onSuccess: (flushed) =>
        Effect.sync(() => {
          onSuccess()
          SegmentArena.flushServedUnsafe(arena, asked)
          hasServedFlush = isAsked
          return flushed
        })
    }))
  })

  return { persist, flush, hasServedFlush: () => hasServedFlush, prepare: flusher.prepare, writeMeta, renewMeta }
})
