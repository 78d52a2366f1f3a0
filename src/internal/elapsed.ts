/**
 * Elapsed time: the one clock for everything that measures how long something took, is due, or is old. The wall clock
 * can be set forward and back at any moment, so it is read only for stamps that people or other programs read.
 *
 * Only the difference between two readings in one process means anything. All threads of a process share the clock. It
 * is the monotonic half of Effect's `Clock`, so `TestClock` moves it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** The elapsed time by this clock, in milliseconds. */
export const elapsedMillisUnsafe = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** The elapsed time, in milliseconds. */
export const elapsedMillis: Effect.Effect<number> = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
