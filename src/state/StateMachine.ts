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
 * 5. With snapshots the log need not keep what is in them: retention deletes events that are in the older one of the
 *    two newest snapshots, and none after it, also before the machine is opened again (promise 63).
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { Disk, DiskError } from "../disk/Disk.ts"
import { statePattern } from "../disk/FileNames.ts"
import { annotated } from "../internal/annotated.ts"
import { refuseArgument } from "../internal/arguments.ts"
import { messageOf } from "../internal/messageOf.ts"
import type { SizeInput } from "../internal/notations.ts"
import { callback, matching, requireOptions, size, whole } from "../internal/options.ts"
import { plainText } from "../internal/plainText.ts"
import type { Log } from "../recorder/Log.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Closed, Unencodable } from "../recorder/RecorderReason.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import { eventsBetween, lineOf } from "./EventLine.ts"
import { Snapshots } from "./Snapshots.ts"
import type { FoundSnapshot } from "./SnapshotStore.ts"
import { StateMachineError, StateUnencodable } from "./StateMachineError.ts"
import type { StateMachineReason } from "./StateMachineError.ts"

export { StateMachineError, StateUnencodable } from "./StateMachineError.ts"
export type { StateMachineReason } from "./StateMachineError.ts"

/**
 * What a machine is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<
  in out Event,
  out Encoding,
  out Decoding,
  S extends Schema.Constraint,
  out E = never,
  out R = never
> {
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
  /** Tells machines over one log apart, and names their snapshots: 1 to 48 of a-z, 0-9 and `-`. Default: `state`. */
  readonly name?: string
  /**
   * When a snapshot is written, in the background: after so many bytes of events, or so many events, since the one
   * before. With `{}` only `StateMachine.snapshot` writes one, and until there are two nothing is deleted from the log.
   * Default: after 16 MiB of events, or as many bytes as the snapshot before has if that is more.
   */
  readonly snapshotEvery?: { readonly bytes?: SizeInput; readonly events?: number }
  /** The version of the state: change it when the schema or what `apply` does changes. Default: 1. */
  readonly version?: number
  /**
   * Makes a state of the JSON of a snapshot of another version. Without it such a snapshot is not used, and the whole
   * log is folded: as long as retention has left all of it.
   */
  readonly migrate?: (state: unknown, version: number) => Effect.Effect<S["Type"], E, R>
}

/**
 * With what a machine began.
 *
 * @since 0.1.0
 * @category models
 */
export interface StateRecovery {
  /** The last event that is in the snapshot; 0 when there was none to begin with. */
  readonly snapshotEventId: number
  /** How many events were folded after it. */
  readonly foldedEvents: number
  /** Snapshots that were not used, each with the reason, as they were logged. */
  readonly notUsed: ReadonlyArray<string>
}

/**
 * A snapshot that is durable.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** The last event that is in it; 0 before the first event, of which no snapshot is written. */
  readonly eventId: number
  /** Of its file. */
  readonly bytes: number
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
  /** Writes a snapshot now, unless the newest one has every event; succeeds when it is durable. */
  readonly snapshot: Effect.Effect<Snapshot, StateMachineError>
  readonly recovery: StateRecovery
}

const nameField = matching(statePattern, "1 to 48 of a-z, 0-9 and -")

const Fields = Schema.Struct({
  log: Schema.declare((value): value is object => typeof value === "object" && value !== null && "codec" in value),
  state: Schema.declare((value): value is Schema.Constraint => Schema.isSchema(value)),
  initial: Schema.Unknown,
  apply: callback<(state: never, event: never) => unknown>(),
  name: Schema.optional(nameField),
  snapshotEvery: Schema.optional(Schema.Struct({
    bytes: Schema.optional(size(1, Number.MAX_SAFE_INTEGER)),
    events: Schema.optional(whole("count", 1, Number.MAX_SAFE_INTEGER))
  })),
  version: Schema.optional(whole("number", 0, Number.MAX_SAFE_INTEGER)),
  migrate: Schema.optional(callback<(state: unknown, version: number) => Effect.Effect<unknown, unknown, unknown>>())
})

/** After a snapshot that could not be written. */
const retrying = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("1 minute")])

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
export const make = Effect.fnUntraced(function*<
  Event,
  Encoding,
  Decoding,
  S extends Schema.Constraint,
  E = never,
  R = never
>(
  options: Options<Event, Encoding, Decoding, S, E, R>
): Effect.fn.Return<
  StateMachine<S["Type"], Event>,
  StateMachineError | E,
  Scope.Scope | Encoding | Decoding | S["EncodingServices"] | S["DecodingServices"] | R
> {
  type State = S["Type"]
  const { snapshotEvery: every } = requireOptions("options", Fields, options)
  const { apply, initial, log, migrate, name = "state", version = 1 } = options
  const { maintainer, recorder } = log
  const services = yield* Effect.context<Encoding | Decoding | S["EncodingServices"]>()
  const arena = Context.get(log.parts, SegmentArena)
  const line = lineOf(log)

  let state = typeof initial === "function" ? (initial as () => State)() : initial
  /** Why every call fails from now on. */
  let ended: Cause.Cause<StateMachineError> | undefined

  const stateCodec = Schema.toCodecJson(options.state)
  const encodeState = Schema.encodeUnknownEffect(stateCodec)
  const decodeState = Schema.decodeUnknownEffect(stateCodec)
  const snapshots = new Snapshots(
    maintainer.directory,
    // Segments of format 1 do not tell of which log they are.
    { name, version, walId: arena.layout.version === 1 ? "" : Buffer.from(Arena.walId(arena)).toString("hex") },
    every && { bytes: every.bytes ?? Number.POSITIVE_INFINITY, events: every.events ?? Number.POSITIVE_INFINITY }
  )
  const isDue = Latch.makeUnsafe()

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
    apply: (event: Event, bytes: number): void => {
      if (ended !== undefined) return
      if (snapshots.count(bytes)) isDue.openUnsafe()
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
          onAppended: () => events.forEach((event, index) => line.apply(event, bytes[index]!.length))
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

  /** The JSON of the state. It takes its time at once, so nothing changes the state meanwhile. */
  const stateText = Effect.suspend(() => encodeState(state)).pipe(
    Effect.provideContext(services),
    Effect.flatMap((json) => Effect.try({ try: () => JSON.stringify(json), catch: (cause) => cause })),
    Effect.mapError((cause) => failure(new StateUnencodable({ detail: messageOf(cause) })))
  )

  const taking = Effect.gen(function*() {
    yield* catchUp
    yield* live
    const eventId = line.appliedId
    const { newest } = snapshots
    if (eventId === 0 || newest?.eventId === eventId) return { ...newest ?? { eventId, bytes: 0 }, write: undefined }
    const { bytes, write } = snapshots.take(eventId, yield* stateText)
    return { eventId, bytes, write }
  })

  const oneSnapshot = Semaphore.makeUnsafe(1)
  const snapshot = Effect.gen(function*() {
    const { bytes, eventId, write } = yield* line.lock.withPermit(taking)
    if (write !== undefined) {
      // A crash could lose what is not durable, and give its ids to other events.
      yield* orEnd(log.commitTo(eventId))
      yield* Effect.mapError(Effect.provideService(write(hold), Disk, log.disk), failure)
    }
    return { eventId, bytes }
  }).pipe(oneSnapshot.withPermit)

  const snapshotWhenDue = Effect.gen(function*() {
    yield* isDue.await
    isDue.closeUnsafe()
    if (snapshots.isDue) {
      yield* snapshot.pipe(
        Effect.tapError(({ message }) => Effect.logWarning(`a snapshot was not written: ${message}`)),
        Effect.retry({ schedule: retrying, while: () => ended === undefined }),
        Effect.ignore
      )
    }
  })

  if (line.has(name)) refuseArgument("options.name", name, "one that no other open machine over this log has")
  const said = annotated("StateMachine", maintainer.directory)
  const hold = yield* Effect.mapError(maintainer.holdDurably({ name: `_state-${name}` }), failure)

  const notUsed: Array<string> = []
  const used = Effect.fnUntraced(function*({ head, json }: FoundSnapshot) {
    if (head.version !== version) {
      return migrate === undefined
        ? `it has version ${head.version} of the state, and there is no migrate`
        : { state: yield* migrate(json, head.version) }
    }
    return yield* Effect.match(decodeState(json), {
      onFailure: ({ message }) => `it does not fit the schema of the state: ${message}`,
      onSuccess: (state) => ({ state })
    })
  })
  const loaded = yield* snapshots.load(Arena.durableEventId(arena), used, (file, why) => {
    const line = plainText(`the snapshot ${file} of the state machine ${name} is not used: ${why}`)
    notUsed.push(line)
    return said(Effect.logWarning(line))
  }).pipe(
    Effect.provideService(Disk, log.disk),
    Effect.mapError((error) => isDiskError(error) ? failure(error) : error)
  )
  state = loaded === undefined ? state : loaded.state
  const snapshotEventId = loaded?.eventId ?? 0

  let foldedId = snapshotEventId
  const foldTo = (id: number) =>
    eventsBetween(log, foldedId + 1, id, (event, bytes) => {
      applier.apply(event, bytes)
      foldedId += 1
    })

  yield* Effect.provideContext(
    Effect.gen(function*() {
      // Most of it without the lock, so other machines over this log continue meanwhile.
      yield* foldTo(Arena.durableEventId(arena))
      yield* line.lock.withPermit(Effect.gen(function*() {
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
  yield* Effect.forkScoped(said(Effect.forever(snapshotWhenDue)))

  const recovery = { snapshotEventId, foldedEvents: foldedId - snapshotEventId, notUsed }
  return { get: read((state) => state), read, update, changes, snapshot, recovery }
})

const isDecision = (value: unknown): value is Decision<unknown, unknown> =>
  Array.isArray(value) && value.length === 2 && typeof value[1] === "object" && value[1] !== null &&
  Symbol.iterator in value[1]

const isDiskError = (error: unknown): error is DiskError => error instanceof DiskError

const isNotEmpty = <A>(values: ReadonlyArray<A>): values is Arr.NonEmptyReadonlyArray<A> => values.length > 0
