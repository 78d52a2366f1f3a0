/**
 * When the maintainer's loop runs its next cycle. The schedule is an ordinary Effect `Schedule` whose input is the
 * result of a cycle. A doorbell ends a sleep early, so a rotated segment is durable after about one fdatasync and not
 * after a sleep.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { elapsedMillis } from "../../internal/elapsed.ts"
import { duration, millisLimit, resolveUnsafe, withDefault } from "../../internal/options.ts"
import * as Doorbell from "../../shared/Doorbell.ts"

/** The sleeps of the loop. */
export const LoopSleeps = Schema.Struct({
  /** The shortest sleep of the loop. Default: 10 ms. */
  sleepMin: withDefault(duration(1, millisLimit), Duration.millis(10)),
  /** The longest sleep of the loop; not below the shortest. Default: 1 s. */
  sleepMax: withDefault(duration(1, millisLimit), Duration.seconds(1))
})

/**
 * Sleeps `sleepMin` after a cycle that worked (`true`), and twice as long after each idle one, up to `sleepMax`. It
 * never ends. Its output is the sleep.
 *
 * @since 0.1.0
 * @category schedules
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { SegmentMaintainer } from "effect-wal"
 *
 * // An ordinary Schedule: it sleeps 1 ms after a cycle with work, and twice as long after each one without.
 * let cycles = 0
 * const cycle = Effect.sync(() => {
 *   cycles += 1
 *   return cycles < 5
 * })
 * const loop = Effect.repeat(cycle, {
 *   schedule: SegmentMaintainer.adaptive("1 millis", "1 second"),
 *   while: (worked) => worked
 * })
 *
 * await Effect.runPromise(loop)
 * console.log(cycles) // => 5
 * ```
 */
export const adaptive = (
  sleepMin?: Duration.Input,
  sleepMax?: Duration.Input
): Schedule.Schedule<Duration.Duration, boolean> => {
  const { sleepMax: max, sleepMin: min } = resolveUnsafe(LoopSleeps, { sleepMin, sleepMax })
  return Schedule.fromStep(Effect.sync(() => {
    let next = min
    return (_now: number, worked: boolean) => {
      const sleep = worked ? min : next
      next = Duration.min(Duration.times(sleep, 2), max)
      return Effect.succeed<[Duration.Duration, Duration.Duration]>([sleep, sleep])
    }
  }))
}

/** Suspends until one of the doorbells has been rung since its count was `seen`. */
const anyRing = (doorbells: ReadonlyArray<Doorbell.Doorbell>, seen: ReadonlyArray<number>): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const cancels: Array<() => void> = []
    const cancelAll = () => cancels.forEach((cancel) => cancel())
    let rung = false
    doorbells.forEach((doorbell, i) => {
      if (rung) return
      cancels.push(Doorbell.onRingUnsafe(doorbell, seen[i] ?? 0, () => {
        if (rung) return
        rung = true
        cancelAll()
        resume(Effect.void)
      }))
    })
    if (rung) cancelAll()
    return Effect.sync(cancelAll)
  })

/**
 * Runs cycles for ever, with the sleeps of `schedule` between them. A ring of any doorbell ends a sleep early. A ring
 * during a cycle counts: the next cycle follows at once. `onCycle` gets each cycle and its sleep when the sleep is
 * over.
 */
export const repeatWakeable = <E, R, E2, R2>(options: {
  /** `true` when there was something to do. */
  readonly cycle: Effect.Effect<boolean, E, R>
  readonly schedule: Schedule.Schedule<unknown, boolean, E2, R2>
  readonly doorbells: ReadonlyArray<Doorbell.Doorbell>
  /** No sleep is longer than this. */
  readonly sleepMillisMax: () => number
  readonly begin: () => number
  readonly onCycle: (worked: boolean, begun: number, asleep: number) => void
  /**
   * Called before each sleep with the counts of the doorbells before the cycle: here a thread of its own may wait for a
   * moment without sleeping. `true` when a doorbell was rung.
   */
  readonly lingerUnsafe?: (seen: ReadonlyArray<number>) => boolean
}): Effect.Effect<void, E | E2, R | R2> =>
  Effect.flatMap(Schedule.toStep(options.schedule), (step) =>
    Effect.gen(function*() {
      while (true) {
        const begun = options.begin()
        const seen = options.doorbells.map(Doorbell.readUnsafe)
        const worked = yield* options.cycle
        const [, delay] = yield* step(yield* elapsedMillis, worked)
        const asleep = options.begin()
        if (options.lingerUnsafe?.(seen) === true) {
          options.onCycle(worked, begun, asleep)
          continue
        }
        const sleep = Duration.min(delay, Duration.millis(options.sleepMillisMax()))
        const woken = yield* Effect.timeoutOption(anyRing(options.doorbells, seen), sleep)
        // A ring that came during the cycle resumes at once; the other fibers of this thread still get their turn.
        if (Option.isSome(woken)) yield* Effect.yieldNow
        options.onCycle(worked, begun, asleep)
      }
    })).pipe(Pull.catchDone(() => Effect.void))
