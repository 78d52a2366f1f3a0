/**
 * The queues of a log, folded from its events.
 *
 * An element is open, done or dead. What is done has left, but for an id that its caller gave: that one is kept for
 * de-duplication until it is cleaned up. What is dead stays, with why, until it is cleaned up.
 *
 * Whether an open element is taken is not part of the record: a take only counts an attempt. So after a restart every
 * open element waits. Which ones wait is known to `Waiting`, which begins when the log has been folded.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
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

/** A state as JSON: its counts, and a row for each element. */
const rowsOf = ({ dead, done, lastAt, offers, open }: QueueState): ReadonlyArray<Schema.Json> => {
  const rows: Array<Schema.Json> = [[offers, lastAt]]
  for (const elements of [open, done, dead]) {
    for (const element of elements.values()) {
      rows.push([
        element.sequence,
        element.queue,
        element.id,
        element.isCustomId ? 1 : 0,
        element.attempts,
        element.dueAt,
        states.indexOf(element.state),
        element.endedAt,
        element.failure,
        element.element
      ])
    }
  }
  return rows
}

const elementOf = (row: Schema.Json): Element | undefined => {
  if (!Array.isArray(row)) return undefined
  const [sequence, queue, id, isCustomId, attempts, dueAt, place, endedAt, failure, element]: Array<unknown> = row
  const state = states[Number(place)]
  return typeof sequence === "number" && typeof queue === "string" && typeof id === "string" &&
      typeof attempts === "number" && typeof dueAt === "number" && state !== undefined && typeof endedAt === "number" &&
      typeof failure === "string" && typeof element === "string"
    ? { sequence, queue, id, isCustomId: isCustomId === 1, attempts, dueAt, state, endedAt, failure, element }
    : undefined
}

const stateOf = ([counts, ...rows]: ReadonlyArray<Schema.Json>): QueueState | undefined => {
  const [offers, lastAt]: Array<unknown> = Array.isArray(counts) ? counts : []
  if (typeof offers !== "number" || typeof lastAt !== "number") return undefined
  const state = new QueueState()
  state.offers = offers
  state.lastAt = lastAt
  for (const row of rows) {
    const element = elementOf(row)
    if (element === undefined) return undefined
    state.add(element)
  }
  return state
}

/** The schema of the state, for snapshots. */
export const QueueStateSchema = Schema.declare(
  (value): value is QueueState => value instanceof QueueState,
  {
    toCodecJson: () =>
      Schema.link<QueueState>()(
        Schema.Array(Schema.Json),
        SchemaTransformation.transformEffect({
          decode: (rows) => {
            const state = stateOf(rows)
            return state === undefined
              ? Effect.fail(new SchemaIssue.InvalidValue({ message: "it is no state of queues" }))
              : Effect.succeed(state)
          },
          encode: (state) => Effect.succeed(rowsOf(state))
        })
      )
  }
)
