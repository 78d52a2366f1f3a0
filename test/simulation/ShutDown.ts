/** A process stops in good order, and what its maintainer says of that is true. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { DrainReceipt } from "../../src/maintainer/SegmentMaintainer.ts"
import { checkLimits, segmentsOnDisk } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import type { Opened } from "./Opening.ts"
import type { PerTask } from "./Process.ts"
import { Violation } from "./Trace.ts"

/** Whatever waits longer than this, with a disk that works, waits in vain. */
const patienceMillis = 10 * 60_000

export const shutDown = (life: Life, { maintainer, maintainerScope, recorderScope }: Opened): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { model, process, scenario, trace, watch, world } = life.setting
    life.doing = "closing the recorder"
    yield* Scope.close(recorderScope, Exit.void)
    life.doing = "draining"
    // A disk that fails may hold a drain up as long as it fails.
    const healing = yield* Effect.forkChild(Effect.delay(life.faults.heal, 20_000))
    let before = { ...process.reported }
    if (scenario.wal.drainMax !== undefined) watch.hotMax = Number.POSITIVE_INFINITY
    const drain = Effect.suspend(() => {
      world.isUnbroken = true
      before = { ...process.reported }
      return maintainer.drain
    })
    const drained = yield* Effect.timeoutOption(drain, patienceMillis)
    if (Option.isNone(drained)) {
      throw new Violation(`the drain did not end although the disk works: ${life.whereItWaits()}`)
    }
    const receipt = drained.value
    const status = yield* maintainer.status
    trace.add(`drained ${JSON.stringify(receipt)}`)
    if (!status.isDown) {
      checkReceipt(life, receipt, before)
      if (status.failures === 0 && receipt.left.freeze === 0 && life.faults.isHealthy) {
        yield* checkState(life, maintainer)
      }
    }
    life.doing = "closing the maintainer"
    yield* Scope.close(maintainerScope, Exit.void)
    yield* Fiber.interrupt(healing)
    model.ending = status.isDown ? "drained in part" : "drained"
  })

/** What a drain says is true, and it has left nothing undone but compression after its deadline. */
const checkReceipt = (life: Life, { done, left, millis }: DrainReceipt, before: PerTask): void => {
  const { model, process, scenario, watch } = life.setting
  const drainMillisMax = Duration.toMillis(scenario.wal.drainMax ?? "Infinity")
  const last = model.events.length
  if (left.persist + left.free > 0) throw new Violation(`the drain left ${left.persist + left.free} tasks behind`)
  if (left.freeze > 0 && millis < drainMillisMax) {
    throw new Violation(`the drain gave up compression after ${millis} of ${drainMillisMax} ms`)
  }
  if (life.durableEventId < last) throw new Violation(`the drain ended at event ${life.durableEventId} of ${last}`)
  model.promise(last, "drain")
  model.freezesLeft = left.freeze + watch.givenUp.size
  for (const task of ["persist", "freeze", "free"] as const) {
    const reported = process.reported[task] - before[task]
    // A successor may do again what its predecessor had done, and a report may die on its way.
    const isAgain = process.hasDied() && done[task] < reported
    if (reported !== done[task] && !isAgain) {
      throw new Violation(`the receipt counts ${done[task]} of ${reported} for ${task}`)
    }
  }
}

/** Nothing failed and nothing was left: the limits hold, and the maintainer knows the directory as it is. */
const checkState = (life: Life, maintainer: Opened["maintainer"]): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { simulated, world } = life.setting
    const { watch } = life.setting
    const entries = yield* maintainer.segments
    // Of what was found at the start, lengths and times are asked for in the background.
    if (life.limits !== undefined && entries.every(({ closedMillis }) => closedMillis !== 0)) {
      checkLimits({
        segments: segmentsOnDisk(simulated),
        limits: life.limits,
        closedMillis: (segmentIndex) => watch.closedSince(segmentIndex, world.nowMillis),
        nowMillis: world.nowMillis,
        weights: watch.weights
      })
    }
    const { faults } = yield* Effect.orDie(maintainer.verifyConsistency)
    if (faults.length > 0 && life.setting.rotten.size === 0) {
      throw new Violation(`after a drain the maintainer finds ${faults.join("; ")}`)
    }
  })
