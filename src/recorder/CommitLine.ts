/**
 * The callers of `commit` that wait until an event is durable, in the order of their ids. One listener at the arena's
 * doorbell serves them all, so one fdatasync wakes every caller it was for. They wait through a disk that is full or
 * fails, unless they are to be told: then each failed attempt of the maintainer fails every caller that waits. When the
 * maintainer is down, nothing more becomes durable, and all of them fail.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Arena from "../shared/Arena.ts"
import { HeldBack } from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { RecorderError } from "./RecorderError.ts"
import type { RecorderReason } from "./RecorderError.ts"

/** A caller that waits until this event is durable. */
interface Waiter {
  readonly eventId: number
  readonly resume: (effect: Effect.Effect<number, RecorderError>) => void
}

/** Where callers wait until an event is durable. */
interface CommitLine {
  /**
   * Succeeds with the durable position when it has reached `eventId`. `ask` is called if the caller has to wait: it
   * asks the maintainer for a flush. Interruptible; leaves nothing behind.
   */
  readonly wait: (eventId: number, ask: (() => void) | undefined) => Effect.Effect<number, RecorderError>
}

/** Why nothing can become durable now; `undefined` when it can. */
export const heldBackReason = (arena: Arena.Arena): RecorderReason | undefined => {
  switch (Arena.heldBack(arena)) {
    case HeldBack.DiskFull:
      return "DiskFull"
    case HeldBack.DiskFailing:
      return "DiskFailing"
    case HeldBack.MaintainerDown:
      return "MaintainerDown"
    default:
      return undefined
  }
}

/**
 * An empty line. `failsOnDisk`: a disk that is full or fails is told to those who wait. `onRing` is called at once and
 * at every ring of the arena's durable doorbell, before the callers that wait are served.
 */
export const make = (
  arena: Arena.Arena,
  failsOnDisk: boolean,
  onRing: () => void
): Effect.Effect<CommitLine, never, Scope.Scope> =>
  Effect.gen(function*() {
    const waiting: Array<Waiter> = []
    let stopListening: (() => void) | undefined
    let isClosed = false

    const serve = (): void => {
      const reached = Arena.durableEventId(arena)
      let served = 0
      while (served < waiting.length && (waiting[served]?.eventId ?? 0) <= reached) {
        waiting[served]?.resume(Effect.succeed(reached))
        served += 1
      }
      if (served > 0) waiting.splice(0, served)
      if (waiting.length === 0) return
      const reason = heldBackReason(arena)
      if (reason === undefined || reason !== "MaintainerDown" && !failsOnDisk) return
      for (const { eventId, resume } of waiting.splice(0)) {
        resume(Effect.fail(new RecorderError({ reason, eventId, detail: `event ${eventId}` })))
      }
    }

    const listen = (): void => {
      // Read before anything is looked at, so a ring in between is not missed.
      const seen = Doorbell.readUnsafe(arena.durable)
      onRing()
      serve()
      if (isClosed && waiting.length === 0) return
      stopListening = Doorbell.onRingUnsafe(arena.durable, seen, listen)
    }
    listen()
    yield* Effect.addFinalizer(() =>
      // Callers that still wait are served while the maintainer drains; the listener then ends with the next ring, at
      // the latest with that of the arena's end. So it does too if it was called again while it began to listen.
      Effect.sync(() => {
        isClosed = true
        if (waiting.length === 0) stopListening?.()
      })
    )

    return {
      wait: (eventId, ask) =>
        Effect.callback<number, RecorderError>((resume) => {
          const reached = Arena.durableEventId(arena)
          if (reached >= eventId) return resume(Effect.succeed(reached))
          const waiter: Waiter = { eventId, resume }
          let position = waiting.length
          while (position > 0 && (waiting[position - 1]?.eventId ?? 0) > eventId) position -= 1
          waiting.splice(position, 0, waiter)
          ask?.()
          // A maintainer that is down rings no more, so no later attempt would tell this caller.
          if (heldBackReason(arena) === "MaintainerDown") serve()
          return Effect.sync(() => {
            const at = waiting.indexOf(waiter)
            if (at >= 0) waiting.splice(at, 1)
          })
        })
    }
  })
