/**
 * Hears what recorders of one log tell, and holds it together: what was acknowledged as replicated is under its id in
 * everything that anybody reads later, once, and whoever was taken over acknowledges nothing that his successor does not
 * have.
 */

/** An owner: its life, and the events that the log had when it became its own. */
interface Opened {
  readonly life: number
  readonly epoch: number
  readonly lastId: number
}

/** What all of them have told so far. Throws at the first promise that is broken. */
export class OwnerWitness {
  /** By id. */
  readonly acknowledged = new Map<number, string>()
  /** By epoch. */
  readonly opened: Array<Opened> = []
  readonly #idOf = new Map<string, number>()
  lastId = 0

  hear(line: string, life: number): void {
    const [word, ...words] = line.split(" ")
    if (word === "open") this.#open({ life, epoch: Number(words[0]), lastId: Number(words[1]) })
    else if (word === "replicated") this.#acknowledge(life, Number(words[0]), words.slice(1))
    else if (word === "has") this.compare(Number(words[0]), words.slice(1), `life ${life}`)
    else if (word === "failed" && words[0] !== "Fenced") {
      throw new Error(`a commit of life ${life} failed with ${words[0]}`)
    }
  }

  /** The life that has the log. */
  get owner(): number | undefined {
    return this.opened.at(-1)?.life
  }

  #open(opened: Opened): void {
    const { epoch, lastId, life } = opened
    if (this.opened.some((other) => other.epoch === epoch)) {
      throw new Error(`life ${life} has opened the log as epoch ${epoch}, and so has another`)
    }
    for (const other of this.opened.filter((other) => other.epoch < epoch)) {
      if (lastId < other.lastId) {
        throw new Error(`life ${life} opened the log at ${lastId}, and life ${other.life} before it at ${other.lastId}`)
      }
    }
    this.opened.push(opened)
    this.opened.sort((left, right) => left.epoch - right.epoch)
    for (const [id, name] of this.acknowledged) {
      if (id > lastId && this.#epochOf(Number(name.split("-")[0])) < epoch) {
        throw new Error(`event ${id} was acknowledged, and life ${life} opened the log at ${lastId}`)
      }
    }
  }

  #epochOf(life: number): number {
    const opened = this.opened.find((other) => other.life === life)
    if (opened === undefined) throw new Error(`life ${life} has acknowledged events, and never opened the log`)
    return opened.epoch
  }

  #acknowledge(life: number, first: number, names: ReadonlyArray<string>): void {
    const epoch = this.#epochOf(life)
    const successor = this.opened.find((other) => other.epoch > epoch)
    for (const [at, name] of names.entries()) {
      const id = first + at
      const before = this.acknowledged.get(id)
      if (before !== undefined) throw new Error(`event ${id} was acknowledged as ${before}, and now as ${name}`)
      if (successor !== undefined && id > successor.lastId) {
        throw new Error(
          `life ${life} has acknowledged event ${id}, and life ${successor.life} had opened the log at ${successor.lastId}`
        )
      }
      this.acknowledged.set(id, name)
      this.#idOf.set(name, id)
      this.lastId = Math.max(this.lastId, id)
    }
  }

  /** Holds what somebody has read, from an event on, to what was acknowledged. */
  compare(first: number, names: ReadonlyArray<string>, reader: string): void {
    for (const [at, name] of names.entries()) {
      const id = first + at
      const expected = this.acknowledged.get(id)
      if (expected !== undefined && expected !== name) {
        throw new Error(`event ${id} was acknowledged as ${expected}, and ${reader} has ${name} there`)
      }
      const other = this.#idOf.get(name)
      if (other !== undefined && other !== id) {
        throw new Error(`${name} was acknowledged under ${other}, and ${reader} has it under ${id}`)
      }
    }
  }
}
