/**
 * Works off what was offered: until the queues are empty and every outcome is applied. Retention offers what an outcome
 * calls for as soon as it is applied, and a full slot's task is complete only when the slot is blank; so then nothing
 * is left. A deadline ends compression, never persistence, and the receipt reports what was done (promise 7 of
 * docs/RELIABILITY.md).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../internal/elapsed.ts"
import * as Arena from "../shared/Arena.ts"
import { HeldBack } from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import * as TaskRing from "../shared/TaskRing.ts"
import * as MaintainerControl from "./executor/MaintainerControl.ts"
import type { Supervised } from "./executor/Supervisor.ts"
import type { ExecutorReports } from "./ExecutorReports.ts"
import { heldBackStatus } from "./HeldBackStatus.ts"
import type { MaintainerQueues, MaintainerState, PerQueue } from "./retention/MaintainerState.ts"
import { reportWaiting } from "./Waiting.ts"

/**
 * What a drain has done, what it left and how long it took.
 *
 * @since 0.1.0
 * @category models
 */
export interface DrainReceipt {
  readonly done: PerQueue
  /** Tasks still in the queues: only compression after a deadline, or anything when the maintainer is down. */
  readonly left: PerQueue
  readonly failures: number
  readonly millis: number
}

/** Tasks that wait in the queues or are under way. */
export const pendingUnsafe = ({ toFree, toFreeze, toPersist }: MaintainerQueues): PerQueue => ({
  persist: TaskRing.unfinishedUnsafe(toPersist.ring),
  freeze: TaskRing.unfinishedUnsafe(toFreeze.ring),
  free: TaskRing.unfinishedUnsafe(toFree.ring)
})

/** What a drain works with. */
interface Drainable {
  readonly state: MaintainerState
  readonly reports: ExecutorReports
  readonly executors: Supervised
  /** Waits until the sizes and ages of all segments are known, and retention has looked at them. */
  readonly untilSizesKnown: Effect.Effect<void>
  /** Makes room on a full disk. */
  readonly releaseReserve: Effect.Effect<void>
}

/** Drains once; abandons compression after `drainMax`. */
export const drain = (parts: Drainable, drainMax: Duration.Duration | undefined): Effect.Effect<DrainReceipt> =>
  Effect.acquireUseRelease(
    Effect.sync(() => MaintainerControl.drainBegunUnsafe(parts.state.control)),
    () => drainNow(parts, drainMax),
    () => Effect.sync(() => MaintainerControl.drainEndedUnsafe(parts.state.control))
  )

const drainNow = Effect.fnUntraced(function*(parts: Drainable, drainMax: Duration.Duration | undefined) {
  const { executors, reports, state } = parts
  const { arena, control, directory: { path }, queues } = state
  const begun = yield* elapsedMillis
  const before = { ...state.counts }
  // When a drain ends, the limits in bytes and age, and of cold segments, are kept too, even right after the start.
  const { ageMax, bytesMax } = state.limits
  if ((bytesMax ?? ageMax) !== undefined || state.catalog.unweighed > 0) yield* parts.untilSizesKnown

  /** An executor sends an outcome before it completes the task: so the queues are looked at first. */
  const isQuiet = (): boolean => {
    const { free, freeze, persist } = pendingUnsafe(queues)
    const isFreezingOver = freeze === 0 || MaintainerControl.isFreezingStopped(control)
    return persist === 0 && free === 0 && isFreezingOver && reports.areComplete()
  }
  const untilQuiet = Effect.gen(function*() {
    while (true) {
      const seen = Doorbell.readUnsafe(control.progress)
      if (executors.isDown()) return
      if (isQuiet()) {
        yield* reports.recoverLost
        if (isQuiet()) return
      }
      if (arena !== undefined && Arena.heldBack(arena) === HeldBack.DiskFull) yield* parts.releaseReserve
      yield* Doorbell.wait(control.progress, seen)
    }
  })
  // Without freezing the hot segments only grow in number, and what is in memory must still get to the disk.
  const stopFreezing = Effect.sync(() => {
    MaintainerControl.stopFreezingUnsafe(control)
    state.stopFreezing()
    Doorbell.ringUnsafe(control.progress)
  }).pipe(
    Effect.andThen(Effect.logWarning(`the drain of ${path} abandons compression; the segments stay hot`)),
    Effect.delay(drainMax ?? Duration.zero)
  )
  const deadline = drainMax === undefined ? undefined : yield* Effect.forkChild(stopFreezing)
  const look = Effect.sync(() => ({
    directory: path,
    pending: pendingUnsafe(queues),
    heldBack: heldBackStatus(arena, state.elapsed())
  }))
  const reporting = yield* Effect.forkChild(reportWaiting(look))
  yield* untilQuiet
  if (deadline !== undefined) deadline.interruptUnsafe()
  reporting.interruptUnsafe()
  const receipt: DrainReceipt = {
    done: {
      persist: state.counts.persist - before.persist,
      freeze: state.counts.freeze - before.freeze,
      free: state.counts.free - before.free
    },
    left: pendingUnsafe(queues),
    failures: state.counts.failures - before.failures,
    millis: Math.round((yield* elapsedMillis) - begun)
  }
  yield* Effect.logDebug(`drained ${path}`, receipt)
  return receipt
})
