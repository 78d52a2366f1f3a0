/**
 * Decides what goes wrong with requests to the simulated store: at rates, drawn from the seed, or because a test has
 * told it to. What was told comes first.
 */
import * as Duration from "effect/Duration"
import { requireDuration } from "../internal/arguments.ts"
import type { StoreOperation } from "../store/ObjectStore.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { ToldFailures } from "./ToldFailures.ts"

/**
 * What can go wrong with a request. Requests that change nothing are only refused, slow or wrong.
 *
 * - `busy`: refused with `Busy`, as by 409, 429 and 503. Not done.
 * - `failed`: answered with `Busy`, as by 500. It may have been done.
 * - `lostRequest`: `Unreachable`, because it never arrives.
 * - `lostAnswer`: `Unreachable`, although it was done.
 * - `late`: `Unreachable`, and it is done later.
 * - `doubled`: done twice, by a proxy that repeats it. The answer is that of the second time, or the second time comes
 *   later.
 * - `damaged`: `Corrupt`: content that did not arrive as it was sent, or not all of it. Not done.
 * - `rotten`: a `get` succeeds with one wrong bit.
 * - `denied`: refused with `Denied`. Not done.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = typeof kinds[number]

const kinds = [
  "busy",
  "failed",
  "lostRequest",
  "lostAnswer",
  "late",
  "doubled",
  "damaged",
  "rotten",
  "denied"
] as const

/**
 * How often requests go wrong, and how slow they are. Rates are probabilities per request, from 0 to 1; 0 by default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Faults {
  readonly rates?: Partial<Readonly<Record<Fault, number>>>
  readonly slowRate?: number
  /** The longest time that a slow request takes, in whole milliseconds; 1 second by default. */
  readonly slowMax?: Duration.Input
  /** The longest time after which a late request is done, in whole milliseconds; 10 minutes by default. */
  readonly lateMax?: Duration.Input
  /** The longest time for which listings do not show a change, in whole milliseconds; 0 by default. */
  readonly listingMax?: Duration.Input
}

/** Throws when one of the times is no duration. `name` is that of the argument. */
export const requireFaults = (name: string, faults: Faults): Faults => {
  requireDuration(`${name}.slowMax`, faults.slowMax ?? defaultSlowMax, 1)
  requireDuration(`${name}.lateMax`, faults.lateMax ?? defaultLateMax, 1)
  requireDuration(`${name}.listingMax`, faults.listingMax ?? 0, 0)
  return faults
}

const defaultSlowMax = "1 second"
const defaultLateMax = "10 minutes"

/** Decides for one request after the other what goes wrong. */
export class StoreFaultPlan {
  faults: Faults
  readonly told = new ToldFailures<StoreOperation, Fault>()
  readonly #random: SeededRandom

  constructor(random: SeededRandom, faults: Faults) {
    this.#random = random
    this.faults = faults
  }

  /** Removes everything that was told, and all rates: from now on nothing goes wrong. */
  forget(): void {
    this.told.forget()
    this.faults = {}
  }

  /** Gives what goes wrong with this request, if anything does. */
  faultOf(operation: StoreOperation, key: string): Fault | undefined {
    return this.told.next(operation, key) ?? kinds.find((kind) => this.#draw(this.faults.rates?.[kind]))
  }

  /** Decides how long this request takes; 0 if it is not slow. */
  sleepMillis(): number {
    return this.#draw(this.faults.slowRate) ? this.#upTo(this.faults.slowMax ?? defaultSlowMax) : 0
  }

  /** Decides after which time a late request is done. */
  lateMillis(): number {
    return this.#upTo(this.faults.lateMax ?? defaultLateMax)
  }

  /** Decides after which time a change is listed. */
  listedAfterMillis(): number {
    const listingMax = this.faults.listingMax
    return listingMax === undefined ? 0 : this.#upTo(listingMax)
  }

  #upTo(max: Duration.Input): number {
    const millis = Duration.toMillis(max)
    return millis === 0 ? 0 : 1 + this.#random.below(millis)
  }

  #draw(rate: number | undefined): boolean {
    return rate !== undefined && rate > 0 && this.#random.chance(rate)
  }
}
