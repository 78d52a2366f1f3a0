/**
 * Telemetry of a recorder: writers count into shared memory, one block each, and anyone may take a snapshot.
 *
 * No count is lost and no snapshot holds a half-updated group, however many threads write. Nothing runs in the
 * background: what nobody reads costs only its updates, and the no-op costs nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import {
  makeUpdater,
  monotonicNanos,
  type NowNanos,
  type SegmentMaintainerUpdater
} from "./SegmentMaintainerUpdater.ts"
import { makeBuffer } from "./TelemetryBuffer.ts"
import { makeReader } from "./TelemetryReader.ts"
import type { TelemetrySnapshot } from "./TelemetrySnapshot.ts"

export type { NowNanos, SegmentMaintainerUpdater } from "./SegmentMaintainerUpdater.ts"

/**
 * The telemetry of one recorder.
 *
 * @since 0.1.0
 * @category services
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, Recorder, Telemetry, TelemetryDump, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Recorder.Recorder).appendDurable(Buffer.from("hello"))
 *   const snapshot = yield* (yield* Telemetry.Telemetry).snapshot
 *   yield* Console.log(snapshot.operations.commit.success) // => 1
 *   yield* Console.log(TelemetryDump.dump(snapshot))
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 */
export class Telemetry extends Context.Service<Telemetry, {
  /** The updater of a writer, from 0. A writer is one thread; a restarted thread may go on with its block. */
  readonly updater: (writer: number) => SegmentMaintainerUpdater
  /** All writers merged, now. */
  readonly snapshot: Effect.Effect<TelemetrySnapshot>
  /** The same, at once. */
  readonly snapshotUnsafe: () => TelemetrySnapshot
  /** Runs `refresh` before every snapshot taken here, for as long as the scope lives: for gauges that age unread. */
  readonly beforeSnapshot: (refresh: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** What a worker needs to {@link attach}. */
  readonly buffer: SharedArrayBuffer
}>()("effect-wal/telemetry/Telemetry") {}

/**
 * The telemetry that another thread made, from its buffer. Throws when the buffer is none, or of another version.
 * `nowNanos` is the clock of the updaters.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = (buffer: SharedArrayBuffer, nowNanos: NowNanos = monotonicNanos): Telemetry["Service"] => {
  const read = makeReader(buffer)
  const refreshes = new Set<{ readonly refresh: () => void }>()
  const snapshotUnsafe = () => {
    for (const { refresh } of refreshes) refresh()
    return read()
  }
  return {
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
        (entry) => Effect.sync(() => refreshes.delete(entry))
      )),
    buffer
  }
}

/**
 * Telemetry for `writersMax` writers (0 to 256), less than 200 KiB of shared memory each.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly writersMax: number
  /** The clock of the updaters; {@link monotonicNanos} by default. */
  readonly nowNanos?: NowNanos
}): Layer.Layer<Telemetry> =>
  Layer.sync(Telemetry, () => attach(makeBuffer(options.writersMax), options.nowNanos ?? monotonicNanos))

/**
 * Telemetry that counts nothing: its updaters do nothing, here and in every thread that attaches to its buffer, and
 * every snapshot is all zeros.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoop: Layer.Layer<Telemetry> = layer({ writersMax: 0 })
