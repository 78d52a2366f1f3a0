/**
 * How a maintainer is set up.
 *
 * @since 0.1.0
 */
import type { Compression, SegmentNaming } from "../format/SegmentName.ts"
import { defaultNaming } from "../format/SegmentName.ts"
import { defaultSleepMillis } from "./MaintainerSchedule.ts"
import type { RetentionLimits } from "./Retention.ts"
import { defaultLimits } from "./Retention.ts"

/**
 * What may be said about a maintainer; only the directory must be.
 *
 * @since 0.1.0
 * @category models
 */
export interface MaintainerOptions {
  /** Made when it is missing. One maintainer at a time holds it. */
  readonly directory: string
  /** How segment files are named. Default: `FS.00000012.wal`. */
  readonly naming?: SegmentNaming
  /** What may stay on disk. Counts outside their ranges are clamped with a warning. Default: 8 hot, 64 cold. */
  readonly limits?: RetentionLimits
  /** Default: `frame`. */
  readonly compression?: Compression
  /** Flush the active segment this often, in milliseconds. Default 0: when somebody waits for it, and at rotation. */
  readonly flushEveryMillis?: number
  /**
   * When freezing cannot keep up: `wait` holds new segments back until there is room (the limit of hot segments holds at
   * every moment), `exceed` lets the number of hot segments grow. Default: `wait`.
   */
  readonly onHotLimit?: "wait" | "exceed"
  /** The shortest and longest sleep of the loop, in milliseconds. Defaults: 10 and 1000. */
  readonly sleepMillisMin?: number
  readonly sleepMillisMax?: number
  /** A drain gives up compression after this many milliseconds, never persistence. Default: it does not. */
  readonly drainMillisMax?: number
  /** This many restarts of an executor within a minute are borne; one more, and the maintainer is down. Default: 5. */
  readonly restartsMax?: number
  /** A file of this size is kept, and given up when a drain finds the disk full. Default: 0, none. */
  readonly reserveBytes?: number
}

/**
 * What may be said about a maintainer without a recorder of ours.
 *
 * @since 0.1.0
 * @category models
 */
export interface AloneOptions extends MaintainerOptions {
  /**
   * Who writes into the directory: this process, or another one that is running. What another one has made is
   * left alone until it is offered to be persisted. Default: `ours`.
   */
  readonly writer?: "ours" | "other"
}

/**
 * The options with every default in place.
 *
 * @since 0.1.0
 * @category models
 */
export type ResolvedMaintainerOptions = Required<Omit<MaintainerOptions, "drainMillisMax">> & {
  readonly drainMillisMax: number
}

/**
 * Puts the defaults in place.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (options: MaintainerOptions): ResolvedMaintainerOptions => ({
  directory: options.directory,
  naming: options.naming ?? defaultNaming,
  limits: options.limits ?? defaultLimits,
  compression: options.compression ?? "frame",
  flushEveryMillis: options.flushEveryMillis ?? 0,
  onHotLimit: options.onHotLimit ?? "wait",
  sleepMillisMin: options.sleepMillisMin ?? defaultSleepMillis.min,
  sleepMillisMax: options.sleepMillisMax ?? defaultSleepMillis.max,
  drainMillisMax: options.drainMillisMax ?? Number.POSITIVE_INFINITY,
  restartsMax: options.restartsMax ?? 5,
  reserveBytes: options.reserveBytes ?? 0
})
