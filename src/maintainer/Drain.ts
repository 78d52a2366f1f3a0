/**
 * Working off what was offered: until the queues are empty and every outcome was heard. Retention offers what an outcome
 * calls for as soon as it is heard, and a full slot's task is complete only when the slot is blank, so then nothing is left.
 * A deadline ends compression, never persistence.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Arena from "../shared/Arena.ts"
import { HeldBack } from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import type { MaintainerQueues, MaintainerState } from "./retention/MaintainerState.ts"
import type { DrainReceipt, PerQueue } from "./SegmentMaintainer.ts"

/**
 * Tasks that wait in the queues or are being worked on.
 *
 * @since 0.1.0
 * @category inspecting
 */
export const pendingUnsafe = ({ toFree, toFreeze, toPersist }: MaintainerQueues): PerQueue => ({
  persist: TaskRing.unfinishedUnsafe(toPersist.ring),
  freeze: TaskRing.unfinishedUnsafe(toFreeze.ring),
  free: TaskRing.unfinishedUnsafe(toFree.ring)
})

/**
 * Drains once.
 *
 * @since 0.1.0
 * @category operations
 */
export const drain = Effect.fnUntraced(function*(options: {
  readonly state: MaintainerState
  readonly queues: MaintainerQueues
  readonly control: MaintainerControl.MaintainerControl
  readonly arena: Arena.Arena | undefined
  /** Every report that was sent has come. */
  readonly isAllHeard: () => boolean
  readonly isDown: () => boolean
  /** Makes up for reports that died with an executor. */
  readonly settle: Effect.Effect<void>
  /** Waits until what limits look at is known of every segment, and retention has looked at it. */
  readonly untilSizesKnown: Effect.Effect<void>
  /** Makes room on a full disk. */
  readonly releaseReserve: Effect.Effect<void>
}) {
  const { arena, control, queues, state } = options
  const { directory, drainMillisMax } = state.options
  const begun = yield* Clock.currentTimeMillis
  const before = { ...state.counts }
  // Limits that look at them hold when a drain has ended, also one that comes right after the start.
  const { ageMillisMax, bytesMax } = state.limits
  if ((bytesMax ?? ageMillisMax) !== undefined) yield* options.untilSizesKnown

  /** An executor sends the outcome before it completes the task: so first the queues, then what came of them. */
  const isQuiet = (): boolean => {
    const { free, freeze, persist } = pendingUnsafe(queues)
    const isFreezingOver = freeze === 0 || MaintainerControl.isFreezingStopped(control)
    return persist === 0 && free === 0 && isFreezingOver && options.isAllHeard()
  }
  const untilQuiet = Effect.gen(function*() {
    while (true) {
      const seen = Doorbell.readUnsafe(control.progress)
      if (options.isDown()) return
      if (isQuiet()) {
        yield* options.settle
        if (isQuiet()) return
      }
      if (arena !== undefined && Arena.heldBack(arena) === HeldBack.DiskFull) yield* options.releaseReserve
      yield* Doorbell.wait(control.progress, seen)
    }
  })
  // Without freezing the hot segments only grow in number, and what is in memory must still get to the disk.
  const stopFreezing = Effect.sync(() => {
    MaintainerControl.stopFreezingUnsafe(control)
    state.stopFreezing()
    Doorbell.ringUnsafe(control.progress)
  }).pipe(
    Effect.andThen(Effect.logWarning(`the drain of ${directory} gives up compression; the segments stay hot`)),
    Effect.delay(Duration.millis(drainMillisMax ?? 0))
  )
  const deadline = drainMillisMax === undefined ? undefined : yield* Effect.forkChild(stopFreezing)
  yield* untilQuiet
  if (deadline !== undefined) deadline.interruptUnsafe()
  const receipt: DrainReceipt = {
    done: {
      persist: state.counts.persist - before.persist,
      freeze: state.counts.freeze - before.freeze,
      free: state.counts.free - before.free
    },
    left: pendingUnsafe(queues),
    failures: state.counts.failures - before.failures,
    millis: (yield* Clock.currentTimeMillis) - begun
  }
  yield* Effect.logDebug(`drained ${directory}`, receipt)
  return receipt
})
