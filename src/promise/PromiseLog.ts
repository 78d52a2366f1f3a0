/**
 * Opens and reads logs with promises. What is guaranteed is what `Recorder` and `Replay` guarantee. A promise is
 * rejected with the typed error itself (`RecorderError`, `DiskError`, `EventsDeleted`, …), or with the defect of a
 * wrong argument; its message tells what to do.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { Readable, Writable } from "node:stream"
import * as NodeDisk from "../disk/NodeDisk.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import { refuseArgument } from "../internal/arguments.ts"
import type { LogEvent } from "../recorder/Log.ts"
import { RecorderError } from "../recorder/RecorderError.ts"
import { Backpressure } from "../recorder/RecorderReason.ts"
import { Refusal } from "../recorder/SegmentWriter.ts"
import * as Wal from "../recorder/Wal.ts"

/**
 * The options of a log. Only `directory` is required.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenOptions extends Wal.WalOptions {
  /** The maintainer's threads; with 0 it works in the thread that opens. Default: 1. */
  readonly workers?: number
}

/**
 * An event as it was recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromiseEvent {
  readonly id: number
  /** When it was written; it never goes back within a log. `undefined` in format 1, which does not tell. */
  readonly time: Date | undefined
  /** They may be kept. That keeps the memory that they were read into, 4 MiB, so copy them when you keep only a few. */
  readonly bytes: Uint8Array
}

/** A point in time: a date, Unix milliseconds, or text in ISO 8601. */
type Time = Date | number | string

/**
 * Which events are read.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventRange {
  /** Default: `oldest`. */
  readonly from?: "oldest" | "latest" | { readonly id: number } | { readonly time: Time }
  /** Included. Default: the newest event; none while it follows. */
  readonly to?: { readonly id: number } | { readonly time: Time }
  /** Whether to wait for new events at the end, until `to`, or until the loop is left. Default: false. */
  readonly follow?: boolean
}

/**
 * Which directory is read, and which events of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReadOptions extends EventRange {
  readonly directory: string
  readonly naming?: SegmentNaming
}

/**
 * A log that is open for recording.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromiseLog extends AsyncDisposable {
  /**
   * Appends a copy of these bytes and returns the id at once. Throws a `RecorderError` when nothing was written. Its
   * `reason._tag` is `Backpressure` when every slot waits for the disk: `await log.commit()`, and append again.
   */
  readonly append: (bytes: Uint8Array) => number
  /** Appends all of these events as one batch, or none of them, when there is room; the id of the last one. */
  readonly appendAll: (events: Iterable<Uint8Array>) => Promise<number>
  /** Appends when there is room; the id, when the event is on disk. */
  readonly appendDurable: (bytes: Uint8Array) => Promise<number>
  /** The durable position, when everything appended so far is on disk. */
  readonly commit: () => Promise<number>
  /** The durable position, when it has reached this id. */
  readonly commitTo: (eventId: number) => Promise<number>
  /** Reads what is durable, in order. What is still to be read is not deleted meanwhile. */
  readonly events: (range?: EventRange) => AsyncIterable<PromiseEvent>
  /** Each chunk that is written becomes an event; it ends when all of them are on disk. */
  readonly writable: () => Writable
  /** The events, as objects. */
  readonly readable: (range?: EventRange) => Readable
  /** Hands the last segment over, drains, and closes. Nothing that was appended is lost. */
  readonly close: () => Promise<void>
}

class Bytes extends Wal.Service<Bytes>()("effect-wal/promise/PromiseLog") {}

const eventOf = ({ event, id, time }: LogEvent<Uint8Array>): PromiseEvent => ({
  id,
  time: time === undefined ? undefined : DateTime.toDateUtc(time),
  bytes: event
})

/**
 * Opens a directory for recording. One log at a time holds a directory; it is drained when it is closed.
 *
 * **Example** (Recording without Effect)
 *
 * ```ts
 * import { open } from "effect-wal/promise"
 *
 * await using log = await open({ directory: "./log" })
 * const id = log.append(Buffer.from("hello"))
 * await log.commit() // event `id` is on disk from here on
 * for await (const event of log.events({ from: { id } })) {
 *   console.log(event.id, Buffer.from(event.bytes).toString()) // => 1 hello
 * }
 * ```
 *
 * @since 0.1.0
 * @category opening
 */
export const open = async (options: OpenOptions): Promise<PromiseLog> => {
  if (typeof options !== "object" || options === null) refuseArgument("options", options, "an object")
  const { workers = 1, ...rest } = options
  const layer = workers === 0 ? Bytes.layer(rest) : Bytes.layerWorker({ ...rest, workers })
  const runtime = ManagedRuntime.make(Layer.provide(layer, NodeDisk.layer))
  const services = await runtime.context().catch(async (error: unknown) => {
    await runtime.dispose()
    throw error
  })
  // Not by the runtime, which refuses everything once it is closed: a log that is closed says so itself.
  const run = Effect.runPromiseWith(services)
  const log = await run(Bytes)
  const { writer } = log.recorder

  const append = (bytes: Uint8Array): number => {
    const id = writer.appendUnsafe(bytes)
    if (id > 0) return id
    if (id === Refusal.Full && (rest.strategy ?? "suspend") === "suspend") {
      throw new RecorderError({ reason: new Backpressure() })
    }
    return Effect.runSyncWith(services)(log.append(bytes))
  }
  const events = (range: EventRange = {}): AsyncIterable<PromiseEvent> =>
    Stream.toAsyncIterableWith(Stream.map(log.events(range), eventOf), services)
  const close = () => runtime.dispose()

  return {
    append,
    appendAll: (events) => run(log.appendAll(events)),
    appendDurable: (bytes) => run(log.appendDurable(bytes)),
    commit: () => run(log.commit),
    commitTo: (eventId) => run(log.commitTo(eventId)),
    events,
    writable: () =>
      new Writable({
        write: (chunk: Uint8Array, _encoding, done) => void run(log.append(chunk)).then(() => done(), done),
        final: (done) => void run(log.flush).then(() => done(), done)
      }),
    readable: (range) => Readable.from(events(range)),
    close,
    [Symbol.asyncDispose]: close
  }
}

/**
 * Reads the events of a directory, in order, checked, beside a recorder of another process or without one. With
 * `follow` it looks for more again and again, and gives every whole block in the file, on disk or not.
 *
 * **Example** (Reading what another process records)
 *
 * ```ts
 * import { open, read } from "effect-wal/promise"
 *
 * const log = await open({ directory: "./log" })
 * await log.appendAll([Buffer.from("one"), Buffer.from("two")])
 * await log.close()
 *
 * for await (const { bytes, id } of read({ directory: "./log" })) {
 *   console.log(id, Buffer.from(bytes).toString()) // => 2 two
 * }
 * ```
 *
 * @since 0.1.0
 * @category opening
 */
export const read = ({ directory, naming, ...range }: ReadOptions): AsyncIterable<PromiseEvent> => {
  const reader = Bytes.reader({ directory, ...(naming === undefined ? {} : { naming }) })
  return Stream.toAsyncIterable(Stream.map(reader.events(range), eventOf).pipe(Stream.provide(NodeDisk.layer)))
}
