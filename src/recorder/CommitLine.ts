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
import { Committers } from "./Committers.ts"
import type { Committer } from "./Committers.ts"
import { RecorderError } from "./RecorderError.ts"
import { DiskFailing, DiskFull, MaintainerDown } from "./RecorderReason.ts"
import type { Closed, Fenced } from "./RecorderReason.ts"

type Resume = (effect: Effect.Effect<number, RecorderError>) => void

/** Where callers wait until an event is durable. */
interface CommitLine {
  /**
   * Succeeds with the durable position when it has reached `eventId`. A caller that has to wait is published first;
   * with `asks`, a flush is asked for. Interruptible; leaves nothing behind.
   */
  readonly wait: (eventId: number, asks: boolean) => Effect.Effect<number, RecorderError>
}

/** Why nothing can become durable now; `undefined` when it can. */
export const heldBackReason = (
  arena: Arena.Arena
): typeof DiskFull | typeof DiskFailing | typeof MaintainerDown | undefined => {
  switch (Arena.heldBack(arena)) {
    case HeldBack.DiskFull:
      return DiskFull
    case HeldBack.DiskFailing:
      return DiskFailing
    case HeldBack.MaintainerDown:
      return MaintainerDown
    default:
      return undefined
  }
}

/**
 * An empty line. `failsOnDisk`: a disk that is full or fails is told to those who wait. `reached` tells the event up to
 * which is acknowledged, and `ended` why nothing is any more. `onRing` is called at once and at every ring of the
 * arena's durable doorbell, before the callers that wait are served. `publish` makes what was appended known to the
 * maintainer, and with `asks` asks it for a flush: once for all callers that one ring serves and that commit again.
 */
export const make = (
  arena: Arena.Arena,
  failsOnDisk: boolean,
  { ended, onRing, publish, reached: reachedNow }: {
    readonly reached: () => number
    readonly ended: () => typeof Closed | typeof Fenced | undefined
    readonly onRing: () => void
    readonly publish: (asks: boolean) => void
  }
): Effect.Effect<CommitLine, never, Scope.Scope> =>
  Effect.gen(function*() {
    const waiting = new Committers<Resume>()
    let stopListening: (() => void) | undefined
    let isClosed = false
    /** Callers are being resumed: what they commit is published when all of them have run. */
    let isServing = false
    /** Something came meanwhile for which the line is to be looked at once more. */
    let isDueAgain = false
    let toPublish: "nothing" | "events" | "events and ask" = "nothing"

    const publishServed = (): void => {
      if (toPublish === "nothing") return
      const asks = toPublish === "events and ask"
      toPublish = "nothing"
      publish(asks)
    }

    const failAll = (Reason: new() => RecorderError["reason"]): void => {
      for (const { eventId, resume } of waiting.takeAll()) {
        resume?.(Effect.fail(new RecorderError({ reason: new Reason(), eventId })))
      }
    }

    const resumeThose = (): void => {
      const End = ended()
      if (End !== undefined) return failAll(End)
      const reached = reachedNow()
      for (let next = waiting.takeUpTo(reached); next !== undefined; next = waiting.takeUpTo(reached)) {
        next(Effect.succeed(reached))
      }
      if (waiting.size === 0) return
      const Reason = heldBackReason(arena)
      if (Reason === undefined || Reason !== MaintainerDown && !failsOnDisk) return
      failAll(Reason)
    }

    const serve = (): void => {
      isDueAgain = true
      if (isServing) return
      isServing = true
      while (isDueAgain) {
        isDueAgain = false
        resumeThose()
      }
      isServing = false
      publishServed()
    }

    const listen = (): void => {
      // Read before anything is looked at, so a ring in between is not missed.
      const seen = Doorbell.readUnsafe(arena.durable)
      onRing()
      serve()
      if (isClosed && waiting.size === 0) return
      stopListening = Doorbell.onRingUnsafe(arena.durable, seen, listen)
    }
    listen()
    yield* Effect.addFinalizer(() =>
      // Callers that still wait are served while the maintainer drains; the listener then ends with the next ring, at
      // the latest with that of the arena's end. So it does too if it was called again while it began to listen.
      Effect.sync(() => {
        isClosed = true
        if (waiting.size === 0) stopListening?.()
      })
    )

    return {
      wait: (eventId, asks) =>
        Effect.callback<number, RecorderError>((resume) => {
          const End = ended()
          if (End !== undefined) return resume(Effect.fail(new RecorderError({ reason: new End(), eventId })))
          const reached = reachedNow()
          if (reached >= eventId) return resume(Effect.succeed(reached))
          const committer: Committer<Resume> = { eventId, resume }
          waiting.add(committer)
          if (asks) toPublish = "events and ask"
          else if (toPublish === "nothing") toPublish = "events"
          if (!isServing) publishServed()
          // A maintainer that is down rings no more, so no later attempt would tell this caller.
          if (heldBackReason(arena) === MaintainerDown) serve()
          return Effect.sync(() => waiting.leave(committer))
        })
    }
  })
