/**
 * Decides when the slots of the arena become durable: full ones in their order, the active one when a commit waits for
 * it or its time has come. `SegmentFlusher` knows how. Persisting is tried for ever: what was appended is never
 * abandoned.
 * After a failure it waits, whoever asks for a flush meanwhile: see `Retrying`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { Disk } from "../../disk/Disk.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { elapsedMillis, elapsedMillisUnsafe } from "../../internal/elapsed.ts"
import * as Arena from "../../shared/Arena.ts"
import { HeldBack, SlotState } from "../../shared/Arena.ts"
import type * as Doorbell from "../../shared/Doorbell.ts"
import type { Task } from "../../shared/TaskRing.ts"
import type { SegmentMaintainerUpdater } from "../../telemetry/SegmentMaintainerUpdater.ts"
import { makeGate } from "../steps/Retrying.ts"
import type { StepError } from "../steps/StepError.ts"
import type { StepOutcome } from "../steps/StepOutcome.ts"
import { failed } from "../steps/StepOutcome.ts"
import * as SegmentFlusher from "./SegmentFlusher.ts"

/** The part that only the lead has. All effects are to be run one at a time. */
interface Persister {
  /** Makes the segment of a full slot durable; `true` when the task is complete. */
  readonly persist: (task: Task) => Effect.Effect<boolean, never, Disk>
  /**
   * Makes the active segment durable up to its watermark, if that is asked for or due; `false` when there was nothing.
   */
  readonly flush: Effect.Effect<boolean, never, Disk>
  /** Whether a commit waited for the last flush. */
  readonly hasServedFlush: () => boolean
  /**
   * How long the loop may sleep at most, in milliseconds: until the next attempt when the last one failed, and
   * otherwise until the next flush that is due. Infinite when no time is to be met.
   */
  readonly sleepMillisMax: () => number
  /** Prepares one file, if one is missing and the disk is not full; `true` when it did. */
  readonly prepare: Effect.Effect<boolean, never, Disk>
  /** Writes how far the log is durable, as a hint for the next start. */
  readonly writeMeta: Effect.Effect<void, never, Disk>
  /** The same, but at most once a second. */
  readonly renewMeta: Effect.Effect<void, never, Disk>
}

/** The meta file is a hint. It is renewed when no full segment waits any more, and otherwise at most this often. */
const metaMillisMin = 1000

/** A persister for the segments of an arena. At the end of the scope its files are closed. */
export const make: (
  options: { readonly directory: SegmentDirectory; readonly flushEveryMillis: number },
  shared: {
    readonly arena: Arena.Arena
    readonly telemetry: SegmentMaintainerUpdater
    readonly emit: (outcome: StepOutcome) => void
    /** Rung when room is made on the disk. */
    readonly room: Doorbell.Doorbell
  }
) => Effect.Effect<Persister, never, Disk | Scope> = Effect.fnUntraced(
  function*(options, { arena, emit, room, telemetry }) {
    const flusher = SegmentFlusher.make({
      arena,
      directory: options.directory,
      telemetry,
      onOpened: (segmentIndex) => emit({ _tag: "Opened", segmentIndex })
    })
    yield* Effect.addFinalizer(() => flusher.close)
    Arena.giveBackSpentUnsafe(arena)

    let metaWritten = { atElapsed: Number.NEGATIVE_INFINITY, eventId: -1 }
    let isMetaWhole = true
    yield* Effect.addFinalizer(() =>
      isMetaWhole ? Effect.void : Effect.ignore(MetaStore.removeTemporary(options.directory.path))
    )

    const writeMeta = Effect.gen(function*() {
      const { eventId, fileOffset, segmentIndex } = flusher.lastDurable()
      if (eventId === metaWritten.eventId) return
      metaWritten = { atElapsed: yield* elapsedMillis, eventId }
      const meta = { lastOffset: fileOffset, lastSegmentIndex: segmentIndex, lastEventId: eventId }
      isMetaWhole = false
      yield* Effect.ignore(Effect.map(MetaStore.write(options.directory.path, meta), () => {
        isMetaWhole = true
      }))
    })

    const renewMeta = Effect.gen(function*() {
      if ((yield* elapsedMillis) - metaWritten.atElapsed < metaMillisMin) return
      if (flusher.lastDurable().eventId > 0) yield* writeMeta
    })

    const clock = yield* Clock.Clock
    const elapsed = (): number => elapsedMillisUnsafe(clock)
    const gate = makeGate(room)
    const preparing = makeGate(room)

    /** Failures since the last success. */
    let failuresInARow = 0

    /**
     * One failure of the device is not reported to commits: the segment is written to a fresh file. A second one in a
     * row is.
     */
    const onError = Effect.fnUntraced(function*(error: StepError, begun: number) {
      failuresInARow += 1
      yield* gate.failed
      const next = gate.nextElapsed()
      if (error.reason._tag === "DiskFull") {
        Arena.putHeldBackUnsafe(arena, HeldBack.DiskFull, elapsed(), next)
        yield* flusher.discardAhead
      } else if (failuresInARow > 1) Arena.putHeldBackUnsafe(arena, HeldBack.DiskFailing, elapsed(), next)
      emit(failed(error, yield* Clock.currentTimeMillis, false, elapsed() - begun))
    })
    const onSuccess = (): void => {
      failuresInARow = 0
      gate.succeeded()
      Arena.putHeldBackUnsafe(arena, HeldBack.None)
    }
    const mayWrite = (slot: number): boolean => {
      const may = flusher.mayWrite(slot)
      if (may === "hot limit") Arena.putHeldBackUnsafe(arena, HeldBack.HotLimit, elapsed())
      return may === "yes"
    }

    const persist = Effect.fnUntraced(function*({ segmentIndex, slot }: Task) {
      const isHere = Arena.stateOf(arena, slot) === SlotState.Full &&
        Arena.segmentIndexOf(arena, slot) === segmentIndex
      if (!isHere) return true
      if (!(yield* gate.mayTry) || !mayWrite(slot)) return false
      const begun = elapsed()
      return yield* flusher.persist(slot).pipe(
        Effect.matchEffect({
          onFailure: (error) => Effect.as(onError(error, begun), false),
          onSuccess: (persisted) =>
            Effect.sync(() => {
              onSuccess()
              emit({ _tag: "Persisted", ...persisted, millis: elapsed() - begun })
              return true
            })
        })
      )
    })

    let lastFlushElapsed = yield* elapsedMillis
    let hasServedFlush = false

    const flush = Effect.gen(function*() {
      hasServedFlush = false
      const now = yield* elapsedMillis
      const isDue = options.flushEveryMillis > 0 && now - lastFlushElapsed >= options.flushEveryMillis
      const asked = Arena.flushAsked(arena)
      const isAsked = Arena.flushPending(arena)
      if ((!isDue && !isAsked) || !(yield* gate.mayTry)) return false
      lastFlushElapsed = now
      const slot = Arena.activeSlot(arena)
      // What the caller waits for was appended before it asked, so it is in a full segment. Later requests are not
      // served by this.
      if (slot < 0 || Arena.watermarkOf(arena, slot) === 0) {
        Arena.flushServedUnsafe(arena, asked)
        return false
      }
      // An earlier full segment is in the queue by now, or will be: the next cycle persists it first.
      if (!mayWrite(slot)) return false
      return yield* flusher.flush(slot).pipe(Effect.matchEffect({
        onFailure: (error) => Effect.as(onError(error, now), false),
        onSuccess: (flushed) =>
          Effect.sync(() => {
            onSuccess()
            Arena.flushServedUnsafe(arena, asked)
            hasServedFlush = isAsked
            return flushed
          })
      }))
    })

    const prepare = Effect.gen(function*() {
      const isFull = Arena.heldBack(arena) === HeldBack.DiskFull
      if (isFull || !(yield* preparing.mayTry)) return false
      return yield* flusher.prepare.pipe(Effect.matchEffect({
        onFailure: () => Effect.as(preparing.failed, false),
        onSuccess: (prepared) =>
          Effect.sync(() => {
            if (prepared) preparing.succeeded()
            return prepared
          })
      }))
    })

    const sleepMillisMax = (): number => {
      const next = gate.nextElapsed()
      if (next !== undefined) return Math.max(1, Math.ceil(next - elapsed()))
      const isHeldBack = Arena.heldBack(arena) !== HeldBack.None
      return options.flushEveryMillis > 0 && !isHeldBack ? options.flushEveryMillis : Number.POSITIVE_INFINITY
    }

    return { persist, flush, hasServedFlush: () => hasServedFlush, sleepMillisMax, prepare, writeMeta, renewMeta }
  }
)
