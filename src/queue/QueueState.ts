/**
 * The queues of a log, folded from its events.
 *
 * An element is open, done or dead. What is done has left, but for an id that its caller gave: that one is kept for
 * de-duplication until it is cleaned up. What is dead stays, with why, until it is cleaned up.
 *
 * Whether an open element is taken is not part of the record: a take only counts an attempt. So after a restart every
 * open element waits. Which ones wait is known to `Waiting`, which begins when the log has been folded.
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { invariant } from "../internal/invariant.ts"
import type { Element } from "./Element.ts"
import type { QueueEvent } from "./QueueEvent.ts"
import type { Waiting } from "./Waiting.ts"

/** All queues of a log. */
export class QueueState {
  /** By the names of queues: every element that is known there by its id, so a second offer of it is ignored. */
  readonly queues = new Map<string, Map<string, Element>>()
  readonly open = new Map<number, Element>()
  /** In the order in which they ended. */
  readonly done = new Map<number, Element>()
  readonly dead = new Map<number, Element>()
  offers = 0
  /** The latest time of an event. */
  lastAt = 0
  /** The open elements that are not taken; from when the log has been folded. */
  waiting: Waiting | undefined

  has(queue: string, id: string): boolean {
    return this.queues.get(queue)?.has(id) === true
  }

  apply(event: QueueEvent): void {
    if (event.type === "offer") return this.#offer(event)
    if (event.type === "clean") return this.#clean(event)
    const element = this.open.get(event.sequence)
    invariant(element !== undefined, `element ${event.sequence} is open when the log tells of it`)
    switch (event.type) {
      case "take":
        element.attempts += 1
        this.waiting?.remove(element)
        return
      case "back":
        element.attempts -= 1
        this.waiting?.add(element)
        return
      case "retry":
        element.dueAt = event.dueAt
        this.waiting?.add(element)
        return
      case "done":
        return this.#end(element, event.at)
      case "dead":
        this.waiting?.remove(element)
        element.failure = event.failure
        return this.#die(element, event.at)
    }
  }

  /** Puts an element where it belongs. */
  add(element: Element): void {
    let queue = this.queues.get(element.queue)
    if (queue === undefined) {
      queue = new Map()
      this.queues.set(element.queue, queue)
    }
    queue.set(element.id, element)
    this[element.state].set(element.sequence, element)
  }

  #offer({ at, delay, element, id, isCustomId, queue }: Extract<QueueEvent, { type: "offer" }>): void {
    this.offers += 1
    this.#pass(at)
    const offered: Element = {
      sequence: this.offers,
      queue,
      id,
      isCustomId,
      element,
      attempts: 0,
      dueAt: at + delay,
      state: "open",
      endedAt: 0,
      failure: ""
    }
    this.add(offered)
    this.waiting?.add(offered)
  }

  #end(element: Element, at: number): void {
    this.#pass(at)
    this.open.delete(element.sequence)
    if (!element.isCustomId) return this.#forget(element)
    element.state = "done"
    element.endedAt = at
    element.element = ""
    this.done.set(element.sequence, element)
  }

  #die(element: Element, at: number): void {
    this.#pass(at)
    this.open.delete(element.sequence)
    element.state = "dead"
    element.endedAt = at
    this.dead.set(element.sequence, element)
  }

  #forget({ id, queue: name }: Element): void {
    const queue = this.queues.get(name)
    queue?.delete(id)
    if (queue?.size === 0) this.queues.delete(name)
  }

  #clean({ deadUntil, doneUntil }: Extract<QueueEvent, { type: "clean" }>): void {
    for (const [ended, until] of [[this.done, doneUntil], [this.dead, deadUntil]] as const) {
      for (const element of endedUntil(ended, until)) {
        ended.delete(element.sequence)
        this.#forget(element)
      }
    }
  }

  #pass(at: number): void {
    this.lastAt = Math.max(this.lastAt, at)
  }
}

/** Those that ended up to this time. */
export function* endedUntil(ended: ReadonlyMap<number, Element>, until: number): Generator<Element> {
  for (const element of ended.values()) {
    if (element.endedAt > until) return
    yield element
  }
}

const states = ["open", "done", "dead"] as const

/** A state as lines: the first has the counts, each of the others an element. */
const linesOf = ({ dead, done, lastAt, offers, open }: QueueState): ReadonlyArray<string> => {
  const lines = [JSON.stringify([offers, lastAt])]
  for (const elements of [open, done, dead]) {
    for (
      const { attempts, dueAt, element, endedAt, failure, id, isCustomId, queue, sequence, state } of elements.values()
    ) {
      const place = states.indexOf(state)
      const head = [sequence, queue, id, isCustomId ? 1 : 0, attempts, dueAt, place, endedAt, failure]
      lines.push(`${JSON.stringify(head)}\t${element}`)
    }
  }
  return lines
}

const Counts = Schema.fromJsonString(Schema.Tuple([Schema.Int, Schema.Number]))
const Head = Schema.fromJsonString(Schema.Tuple([
  Schema.Int,
  Schema.String,
  Schema.String,
  Schema.Literals([0, 1]),
  Schema.Int,
  Schema.Number,
  Schema.Literals([0, 1, 2]),
  Schema.Number,
  Schema.String
]))
const decodeCounts = Schema.decodeSync(Counts)
const decodeHead = Schema.decodeSync(Head)

const stateOf = ([counts = "", ...lines]: ReadonlyArray<string>): QueueState => {
  const state = new QueueState()
  const [offers, lastAt] = decodeCounts(counts)
  state.offers = offers
  state.lastAt = lastAt
  for (const line of lines) {
    const tab = line.indexOf("\t")
    const [sequence, queue, id, isCustomId, attempts, dueAt, place, endedAt, failure] = decodeHead(line.slice(0, tab))
    state.add({
      sequence,
      queue,
      id,
      isCustomId: isCustomId === 1,
      element: line.slice(tab + 1),
      attempts,
      dueAt,
      state: states[place],
      endedAt,
      failure
    })
  }
  return state
}

/** The schema of the state, for snapshots. */
export const QueueStateSchema = Schema.declare(
  (value): value is QueueState => value instanceof QueueState,
  {
    toCodecJson: () =>
      Schema.link<QueueState>()(
        Schema.Array(Schema.String),
        SchemaTransformation.transform({ decode: stateOf, encode: linesOf })
      )
  }
)
