/**
 * A whole recorder as one layer: queues, arena, telemetry, maintainer and recorder, put together from one set of options.
 * Whoever wants to replace a part builds from the same layers by hand.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { blockBytesLimit, flashstrikeEventBytes } from "../format/SegmentHeader.ts"
import { flashstrikeLayout } from "../format/SegmentSealer.ts"
import type { SegmentLayout } from "../format/SegmentSealer.ts"
import type { MaintainerOptions } from "../maintainer/MaintainerOptions.ts"
import { SegmentMaintainer } from "../maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../maintainer/SegmentMaintainerWorker.ts"
import type { WorkerOptions } from "../maintainer/SegmentMaintainerWorker.ts"
import type { OtherFormat } from "../recovery/Recovery.ts"
import type { SegmentCorrupt } from "../recovery/SegmentCorrupt.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import * as SegmentQueues from "../shared/SegmentQueues.ts"
import * as Telemetry from "../telemetry/Telemetry.ts"
import { Recorder } from "./Recorder.ts"
import type { RecorderOptions } from "./Recorder.ts"

/**
 * What a recorder is made of; only the directory must be said.
 *
 * @since 0.1.0
 * @category models
 */
export interface WalOptions extends MaintainerOptions, RecorderOptions {
  /** `effect-wal` (format 2): any bytes. `flashstrike` (format 1): 64-byte events that begin with their id. */
  readonly format?: "effect-wal" | "flashstrike"
  /** Payload bytes of a segment, and of each slot of the arena. Default: 16 MiB. */
  readonly segmentBytesMax?: number
  /** Slots of the arena: one is filled while the others wait for the disk. Default: 4. */
  readonly slots?: number
  /** Bytes of every event; 0 = any length. Default: 0. */
  readonly eventSize?: number
  /** The largest payload of a block, which bounds the largest event. Default: 1 MiB, or a whole segment if that is less. */
  readonly blockBytesMax?: number
}

/**
 * The services of a whole recorder.
 *
 * @since 0.1.0
 * @category models
 */
export type Wal = Recorder | SegmentMaintainer | SegmentArena | SegmentQueues.SegmentQueues | Telemetry.Telemetry

/**
 * What can go wrong when a directory is opened.
 *
 * @since 0.1.0
 * @category models
 */
export type WalError = DiskError | SegmentCorrupt | OtherFormat

/**
 * The defaults of the arena.
 *
 * @since 0.1.0
 * @category limits
 */
export const defaults = { segmentBytesMax: 16 * 1024 * 1024, slots: 4, blockBytesMax: 1024 * 1024 } as const

/**
 * The layout of the events that these options describe.
 *
 * @since 0.1.0
 * @category layouts
 */
export const layoutOf = (options: WalOptions): SegmentLayout => {
  if (options.format === "flashstrike") return flashstrikeLayout
  const segmentBytes = options.segmentBytesMax ?? defaults.segmentBytesMax
  return {
    version: 2,
    eventSize: options.eventSize ?? 0,
    blockBytesMax: Math.min(options.blockBytesMax ?? defaults.blockBytesMax, segmentBytes, blockBytesLimit)
  }
}

const foundation = (options: WalOptions, writersMax: number) =>
  Layer.mergeAll(
    SegmentQueues.layer,
    SegmentArena.layer({
      slots: options.slots ?? defaults.slots,
      slotBytes: slotBytesOf(options),
      layout: layoutOf(options)
    }),
    Telemetry.layer({ writersMax })
  )

/** Whole events only, so a segment's last bytes are not left unused by the format. */
const slotBytesOf = (options: WalOptions): number => {
  const segmentBytes = options.segmentBytesMax ?? defaults.segmentBytesMax
  const eventSize = options.format === "flashstrike" ? flashstrikeEventBytes : options.eventSize ?? 0
  return eventSize === 0 ? segmentBytes : Math.floor(segmentBytes / eventSize) * eventSize
}

/**
 * A recorder whose maintainer is a fiber of this runtime.
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
 * A recorder whose maintainer runs in a thread of its own, or in a pool of them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWorker = (options: WalOptions & WorkerOptions): Layer.Layer<Wal, WalError, Disk> =>
  Recorder.layer(options).pipe(
    Layer.provideMerge(SegmentMaintainerWorker.layer(options)),
    Layer.provideMerge(foundation(options, 1 + (options.workers ?? 1)))
  )
