/**
 * What a shutdown waits for, in words. One that cannot end reports it every ten seconds, with the way to end it.
 */
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../internal/elapsed.ts"
import { plainText } from "../internal/plainText.ts"
import { formatWait } from "./HeldBackStatus.ts"
import type { HeldBackStatus } from "./HeldBackStatus.ts"
import type { PerQueue } from "./retention/MaintainerState.ts"

/** What is still to be done, and what stands in its way. */
interface Waiting {
  readonly directory: string
  readonly pending: PerQueue
  readonly heldBack: HeldBackStatus | undefined
}

const everyMillis = 10_000

/** One line: how long, what for, why it does not continue, and how to end it. */
const formatWaiting = (waiting: Waiting, millis: number): string => {
  const isAtRisk = waiting.pending.persist > 0 || waiting.heldBack !== undefined
  return plainText([
    `closing ${waiting.directory} has taken ${Math.round(millis / 1000)} s`,
    `it waits for ${formatWait(waiting) ?? "the last outcomes"}`,
    `a kill ends it at once and loses ${isAtRisk ? "what was not committed" : "no event"}`
  ].join("; "))
}

/** Logs what a shutdown waits for, every ten seconds, until it is interrupted. */
export const reportWaiting = Effect.fnUntraced(function*(look: Effect.Effect<Waiting>): Effect.fn.Return<never> {
  const begun = yield* elapsedMillis
  while (true) {
    yield* Effect.sleep(everyMillis)
    yield* Effect.logWarning(formatWaiting(yield* look, (yield* elapsedMillis) - begun))
  }
})
