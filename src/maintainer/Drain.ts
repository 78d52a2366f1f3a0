/**
 * Working off what was offered: until the queues are empty, the arena has no full slot, every outcome was heard and
 * retention has nothing more to ask for. A deadline ends compression, never persistence.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Doorbell from "../shared/Doorbell.ts"
import type { Arena } from "../shared/SegmentArena.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import { HeldBack, SlotState } from "../shared/SegmentArena.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import * as MaintainerControl from "./MaintainerControl.ts"
import type { MaintainerQueues, MaintainerState } from "./MaintainerState.ts"
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
  readonly arena: Arena | undefined
  readonly retain: () => void
  /** Every report that was sent has come. */
  readonly isAllHeard: () => boolean
  readonly isDown: () => boolean
  /** Makes up for reports that died with an executor. */
  readonly settle: Effect.Effect<void>
  /** What is asked of the disk at the start, and looked at by limits, is known. */
  readonly awaitSizes: Effect.Effect<void>
  /** Makes room on a full disk. */
  readonly releaseReserve: Effect.Effect<void>
}) {
  const { arena, control, queues, retain, state } = options
  const { directory, drainMillisMax } = state.options
  const begun = yield* Clock.currentTimeMillis
  const before = { ...state.counts }
  // Limits that look at them hold when a drain has ended, also one that comes right after the start.
  const { ageMillisMax, bytesMax } = state.limits
  if ((bytesMax ?? ageMillisMax) !== undefined) {
    yield* options.awaitSizes
    retain()
  }

  const isWorkedOff = (): boolean => {
    if (arena !== undefined && hasFullSlot(arena)) return false
    const { free, freeze, persist } = pendingUnsafe(queues)
    return persist === 0 && free === 0 && (freeze === 0 || MaintainerControl.isFreezingStopped(control))
  }
  /** An executor sends the outcome before it completes the task: so first the queues, then what came of them. */
  const isQuiet = (): boolean => {
    if (!isWorkedOff() || !options.isAllHeard()) return false
    retain()
    return isWorkedOff()
  }
  const untilQuiet = Effect.gen(function*() {
    while (true) {
      const seen = Doorbell.readUnsafe(control.progress)
      if (options.isDown()) return
      if (isQuiet()) {
        yield* options.settle
        if (isQuiet()) return
      }
      if (arena !== undefined && SegmentArena.heldBack(arena) === HeldBack.DiskFull) yield* options.releaseReserve
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

const hasFullSlot = (arena: Arena): boolean => {
  for (let slot = 0; slot < arena.slots; slot++) {
    const slotState = SegmentArena.stateOf(arena, slot)
    if (slotState === SlotState.Full || slotState === SlotState.Spent) return true
  }
  return false
}
