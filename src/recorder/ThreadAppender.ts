/**
 * Appends from another thread. The thread that owns the recorder opens an appender and posts its memory; the other
 * thread attaches to it, appends without waiting, and commits. Between them is a ring of bytes (`ByteRing`): a fiber
 * beside the recorder takes the events out in order and appends them. Each thread has an appender of its own.
 *
 * The events of one thread are recorded in their order; those of several threads interleave. The recorder assigns the
 * ids.
 *
 * The ring knows which sizes the recorder takes, so an event that it would refuse does not come in. What it refuses
 * later all the same (it is down, or is to fail when it is full) does not stop the events after it: the event is taken
 * out, counted (`eventsRefused`), and reported by the next commit of the thread.
 *
 * @since 0.1.0
 */
import type * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { types } from "node:util"
import { requireBytes } from "../internal/arguments.ts"
import { requireOptions, size, withDefault } from "../internal/options.ts"
import * as ByteRing from "../shared/ByteRing.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { Recorder } from "./Recorder.ts"
import { RecorderError } from "./RecorderError.ts"
import {
  Backpressure,
  Closed,
  DiskFailing,
  DiskFull,
  Fenced,
  LogExhausted,
  MaintainerDown,
  TooLarge,
  WrongSize
} from "./RecorderReason.ts"
import type { RecorderReason } from "./RecorderReason.ts"

/**
 * The memory of an appender; can be posted to a worker.
 *
 * @since 0.1.0
 * @category models
 */
export interface AppenderMemory {
  readonly buffer: SharedArrayBuffer
}

/**
 * An appender, as the other thread sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ThreadAppender {
  /**
   * Copies an event into the ring; `false` if there is no room now. Call `flushUnsafe` afterwards to wake the reader.
   * Throws a `RecorderError` when the event can never be recorded: `TooLarge` or `WrongSize` for the recorder or for
   * the ring, `Closed` after the scope in which the appender was opened.
   */
  readonly appendUnsafe: (event: Uint8Array) => boolean
  /** Wakes the recorder's fiber; call it after a burst of `appendUnsafe`. */
  readonly flushUnsafe: () => void
  /** Appends; waits for room. Fails when the event can never be recorded, as `appendUnsafe` does. */
  readonly append: (event: Uint8Array) => Effect.Effect<void, RecorderError>
  /**
   * Succeeds when everything that this thread has appended is durable. Fails when an event was refused after it had
   * come into the ring; that is reported once, and the other events are recorded.
   */
  readonly commit: Effect.Effect<void, RecorderError>
}

const Options = Schema.Struct({ ringBytes: withDefault(size(1, ByteRing.capacityBytesMax), 1 << 20) })

const Memory = Schema.Struct({ buffer: Schema.declare(types.isSharedArrayBuffer) })

/**
 * Opens an appender for another thread. Its events are taken until the scope closes; those that are in the ring by then
 * are still appended, and later ones are refused with `Closed`. A ring has room for one event of a fixed size at least,
 * whatever `ringBytes`.
 *
 * **Example** (Appending from another thread)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, ThreadAppender, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   // Post the memory to a worker, as `workerData` or as a message.
 *   const memory = yield* ThreadAppender.open({ ringBytes: "64KiB" })
 *   // In the worker:
 *   const appender = ThreadAppender.attach(memory)
 *   yield* appender.append(Buffer.from("from another thread"))
 *   yield* appender.commit
 *   yield* Console.log("durable") // => durable
 * }).pipe(Effect.scoped, Effect.provide(Events.parts))
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = Effect.fnUntraced(
  function*(
    options: { readonly ringBytes?: number | `${number}${"" | " "}${ByteSize.Unit}` } = {}
  ): Effect.fn.Return<AppenderMemory, never, Recorder | Scope.Scope> {
    const { ringBytes } = requireOptions("options", Options, options)
    const recorder = yield* Recorder
    const scope = yield* Effect.scope
    const ring = ByteRing.makeUnsafe(ringBytes, recorder.writer)
    // What is left is taken, and made durable at once: a commit may wait for a rotation that this scope waits for.
    const end = Effect.suspend(() => {
      ByteRing.closeUnsafe(ring)
      const asked = ByteRing.commitsAsked(ring)
      const flush = ByteRing.hasOpenCommit(ring) ? answer(ring, asked, recorder.flush) : Effect.void
      return Effect.andThen(takeAll(ring, recorder), flush)
    })
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        end,
        Effect.sync(() => {
          ByteRing.endUnsafe(ring)
          // Or the runtime would keep the ring's memory for the wait that has just ended.
          Doorbell.ringUnsafe(ring.data)
        })
      )
    )
    // A commit may wait for long, and events must be taken meanwhile. So it has a fiber of its own, one at a time.
    let isCommitting = false
    const commitUpTo = (asked: number) =>
      Effect.ensuring(
        answer(ring, asked, recorder.commit),
        Effect.sync(() => {
          isCommitting = false
          Doorbell.ringUnsafe(ring.data)
        })
      )
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
      const seen = Doorbell.readUnsafe(ring.data)
      const asked = ByteRing.commitsAsked(ring)
      const isAsked = ByteRing.hasOpenCommit(ring)
      yield* takeAll(ring, recorder)
      if (isAsked && !isCommitting) {
        isCommitting = true
        yield* Effect.forkIn(commitUpTo(asked), scope)
      }
      yield* Doorbell.wait(ring.data, seen)
    })))
    return { buffer: ring.buffer }
  }
)

/** The reasons that come through a ring, by their codes; the others are found before an event comes in. */
const reasons = [Closed, Backpressure, DiskFull, DiskFailing, MaintainerDown, LogExhausted, Fenced] as const

/** Takes out what is in the ring now, and appends it. */
const takeAll = Effect.fnUntraced(function*(ring: ByteRing.ByteRing, recorder: Recorder["Service"]) {
  const end = ByteRing.headUnsafe(ring)
  while (true) {
    const rest = takeNow(ring, recorder, end)
    if (rest === undefined) return
    yield* takeOne(ring, recorder, rest)
  }
})

/** Takes out what can be appended without waiting; returns the first event that cannot. */
const takeNow = (ring: ByteRing.ByteRing, { writer }: Recorder["Service"], end: number): Uint8Array | undefined => {
  let taken = 0
  while (true) {
    const event = ByteRing.peekUnsafe(ring, end)
    if (event === undefined || writer.appendUnsafe(event) <= 0) {
      if (taken > 0) Doorbell.ringUnsafe(ring.space)
      return event
    }
    ByteRing.takeUnsafe(ring, event.length)
    taken += 1
  }
}

/**
 * Appends an event, by the recorder's policy, and takes it out, recorded or refused. Not interruptible, because nothing
 * may come between the two: an event that stays after it was appended would be recorded twice.
 */
const takeOne = (ring: ByteRing.ByteRing, recorder: Recorder["Service"], event: Uint8Array) =>
  Effect.uninterruptible(Effect.map(Effect.exit(recorder.append(event)), (exit) => {
    if (Exit.isFailure(exit)) ByteRing.noteRefusalUnsafe(ring, codeOf(exit))
    ByteRing.takeUnsafe(ring, event.length)
    Doorbell.ringUnsafe(ring.space)
  }))

/** Answers the commits up to `asked`. */
const answer = (ring: ByteRing.ByteRing, asked: number, commit: Effect.Effect<unknown, RecorderError>) =>
  Effect.map(Effect.exit(commit), (exit) => {
    ByteRing.answerCommitUnsafe(ring, asked, Exit.isSuccess(exit) ? 0 : codeOf(exit))
  })

/** A reason as the ring carries it; 0 stands for success. */
const codeOf = (exit: Exit.Failure<unknown, RecorderError>): number =>
  1 + Math.max(0, reasons.findIndex((Reason) => reasonOf(exit) instanceof Reason))

const reasonOf = (exit: Exit.Failure<unknown, RecorderError>): RecorderReason | undefined =>
  Option.getOrUndefined(Exit.findErrorOption(exit))?.reason

/**
 * The appender in the memory that the recorder's thread has posted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (memory: AppenderMemory): ThreadAppender => {
  const { buffer } = requireOptions("memory", Memory, memory)
  const ring = ByteRing.attach(buffer)
  const { eventBytesMax, eventBytesMin } = ring

  const reasonOfCode = (code: number): RecorderReason => new (reasons[code - 1] ?? Closed)()

  /** Why this event can never come into the ring. */
  const refusalOf = ({ length }: Uint8Array): RecorderError | undefined => {
    if (ByteRing.isClosed(ring)) return new RecorderError({ reason: new Closed() })
    if (length >= eventBytesMin && length <= eventBytesMax) return undefined
    const reason = eventBytesMin > 0
      ? new WrongSize({ bytes: length, eventSize: eventBytesMin })
      : new TooLarge({
        bytes: length,
        bytesMax: eventBytesMax,
        option: ring.limitsEvents ? "ringBytes" : "blockBytesMax"
      })
    return new RecorderError({ reason })
  }

  const appendUnsafe = (event: Uint8Array): boolean => {
    requireBytes("event", event)
    const { length } = event
    if (length >= eventBytesMin && length <= eventBytesMax && ByteRing.putUnsafe(ring, event)) return true
    const refusal = refusalOf(event)
    if (refusal !== undefined) throw refusal
    return false
  }

  const append = (event: Uint8Array): Effect.Effect<void, RecorderError> =>
    Effect.suspend(() => {
      requireBytes("event", event)
      const seen = Doorbell.readUnsafe(ring.space)
      const refusal = refusalOf(event)
      if (refusal !== undefined) return Effect.fail(refusal)
      if (ByteRing.putUnsafe(ring, event)) return Effect.void
      Doorbell.ringUnsafe(ring.data)
      return Effect.andThen(Doorbell.wait(ring.space, seen), append(event))
    })

  const answered = (request: number): Effect.Effect<void, RecorderError> =>
    Effect.suspend(() => {
      const seen = Doorbell.readUnsafe(ring.space)
      const hasEnded = ByteRing.hasEnded(ring)
      const code = ByteRing.commitAnswer(ring, request)
      if (code === undefined && !hasEnded) return Effect.andThen(Doorbell.wait(ring.space, seen), answered(request))
      const refused = ByteRing.newRefusalsUnsafe(ring)
      if (refused !== undefined) {
        return Effect.fail(
          new RecorderError({ reason: reasonOfCode(refused.code), eventsRefused: refused.count })
        )
      }
      if (code === 0) return Effect.void
      return Effect.fail(new RecorderError({ reason: reasonOfCode(code ?? 0) }))
    })

  return {
    appendUnsafe,
    flushUnsafe: () => Doorbell.ringUnsafe(ring.data),
    append,
    commit: Effect.suspend(() => answered(ByteRing.askCommitUnsafe(ring)))
  }
}
