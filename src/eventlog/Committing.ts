/**
 * Decides and commits over one log, one after the other: the next one decides when the events of the one before are
 * applied, and while they become durable. So callers share commits. What is published is durable, and comes in the
 * order of the log.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { SizeInput } from "../internal/notations.ts"
import type { Log } from "../recorder/Log.ts"
import { overBytes } from "../state/overBytes.ts"
import * as StateMachine from "../state/StateMachine.ts"
import { Folded, schemaOf } from "./Folded.ts"
import type { State } from "./Folded.ts"
import { codecOf, sizeOf } from "./Lines.ts"
import type { Kind, Marked } from "./Lines.ts"

/**
 * When snapshots are written. Between them a start folds the events of the log, and retention keeps them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** As `StateMachine.Options.snapshotEvery`. Default: after 16 MiB, or as many bytes as the last snapshot has. */
  readonly snapshotEvery?: { readonly bytes?: SizeInput; readonly events?: number }
}

/** What a caller decides by the state. */
export interface Decided<A, Event> {
  readonly answer: A
  readonly events: ReadonlyArray<Event>
  /** Called when the events are durable, after those of all commits before. */
  readonly publish?: () => void
}

export interface Committing<S, Event> {
  /** The state as it is, which may not be durable. */
  readonly state: S
  /** Looks at the state, and answers when all of it is durable. */
  readonly read: <A>(f: (state: S) => A) => Effect.Effect<A, StateMachine.StateMachineError>
  /**
   * Begins a commit, which goes on when nobody waits for it. All of its events count, or none, however many they are.
   * Gives what waits for it: it succeeds with the answer when everything that was decided on, and the events, are
   * durable.
   */
  readonly begin: <A>(
    decide: (state: S) => Decided<A, Event>
  ) => Effect.Effect<Effect.Effect<A, StateMachine.StateMachineError>>
  /** Ends when the events of every commit that has begun are in the state, or refused. */
  readonly idle: Effect.Effect<void>
  /** Fails when one of these events can never be appended. Appends nothing. */
  readonly check: (events: ReadonlyArray<Event>) => Effect.Effect<void, StateMachine.StateMachineError>
}

/** What waits to be published, in the order of the log. */
class Publishing {
  readonly #line: Array<{ readonly turn: number; readonly publish: () => void }> = []
  #turn = 0

  join(publish: (() => void) | undefined): number {
    this.#turn += 1
    if (publish !== undefined) this.#line.push({ turn: this.#turn, publish })
    return this.#turn
  }

  /** Everything up to this turn is durable. */
  publish(turn: number): void {
    while (this.#line.length > 0 && this.#line[0]!.turn <= turn) this.#line.shift()!.publish()
  }
}

/** Folds the log, and commits to it. It ends with the scope. */
export const make = Effect.fnUntraced(function*<S extends State<Event>, Event>(
  bytes: Log<Uint8Array>,
  { initial, kind, name, ...options }: Options & {
    readonly name: string
    readonly kind: Kind<Event>
    readonly initial: () => S
  }
): Effect.fn.Return<Committing<S, Event>, StateMachine.StateMachineError, Scope.Scope> {
  const scope = yield* Effect.scope
  const log = yield* overBytes(name, bytes, codecOf(kind))
  const { writer } = log.recorder
  /** The events that are being appended: how many are not applied yet, and what is done then. */
  let appending: { left: number; readonly onApplied: () => void } | undefined
  const machine = yield* StateMachine.make({
    ...options,
    log,
    name,
    state: schemaOf(kind, initial),
    initial: () => new Folded<S, Event>(initial()),
    apply: (folded: Folded<S, Event>, marked: Marked<Event>) => {
      folded.apply(marked)
      if (appending !== undefined && --appending.left === 0) {
        const { onApplied } = appending
        appending = undefined
        onApplied()
      }
      return folded
    }
  })
  // It is changed in place, so it stays the same.
  const folded = yield* machine.get
  const publishing = new Publishing()
  const settled = machine.read(() => undefined)

  const append = (part: ReadonlyArray<Marked<Event>>, onApplied?: () => void) =>
    machine.update(() => {
      appending = onApplied === undefined ? undefined : { left: part.length, onApplied }
      return [undefined, part]
    })

  const spaceOf = (marked: Marked<Event>): number => sizeOf(kind, marked) + writer.prefixBytes

  /** The batches in which events are appended. */
  const partsOf = (events: ReadonlyArray<Event>): ReadonlyArray<ReadonlyArray<Marked<Event>>> => {
    const all = events.map((event): Marked<Event> => ({ type: "one", event }))
    const drop: ReadonlyArray<Marked<Event>> = folded.open === undefined ? [] : [{ type: "drop" }]
    const spaces = all.map(spaceOf)
    const whole: Marked<Event> = { type: "whole", count: all.length }
    const marks = [...drop, whole]
    const marksSpace = marks.reduce((sum, mark) => sum + spaceOf(mark), 0)
    const isOne = spaces.reduce((sum, space) => sum + space, marksSpace) <= writer.batchBytesMax &&
      all.length + marks.length <= writer.batchEventsMax
    if (isOne) return [[...drop, ...all]]
    const parts: Array<Array<Marked<Event>>> = [marks]
    let space = marksSpace
    all.forEach((marked, index) => {
      if (space + spaces[index]! > writer.batchBytesMax || parts.at(-1)!.length >= writer.batchEventsMax) {
        parts.push([])
        space = 0
      }
      parts.at(-1)!.push(marked)
      space += spaces[index]!
    })
    return parts
  }

  const check: Committing<S, Event>["check"] = (events) => {
    const tooLarge = events.find((event) => sizeOf(kind, { type: "one", event }) > writer.eventBytesMax)
    // The recorder refuses it, and knows what to say.
    return tooLarge === undefined ? Effect.void : append([{ type: "one", event: tooLarge }])
  }

  /** Ends when the events of the commit that began last are applied. */
  let last = Deferred.makeUnsafe<void>()
  Deferred.doneUnsafe(last, Exit.void)

  const begin: Committing<S, Event>["begin"] = (decide) =>
    Effect.suspend(() => {
      const before = last
      const own = last = Deferred.makeUnsafe<void>()
      const run = Effect.gen(function*() {
        yield* Deferred.await(before)
        const { answer, events, publish } = decide(folded.state)
        let turn = 0
        const onApplied = () => {
          turn = publishing.join(publish)
          Deferred.doneUnsafe(own, Exit.void)
        }
        if (events.length > 0) {
          yield* check(events)
          const parts = partsOf(events)
          for (const part of parts.slice(0, -1)) yield* append(part)
          yield* append(parts.at(-1)!, onApplied)
        } else {
          onApplied()
          yield* settled
        }
        publishing.publish(turn)
        return answer
      })
      return Effect.map(Effect.forkIn(run, scope, { startImmediately: true }), (fiber) => {
        fiber.addObserver(() => Deferred.doneUnsafe(own, Exit.void))
        // What is begun after the end of the scope fails as the machine does.
        return Effect.catchCause(Fiber.join(fiber), (cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.andThen(settled, Effect.failCause(cause))
            : Effect.failCause(cause))
      })
    })

  const idle = Effect.suspend(() => Deferred.await(last))

  return { state: folded.state, read: (f) => machine.read(({ state }) => f(state)), begin, idle, check }
})
