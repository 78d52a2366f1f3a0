/**
 * Makes the parts of a log, from one set of options: queues, arena, telemetry, maintainer and recorder. `Wal` makes a
 * service of them; the command line uses them as they are.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { SegmentDirectory } from "../disk/SegmentDirectory.ts"
import { format1EventBytes } from "../format/Limits.ts"
import { format1Layout } from "../format/SegmentLayout.ts"
import type { SegmentLayout } from "../format/SegmentLayout.ts"
import * as SegmentMaintainer from "../maintainer/SegmentMaintainer.ts"
import type { FiberOptions } from "../maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../maintainer/SegmentMaintainerWorker.ts"
import type { WorkerOptions } from "../maintainer/SegmentMaintainerWorker.ts"
import type { FormatMismatch, LogExhausted } from "../reading/recovery/Recovery.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import * as SegmentArena from "../shared/SegmentArena.ts"
import * as SegmentQueues from "../shared/SegmentQueues.ts"
import * as Telemetry from "../telemetry/Telemetry.ts"
import { writersOf } from "../telemetry/TelemetryBuffer.ts"
import type { Parts } from "./Log.ts"
import * as Recorder from "./Recorder.ts"
import * as WalConfig from "./WalConfig.ts"
import type { ResolvedWalOptions, WalOptions } from "./WalConfig.ts"

export type { Parts } from "./Log.ts"
export type { WalOptions } from "./WalConfig.ts"

/**
 * What can go wrong when a directory is opened.
 *
 * @since 0.1.0
 * @category models
 */
export type WalError = DiskError | SegmentCorrupt | FormatMismatch | LogExhausted

/**
 * The layout of the events that these options describe. Throws `WrongOptions`.
 */
export const layoutOf = (options: WalOptions): SegmentLayout => layoutOfResolved(WalConfig.resolveUnsafe(options))

const layoutOfResolved = (options: ResolvedWalOptions): SegmentLayout =>
  options.format === 1 ? format1Layout : {
    version: 2,
    eventSize: options.eventSize,
    blockBytesMax: Math.min(options.blockBytesMax, options.segmentBytesMax)
  }

/** Options are checked when the layer is built, so a wrong one is a defect of the program that builds it. */
const foundation = (given: WalOptions, writersMax: number) =>
  Layer.unwrap(Effect.sync(() => {
    const options = WalConfig.resolveUnsafe(given)
    return Layer.mergeAll(
      SegmentQueues.layer,
      SegmentArena.layer({ slots: options.slots, slotBytes: slotBytesOf(options), layout: layoutOfResolved(options) }),
      telemetryOf(new SegmentDirectory(options.directory).path, writersMax)
    )
  }))

/**
 * The telemetry beneath this layer when it is this log's, and otherwise one of its own. Beside two logs, that of the
 * other one may lie beneath.
 */
const telemetryOf = (log: string, writersMax: number) =>
  Layer.unwrap(Effect.gen(function*() {
    const given = Option.filter(
      yield* Effect.serviceOption(Telemetry.Telemetry),
      (found) => Telemetry.isFor(found, log)
    )
    if (Option.isNone(given)) return Telemetry.layer({ writersMax, log })
    const writers = writersOf(given.value.buffer)
    if (writers > 0 && writers < writersMax) {
      const message =
        `the telemetry beneath ${log} has memory for ${writers} writers: give its layer writersMax ${writersMax}`
      return yield* Effect.die(new Error(message))
    }
    return Layer.succeed(Telemetry.Telemetry, given.value)
  }))

/** A slot holds whole events only, so no bytes at the end of a segment are left unused. */
const slotBytesOf = ({ eventSize, format, segmentBytesMax }: ResolvedWalOptions): number => {
  const bytes = format === 1 ? format1EventBytes : eventSize
  return bytes === 0 ? segmentBytesMax : Math.floor(segmentBytesMax / bytes) * bytes
}

/**
 * A recorder whose maintainer is a fiber of this runtime. It needs no thread, and is deterministic under `TestClock`.
 */
export const layer = (options: WalOptions & FiberOptions): Layer.Layer<Parts, WalError, Disk> =>
  Recorder.layer(options).pipe(
    Layer.provideMerge(SegmentMaintainer.layer(options)),
    Layer.provideMerge(foundation(options, 1))
  )

/**
 * A recorder whose maintainer runs in a thread, or in several (`workers`). Hashing, writing and compressing share only
 * the cores with the thread that appends. All logs of the process share a few such threads.
 */
export const layerWorker = (options: WalOptions & WorkerOptions): Layer.Layer<Parts, WalError, Disk> =>
  Recorder.layer(options).pipe(
    Layer.provideMerge(SegmentMaintainerWorker.layer(options)),
    Layer.provideMerge(foundation(options, 1 + (options.workers ?? WalConfig.defaults.workers)))
  )

/** As `layer` with 0 `workers`, otherwise as `layerWorker`. */
export const layerConfig = (
  config: Config.Wrap<WalConfig.WalConfig>
): Layer.Layer<Parts, WalError | Config.ConfigError, Disk> =>
  Layer.unwrap(
    Effect.map(Config.unwrap(config), ({ workers = WalConfig.defaults.workers, ...options }) =>
      workers === 0 ? layer(options) : layerWorker({ ...options, workers }))
  )
