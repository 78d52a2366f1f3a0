/**
 * What one consumer has been given and has done, over all lives, kept in the plainest way there is, and the rulings on
 * what it may be given next and on what its position may say.
 */
import { Violation } from "../Trace.ts"

export class ConsumerWatch {
  readonly name: string
  /** It may lose what is too far behind. */
  readonly isBounded: boolean
  /** Every event up to this one is done, or was not to be done: it was before the beginning, or gone. */
  doneThrough = 0
  /** The position was durable here: nothing up to it comes again. */
  durableThrough = 0
  /** Its file is gone, or wrong: then it begins anew. */
  isForgotten = true
  readonly #done = new Set<number>()
  #next: number | undefined

  constructor(name: string, isBounded: boolean) {
    this.name = name
    this.isBounded = isBounded
  }

  /** A consumer has the name, and its position is this. The oldest event that nothing was about to delete, if known. */
  opened(eventId: number, oldestEventId: number | undefined): void {
    if (this.isForgotten) {
      // What nothing holds may be deleted: it begins with what is left.
      if (oldestEventId !== undefined && eventId >= oldestEventId) {
        throw new Violation(`${this.name} begins after ${eventId}, and the oldest event is ${oldestEventId}`)
      }
      this.#done.clear()
      this.doneThrough = eventId
      this.durableThrough = 0
      this.isForgotten = false
    }
    this.position(eventId, "when it is opened")
    if (eventId < this.durableThrough) {
      throw new Violation(`${this.name} begins at ${eventId}, and ${this.durableThrough} was durable`)
    }
  }

  /** The position, as the directory has it. */
  position(eventId: number, when: string): void {
    if (eventId > this.doneThrough) {
      throw new Violation(`${this.name} has the position ${eventId} ${when}, and only ${this.doneThrough} is done`)
    }
  }

  /** The position is durable up to here. */
  acknowledged(eventId: number): void {
    this.position(eventId, "acknowledged")
    this.durableThrough = Math.max(this.durableThrough, eventId)
  }

  /** A reading begins after this position. */
  begins(eventId: number): void {
    this.#next = eventId + 1
  }

  given(eventId: number, durableEventId: number): void {
    if (eventId !== this.#next) throw new Violation(`${this.name} was given ${eventId} where ${this.#next} comes next`)
    if (eventId <= this.durableThrough) {
      throw new Violation(`${this.name} was given ${eventId} again, and ${this.durableThrough} was durable`)
    }
    if (eventId > durableEventId) {
      throw new Violation(`${this.name} was given ${eventId}, durable is ${durableEventId}`)
    }
    this.#next = eventId + 1
  }

  done(eventId: number): void {
    this.#done.add(eventId)
    while (this.#done.delete(this.doneThrough + 1)) this.doneThrough += 1
  }

  /** These events are gone before it has read them. */
  missing(firstEventId: number, lastEventId: number): void {
    if (!this.isBounded) throw new Violation(`${this.name} misses ${firstEventId} to ${lastEventId}, which were held`)
    if (firstEventId !== this.#next) {
      throw new Violation(`${this.name} was told that ${firstEventId} is gone where ${this.#next} comes next`)
    }
    for (let id = firstEventId; id <= lastEventId; id++) this.done(id)
    this.#next = lastEventId + 1
  }
}
