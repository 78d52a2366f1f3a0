/**
 * What is to go wrong on the simulated disk, and when: at rates, by the seed, or when a test tells it. Told failures
 * come first, in the order in which they were told.
 */
import type { DiskReason } from "../disk/Disk.ts"
import type { SeededRandom } from "./SeededRandom.ts"

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
 * How often things go wrong. Rates are probabilities per operation, from 0 to 1; 0 when absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Faults {
  /** Failures with `Io`. */
  readonly errorRates?: Partial<Readonly<Record<Operation, number>>>
  /** Of the syncs that fail, the share that leaves the file stuck. */
  readonly stuckSyncRate?: number
  readonly shortReadRate?: number
  readonly shortWriteRate?: number
  readonly slowRate?: number
  /** The longest sleep of a slow operation; 1,000 when absent. */
  readonly slowMillisMax?: number
}

interface ToldFailure {
  readonly operation: Operation
  readonly reason: DiskReason
  readonly path: RegExp | undefined
  readonly isForEver: boolean
}

/**
 * What goes wrong with the operations that are asked about, one after the other.
 *
 * @since 0.1.0
 * @category models
 */
export class FaultPlan {
  faults: Faults
  readonly #random: SeededRandom
  #told: Array<ToldFailure> = []

  constructor(random: SeededRandom, faults: Faults) {
    this.#random = random
    this.faults = faults
  }

  /** One more failure to come, after those that were told before. */
  tell(failure: ToldFailure): void {
    this.#told.push(failure)
  }

  /** Nothing goes wrong from now on. */
  forget(): void {
    this.#told = []
    this.faults = {}
  }

  /** Why this operation fails; undefined when it does not. Uses up a failure that was told for once. */
  failureOf(operation: Operation, path: string): DiskReason | undefined {
    const index = this.#told.findIndex((failure) =>
      failure.operation === operation && (failure.path === undefined || path.search(failure.path) !== -1)
    )
    const failure = this.#told[index]
    if (failure !== undefined) {
      if (!failure.isForEver) this.#told.splice(index, 1)
      return failure.reason
    }
    return this.#draw(this.faults.errorRates?.[operation]) ? "Io" : undefined
  }

  /** Whether a sync that fails now leaves its file stuck. */
  leavesStuck(): boolean {
    return this.#draw(this.faults.stuckSyncRate)
  }

  /** How long this operation sleeps; 0 when it is not slow. */
  sleepMillis(): number {
    return this.#draw(this.faults.slowRate) ? 1 + this.#random.below(this.faults.slowMillisMax ?? 1000) : 0
  }

  /** How many of the bytes this read takes. */
  readBytes(bytes: number): number {
    return this.#shortened(bytes, this.faults.shortReadRate)
  }

  /** How many of the bytes this write takes. */
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
