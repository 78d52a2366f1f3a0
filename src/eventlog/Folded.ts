/**
 * A state that is folded from marked events: those of a commit that takes several batches count when the last one is
 * there.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { invariant } from "../internal/invariant.ts"
import { ofRow, rowOf } from "./Lines.ts"
import type { Kind, Marked } from "./Lines.ts"

/** What events are folded into. It is changed in place. */
export interface State<Event> {
  readonly apply: (event: Event) => void
  /** Events that make the same state, for snapshots. */
  readonly events: () => Iterable<Event>
}

export class Folded<S extends State<Event>, Event> {
  readonly state: S
  /** A commit whose last event is not there yet. */
  open: { readonly count: number; readonly events: Array<Event> } | undefined

  constructor(state: S) {
    this.state = state
  }

  apply(marked: Marked<Event>): void {
    if (marked.type === "drop") {
      this.open = undefined
      return
    }
    if (marked.type === "whole") {
      invariant(this.open === undefined, "a whole begins within another")
      this.open = { count: marked.count, events: [] }
      return
    }
    if (this.open === undefined) return this.state.apply(marked.event)
    const { count, events } = this.open
    if (events.push(marked.event) < count) return
    this.open = undefined
    for (const event of events) this.state.apply(event)
  }

  /** Marked events that make the same. */
  *marked(): Generator<Marked<Event>, void, void> {
    for (const event of this.state.events()) yield { type: "one", event }
    if (this.open === undefined) return
    yield { type: "whole", count: this.open.count }
    for (const event of this.open.events) yield { type: "one", event }
  }
}

/** The schema of a folded state, for snapshots: the events that make it. */
export const schemaOf = <S extends State<Event>, Event>(kind: Kind<Event>, initial: () => S) =>
  Schema.declare((value): value is Folded<S, Event> => value instanceof Folded, {
    toCodecJson: () =>
      Schema.link<Folded<S, Event>>()(
        Schema.Array(Schema.Json),
        SchemaTransformation.transformEffect({
          decode: (rows) => {
            const folded = new Folded<S, Event>(initial())
            for (const row of rows) {
              const marked = ofRow(kind, row)
              if (marked === undefined) {
                return Effect.fail(new SchemaIssue.InvalidValue({ message: `it is no state of ${kind.of}` }))
              }
              folded.apply(marked)
            }
            return Effect.succeed(folded)
          },
          encode: (folded) => Effect.succeed(Array.from(folded.marked(), (marked) => rowOf(kind, marked)))
        })
      )
  })
