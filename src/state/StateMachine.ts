/**
 * A state that is folded from the events of a log: event sourcing in one process. An update looks at the state and
 * gives events; they are appended as one batch, applied at once, and the caller is answered when they are durable.
 *
 * What is guaranteed (the promises have the numbers of docs/RELIABILITY.md):
 *
 * 1. Nobody is answered with what is not durable: neither the answer of an update nor what a read has seen can be lost
 *    by a crash (promise 62).
 * 2. The events of an update are applied all or none, also by the machine that is opened after a crash (promise 48).
 * 3. Each update decides on a state that has every event before its own. So the state after a restart is the one that
 *    the same events have given before.
 * 4. A machine that cannot fold every event fails, with the reason. It never gives a state that lacks some.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { refuseArgument } from "../internal/arguments.ts"
import { callback, matching, requireOptions } from "../internal/options.ts"
import type { Log } from "../recorder/Log.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Closed, Unencodable } from "../recorder/RecorderReason.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { eventsBetween, lineOf } from "./EventLine.ts"
import { StateMachineError } from "./StateMachineError.ts"
import type { StateMachineReason } from "./StateMachineError.ts"

export { StateMachineError } from "./StateMachineError.ts"
export type { StateMachineReason } from "./StateMachineError.ts"

/**
 * What a machine is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<in out Event, out Encoding, out Decoding, S extends Schema.Constraint> {
  /** The log whose events are folded. Several machines may be made over one log, with different names. */
  readonly log: Log<Event, Encoding, Decoding>
  /** The schema of the state, for snapshots. */
  readonly state: S
  /** The state before the first event. Give a function when `apply` changes it in place. */
  readonly initial: S["Type"] | (() => S["Type"])
  /**
   * The state after an event. What it gives must depend on its arguments alone, and it must take every event: a machine
   * whose `apply` throws has ended, and throws again when it is opened. It may change the state in place and return it.
   */
  readonly apply: (state: S["Type"], event: Event) => S["Type"]
  /** Tells machines over one log apart. Default: `state`. */
  readonly name?: string
}

/**
 * What an update gives: the answer to its caller, and the events that are appended.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision<A, Event> = readonly [answer: A, events: Iterable<Event>]

/**
 * A state that is folded from the events of a log; see the opening of this module.
 *
 * @since 0.1.0
 * @category models
 */
export interface StateMachine<in out State, in out Event> {
  /** The state, when all of its events are durable. For states that `apply` does not change in place. */
  readonly get: Effect.Effect<State, StateMachineError>
  /** Calls `f` with the state at once, and gives what it returns when all that it saw is durable. */
  readonly read: <A>(f: (state: State) => A) => Effect.Effect<A, StateMachineError>
  /**
   * Decides by the state which events are appended. Updates decide one after the other, in the order of their calls;
   * the next one decides while the commit of the one before is under way, so many share a commit.
   *
   * - The events of one update are one batch: none of them, or all, with no other event between.
   * - An `f` that fails, dies or is interrupted has appended nothing. After its append an update can only stop waiting.
   * - An `f` that is an effect decides again when something else has appended to the log meanwhile.
   * - `f` must not change the state, and must not call `update` of a machine over the same log.
   *
   * Events that are refused (`RecorderError`: a batch too large for a block, an event that does not fit the schema)
   * change nothing. A commit that fails ends the machine: from then on every call fails with its error.
   */
  readonly update: <A, E = never, R = never>(
    f: (state: State) => Decision<A, Event> | Effect.Effect<Decision<A, Event>, E, R>
  ) => Effect.Effect<A, E | StateMachineError, R>
  /** The state now, and again after it has changed, when it is durable. States in between may be left out. */
  readonly changes: Stream.Stream<State, StateMachineError>
}

const nameField = matching(/^[a-z0-9][a-z0-9-]{0,63}$/, "1 to 64 of a-z, 0-9 and -")

const Fields = Schema.Struct({
  log: Schema.declare((value): value is object => typeof value === "object" && value !== null && "codec" in value),
  state: Schema.declare((value): value is Schema.Constraint => Schema.isSchema(value)),
  initial: Schema.Unknown,
  apply: callback<(state: never, event: never) => unknown>(),
  name: Schema.optional(nameField)
})

/**
 * Opens a machine: folds every event of the log. It ends with the scope.
 *
 * **Example** (An account that is never overdrawn)
 *
 * ```ts
 * import { Console, Effect, Schema } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { StateMachine } from "effect-wal/state"
 *
 * class Payments extends Wal.Service<Payments>()("app/Payments", { event: Schema.Struct({ cents: Schema.Int }) }) {}
 *
 * const program = Effect.gen(function*() {
 *   const account = yield* StateMachine.make({
 *     log: yield* Payments,
 *     state: Schema.Int,
 *     initial: 0,
 *     apply: (balance, { cents }) => balance + cents
 *   })
 *   const pay = (cents: number) =>
 *     account.update((balance) => balance + cents < 0 ? [false, []] : [true, [{ cents }]])
 *   yield* pay(100)
 *   yield* Console.log(yield* pay(-150)) // => false
 *   yield* Console.log(yield* account.get) // => 100
 * })
 *
 * await Effect.runPromise(
 *   Effect.scoped(program).pipe(
 *     Effect.provide(Payments.layer({ directory: "./log" })),
 *     Effect.provide(NodeDisk.layer)
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*<Event, Encoding, Decoding, S extends Schema.Constraint>(
  options: Options<Event, Encoding, Decoding, S>
): Effect.fn.Return<
  StateMachine<S["Type"], Event>,
  StateMachineError,
  Scope.Scope | Encoding | Decoding | S["EncodingServices"] | S["DecodingServices"]
> {
  type State = S["Type"]
  requireOptions("options", Fields, options)
  const { apply, initial, log, name = "state" } = options
  const { recorder } = log
  const services = yield* Effect.context<Encoding | Decoding>()
  const arena = Context.get(log.parts, SegmentArena)
  const line = lineOf(log)

  let state = typeof initial === "function" ? (initial as () => State)() : initial
  /** Why every call fails from now on. */
  let ended: Cause.Cause<StateMachineError> | undefined

  const failure = (reason: StateMachineReason) => new StateMachineError({ name, reason })

  const end = (cause: Cause.Cause<StateMachineError>): void => {
    line.leave(applier)
    ended ??= cause
  }

  /** What fails in this ends the machine; an interruption does not. */
  const orEnd = <A, R>(effect: Effect.Effect<A, StateMachineReason, R>): Effect.Effect<A, StateMachineError, R> =>
    Effect.mapError(effect, failure).pipe(
      Effect.onError((cause) => Effect.sync(() => Cause.hasInterruptsOnly(cause) || end(cause)))
    )

  const applier = {
    name,
    apply: (event: Event): void => {
      if (ended !== undefined) return
      try {
        state = apply(state, event)
      } catch (defect) {
        end(Cause.die(defect))
      }
    }
  }

  const live = Effect.suspend(() => ended === undefined ? Effect.void : Effect.failCause(ended))

  const catchUp = Effect.andThen(live, Effect.provideContext(orEnd(line.catchUp), services))

  /** Waits until every event up to this one is durable. */
  const settled = (id: number) =>
    Effect.suspend(() =>
      ended !== undefined
        ? Effect.failCause(ended)
        : Arena.durableEventId(arena) >= id
        ? Effect.void
        : Effect.andThen(orEnd(recorder.commitTo(id)), live)
    )

  const read = <A>(f: (state: State) => A): Effect.Effect<A, StateMachineError> => {
    const look = Effect.suspend(() => {
      const answer = f(state)
      return Effect.as(settled(line.appliedId), answer)
    })
    return Effect.andThen(
      Effect.suspend(() => line.isBehind ? line.lock.withPermit(catchUp) : live),
      look
    )
  }

  const encodeAll = (events: ReadonlyArray<Event>) =>
    Effect.forEach(events, (event) => log.codec.encode(event)).pipe(
      Effect.mapError(({ message }) => new RecorderError({ reason: new Unencodable({ detail: message }) })),
      Effect.provideContext(services)
    )

  /** Decides, and appends; gives the answer and the event after which it may be given. The caller has the lock. */
  const decide = Effect.fnUntraced(function*<A, E, R>(
    f: (state: State) => Decision<A, Event> | Effect.Effect<Decision<A, Event>, E, R>
  ) {
    while (true) {
      yield* catchUp
      yield* live
      const decidedOn = line.appliedId
      const decided = f(state)
      const decision = Effect.isEffect(decided) ? yield* decided : decided
      if (!isDecision(decision)) return refuseArgument("f", decision, "a function that returns [answer, events]")
      const events = [...decision[1]]
      const bytes = yield* Effect.mapError(encodeAll(events), failure)
      if (!isNotEmpty(bytes)) return { answer: decision[0], id: decidedOn }
      const isAppended = yield* Effect.mapError(
        recorder.appendAllUnless(bytes, {
          isStale: () => recorder.writer.lastEventId !== decidedOn,
          onAppended: () => events.forEach((event) => line.apply(event))
        }),
        failure
      )
      if (isAppended) return { answer: decision[0], id: line.appliedId }
    }
  })

  const update: StateMachine<State, Event>["update"] = (f) =>
    Effect.flatMap(
      line.lock.withPermit(decide(f)),
      ({ answer, id }) => Effect.as(settled(id), answer)
    )

  const changes = Stream.suspend(() => {
    let seenId = -1
    const next: Effect.Effect<State, StateMachineError> = Effect.suspend(() => {
      // Read before the state is, so a ring in between makes the next look come at once.
      const seen = Doorbell.readUnsafe(arena.durable)
      return Effect.flatMap(read((state) => ({ state, id: line.appliedId })), ({ id, state }) => {
        if (id === seenId) return Effect.flatMap(Doorbell.wait(arena.durable, seen), () => next)
        seenId = id
        return Effect.succeed(state)
      })
    })
    return Stream.fromEffectRepeat(next)
  })

  let foldedId = 0
  const foldTo = (id: number) =>
    eventsBetween(log, foldedId + 1, id, (event, id) => {
      applier.apply(event)
      foldedId = id
    })

  yield* Effect.provideContext(
    Effect.gen(function*() {
      // Most of it without the lock, so other machines over this log continue meanwhile.
      yield* foldTo(Arena.durableEventId(arena))
      yield* line.lock.withPermit(Effect.gen(function*() {
        if (line.has(name)) refuseArgument("options.name", name, "one that no other open machine over this log has")
        if (!line.isEmpty) yield* line.catchUp
        const lastId = line.isEmpty ? recorder.writer.lastEventId : line.appliedId
        if (foldedId < lastId) yield* log.flush
        yield* foldTo(lastId)
        if (ended === undefined) line.join(applier, lastId)
      }))
    }),
    services
  ).pipe(Effect.mapError(failure))
  yield* live
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => end(Cause.fail(failure(new RecorderError({ reason: new Closed() })))))
  )

  return { get: read((state) => state), read, update, changes }
})

const isDecision = (value: unknown): value is Decision<unknown, unknown> =>
  Array.isArray(value) && value.length === 2 && typeof value[1] === "object" && value[1] !== null &&
  Symbol.iterator in value[1]

const isNotEmpty = <A>(values: ReadonlyArray<A>): values is Arr.NonEmptyReadonlyArray<A> => values.length > 0
