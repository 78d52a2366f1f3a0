/**
 * What happened in a run, line by line, and a hash of all of it: two runs that did the same have the same hash.
 */

/** The simulation has caught the code at breaking a promise. */
export class Violation extends Error {
  override readonly name = "Violation"
}

/** So many lines are always kept, for a run that does not end. */
const recentMax = 6

export class Trace {
  /** The lines, when they are kept. */
  readonly lines: Array<string> = []
  /** Called once, right after so many lines have matched. */
  trap: { readonly pattern: RegExp; left: number; readonly spring: () => void } | undefined
  readonly #isKept: boolean
  readonly #recent: Array<string> = []
  #count = 0
  #high = 0x811c9dc5
  #low = 0x01000193

  constructor(isKept: boolean) {
    this.#isKept = isKept
  }

  add(line: string): void {
    let high = this.#high
    let low = this.#low
    for (let at = 0; at < line.length; at++) {
      const unit = line.charCodeAt(at)
      high = Math.imul(high ^ unit, 0x01000193)
      low = Math.imul(low ^ unit, 0x85ebca6b) ^ (high >>> 15)
    }
    this.#high = high
    this.#low = low
    if (this.#isKept) this.lines.push(line)
    this.#recent[this.#count++ % recentMax] = line
    const { trap } = this
    if (trap === undefined || !trap.pattern.test(line)) return
    trap.left -= 1
    if (trap.left > 0) return
    this.trap = undefined
    trap.spring()
  }

  /** The last lines, oldest first. */
  get recent(): ReadonlyArray<string> {
    const at = this.#count % recentMax
    return [...this.#recent.slice(at), ...this.#recent.slice(0, at)]
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, "0") + (this.#low >>> 0).toString(16).padStart(8, "0")
  }
}
