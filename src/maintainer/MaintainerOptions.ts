/**
 * How a maintainer is set up. Only this schema knows the names, the defaults and the ranges.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { defaultNaming, SegmentNaming } from "../format/SegmentName.ts"
import * as Options from "../internal/options.ts"
import { duration, millisLimit, oneOf, path, size, whole, withDefault } from "../internal/options.ts"
import { LoopSleeps } from "./executor/MaintainerSchedule.ts"
import { defaultLimits, RetentionLimits } from "./retention/Retention.ts"

/** More executors than this would only wait for each other: the disk limits compression long before. */
export const workersMax = 16

/**
 * Options of a maintainer; only `directory` is required. A value out of range is a defect whose message names the
 * field, the value and the range.
 *
 * @since 0.1.0
 * @category models
 */
export const MaintainerOptions = Schema.Struct({
  /**
   * Made when it is missing. One maintainer at a time holds it. A relative path is that of the working directory in
   * which the layer is built.
   */
  directory: path,
  /** How segment files are named. Default: `FS.00000012.wal`. */
  naming: withDefault(SegmentNaming, defaultNaming),
  /** What may stay on disk. Counts outside their ranges are clamped, with a warning. Default: 8 hot, 64 cold. */
  limits: withDefault(RetentionLimits, defaultLimits),
  /** Default: `frame`. */
  compression: withDefault(oneOf(["frame", "block"]), "frame"),
  /** Flush the active segment this often. Default 0: only for a commit, and at rotation. */
  flushEvery: withDefault(duration(0, millisLimit), Duration.zero),
  /**
   * When freezing cannot keep up: `wait` holds new segments back until there is room (the limit of hot segments holds
   * at every moment), `exceed` lets the number of hot segments grow. Default: `wait`.
   */
  onHotLimit: withDefault(oneOf(["wait", "exceed"]), "wait"),
  /**
   * A segment in which a freeze or a start finds damage: `keep` leaves it, and then nothing newer is deleted and a
   * start fails, `quarantine` moves it to `quarantine/` and acknowledges the hole. Default: `keep`.
   */
  onDamaged: withDefault(oneOf(["keep", "quarantine"]), "keep"),
  /**
   * For a log with an archive, which confirms what it has. A segment that is not confirmed: `keep` does not delete it,
   * whatever the limits are, `free` deletes it when a limit asks for that, which is logged and counted. Nothing is
   * confirmed at the start. Default: there is no archive, and the limits alone decide.
   */
  onArchiveBehind: Schema.optional(oneOf(["keep", "free"])),
  ...LoopSleeps.fields,
  /** A drain abandons compression after this time, never persistence. Default: it does not. */
  drainMax: Schema.optional(duration(0, millisLimit)),
  /**
   * This many restarts of an executor within a minute are tolerated; one more, and the maintainer is down. Default: 5.
   */
  restartsMax: withDefault(whole("count", 0, 1000), 5),
  /**
   * A file of this size is kept in reserve where twice as much is free, and removed when a drain finds the disk full.
   * Default: 0, none.
   */
  reserveBytes: withDefault(size(0, Number.MAX_SAFE_INTEGER), 0)
})

/**
 * Options of a maintainer: the type of {@link MaintainerOptions} before the defaults are in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface MaintainerOptions extends Schema.Codec.Encoded<typeof MaintainerOptions> {}

/**
 * Options of a maintainer without a recorder of ours.
 *
 * @since 0.1.0
 * @category models
 */
export interface AloneOptions extends MaintainerOptions {
  /**
   * Which process writes into the directory: this one, or another. What another one makes is left alone until it is
   * offered to be persisted. Default: `ours`.
   */
  readonly writer?: "ours" | "other"
}

/** The options with every default in place: durations are a `Duration`, sizes a number of bytes. */
export interface ResolvedMaintainerOptions extends Schema.Schema.Type<typeof MaintainerOptions> {}

/** Checks that the sleeps fit together; for every schema that has both. */
export const sleepsInOrder = Schema.makeFilter(
  ({ sleepMax, sleepMin }: Pick<ResolvedMaintainerOptions, "sleepMax" | "sleepMin">) =>
    Duration.isLessThanOrEqualTo(sleepMin, sleepMax) ||
    { path: ["sleepMin"], issue: `expected at most sleepMax, which is ${Duration.toMillis(sleepMax)} ms` }
)

const checked = MaintainerOptions.check(sleepsInOrder)

/**
 * Checks the options and puts the defaults in place. Throws `WrongOptions`, which names the field, the value and the
 * range.
 */
export const resolveUnsafe = (options: MaintainerOptions): ResolvedMaintainerOptions =>
  Options.resolveUnsafe(checked, options)
