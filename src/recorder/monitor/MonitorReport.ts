/**
 * The state of a running recorder as one JSON document: its monitor answers with it, and `effect-wal stats` and `top`
 * show it. Its schema checks the answer of another process.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { elapsedMillis } from "../../internal/elapsed.ts"
import type { HeldBackStatus } from "../../maintainer/HeldBackStatus.ts"
import type { ResolvedLimits } from "../../maintainer/retention/Retention.ts"
import { SegmentMaintainer } from "../../maintainer/SegmentMaintainer.ts"
import { stepNames } from "../../maintainer/steps/StepError.ts"
import { stepReasonTags } from "../../maintainer/steps/StepReason.ts"
import * as Arena from "../../shared/Arena.ts"
import { HeldBack, SlotState } from "../../shared/Arena.ts"
import { SegmentArena } from "../../shared/SegmentArena.ts"
import { Telemetry } from "../../telemetry/Telemetry.ts"
import { TelemetrySnapshot } from "../../telemetry/TelemetrySnapshot.ts"
import { Recorder } from "../Recorder.ts"

/** The newest failures are enough for a view; the service keeps more. */
const failuresShown = 20

const heldBackNames = [...Object.keys(HeldBack) as ReadonlyArray<keyof typeof HeldBack>, "StoreAway"] as const

/**
 * A report. Times are Unix times in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export const MonitorReport = Schema.Struct({
  version: Schema.Literal(1),
  pid: Schema.Int,
  directory: Schema.String,
  startedMillis: Schema.Number,
  atMillis: Schema.Number,
  /**
   * Elapsed time since the start: the difference of two reports is the time between them, however the clock was set.
   */
  uptimeMillis: Schema.Number,
  /** Event ids, see `Positions`. */
  positions: Schema.Struct({
    appended: Schema.Number,
    durable: Schema.Number,
    /** Absent where the log has no second place. */
    replicated: Schema.optionalKey(Schema.Number),
    compressed: Schema.Number,
    deletedBefore: Schema.Number
  }),
  maintainer: Schema.Struct({
    isDown: Schema.Boolean,
    restarts: Schema.Int,
    /** Steps that failed for good. */
    failures: Schema.Int,
    /** Hot segments that are damaged and still stand. */
    damagedSegments: Schema.Array(Schema.Int),
    /** Where events are lost, which is acknowledged. */
    holes: Schema.Array(AcknowledgedHole),
    /** Null without an archive. */
    archive: Schema.NullOr(Schema.Struct({
      /** Segments before this one are archived. */
      archivedBefore: Schema.Int,
      behindSegments: Schema.Int,
      behindBytes: Schema.Int,
      behindMillis: Schema.Number,
      /** Segments that were deleted although they were not archived. */
      freedUnarchived: Schema.Int,
      /** Why it does not continue; null while it does. */
      problem: Schema.NullOr(Schema.String)
    })),
    limits: Schema.Struct({
      maxSegments: Schema.Int,
      maxCompressedSegments: Schema.Union([Schema.Int, Schema.Literal("unlimited")]),
      bytesMax: Schema.optional(Schema.Int),
      ageMillisMax: Schema.optional(Schema.Number),
      freeBytesMin: Schema.optional(Schema.Int),
      heldBytesMax: Schema.optional(Schema.Int)
    }),
    /** `expiresMillis` is null for a hold that does not expire. */
    holds: Schema.Array(Schema.Struct({
      name: Schema.String,
      fromSegmentIndex: Schema.Int,
      expiresMillis: Schema.NullOr(Schema.Number),
      /** It keeps no more, because of `heldBytesMax`. */
      isExceeded: Schema.Boolean
    })),
    /**
     * Positions in the directory: those of consumers, and with a `_` before their names those of parts of this library.
     */
    durableHolds: Schema.Array(Schema.Struct({
      name: Schema.String,
      eventId: Schema.Number,
      fromSegmentIndex: Schema.Int,
      behindEvents: Schema.Number,
      behindBytes: Schema.Number,
      behindMillis: Schema.Number,
      /** Somebody in the recorder's process reads. */
      isOwned: Schema.Boolean,
      /** Events that it has not read were deleted. */
      isExceeded: Schema.Boolean,
      /** Null without a bound. */
      maxLagBytes: Schema.NullOr(Schema.Number),
      maxLagMillis: Schema.NullOr(Schema.Number)
    }))
  }),
  /** How many slots are in which state, and why events are held back. */
  arena: Schema.Struct({
    slots: Schema.Int,
    slotBytes: Schema.Int,
    blank: Schema.Int,
    active: Schema.Int,
    full: Schema.Int,
    spent: Schema.Int,
    /** Bytes in the slot that is being filled. */
    activeBytes: Schema.Int,
    heldBack: Schema.Literals(heldBackNames),
    /** For how long, in milliseconds; 0 while nothing is held back. */
    heldBackMillis: Schema.Number,
    /** In how many milliseconds it is tried again; null when that waits for something else than time. */
    nextTryMillis: Schema.NullOr(Schema.Number)
  }),
  /** The last failures, oldest first. */
  failures: Schema.Array(Schema.Struct({
    atMillis: Schema.Number,
    step: Schema.Literals(stepNames),
    reason: Schema.Literals(stepReasonTags),
    segmentIndex: Schema.Int,
    message: Schema.String
  })),
  telemetry: TelemetrySnapshot
})

/**
 * The type of {@link MonitorReport}.
 *
 * @since 0.1.0
 * @category models
 */
export type MonitorReport = typeof MonitorReport.Type

/** An effect that reports the state now. */
export const makeReporter = Effect.gen(function*() {
  const recorder = yield* Recorder
  const maintainer = yield* SegmentMaintainer
  const arena = yield* SegmentArena
  const telemetry = yield* Telemetry
  const startedMillis = yield* Clock.currentTimeMillis
  const startedElapsed = yield* elapsedMillis
  return Effect.gen(function*() {
    const status = yield* maintainer.status
    const { archive, damaged, durableHolds, failures, holds, holes, isDown, limits, restarts } = status
    const { heldBack, ...positions } = yield* recorder.positions
    const report: MonitorReport = {
      version: 1,
      pid: process.pid,
      directory: maintainer.directory,
      startedMillis,
      atMillis: yield* Clock.currentTimeMillis,
      uptimeMillis: (yield* elapsedMillis) - startedElapsed,
      positions: positions,
      maintainer: {
        isDown,
        restarts,
        failures,
        damagedSegments: damaged,
        holes,
        archive: archive === undefined
          ? null
          : { ...Struct.omit(archive, ["onBehind"]), problem: archive.problem ?? null },
        limits: limitsOf(limits),
        holds: holds.map((hold) => ({
          ...hold,
          expiresMillis: Number.isFinite(hold.expiresMillis) ? hold.expiresMillis : null
        })),
        durableHolds: durableHolds.map((hold) => ({
          ...hold,
          maxLagBytes: hold.maxLagBytes ?? null,
          maxLagMillis: hold.maxLagMillis ?? null
        }))
      },
      arena: occupancy(arena, heldBack),
      failures: (yield* maintainer.failures).slice(-failuresShown).map((failure) => ({
        atMillis: failure.atMillis,
        step: failure.step,
        reason: failure.reason,
        segmentIndex: failure.segmentIndex,
        message: failure.message
      })),
      telemetry: yield* telemetry.snapshot
    }
    return report
  })
})

const limitsOf = ({ ageMax, ...limits }: ResolvedLimits): MonitorReport["maintainer"]["limits"] => ({
  ...limits,
  ...(ageMax === undefined ? {} : { ageMillisMax: Duration.toMillis(ageMax) })
})

const occupancy = (arena: Arena.Arena, heldBack: HeldBackStatus | undefined): MonitorReport["arena"] => {
  const states = Array.from({ length: arena.slots }, (_, slot) => Arena.stateOf(arena, slot))
  const count = (state: number): number => states.filter((other) => other === state).length
  const active = Arena.activeSlot(arena)
  return {
    slots: arena.slots,
    slotBytes: arena.slotBytes,
    blank: count(SlotState.Blank),
    active: count(SlotState.Active),
    full: count(SlotState.Full),
    spent: count(SlotState.Spent),
    activeBytes: active < 0 ? 0 : Arena.watermarkOf(arena, active),
    heldBack: heldBack?.reason ?? "None",
    heldBackMillis: heldBack?.forMillis ?? 0,
    nextTryMillis: heldBack?.nextTryInMillis ?? null
  }
}
