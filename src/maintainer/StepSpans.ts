/**
 * The spans of the maintainer's steps: `SegmentMaintainer.persist`, `.freeze` and `.free`, one for every attempt. An
 * executor in a thread has no tracer. So every executor reports how long an attempt took, and the service, which has
 * the application's tracer, makes the span when the report comes. Its end is that moment.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { StepOutcome } from "./steps/StepOutcome.ts"

const steps = { Persisted: "persist", Frozen: "freeze", Freed: "free" } as const

/** Gives what makes a span of each outcome of a log's maintainer, with the tracer and the parent of this moment. */
export const make: (log: string) => Effect.Effect<(outcome: StepOutcome) => void> = Effect.fnUntraced(function*(log) {
  const clock = yield* Clock.Clock
  const run = Effect.runSyncWith(yield* Effect.context<never>())

  return (outcome) => {
    if (outcome._tag === "Opened" || outcome._tag === "Quarantined" || outcome.millis === undefined) return
    const step = outcome._tag === "Failed" ? outcome.step : steps[outcome._tag]
    // One flush serves many commits, and each of these has a span.
    if (step === "flush") return
    const endNanos = clock.currentTimeNanosUnsafe()
    let nanos = endNanos - BigInt(Math.round(outcome.millis * 1e6))
    const stepClock: Clock.Clock = Object.create(clock, { currentTimeNanosUnsafe: { value: () => nanos } })
    const done = Effect.suspend(() => {
      nanos = endNanos
      return outcome._tag === "Failed" ? Effect.fail(new Error(outcome.message)) : Effect.void
    })
    run(done.pipe(
      Effect.withSpan(`SegmentMaintainer.${step}`, { attributes: { log, segmentIndex: outcome.segmentIndex } }),
      Effect.exit,
      Effect.provideService(Clock.Clock, stepClock)
    ))
  }
})
