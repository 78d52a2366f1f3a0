/**
 * A small generator of pseudo-random numbers (xoshiro128**, seeded through splitmix32). The same seed gives the same
 * numbers on every platform and in every version of the runtime. Do not use it for secrets.
 */
import { invariant } from "../internal/invariant.ts"

/** A generator and its state. */
export class SeededRandom {
  #a: number
  #b: number
  #c: number
  #d: number

  /** `seed` is a whole number of up to 53 bits. */
  constructor(seed: number) {
    invariant(Number.isSafeInteger(seed) && seed >= 0, `seed ${seed} is a whole number`)
    let state = (seed % 2 ** 32) | 0
    const high = Math.floor(seed / 2 ** 32)
    const splitmix32 = () => {
      state = (state + 0x9e3779b9) | 0
      let mixed = state ^ (state >>> 16)
      mixed = Math.imul(mixed, 0x21f0aaad)
      mixed ^= mixed >>> 15
      mixed = Math.imul(mixed, 0x735a2d97)
      return mixed ^ (mixed >>> 15)
    }
    this.#a = splitmix32()
    state = (state ^ high) | 0
    this.#b = splitmix32()
    this.#c = splitmix32()
    this.#d = splitmix32() | 1 // the state of xoshiro must not be all zeros
  }

  /** Draws a whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const fiveTimes = Math.imul(this.#b, 5)
    const result = Math.imul((fiveTimes << 7) | (fiveTimes >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  /** Draws a whole number from 0 to `limit - 1`; `limit` is at most 2^32. */
  below(limit: number): number {
    invariant(limit >= 1 && limit <= 2 ** 32, `limit ${limit} leaves a number to draw`)
    return Math.floor((this.uint32() / 2 ** 32) * limit)
  }

  /** Draws `true` with the given probability. */
  chance(probability: number): boolean {
    return this.uint32() / 2 ** 32 < probability
  }

  /** Puts the items into a random order, in place. */
  shuffle<A>(items: Array<A>): Array<A> {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1)
      const item = items[last]!
      items[last] = items[other]!
      items[other] = item
    }
    return items
  }
}
