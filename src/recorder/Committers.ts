/**
 * The callers that wait until an event is durable: a binary heap, so that the one with the lowest id is found at once
 * however many wait and in whatever order they came. Taking one out, or in, costs log2 of their number at most.
 */

/** A caller that waits until this event is durable. */
export interface Committer<Resume> {
  readonly eventId: number
  /** `undefined` after the caller was interrupted. */
  resume: Resume | undefined
}

/** The callers that wait. */
export class Committers<Resume> {
  #heap: Array<Committer<Resume>> = []
  /** How many of them were interrupted. */
  #left = 0

  /** How many wait. */
  get size(): number {
    return this.#heap.length - this.#left
  }

  add(committer: Committer<Resume>): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(committer)
    while (at > 0) {
      const parent = (at - 1) >>> 1
      const above = heap[parent]!
      if (above.eventId <= committer.eventId) break
      heap[at] = above
      at = parent
    }
    heap[at] = committer
  }

  /** Forgets a caller that was interrupted; what is left of such callers never outnumbers those that wait. */
  leave(committer: Committer<Resume>): void {
    if (committer.resume === undefined) return
    committer.resume = undefined
    this.#left += 1
    if (this.#left <= this.size) return
    // In the order of their ids they are a heap.
    this.#heap = this.#heap.filter(({ resume }) => resume !== undefined).sort((a, b) => a.eventId - b.eventId)
    this.#left = 0
  }

  /** Takes out the caller with the lowest id, if it waits for this event or an earlier one. */
  takeUpTo(eventId: number): Resume | undefined {
    while (true) {
      const first = this.#heap[0]
      if (first === undefined || first.eventId > eventId) return undefined
      this.#removeFirst()
      const { resume } = first
      if (resume !== undefined) {
        // It has its answer, and cannot leave any more.
        first.resume = undefined
        return resume
      }
      this.#left -= 1
    }
  }

  /** Takes out every caller, lowest id first. */
  takeAll(): ReadonlyArray<Committer<Resume>> {
    const all = this.#heap.filter(({ resume }) => resume !== undefined).sort((a, b) => a.eventId - b.eventId)
    this.#heap = []
    this.#left = 0
    return all
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()!
    const size = heap.length
    if (size === 0) return
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && heap[child + 1]!.eventId < heap[child]!.eventId) child += 1
      const below = heap[child]!
      if (below.eventId >= last.eventId) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}
