/**
 * The append path: synchronous, no allocation per event, no Effect, no system call, no hashing. It copies bytes into
 * the active slot of the arena and publishes them by raising the watermark with one atomic store. The maintainer does
 * the rest later.
 *
 * The writer first gathers up to 16 KiB of events in memory that no other thread sees, and then copies them into the
 * arena together. This saves time in two ways. V8 copies into shared memory eight bytes at a time if source and target
 * are aligned alike, and byte by byte otherwise, and events after a length seldom are. And an atomic store is a call.
 *
 * Gathered events are shared:
 *
 * - when the 16 KiB are full
 * - when the segment is handed over
 * - when a caller asks for a flush or waits for an event (`shareUnsafe`)
 * - at the latest in a microtask, when the present run of synchronous code ends
 *
 * An event has no guarantee before it is durable, so a crash before that breaks no promise. The same microtask wakes a
 * sleeping maintainer for a segment that was handed over, because waking a thread is a system call. Only a run that
 * fills a second segment wakes it at once.
 *
 * Events of format 1 are not gathered: the maintainer may lower their limit at any moment, and allows for at most one
 * event, or one batch, beyond it.
 *
 * One thread owns the writer. Event ids are consecutive numbers up to 2^53. A refused append returns a `Refusal`; it
 * does not wait, and it leaves no trace of the event.
 *
 * In memory an event of variable length is u32 length + bytes, as it will be in its block. An event of a fixed size is
 * its bytes alone. In format 1 the first 8 bytes of an event are its id; the writer fills them in.
 *
 * @since 0.1.0
 */
import { eventIdMax, hasRoomForSegment, lengthBytes, segmentIndexMax, timeNanosOf } from "../format/Limits.ts"
import { batchEventsMax, idsInEvents } from "../format/SegmentLayout.ts"
import { refuseArgument, requireBytes, requireWhole } from "../internal/arguments.ts"
import { invariant } from "../internal/invariant.ts"
import * as Arena from "../shared/Arena.ts"
import { SlotState } from "../shared/Arena.ts"
import * as BatchMarks from "../shared/BatchMarks.ts"
import * as TaskQueue from "../shared/TaskQueue.ts"

/**
 * Why an append was refused, as the result of `appendUnsafe` and `reserveUnsafe`. Ids are positive, refusals are not.
 *
 * - `Full`: every slot waits for the disk; try again when the arena's `durable` doorbell rings
 * - `TooLarge`: the event does not fit into a block; it never will
 * - `WrongSize`: events of this recorder have another size
 * - `Closed`: the recorder is shutting down
 * - `LogExhausted`: no segment index, or too few event ids, are left for another segment; there never will be
 *
 * @since 0.1.0
 * @category models
 */
export const Refusal = { Full: 0, TooLarge: -1, WrongSize: -2, Closed: -3, LogExhausted: -4 } as const

/** Small enough to copy without a long pause (about 2 µs), large enough that one copy serves many events. */
const gatheredBytesMax = 16 * 1024

/** Microtasks are scheduled on it: cheaper than `queueMicrotask`, which makes a resource for Node's hooks. */
const resolved = Promise.resolve()

/** V8 copies fast between two offsets that are equal modulo eight. */
const alignmentMask = 7

/** The largest event, in bytes, that fits into a block of `blockBytesMax`. */
export const eventBytesMax = (layout: { readonly eventSize: number; readonly blockBytesMax: number }): number =>
  layout.eventSize > 0 ? layout.eventSize : layout.blockBytesMax - lengthBytes

/** A segment that an earlier run has begun and closed, to be filled further. */
export interface ContinuedSegment {
  readonly firstEventId: number
  readonly createdNanos: bigint
  readonly begun: Arena.BegunSegment
}

/**
 * Fills the slots of an arena.
 *
 * @since 0.1.0
 * @category writers
 * @example
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { commit, recorder: { writer } } = yield* Events
 *   const event = Buffer.from("no effect is spent on this event")
 *   for (let count = 0; count < 100_000; count++) {
 *     // Not above 0: every slot waits for the disk. A commit waits until it has caught up.
 *     while (writer.appendUnsafe(event) <= 0) yield* commit
 *   }
 *   yield* Console.log(yield* commit) // => 100000
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
export class SegmentWriter {
  /** The arena's memory. What `reserveUnsafe` returned is an offset into it. */
  readonly bytes: Uint8Array
  /** The same memory, for writing numbers. */
  readonly view: DataView
  /** The smallest event that is taken, in bytes: 0, or the size of every event. */
  readonly eventBytesMin: number
  /** The largest event that is taken, in bytes. */
  readonly eventBytesMax: number
  /** Bytes of the length in front of every event: 4, or 0 where all have one size. */
  readonly prefixBytes: number
  /** The most bytes of a batch, the 4 bytes of the length in front of each event of variable length included. */
  readonly batchBytesMax: number
  /** The most events of a batch. */
  readonly batchEventsMax: number

  private readonly arena: Arena.Arena
  private readonly toPersist: TaskQueue.Enqueue
  private readonly nowMillis: () => number
  private readonly onRotate: (startedNanos: number) => void
  private readonly nowNanos: () => number
  private readonly words: Int32Array
  private readonly stampsIds: boolean
  /** The most events that fit into a segment. */
  private readonly segmentEventsMax: number

  private readonly gathered = new Uint8Array(gatheredBytesMax)
  private readonly gatheredView = new DataView(this.gathered.buffer)
  /** Where the gathered events begin and end; in the arena they end at `position`. */
  private gatheredStart = 0
  private gatheredEnd = 0
  private isEndOfRunDue = false
  /** Whether a segment was handed over for which the maintainer has not been woken. */
  private isWakeDue = false
  private readonly atEndOfRun = (): void => {
    this.isEndOfRunDue = false
    this.shareUnsafe()
    if (this.isWakeDue) this.wake()
  }

  private slot = 0
  private segmentIndex = 0
  private slotStart = 0
  private watermarkWord = 0
  private limitWord = 0
  private batchMarks: Uint8Array = new Uint8Array()
  /** Room of the active segment that batches may leave unused, in bytes. */
  private wasted = 0
  /** Bytes of the active segment, gathered ones included. */
  private position = 0
  private reserved = 0
  private nextEventId = 1
  private isClosed = false

  constructor(options: {
    readonly arena: Arena.Arena
    readonly toPersist: TaskQueue.Enqueue
    readonly firstSegmentIndex: number
    readonly firstEventId: number
    /** When the first segment was begun by an earlier run: its events are in slot 0 already. */
    readonly continued?: ContinuedSegment | undefined
    readonly nowMillis: () => number
    /** The clock for `onRotate`, in nanoseconds. */
    readonly nowNanos: () => number
    readonly onRotate: (startedNanos: number) => void
  }) {
    const { arena } = options
    this.arena = arena
    this.toPersist = options.toPersist
    this.nowMillis = options.nowMillis
    this.nowNanos = options.nowNanos
    this.onRotate = options.onRotate
    this.words = arena.words
    this.eventBytesMin = arena.layout.eventSize
    this.eventBytesMax = eventBytesMax(arena.layout)
    this.batchBytesMax = Math.min(arena.layout.blockBytesMax, arena.slotBytes)
    this.batchEventsMax = batchEventsMax(arena.layout.version)
    this.prefixBytes = arena.layout.eventSize === 0 ? lengthBytes : 0
    this.stampsIds = idsInEvents(arena.layout.version)
    this.segmentEventsMax = Math.floor(arena.slotBytes / (arena.layout.eventSize || lengthBytes))
    this.bytes = new Uint8Array(arena.buffer)
    this.view = new DataView(arena.buffer)
    this.nextEventId = options.firstEventId
    this.segmentIndex = options.firstSegmentIndex
    invariant(
      hasRoomForSegment(this.segmentIndex, this.nextEventId, this.segmentEventsMax),
      `a log has segment indices up to ${segmentIndexMax} and event ids up to ${eventIdMax}`
    )
    this.activate(0, options.continued)
  }

  /** The id of the newest event; before the first append, the id before the first. */
  get lastEventId(): number {
    return this.nextEventId - 1
  }

  /** The index of the segment that is being filled. */
  get activeSegmentIndex(): number {
    return this.segmentIndex
  }

  /** Bytes in the active segment. */
  get activeBytes(): number {
    return this.position
  }

  /**
   * Whether the log has no room for a segment after the active one: no index, or not an id for every event that a
   * segment may get. So no append needs to look at its id.
   */
  get isExhausted(): boolean {
    return !hasRoomForSegment(this.segmentIndex + 1, this.nextEventId, this.segmentEventsMax)
  }

  /** Appends a copy of `event`. Returns its id, or a `Refusal`. Throws when `event` is no Uint8Array. */
  appendUnsafe(event: Uint8Array): number {
    // What V8 knows of the object's shape anyway. The exact check for every event would cost 2 ns.
    if (event?.BYTES_PER_ELEMENT !== 1) requireBytes("event", event)
    const { length } = event
    if (length === 0) requireBytes("event", event)
    if (length > this.eventBytesMax || length < this.eventBytesMin) return this.refuse(length)
    const total = length + this.prefixBytes
    if (this.position + total > this.limit()) {
      const refusal = this.advance()
      if (refusal !== undefined) return refusal
    }
    if (!this.stampsIds && (this.gatheredEnd + total <= gatheredBytesMax || this.makeRoom(total))) {
      return this.gather(event, total)
    }
    if (this.prefixBytes > 0) this.view.setUint32(this.slotStart + this.position, length, true)
    this.bytes.set(event, this.slotStart + this.position + this.prefixBytes)
    this.reserved = total
    return this.publishUnsafe()
  }

  /**
   * Appends copies of `events` as one batch: with consecutive ids, published by one store, and kept in one block of the
   * file. So after any crash all of them are there, or none. Returns the id of the last, or a `Refusal`; then none was
   * appended. `TooLarge` also stands for a batch of more than `batchBytesMax` or `batchEventsMax`. Throws when one of
   * them is no Uint8Array, and when there is none.
   */
  appendAllUnsafe(events: ReadonlyArray<Uint8Array>): number {
    if (!Array.isArray(events) || events.length === 0) refuseArgument("events", events, "an array with an event")
    let total = 0
    for (let index = 0; index < events.length; index++) {
      const event = events[index]!
      // As in `appendUnsafe`: no work for what is plainly right.
      if (event?.BYTES_PER_ELEMENT !== 1 || event.length === 0) requireBytes(`events[${index}]`, event)
      if (event.length > this.eventBytesMax || event.length < this.eventBytesMin) return this.refuse(event.length)
      total += event.length + this.prefixBytes
    }
    if (total > this.batchBytesMax || events.length > this.batchEventsMax) return Refusal.TooLarge
    if (this.position + total + this.wasteOf(total) > this.limit()) {
      const refusal = this.advance()
      if (refusal !== undefined) return refusal
    }
    this.shareUnsafe()
    this.reserved = 0
    this.wasted += this.wasteOf(total)
    if (events.length > 1) Arena.putHasBatchesUnsafe(this.arena, this.slot)
    for (let index = 0; index < events.length; index++) {
      if (index > 0) BatchMarks.putUnsafe(this.batchMarks, this.arena.layout, this.position)
      this.put(events[index]!)
    }
    this.gatheredStart = this.gatheredEnd = this.position & alignmentMask
    Atomics.store(this.words, this.watermarkWord, this.position)
    return this.lastEventId
  }

  /** Copies the gathered events into the arena and publishes them: every thread then sees all appended events. */
  shareUnsafe(): void {
    const { gatheredEnd, gatheredStart, position } = this
    if (gatheredStart === gatheredEnd) return
    const at = this.slotStart + position - (gatheredEnd - gatheredStart)
    this.bytes.set(this.gathered.subarray(gatheredStart, gatheredEnd), at)
    this.gatheredStart = this.gatheredEnd = position & alignmentMask
    Atomics.store(this.words, this.watermarkWord, position)
  }

  /**
   * Makes room for an event of `length` bytes. Returns its offset in `bytes` and `view`, or a `Refusal`. The caller
   * fills every byte (in format 1 all but the first 8) and then calls `publishUnsafe`, with no append in between. A
   * reservation that is not published has no effect; the next one, an append or a rotation ends it.
   */
  reserveUnsafe(length: number): number {
    requireWhole("length", length)
    if (length > this.eventBytesMax || length < this.eventBytesMin) return this.refuse(length)
    const total = length + this.prefixBytes
    if (this.position + total > this.limit()) {
      const refusal = this.advance()
      if (refusal !== undefined) return refusal
    }
    this.shareUnsafe()
    this.reserved = total
    const at = this.slotStart + this.position
    if (this.prefixBytes > 0) this.view.setUint32(at, length, true)
    return at + this.prefixBytes
  }

  /**
   * Publishes the event whose bytes were written at the offset that `reserveUnsafe` returned, and returns its id.
   * Throws when nothing is reserved.
   */
  publishUnsafe(): number {
    if (this.reserved === 0) refuseArgument("reservation", undefined, "a call of reserveUnsafe before this one")
    const eventId = this.nextEventId
    if (this.stampsIds) this.stampId()
    this.position += this.reserved
    this.reserved = 0
    this.gatheredStart = this.gatheredEnd = this.position & alignmentMask
    this.nextEventId = eventId + 1
    Atomics.store(this.words, this.watermarkWord, this.position)
    return eventId
  }

  /**
   * Hands the active segment over and continues with the next. An empty segment is not rotated. `false` if there is no
   * blank slot to continue with, or the log is exhausted; nothing has changed then.
   */
  rotateUnsafe(): boolean {
    return this.position === 0 || this.continueWithNext()
  }

  /**
   * Hands an empty active segment over, as a closed segment without events that carries the ids and the chain, and
   * continues with the next. `false` if it is not empty, if there is no blank slot to continue with, or if the log is
   * exhausted.
   */
  rotateEmptyUnsafe(): boolean {
    return this.position === 0 && this.continueWithNext()
  }

  private continueWithNext(): boolean {
    const next = (this.slot + 1) % this.arena.slots
    if (this.isExhausted) return false
    if (Arena.stateOf(this.arena, next) !== SlotState.Blank) return false
    const startedNanos = this.nowNanos()
    this.handOver()
    this.segmentIndex += 1
    this.activate(next)
    this.onRotate(startedNanos)
    return true
  }

  /** Hands the active segment over and refuses all later events. */
  closeUnsafe(): void {
    if (this.isClosed) return
    this.isClosed = true
    Arena.deactivateUnsafe(this.arena)
    if (this.position > 0) this.handOver()
    else Arena.abandonUnsafe(this.arena, this.slot)
    this.reserved = 0
    // No event fits from now on.
    this.position = Number.MAX_SAFE_INTEGER
  }

  /**
   * Where the active segment ends. A plain read suffices: the limit is only ever lowered, and the maintainer that
   * lowers it reads the watermark afterwards, so it always allows for an event, or a batch, that was written up to an
   * older limit.
   */
  private limit(): number {
    return (this.words[this.limitWord] ?? 0) - this.wasted
  }

  /**
   * The room that a batch may leave unused in the block before it, in format 1, whose files have room for a number of
   * blocks: less than the batch needs, and none before the first.
   */
  private wasteOf(batchBytes: number): number {
    return this.stampsIds && this.position > 0 ? batchBytes : 0
  }

  /** Writes an event into the arena, after all that is there, and does not publish it. */
  private put(event: Uint8Array): void {
    const at = this.slotStart + this.position
    if (this.prefixBytes > 0) this.view.setUint32(at, event.length, true)
    this.bytes.set(event, at + this.prefixBytes)
    if (this.stampsIds) this.stampId()
    this.position += event.length + this.prefixBytes
    this.nextEventId += 1
  }

  /** Writes the next id into the first 8 bytes of the event that begins at `position`. */
  private stampId(): void {
    const at = this.slotStart + this.position
    this.view.setUint32(at, this.nextEventId >>> 0, true)
    this.view.setUint32(at + 4, Math.floor(this.nextEventId / 0x1_0000_0000), true)
  }

  private gather(event: Uint8Array, total: number): number {
    if (!this.isEndOfRunDue) this.awaitEndOfRun()
    const at = this.gatheredEnd
    if (this.prefixBytes > 0) this.gatheredView.setUint32(at, event.length, true)
    this.gathered.set(event, at + this.prefixBytes)
    this.gatheredEnd = at + total
    this.reserved = 0
    this.position += total
    return this.nextEventId++
  }

  private awaitEndOfRun(): void {
    this.isEndOfRunDue = true
    void resolved.then(this.atEndOfRun)
  }

  /**
   * Whether an event can be gathered after those before it are shared; a larger one is copied into the arena at once.
   */
  private makeRoom(total: number): boolean {
    this.shareUnsafe()
    return this.gatheredEnd + total <= gatheredBytesMax
  }

  private refuse(length: number): number {
    return this.prefixBytes > 0 && length > this.eventBytesMax ? Refusal.TooLarge : Refusal.WrongSize
  }

  private advance(): number | undefined {
    if (this.isClosed) return Refusal.Closed
    if (this.rotateUnsafe()) return undefined
    return this.isExhausted ? Refusal.LogExhausted : Refusal.Full
  }

  private handOver(): void {
    this.shareUnsafe()
    const { position, segmentIndex, slot } = this
    Arena.rotateUnsafe(this.arena, slot)
    const isOffered = TaskQueue.offerSilentlyUnsafe(this.toPersist, { segmentIndex, slot, bytes: position })
    invariant(isOffered, "the persist queue has room for every slot of the arena")
    if (this.isWakeDue) this.wake()
    else this.isWakeDue = true
    if (!this.isEndOfRunDue) this.awaitEndOfRun()
  }

  private wake(): void {
    this.isWakeDue = false
    TaskQueue.wakeUnsafe(this.toPersist)
  }

  private activate(slot: number, continued?: ContinuedSegment): void {
    this.slot = slot
    this.slotStart = Arena.slotStart(this.arena, slot)
    this.watermarkWord = Arena.watermarkWord(slot)
    this.limitWord = Arena.limitWord(slot)
    this.batchMarks = Arena.batchMarks(this.arena, slot)
    this.wasted = 0
    this.position = continued?.begun.sealed.sealedBytes ?? 0
    this.reserved = 0
    this.gatheredStart = this.gatheredEnd = this.position & alignmentMask
    Arena.activateUnsafe(this.arena, slot, {
      segmentIndex: this.segmentIndex,
      firstEventId: this.nextEventId,
      createdNanos: timeNanosOf(this.nowMillis()),
      ...continued
    })
  }
}
