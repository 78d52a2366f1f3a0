/**
 * Decides what fails on the simulated disk, and when: at rates, drawn from the seed, or because a test has told it to.
 * Told failures come first, in the order in which they were told.
 */
import * as Duration from "effect/Duration"
import type { DiskReason } from "../disk/DiskReason.ts"
import { requireDuration } from "../internal/arguments.ts"
import type { SeededRandom } from "./SeededRandom.ts"
import { ToldFailures } from "./ToldFailures.ts"

/** The operations that can fail, be slow, and are counted. @since 0.1.0 @category models */
export type Operation =
  | "open"
  | "read"
  | "write"
  | "truncate"
  | "sync"
  | "stat"
  | "list"
  | "rename"
  | "unlink"
  | "makeDirectory"
  | "removeDirectory"
  | "syncDirectory"
  | "freeBytes"
  | "lock"

/**
 * How often operations fail, are short or are slow. Rates are probabilities per operation, from 0 to 1; 0 by default.
 */
export interface Faults {
  /** The rates of failures with `Io`. */
  readonly errorRates?: Partial<Readonly<Record<Operation, number>>>
  /** The share of failing syncs that leave the file stuck. */
  readonly stuckSyncRate?: number
  readonly shortReadRate?: number
  readonly shortWriteRate?: number
  readonly slowRate?: number
  /** The longest sleep of a slow operation, in whole milliseconds; 1 second by default. */
  readonly slowMax?: Duration.Input
}

/** Throws when the longest sleep of these faults is no duration. `name` is that of the argument. */
export const requireFaults = (name: string, faults: Faults): Faults => {
  requireDuration(`${name}.slowMax`, faults.slowMax ?? defaultSlowMax, 1)
  return faults
}

const defaultSlowMax = "1 second"

/** Decides for one operation after the other what goes wrong. */
export class FaultPlan {
  faults: Faults
  readonly told = new ToldFailures<Operation, DiskReason["_tag"]>()
  readonly #random: SeededRandom

  constructor(random: SeededRandom, faults: Faults) {
    this.#random = random
    this.faults = faults
  }

  /** Removes all told failures and all rates: from now on nothing goes wrong. */
  forget(): void {
    this.told.forget()
    this.faults = {}
  }

  /**
   * Gives the reason why this operation fails; undefined if it does not. Uses up a failure that was told for one time.
   */
  failureOf(operation: Operation, path: string): DiskReason["_tag"] | undefined {
    const told = this.told.next(operation, path)
    if (told !== undefined) return told
    return this.#draw(this.faults.errorRates?.[operation]) ? "Io" : undefined
  }

  /** Decides whether a sync that fails now leaves its file stuck. */
  leavesStuck(): boolean {
    return this.#draw(this.faults.stuckSyncRate)
  }

  /** Decides how long this operation sleeps; 0 if it is not slow. */
  sleepMillis(): number {
    return this.#draw(this.faults.slowRate)
      ? 1 + this.#random.below(Duration.toMillis(this.faults.slowMax ?? defaultSlowMax))
      : 0
  }

  /** Decides how many of the bytes this read takes. */
  readBytes(bytes: number): number {
    return this.#shortened(bytes, this.faults.shortReadRate)
  }

  /** Decides how many of the bytes this write takes. */
  writeBytes(bytes: number): number {
    return this.#shortened(bytes, this.faults.shortWriteRate)
  }

  #shortened(bytes: number, rate: number | undefined): number {
    return bytes > 1 && this.#draw(rate) ? 1 + this.#random.below(bytes - 1) : bytes
  }

  #draw(rate: number | undefined): boolean {
    return rate !== undefined && rate > 0 && this.#random.chance(rate)
  }
}
