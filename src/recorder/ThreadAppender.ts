/**
 * Appends from another thread. The thread that owns the recorder opens an appender and posts its memory; the other
 * thread attaches to it, appends without waiting, and commits. Between them is a ring of bytes (`ByteRing`): a fiber
 * beside the recorder takes the events out in order and appends them. Each thread has an appender of its own.
 *
 * The events of one thread are recorded in their order; those of several threads interleave. The recorder assigns the
 * ids.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { types } from "node:util"
import { requireBytes } from "../internal/arguments.ts"
import { requireOptions, whole, withDefault } from "../internal/options.ts"
import * as ByteRing from "../shared/ByteRing.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import { Recorder } from "./Recorder.ts"
import { RecorderError, RecorderReason } from "./RecorderError.ts"

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
   */
  readonly appendUnsafe: (event: Uint8Array) => boolean
  /** Wakes the recorder's fiber; call it after a burst of `appendUnsafe`. */
  readonly flushUnsafe: () => void
  /** Appends; waits for room. `TooLarge` if the event is larger than the ring can hold. */
  readonly append: (event: Uint8Array) => Effect.Effect<void, RecorderError>
  /** Succeeds when everything that this thread has appended is durable. */
  readonly commit: Effect.Effect<void, RecorderError>
}

const Options = Schema.Struct({ ringBytes: withDefault(whole("bytes", 1, ByteRing.capacityBytesMax), 1 << 20) })

const Memory = Schema.Struct({ buffer: Schema.declare(types.isSharedArrayBuffer) })

/**
 * Opens an appender for another thread. Its events are taken until the scope closes; those that are in the ring by then
 * are still appended.
 *
 * @since 0.1.0
 * @category constructors
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, ThreadAppender, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   // Post the memory to a worker, as `workerData` or as a message.
 *   const memory = yield* ThreadAppender.open({ ringBytes: 1 << 16 })
 *   // In the worker:
 *   const appender = ThreadAppender.attach(memory)
 *   yield* appender.append(Buffer.from("from another thread"))
 *   yield* appender.commit
 *   yield* Console.log("durable") // => durable
 * }).pipe(Effect.scoped)
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
export const open = Effect.fnUntraced(
  function*(
    options: { readonly ringBytes?: number } = {}
  ): Effect.fn.Return<AppenderMemory, never, Recorder | Scope.Scope> {
    const { ringBytes } = requireOptions("options", Options, options)
    const recorder = yield* Recorder
    const ring = ByteRing.makeUnsafe(ringBytes)
    const take = takeAll(ring, recorder)
    // Afterwards the ring, or the runtime would keep its memory for the wait that has just ended.
    yield* Effect.addFinalizer(() =>
      Effect.andThen(Effect.ignore(take), Effect.sync(() => Doorbell.ringUnsafe(ring.data)))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
      const seen = Doorbell.readUnsafe(ring.data)
      yield* Effect.exit(take)
      yield* Doorbell.wait(ring.data, seen)
    })))
    return { buffer: ring.buffer }
  }
)

const reasons = RecorderReason.literals

const takeAll = Effect.fnUntraced(function*(ring: ByteRing.ByteRing, recorder: Recorder["Service"]) {
  const asked = ByteRing.commitsAsked(ring)
  const isAsked = ByteRing.hasOpenCommit(ring)
  const exit = yield* Effect.exit(Effect.gen(function*() {
    let taken = 0
    while (true) {
      const event = ByteRing.peekUnsafe(ring)
      if (event === undefined) break
      const { length } = event
      if (recorder.writer.appendUnsafe(event) <= 0) yield* recorder.append(event)
      ByteRing.takeUnsafe(ring, length)
      taken += 1
    }
    if (taken > 0) Doorbell.ringUnsafe(ring.space)
    if (isAsked) yield* recorder.commit
  }))
  if (!isAsked) return yield* exit
  const failure = Exit.isSuccess(exit) ? 0 : 1 + reasons.indexOf(reasonOf(exit))
  ByteRing.answerCommitUnsafe(ring, asked, failure)
})

const reasonOf = (exit: Exit.Failure<unknown, RecorderError>): RecorderReason => {
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail") return reason.error.reason
  }
  return "Closed"
}

/**
 * The appender in the memory that the recorder's thread has posted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (memory: AppenderMemory): ThreadAppender => {
  const { buffer } = requireOptions("memory", Memory, memory)
  const ring = ByteRing.attach(buffer)

  const append = (event: Uint8Array): Effect.Effect<void, RecorderError> =>
    Effect.suspend(() => {
      requireBytes("event", event)
      if (event.length > ring.eventBytesMax) {
        const detail = `${event.length} bytes, at most ${ring.eventBytesMax} through this ring`
        return Effect.fail(new RecorderError({ reason: "TooLarge", detail }))
      }
      const seen = Doorbell.readUnsafe(ring.space)
      if (ByteRing.putUnsafe(ring, event)) return Effect.void
      Doorbell.ringUnsafe(ring.data)
      return Effect.andThen(Doorbell.wait(ring.space, seen), append(event))
    })

  const answered = (request: number): Effect.Effect<void, RecorderError> =>
    Effect.suspend(() => {
      const seen = Doorbell.readUnsafe(ring.space)
      const answer = ByteRing.commitAnswer(ring, request)
      if (answer === undefined) return Effect.andThen(Doorbell.wait(ring.space, seen), answered(request))
      if (answer === 0) return Effect.void
      return Effect.fail(new RecorderError({ reason: reasons[answer - 1] ?? "Closed", detail: "" }))
    })

  return {
    appendUnsafe: (event) => {
      requireBytes("event", event)
      return ByteRing.putUnsafe(ring, event)
    },
    flushUnsafe: () => Doorbell.ringUnsafe(ring.data),
    append,
    commit: Effect.suspend(() => answered(ByteRing.askCommitUnsafe(ring)))
  }
}
