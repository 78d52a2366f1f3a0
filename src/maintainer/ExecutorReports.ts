/**
 * Keeps account of the outcomes that the executors have sent: which of them have come, and which were lost with an
 * executor that died. Every outcome is counted in shared memory before it is sent, so a loss shows as a difference. The
 * arena and the disk tell what the lost ones were (see `LostReports`).
 */
import * as Effect from "effect/Effect"
import type { Disk } from "../disk/Disk.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import { isAnythingLost, learnLost, learnPersisted } from "./directory/LostReports.ts"
import { learnSizes } from "./directory/SegmentSizes.ts"
import { outcomesSentBy } from "./executor/MaintainerControl.ts"
import type { MaintainerState } from "./retention/MaintainerState.ts"
import type { StepOutcome } from "./steps/StepOutcome.ts"

/** The reports of all executors of a maintainer. */
export interface ExecutorReports {
  /** Applies an outcome that an executor has sent. */
  readonly apply: (executor: number, outcome: StepOutcome) => void
  /** Whether every outcome that was sent has come, or is known to be lost. */
  readonly areComplete: () => boolean
  /**
   * Learns and applies the outcomes that were lost. Does nothing while a freeze or a deletion is under way, since its
   * own outcome is still to come.
   */
  readonly recoverLost: Effect.Effect<void>
  /**
   * To be run after the death of an executor, before its successor starts. The successor finds and reports the tasks
   * that were not completed. This learns the completed ones whose report was lost, as far as the lead had persisted
   * them, which the arena remembers; `recoverLost` learns the rest.
   */
  readonly beforeRestart: (executor: number) => Effect.Effect<void>
}

/** The reports of this many executors. `publish` is called with every outcome that was not known. */
export const make = (options: {
  readonly executors: number
  readonly state: MaintainerState
  readonly disk: Disk["Service"]
  readonly publish: (outcome: StepOutcome) => void
}): ExecutorReports => {
  const { disk, state } = options
  const { arena, control, gate, queues } = state
  /** How many outcomes of each executor have come or are lost. */
  const counts = Array.from({ length: options.executors }, () => 0)
  let hasRestarted = false

  const applyOne = (outcome: StepOutcome, counted: boolean): void => {
    if (state.apply(outcome, counted)) options.publish(outcome)
  }
  /** Drains do not count an outcome that was lost: the work may have been done long before. */
  const applyLate = (outcome: StepOutcome): void => applyOne(outcome, false)

  const areComplete = (): boolean => counts.every((count, executor) => count === outcomesSentBy(control, executor))

  return {
    apply: (executor, outcome) => {
      counts[executor] = (counts[executor] ?? 0) + 1
      applyOne(outcome, true)
      state.retain()
      Doorbell.ringUnsafe(control.progress)
      // A reader of the positions looks again.
      if (arena !== undefined) Doorbell.ringUnsafe(arena.durable)
    },
    areComplete,
    recoverLost: Effect.suspend(() => {
      const isAtWork = gate.unfinished + TaskRing.unfinishedUnsafe(queues.toFree.ring) > 0
      if (!hasRestarted || isAtWork || !areComplete() || !isAnythingLost(state)) return Effect.void
      return Effect.andThen(Effect.exit(learnLost(state, disk, applyLate)), Effect.sync(() => state.retain()))
    }),
    beforeRestart: Effect.fnUntraced(function*(executor) {
      hasRestarted = true
      counts[executor] = outcomesSentBy(control, executor)
      if (arena !== undefined && executor === 0) {
        yield* learnPersisted(state, arena, disk, applyLate)
        // The supervisor must survive what the executor died of.
        yield* Effect.exit(learnSizes(state, disk))
      }
      state.retain()
      // A drain may be waiting for the outcomes that are lost.
      Doorbell.ringUnsafe(control.progress)
    })
  }
}
