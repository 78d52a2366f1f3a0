/**
 * Telemetry of a recorder. Each writer counts in a block of its own in shared memory, and any thread may take a
 * snapshot.
 *
 * No count is lost and no snapshot contains a half-updated group, whatever the number of threads that write. Nothing
 * runs in the background: without a reader only the updates cost time, and the no-op costs none.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { resolve } from "node:path"
import {
  makeUpdater,
  monotonicNanos,
  type NowNanos,
  type SegmentMaintainerUpdater
} from "./SegmentMaintainerUpdater.ts"
import { makeBuffer, writersOf } from "./TelemetryBuffer.ts"
import { makeReader } from "./TelemetryReader.ts"
import type { TelemetrySnapshot } from "./TelemetrySnapshot.ts"

export type { NowNanos, SegmentMaintainerUpdater } from "./SegmentMaintainerUpdater.ts"

/**
 * The telemetry of one recorder.
 *
 * **Example** (Reading the counters)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Telemetry, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { appendDurable, telemetry } = yield* Events
 *   yield* appendDurable(Buffer.from("hello"))
 *   const snapshot = yield* telemetry.snapshot
 *   yield* Console.log(snapshot.operations.commit.success) // => 1
 *   yield* Console.log(Telemetry.dump(snapshot))
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Telemetry extends Context.Service<Telemetry, {
  /** The absolute path of the log's directory, by which exports tell several logs apart; empty when it is not known. */
  readonly log: string
  /**
   * Makes the updater of a writer, counted from 0. A writer is one thread; after a restart a thread may reuse its
   * block.
   */
  readonly updater: (writer: number) => SegmentMaintainerUpdater
  /** Takes a snapshot with all writers merged. */
  readonly snapshot: Effect.Effect<TelemetrySnapshot>
  /** Takes the same snapshot synchronously. */
  readonly snapshotUnsafe: () => TelemetrySnapshot
  /**
   * Runs `refresh` before every snapshot taken here, until the scope closes, and once more then: for gauges that become
   * outdated.
   */
  readonly beforeSnapshot: (refresh: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** The memory, which a worker passes to `attach`. */
  readonly buffer: SharedArrayBuffer
}>()("effect-wal/telemetry/Telemetry") {}

/** What telemetry counts with, and for. */
interface TelemetryOptions {
  /** The clock of the updaters; `monotonicNanos` by default. */
  readonly nowNanos?: NowNanos
  /** See `Telemetry.log`. */
  readonly log?: string
}

/**
 * Attaches to the telemetry that another thread made, by its buffer. Throws if the buffer was not made by telemetry, or
 * by another version of it.
 */
export const attach = (
  buffer: SharedArrayBuffer,
  { log = "", nowNanos = monotonicNanos }: TelemetryOptions = {}
): Telemetry["Service"] => {
  const read = makeReader(buffer)
  const refreshes = new Set<{ readonly refresh: () => void }>()
  const snapshotUnsafe = () => {
    for (const { refresh } of refreshes) refresh()
    return read()
  }
  return {
    log,
    updater: (writer) => makeUpdater(buffer, writer, nowNanos),
    snapshot: Effect.sync(snapshotUnsafe),
    snapshotUnsafe,
    beforeSnapshot: (refresh) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => {
          const entry = { refresh }
          refreshes.add(entry)
          return entry
        }),
        (entry) =>
          Effect.sync(() => {
            refreshes.delete(entry)
            entry.refresh()
          })
      )),
    buffer
  }
}

/**
 * Makes telemetry for `writersMax` writers (0 to 256; 8 by default), with less than 200 KiB of shared memory for each.
 *
 * A log makes its own. One that lies beneath its layer and names its directory is taken instead, and outlives the log's
 * drain; so does an exporter that reads it there.
 *
 * **Example** (An exporter that sees the drain)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Telemetry, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * // Stands for an exporter that sends its last values when it closes.
 * const ExporterLive = Layer.effectDiscard(Effect.gen(function*() {
 *   const telemetry = yield* Telemetry.Telemetry
 *   yield* Effect.addFinalizer(() =>
 *     Console.log(telemetry.snapshotUnsafe().operations.persist.success) // => 1
 *   )
 * }))
 *
 * const EventsLive = Events.layer({ directory: "./log" }).pipe(
 *   Layer.provide(ExporterLive),
 *   Layer.provide(Telemetry.layer({ log: "./log" })),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Events.use(({ append }) => append(Buffer.from("made durable by the drain")))
 *
 * await Effect.runPromise(Effect.provide(program, EventsLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly writersMax?: number
  /** The clock of the updaters; `monotonicNanos` by default. */
  readonly nowNanos?: NowNanos
  /** The directory of the log that may take it; see `Telemetry.log`. */
  readonly log?: string
}): Layer.Layer<Telemetry> =>
  Layer.sync(Telemetry, () => {
    const { log = "", writersMax = defaultWritersMax } = options
    return attach(makeBuffer(writersMax), { ...options, log: log === "" ? log : resolve(log) })
  })

/** The application's thread, and more threads of a maintainer than most have. */
const defaultWritersMax = 8

/** Whether a log in this directory takes this telemetry: it is of that directory, or counts nothing. */
export const isFor = ({ buffer, log }: Telemetry["Service"], directory: string): boolean =>
  log === directory || writersOf(buffer) === 0

/**
 * Makes telemetry that counts nothing, also for a log whose layer it lies beneath. Its updaters do nothing, here and in
 * every thread that attaches to its buffer, and all values of its snapshots are zero.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoop: Layer.Layer<Telemetry> = Layer.fresh(layer({ writersMax: 0 }))
