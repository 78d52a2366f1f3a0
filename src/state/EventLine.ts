/**
 * The events of one log in the order in which the state machines over it apply them. All machines over a log share one
 * line, so each of them has applied every event before the next update decides, whichever of them appended it.
 *
 * Events that something else appends to the log are read from it, when they are durable, before the next update or
 * answer.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { Disk } from "../disk/Disk.ts"
import type { VerifiedBlock } from "../format/SegmentVerifier.ts"
import * as Replay from "../reading/Replay.ts"
import type { ReplayFailure } from "../reading/ReplayError.ts"
import { forEachEvent } from "../reading/segment/BlockEvents.ts"
import { EventUndecodable } from "../recorder/EventUndecodable.ts"
import type { Log } from "../recorder/Log.ts"
import type { Recorder } from "../recorder/Recorder.ts"
import type { RecorderError } from "../recorder/RecorderError.ts"

/** A machine of the line. */
interface Applier<Event> {
  readonly name: string
  /** Never throws. `bytes` is the size of the event in the log. */
  readonly apply: (event: Event, bytes: number) => void
}

/**
 * Gives the events of a log from one id to another, both included, decoded. All of them are durable, and the caller
 * holds them.
 */
export const eventsBetween = Effect.fnUntraced(function*<Event, Decoding>(
  log: Log<Event, unknown, Decoding>,
  fromId: number,
  toId: number,
  onEvent: (event: Event, bytes: number) => void
) {
  if (fromId > toId) return
  const { directory, naming } = log.maintainer
  const { decode, decodeNow } = log.codec
  const fold = Effect.fnUntraced(function*(block: VerifiedBlock) {
    /** The first event that is not decoded at once, and those after it. */
    const rest: Array<{ readonly id: number; readonly bytes: Uint8Array }> = []
    forEachEvent(block, (id, bytes, start, end) => {
      const event = bytes.subarray(start, end)
      const decoded = rest.length === 0 ? valueOf(decodeNow(event)) : undefined
      if (decoded !== undefined) onEvent(decoded.value, end - start)
      else rest.push({ id, bytes: event })
    })
    for (const { bytes, id } of rest) {
      const decoded = Effect.mapError(
        decode(bytes.slice()),
        ({ message }) => new EventUndecodable({ eventId: id, detail: message })
      )
      onEvent(yield* decoded, bytes.length)
    }
    // Other fibers run between blocks.
    yield* Effect.yieldNow
  })
  yield* Replay.blocks({ directory, naming, from: { id: fromId }, to: { id: toId } }).pipe(
    Stream.provideService(Disk, log.disk),
    Stream.runForEachArray((blocks) => Effect.forEach(blocks, fold, { discard: true }))
  )
})

/** What an effect has succeeded with already. */
const valueOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Exit.Success<A, E> | undefined =>
  Exit.isExit(effect) && Exit.isSuccess(effect as Exit.Exit<A, E>) ? effect as Exit.Success<A, E> : undefined

/** The line of one log. */
class EventLine<in out Event, out Decoding> {
  /** One update decides at a time, and nothing is caught up meanwhile. */
  readonly lock = Semaphore.makeUnsafe(1)
  readonly #appliers = new Set<Applier<Event>>()
  readonly #log: Log<Event, unknown, Decoding>
  #appliedId = 0

  constructor(log: Log<Event, unknown, Decoding>) {
    this.#log = log
  }

  /** Every machine of the line has applied the events up to this one, and no later one. */
  get appliedId(): number {
    return this.#appliedId
  }

  /** Whether something else has appended to the log. */
  get isBehind(): boolean {
    return this.#log.recorder.writer.lastEventId !== this.#appliedId
  }

  get isEmpty(): boolean {
    return this.#appliers.size === 0
  }

  has(name: string): boolean {
    return [...this.#appliers].some((applier) => applier.name === name)
  }

  /** A machine joins that has applied the events up to this one. The caller has the lock, and has caught up. */
  join(applier: Applier<Event>, appliedId: number): void {
    this.#appliers.add(applier)
    this.#appliedId = appliedId
  }

  leave(applier: Applier<Event>): void {
    this.#appliers.delete(applier)
  }

  /** Applies the next event, which has so many bytes. */
  apply(event: Event, bytes: number): void {
    this.#appliedId += 1
    for (const applier of this.#appliers) applier.apply(event, bytes)
  }

  /** Applies what something else has appended. The caller has the lock. */
  get catchUp(): Effect.Effect<void, RecorderError | ReplayFailure | EventUndecodable, Decoding> {
    return Effect.suspend(() => {
      if (!this.isBehind) return Effect.void
      const { lastEventId } = this.#log.recorder.writer
      return Effect.andThen(
        this.#log.flush,
        eventsBetween(this.#log, this.#appliedId + 1, lastEventId, (event, bytes) => this.apply(event, bytes))
      )
    })
  }
}

const lines = new WeakMap<Recorder["Service"], unknown>()

/** The line of a log: one for all machines of this process over it. */
export const lineOf = <Event, Decoding>(log: Log<Event, unknown, Decoding>): EventLine<Event, Decoding> => {
  const known = lines.get(log.recorder) as EventLine<Event, Decoding> | undefined
  const line = known ?? new EventLine(log)
  lines.set(log.recorder, line)
  return line
}
