/**
 * Effect's `PersistedQueue` over a log: queues that survive the process, without a database. {@link layer} is a
 * `PersistedQueueStore`, so everything that Effect builds on one (`PersistedQueue`, `DurableQueue`) works over it.
 *
 * What is guaranteed (the promise has the number of docs/RELIABILITY.md):
 *
 * 1. An element that was accepted is on disk, and is handed out until it is done or dead, whatever crashes in between.
 *    One that was acknowledged is never handed out again (promise 66).
 * 2. An attempt is on disk before its handler begins. So a handler that takes the process down uses up an attempt.
 * 3. Elements are handed out in the order in which they are due, each to one taker.
 * 4. Delays follow the elapsed time, so a wall clock that is set changes none. Across a restart the wall clock tells,
 *    but the store's time never goes back behind the last event.
 * 5. What is done leaves the state, but for an id that its caller gave, which is kept until `cleanup` forgets it.
 *
 * All elements that are not done are in memory.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { PersistedQueueError, PersistedQueueStore } from "effect/persistence/PersistedQueue"
import * as Predicate from "effect/Predicate"
import { types } from "node:util"
import { refuseArgument } from "../internal/arguments.ts"
import { elapsedMillisUnsafe } from "../internal/elapsed.ts"
import { messageOf } from "../internal/messageOf.ts"
import type { SizeInput } from "../internal/notations.ts"
import type { Log } from "../recorder/Log.ts"
import { overBytes } from "../state/overBytes.ts"
import * as StateMachine from "../state/StateMachine.ts"
import * as QueueEvent from "./QueueEvent.ts"
import { endedUntil, QueueState, QueueStateSchema } from "./QueueState.ts"
import { Waiting } from "./Waiting.ts"
import type { Taker } from "./Waiting.ts"

/**
 * How many elements of a queue are where.
 *
 * @since 0.1.0
 * @category models
 */
export interface QueueCounts {
  readonly name: string
  /** Those that wait, due or not. */
  readonly waiting: number
  /** Those that a taker has. */
  readonly taken: number
  /** Those that failed for the last time. */
  readonly dead: number
  /** Ids of those that are done, kept for de-duplication. */
  readonly done: number
}

/**
 * An element that failed for the last time, or did not fit the schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter {
  readonly queue: string
  readonly id: string
  /** As JSON decoded, before the schema of the queue decodes it. */
  readonly element: unknown
  readonly attempts: number
  /** Why: the failure of the last attempt, at most 4,096 characters of it. */
  readonly failure: string
}

/**
 * Looks into the queues of a log, for people and monitoring.
 *
 * @since 0.1.0
 * @category services
 */
export class Queues extends Context.Service<Queues, {
  /** Every queue that has an element or an id. */
  readonly counts: Effect.Effect<ReadonlyArray<QueueCounts>, PersistedQueueError>
  /** Those of a queue, the oldest first. */
  readonly deadLetters: (queue: string) => Effect.Effect<ReadonlyArray<DeadLetter>, PersistedQueueError>
}>()("effect-wal/queue/Queues") {}

const failureCharactersMax = 4096

/** Effect's factory ends a take with such an error when an element does not fit the schema: no attempt can succeed. */
const unfitTag = "~effect/persistence/PersistedQueue/DeadLetter"

const unfitCause = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> | undefined => {
  for (const reason of cause.reasons) {
    if (!Cause.isFailReason(reason) || !Predicate.isTagged(reason.error, unfitTag)) continue
    return "cause" in reason.error && Cause.isCause(reason.error.cause) ? reason.error.cause : cause
  }
  return undefined
}

/** A time at which nothing has ended. */
const never = -1

const failed = (what: string) => (cause: { readonly message: string }) =>
  new PersistedQueueError({ message: `${what}: ${cause.message}`, cause })

/** The JSON of an element. */
const jsonOf = (element: unknown): Effect.Effect<string, Error> =>
  Effect.try({
    try: () => {
      const text: string | undefined = JSON.stringify(element)
      if (text === undefined) throw new TypeError("it is nothing that JSON can say")
      return text
    },
    catch: (cause) => types.isNativeError(cause) ? cause : new Error(messageOf(cause))
  })

const hasAny = (elements: Iterator<unknown>): boolean => elements.next().done !== true

const requireText = (name: string, value: string): void => {
  if (typeof value !== "string") refuseArgument(name, value, "a string")
}

type Store = PersistedQueueStore["Service"]
type TakeOptions = Parameters<Store["take"]>[0]

/** An element that a taker has. */
interface Taken {
  readonly sequence: number
  readonly id: string
  readonly attempts: number
  readonly text: string
}

/** What a look at a queue came to: an element, a place in the line, or nothing, and then another look may find one. */
type Look = Taken | { readonly taker: Taker; readonly dueAt: number | undefined } | undefined

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

/**
 * A store of persisted queues over this log of bytes, which has nothing else in it.
 *
 * **Example** (A mail queue that survives)
 *
 * ```ts
 * import { Console, Effect, Layer, Schema } from "effect"
 * import { PersistedQueue } from "effect/persistence"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { WalQueue } from "effect-wal/queue"
 *
 * class MailLog extends Wal.Service<MailLog>()("app/MailLog") {}
 *
 * const QueuesLive = PersistedQueue.layer.pipe(
 *   Layer.provide(WalQueue.layer(MailLog)),
 *   Layer.provide(MailLog.layerWorker({ directory: "./mails" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.gen(function*() {
 *   const mails = yield* PersistedQueue.make({ name: "mails", schema: Schema.Struct({ to: Schema.String }) })
 *   yield* mails.offer({ to: "ada" }) // on disk from here on
 *   yield* mails.take(({ to }) => Console.log(`mail to ${to}`)) // => mail to ada
 * })
 *
 * await Effect.runPromise(Effect.provide(program, QueuesLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  log: Context.Key<Self, Log<Uint8Array>>,
  options: Options = {}
): Layer.Layer<PersistedQueueStore | Queues, StateMachine.StateMachineError, Self> =>
  Layer.effectContext(Effect.flatMap(log, (log) => make(log, options)))

const make = Effect.fnUntraced(function*(bytes: Log<Uint8Array>, options: Options) {
  const log = yield* overBytes("queue", bytes, QueueEvent.codec)
  const machine = yield* StateMachine.make({
    ...options,
    log,
    name: "queue",
    state: QueueStateSchema,
    initial: () => new QueueState(),
    apply: (state, event: QueueEvent.QueueEvent) => {
      state.apply(event)
      return state
    }
  })
  const clock = yield* Clock.Clock
  const waiting = new Waiting()
  const openedMillis = elapsedMillisUnsafe(clock)
  const openedAt = yield* machine.read((state) => {
    for (const element of state.open.values()) waiting.add(element)
    state.waiting = waiting
    return Math.max(clock.currentTimeMillisUnsafe(), state.lastAt)
  })

  /** The store's time, in milliseconds. */
  const exactNow = (): number => openedAt + elapsedMillisUnsafe(clock) - openedMillis
  const now = (): number => Math.floor(exactNow())
  /** When so much time will have passed, and not a moment before. */
  const timeAfter = (delay: Duration.Duration): number =>
    Duration.isPositive(delay)
      ? Math.min(Math.ceil(exactNow() + Duration.toMillis(delay)), Number.MAX_SAFE_INTEGER)
      : now()

  const offer: Store["offer"] = ({ delay, element, id, isCustomId, name }) =>
    Effect.suspend(() => {
      requireText("options.name", name)
      requireText("options.id", id)
      return Effect.flatMap(jsonOf(element), (text) =>
        machine.update((state) => {
          if (state.has(name, id)) return [undefined, []]
          const at = now()
          const dueAt = delay === undefined ? at : timeAfter(delay)
          return [undefined, [{ type: "offer", queue: name, id, isCustomId, at, delay: dueAt - at, element: text }]]
        }))
    }).pipe(Effect.mapError(failed("The element was not accepted")))

  const append = (event: QueueEvent.QueueEvent) => machine.update(() => [undefined, [event]])

  /** Records what has become of an attempt. */
  const settle = (
    sequence: number,
    attempts: number,
    { maxAttempts, retryDelay }: TakeOptions,
    exit: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void, StateMachine.StateMachineError> => {
    if (Exit.isSuccess(exit)) return append({ type: "done", sequence, at: now() })
    // A store that has ended records nothing; then the attempt counts, as that of a process that was killed.
    if (Cause.hasInterruptsOnly(exit.cause)) return Effect.ignore(append({ type: "back", sequence }))
    const unfit = unfitCause(exit.cause)
    if (unfit !== undefined || attempts >= maxAttempts) {
      const failure = Cause.pretty(unfit ?? exit.cause).slice(0, failureCharactersMax)
      return append({ type: "dead", sequence, at: now(), failure })
    }
    return Effect.flatMap(
      retryDelay(attempts),
      (delay) => append({ type: "retry", sequence, dueAt: timeAfter(delay) })
    )
  }

  /** Takes the first element if it is due. Otherwise a taker joins the line, before anything else can be offered. */
  const decide = ({ maxAttempts, name }: TakeOptions) => (): StateMachine.Decision<Look, QueueEvent.QueueEvent> => {
    const element = waiting.first(name)
    if (element === undefined || element.dueAt > now()) {
      return [{ taker: waiting.join(name), dueAt: element?.dueAt }, []]
    }
    const { sequence } = element
    if (element.attempts < maxAttempts) {
      // The text is read now: what follows the take in the log may change the element.
      const taken = { sequence, id: element.id, attempts: element.attempts + 1, text: element.element }
      return [taken, [{ type: "take", sequence }]]
    }
    return [undefined, [{ type: "dead", sequence, at: now(), failure: "the process ended in the last attempt" }]]
  }

  const take: Store["take"] = (options) =>
    Effect.uninterruptibleMask((restore) => {
      requireText("options.name", options.name)
      const { name } = options
      const next: Effect.Effect<Taken, StateMachine.StateMachineError> = Effect.flatMap(
        machine.update(decide(options)),
        (look) => {
          if (look === undefined) return next
          if ("sequence" in look) return Effect.succeed(look)
          const { dueAt, taker } = look
          const woken = dueAt === undefined
            ? taker.await
            : Effect.raceFirst(taker.await, Effect.sleep(Duration.millis(dueAt - now())))
          return Effect.andThen(
            Effect.onExit(
              restore(woken),
              (exit) => Effect.sync(() => waiting.leave(name, taker, Exit.isFailure(exit)))
            ),
            next
          )
        }
      )
      return Effect.flatMap(
        Effect.mapError(next, failed("No element was taken")),
        ({ attempts, id, sequence, text }) =>
          Effect.as(
            // A take that succeeds although this was not recorded would be handed out again after it was acknowledged.
            Effect.addFinalizer((exit) => Effect.orDie(settle(sequence, attempts, options, exit))),
            { id, attempts, element: JSON.parse(text) as unknown }
          )
      )
    })

  const cleanup: Store["cleanup"] = ({ failedTimeToLive, timeToLive }) =>
    machine.update(({ dead, done }) => {
      const doneUntil = now() - Duration.toMillis(timeToLive)
      const deadUntil = failedTimeToLive === undefined ? never : now() - Duration.toMillis(failedTimeToLive)
      const isNeeded = hasAny(endedUntil(done, doneUntil)) || hasAny(endedUntil(dead, deadUntil))
      return [undefined, isNeeded ? [{ type: "clean", doneUntil, deadUntil }] : []]
    }).pipe(Effect.mapError(failed("Nothing was cleaned up")))

  const counts = machine.read(({ queues }) =>
    Array.from(queues, ([name, elements]): QueueCounts => {
      const waits = waiting.count(name)
      const in_ = { open: 0, done: 0, dead: 0 }
      for (const { state } of elements.values()) in_[state] += 1
      return { name, waiting: waits, taken: in_.open - waits, dead: in_.dead, done: in_.done }
    })
  ).pipe(Effect.mapError(failed("The queues cannot be read")))

  const deadLetters = (queue: string) =>
    machine.read(({ dead }) =>
      Array.from(dead.values()).filter((element) => element.queue === queue).map((
        { attempts, element, failure, id }
      ): DeadLetter => ({ queue, id, element: JSON.parse(element) as unknown, attempts, failure }))
    ).pipe(Effect.mapError(failed("The queues cannot be read")))

  return Context.make(PersistedQueueStore, PersistedQueueStore.of({ offer, take, cleanup })).pipe(
    Context.add(Queues, Queues.of({ counts, deadLetters }))
  )
})
