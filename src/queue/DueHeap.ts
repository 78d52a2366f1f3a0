/**
 * The elements of a queue that wait, the one that is due first at the top: a binary heap, ordered by due time and then
 * by age.
 */

/** What waits. */
interface Due {
  /** In milliseconds of the store's time. */
  readonly dueAt: number
  /** Grows with every element; no two have the same. */
  readonly sequence: number
}

const isBefore = (a: Due, b: Due): boolean => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.sequence < b.sequence)

/** Pushing what is due last, as offers without a delay do, takes one comparison. */
export class DueHeap<A extends Due> {
  readonly #items: Array<A> = []

  get size(): number {
    return this.#items.length
  }

  /** What is due first. */
  get first(): A | undefined {
    return this.#items[0]
  }

  push(item: A): void {
    const items = this.#items
    let at = items.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(item, items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  /** Takes what is due first. */
  pop(): A | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (last === undefined || items.length === 0) return first
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && isBefore(items[child + 1]!, items[child]!)) child += 1
      if (!isBefore(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}
