/** The elements that wait to be taken, and the takers that wait for one. */
import * as Latch from "effect/Latch"
import { DueHeap } from "./DueHeap.ts"
import type { Element } from "./Element.ts"

/** A taker that waits: its latch opens when it is to look again. */
export type Taker = Latch.Latch

interface Line {
  readonly elements: DueHeap<Element>
  /** The one that waits longest first. */
  readonly takers: Set<Taker>
}

/**
 * A line for each queue that has elements or takers. For every element that begins to wait one taker is woken, which
 * takes it, or waits until it is due. A taker that leaves wakes another, because it may have been the one.
 */
export class Waiting {
  readonly #lines = new Map<string, Line>()

  /** The element of a queue that is due first. */
  first(queue: string): Element | undefined {
    return this.#lines.get(queue)?.elements.first
  }

  /** How many elements of a queue wait. */
  count(queue: string): number {
    return this.#lines.get(queue)?.elements.size ?? 0
  }

  add(element: Element): void {
    const line = this.#line(element.queue)
    line.elements.push(element)
    wakeOne(line)
  }

  /** Removes an element if it is the first of its queue: no other is taken, or dies, while it waits. */
  remove(element: Element): void {
    const line = this.#lines.get(element.queue)
    if (line?.elements.first !== element) return
    line.elements.pop()
    this.#tidy(element.queue, line)
  }

  /** A taker begins to wait. */
  join(queue: string): Taker {
    const taker = Latch.makeUnsafe(false)
    this.#line(queue).takers.add(taker)
    return taker
  }

  /** A taker no longer waits; it looks again, unless it was interrupted. */
  leave(queue: string, taker: Taker, isInterrupted: boolean): void {
    const line = this.#line(queue)
    line.takers.delete(taker)
    if (isInterrupted) wakeOne(line)
    this.#tidy(queue, line)
  }

  #line(queue: string): Line {
    let line = this.#lines.get(queue)
    if (line === undefined) {
      line = { elements: new DueHeap(), takers: new Set() }
      this.#lines.set(queue, line)
    }
    return line
  }

  #tidy(queue: string, { elements, takers }: Line): void {
    if (elements.size === 0 && takers.size === 0) this.#lines.delete(queue)
  }
}

const wakeOne = ({ takers }: Line): void => {
  for (const taker of takers) {
    takers.delete(taker)
    taker.openUnsafe()
    return
  }
}
