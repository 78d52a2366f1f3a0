/**
 * Makes a whole recorder as one layer: queues, arena, telemetry, maintainer and recorder, from one set of options. An
 * application that replaces a part combines the same layers itself.
 *
 * A layer that is given a wrong option dies with `WrongOptions` when it is built: one line that names the field, the
 * value and the range. Wrong values from the environment fail `layerConfig` with a `ConfigError`.
 *
 * @since 0.1.0
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * const RecorderLive = Wal.layerWorker({ directory: "./log", limits: { maxSegments: 8, maxCompressedSegments: 64 } })
 *
 * const program = Effect.gen(function*() {
 *   const recorder = yield* Recorder.Recorder
 *   const id = yield* recorder.appendDurable(Buffer.from("hello"))
 *   yield* Console.log(`event ${id} is on disk`)
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(RecorderLive.pipe(Layer.provide(NodeDisk.layer)))))
 * ```
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { format1EventBytes } from "../format/Limits.ts"
import { format1Layout } from "../format/SegmentLayout.ts"
import type { SegmentLayout } from "../format/SegmentLayout.ts"
import * as SegmentMaintainer from "../maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../maintainer/SegmentMaintainerWorker.ts"
import type { WorkerOptions } from "../maintainer/SegmentMaintainerWorker.ts"
import type { FormatMismatch, LogExhausted } from "../reading/recovery/Recovery.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import * as SegmentQueues from "../shared/SegmentQueues.ts"
import * as Telemetry from "../telemetry/Telemetry.ts"
import * as Recorder from "./Recorder.ts"
import * as WalConfig from "./WalConfig.ts"
import type { ResolvedWalOptions, WalOptions } from "./WalConfig.ts"

export type { WalOptions } from "./WalConfig.ts"

/**
 * The services of a whole recorder.
 *
 * @since 0.1.0
 * @category models
 */
export type Wal =
  | Recorder.Recorder
  | SegmentMaintainer.SegmentMaintainer
  | SegmentArena.SegmentArena
  | SegmentQueues.SegmentQueues
  | Telemetry.Telemetry

/**
 * What can go wrong when a directory is opened.
 *
 * @since 0.1.0
 * @category models
 */
export type WalError = DiskError | SegmentCorrupt | FormatMismatch | LogExhausted

/**
 * The layout of the events that these options describe. Throws `WrongOptions`.
 *
 * @since 0.1.0
 * @category layouts
 */
export const layoutOf = (options: WalOptions): SegmentLayout => layoutOfResolved(WalConfig.resolve(options))

const layoutOfResolved = (options: ResolvedWalOptions): SegmentLayout =>
  options.format === 1 ? format1Layout : {
    version: 2,
    eventSize: options.eventSize,
    blockBytesMax: Math.min(options.blockBytesMax, options.segmentBytesMax)
  }

/** Options are checked when the layer is built, so a wrong one is a defect of the program that builds it. */
const foundation = (given: WalOptions, writersMax: number) =>
  Layer.unwrap(Effect.sync(() => {
    const options = WalConfig.resolve(given)
    return Layer.mergeAll(
      SegmentQueues.layer,
      SegmentArena.layer({ slots: options.slots, slotBytes: slotBytesOf(options), layout: layoutOfResolved(options) }),
      Telemetry.layer({ writersMax })
    )
  }))

/** A slot holds whole events only, so no bytes at the end of a segment are left unused. */
const slotBytesOf = ({ eventSize, format, segmentBytesMax }: ResolvedWalOptions): number => {
  const bytes = format === 1 ? format1EventBytes : eventSize
  return bytes === 0 ? segmentBytesMax : Math.floor(segmentBytesMax / bytes) * bytes
}

/**
 * A recorder whose maintainer is a fiber of this runtime. It needs no thread, and is deterministic under `TestClock`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: WalOptions): Layer.Layer<Wal, WalError, Disk> =>
  Recorder.layer(options).pipe(
    Layer.provideMerge(SegmentMaintainer.layer(options)),
    Layer.provideMerge(foundation(options, 1))
  )

/**
 * A recorder whose maintainer runs in a thread of its own, or in a pool of them. Hashing, writing and compressing share
 * only the cores with the thread that appends.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWorker = (options: WalOptions & WorkerOptions): Layer.Layer<Wal, WalError, Disk> =>
  Recorder.layer(options).pipe(
    Layer.provideMerge(SegmentMaintainerWorker.layer(options)),
    Layer.provideMerge(foundation(options, 1 + (options.workers ?? WalConfig.defaults.workers)))
  )

/**
 * A recorder whose options come from a `Config`: `WalConfig.config` for the environment, or a record of your own. With
 * 0 `workers` it runs as `layer` does, otherwise as `layerWorker`.
 *
 * @since 0.1.0
 * @category layers
 * @example
 * ```ts
 * import * as ConfigProvider from "effect/ConfigProvider"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { NodeDisk, Recorder, Wal, WalConfig } from "effect-wal"
 *
 * // Left out, the variables are those of the process.
 * const variables = ConfigProvider.fromEnv({ env: { EFFECT_WAL_DIRECTORY: "./log", EFFECT_WAL_WORKERS: "0" } })
 *
 * const RecorderLive = Wal.layerConfig(WalConfig.config).pipe(
 *   Layer.provide(NodeDisk.layer),
 *   Layer.provide(ConfigProvider.layer(variables))
 * )
 *
 * const program = Effect.flatMap(Recorder.Recorder, (recorder) => recorder.appendDurable(Buffer.from("hello")))
 *
 * await Effect.runPromise(Effect.provide(program, RecorderLive))
 * ```
 */
export const layerConfig = (
  config: Config.Wrap<WalConfig.WalConfig>
): Layer.Layer<Wal, WalError | Config.ConfigError, Disk> =>
  Layer.unwrap(
    Effect.map(Config.unwrap(config), ({ workers = WalConfig.defaults.workers, ...options }) =>
      workers === 0 ? layer(options) : layerWorker({ ...options, workers }))
  )
