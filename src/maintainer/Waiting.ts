/**
 * What a shutdown waits for, in words. One that cannot end reports it every ten seconds, with the way to end it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { HeldBack } from "../shared/Arena.ts"
import type { HeldBackSince } from "./retention/MaintainerState.ts"

/** What is still to be done, and what stands in its way. */
export interface Waiting {
  readonly directory: string
  /** Segments, by what is to be done. */
  readonly pending: { readonly persist: number; readonly freeze: number; readonly free: number }
  readonly heldBack: HeldBackSince | undefined
}

const obstacles: ReadonlyMap<number, string> = new Map([
  [HeldBack.DiskFull, "the disk is full"],
  [HeldBack.DiskFailing, "the disk fails"],
  [HeldBack.HotLimit, "as many segments are hot as may be: a freeze must end"],
  [HeldBack.MaintainerDown, "the maintainer is down"]
])

const everyMillis = 10_000

const count = (segments: number, what: string): ReadonlyArray<string> =>
  segments === 0 ? [] : [`${segments} ${segments === 1 ? "segment" : "segments"} to ${what}`]

/** One line: how long, what for, why it does not go on, and how to end it. */
const formatWaiting = ({ directory, heldBack, pending }: Waiting, millis: number): string => {
  const work = [
    ...count(pending.persist, "make durable"),
    ...count(pending.freeze, "compress"),
    ...count(pending.free, "delete")
  ]
  const obstacle = heldBack === undefined ? undefined : obstacles.get(heldBack.code)
  const since = heldBack === undefined ? "" : new Date(heldBack.sinceMillis).toISOString()
  return [
    `closing ${directory} has taken ${Math.round(millis / 1000)} s`,
    work.length === 0 ? "the last outcomes are awaited" : `it waits for ${work.join(", ")}`,
    ...(obstacle === undefined ? [] : [`${obstacle}, since ${since}`]),
    pending.persist > 0 || obstacle !== undefined
      ? "a kill ends it at once and loses what was not committed"
      : "a kill ends it at once and loses no event"
  ].join("; ")
}

/** Logs what a shutdown waits for, every ten seconds, until it is interrupted. */
export const reportWaiting = Effect.fnUntraced(function*(look: Effect.Effect<Waiting>): Effect.fn.Return<never> {
  const begun = yield* Clock.currentTimeMillis
  while (true) {
    yield* Effect.sleep(everyMillis)
    yield* Effect.logWarning(formatWaiting(yield* look, (yield* Clock.currentTimeMillis) - begun))
  }
})
