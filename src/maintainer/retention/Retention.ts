/**
 * Decides what to do next, from what is on disk and what the limits are. Hot becomes cold becomes deleted, oldest
 * first. The maintainer executes the plan; a dry run prints it.
 *
 * - One place among the hot segments is kept free for the file that the next rotation needs: with a limit of 8, at most
 *   6 closed segments stay hot, beside the active one and the one being frozen. So as long as freezing keeps up, a
 *   rotation finds its place ready, and persisting never waits for freezing.
 * - Every freeze makes one more cold segment. So for each freeze that is due or under way there must be a place among
 *   the cold ones; when there is none, the oldest is deleted first. The hot file stays as it is meanwhile.
 * - `maxCompressedSegments` counts full segments' worth: a segment counts by the room that it uses, and a full one
 *   counts as one. So what is kept depends on what was recorded, and not on how often a segment was closed early, by a
 *   start or by a rotation. A segment counts at least as a 128th, which bounds how many files there are.
 * - The newest segment stays hot while it is short, because the next start continues it.
 * - Only cold segments are deleted, only the oldest, only past a limit or when that was asked for, and never one that
 *   is held (promise 6 of docs/RELIABILITY.md). While holds keep more than `heldBytesMax`, they keep nothing.
 * - With an archive that must not be behind, a segment is deleted only after the archive has confirmed it; no limit
 *   changes that.
 * - The cost of a decision depends on how much there is to do, not on how many segments there are.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { clampedWhole, clampedWholeOr, duration, size } from "../../internal/options.ts"

/** The ranges of the two counts. */
export const limitRanges = {
  maxSegments: { minimum: 2, maximum: 128 },
  maxCompressedSegments: { minimum: 4, maximum: 512 }
} as const

/**
 * What may stay on disk. Every given limit is kept; the strictest decides.
 *
 * @since 0.1.0
 * @category models
 */
export const RetentionLimits = Schema.Struct({
  /** Hot segments, the active one included: 2 to 128. */
  maxSegments: clampedWhole(limitRanges.maxSegments.minimum, limitRanges.maxSegments.maximum),
  /** Cold segments, in full ones' worth: 4 to 512, or any number. */
  maxCompressedSegments: clampedWholeOr(
    limitRanges.maxCompressedSegments.minimum,
    limitRanges.maxCompressedSegments.maximum,
    "unlimited"
  ),
  /** Hot and cold together, on disk. */
  bytesMax: Schema.optional(size(0, Number.MAX_SAFE_INTEGER)),
  /** In elapsed time, from the closing of a segment. */
  ageMax: Schema.optional(duration(0, Number.MAX_SAFE_INTEGER)),
  /** While the file system has less room than this, the oldest cold segments are deleted. */
  freeBytesMin: Schema.optional(size(0, Number.MAX_SAFE_INTEGER)),
  /** While hot and cold segments take more than this on disk, holds keep nothing. */
  heldBytesMax: Schema.optional(size(0, Number.MAX_SAFE_INTEGER))
})

/**
 * What retention may keep: the type of {@link RetentionLimits} as it is given. Values outside `limitRanges` are clamped
 * when they are used.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetentionLimits extends Schema.Codec.Encoded<typeof RetentionLimits> {}

/** The limits as they are used: the age is a `Duration`, sizes are numbers of bytes. They can be given again. */
export type ResolvedLimits = typeof RetentionLimits.Type

/**
 * The default: 8 hot and 64 cold segments.
 *
 * **Example** (Keeping all compressed segments)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Retention, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   const { maintainer } = yield* Events
 *   // Keeps all that it has compressed, from now on. What is outside a range is brought into it, and returned.
 *   const clamped = yield* maintainer.setLimits({
 *     ...Retention.defaultLimits,
 *     maxSegments: 1,
 *     maxCompressedSegments: "unlimited"
 *   })
 *   yield* Console.log(clamped.map(({ field, used }) => `${field}: ${used}`)) // => maxSegments: 2
 * })
 *
 * await Effect.runPromise(
 *   program.pipe(Effect.provide(Events.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer))
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export const defaultLimits: ResolvedLimits = { maxSegments: 8, maxCompressedSegments: 64 }

/**
 * A limit outside its range, and the value that is used instead.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClampedLimit {
  readonly field: "maxSegments" | "maxCompressedSegments"
  readonly given: number
  readonly used: number
}

/** Clamps the counts to their ranges, and returns which were outside. */
export const clampLimits = (
  limits: ResolvedLimits
): { readonly limits: ResolvedLimits; readonly clamped: ReadonlyArray<ClampedLimit> } => {
  const clamped: Array<ClampedLimit> = []
  const clamp = (field: ClampedLimit["field"], given: number): number => {
    const { maximum, minimum } = limitRanges[field]
    const used = Math.min(maximum, Math.max(minimum, given))
    if (used !== given) clamped.push({ field, given, used })
    return used
  }
  const { maxCompressedSegments, maxSegments } = limits
  return {
    limits: {
      ...limits,
      maxSegments: clamp("maxSegments", maxSegments),
      maxCompressedSegments: maxCompressedSegments === "unlimited"
        ? maxCompressedSegments
        : clamp("maxCompressedSegments", maxCompressedSegments)
    },
    clamped
  }
}

/** Formats a clamped limit as one line for people. */
export const formatClamped = (clamped: ClampedLimit): string => {
  const { maximum, minimum } = limitRanges[clamped.field]
  return `${clamped.field} ${clamped.given} is outside ${minimum} to ${maximum}; using ${clamped.used}`
}

/** Weights are multiples of this, so that their sums are exact. */
const weightUnit = 1 / 1024

/** What even the smallest segment counts. */
const weightMin = 1 / 128

/**
 * What a segment counts towards `maxCompressedSegments` that uses so many of the bytes of a full one: 1 / 128 to 1.
 */
export const weightOf = (usedBytes: number, fullBytes: number): number =>
  Math.min(1, Math.max(weightMin, Math.ceil(usedBytes / fullBytes / weightUnit) * weightUnit))

/** What retention must know of a closed segment. */
export interface RetainedSegment {
  readonly segmentIndex: number
  /** In its present form. */
  readonly bytes: number
  /** What it counts towards `maxCompressedSegments`: 1 for a full one, less for one that is not full. */
  readonly weight: number
  /** Milliseconds since its closing; `undefined` while unknown: such a segment does not count as old. */
  readonly ageMillis: number | undefined
}

/**
 * What is on disk, from the oldest end. `hotAt(0)` is the oldest closed hot segment that can still be frozen,
 * `coldAt(0)` the oldest cold one that can still be deleted. Segments with a step that is under way or was abandoned
 * are left out.
 */
export interface RetentionView {
  readonly hotCount: number
  /** Closed hot segments that can still be frozen, 0 = the oldest. */
  readonly hotAt: (position: number) => RetainedSegment
  readonly coldCount: number
  /** Cold segments that can still be deleted, 0 = the oldest. */
  readonly coldAt: (position: number) => RetainedSegment
  /** Of all these cold segments together. */
  readonly coldWeight: number
  /** Of the freezes that are under way or about to start: each will be one more cold segment. */
  readonly arrivingWeight: number
  /** Of all segments except those that are being freed. */
  readonly bytes: number
  /** Of the file system; `undefined` when unknown. */
  readonly freeBytes: number | undefined
  /** Segments with this index or a later one are held. */
  readonly heldFromIndex: number
  /** Segments with this index or a later one stay, whatever asks for less: the log has no hole, and never ends. */
  readonly keptFromIndex: number
  /** Segments before this one were asked to go. */
  readonly freeBeforeIndex: number
  /** Segments before this one were asked to be compressed. */
  readonly freezeBeforeIndex: number
  /** The newest segment, if it is short; `Infinity` otherwise. */
  readonly toContinueIndex: number
}

/**
 * What to do next.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetentionAction {
  /** `archive`: an archive is to copy it. That is no step of the maintainer, which only waits for it. */
  readonly action: "freeze" | "free" | "archive"
  readonly segmentIndex: number
  readonly bytes: number
  /** Which limit asks for it; `archiveBehind`: the archive does not have it yet. */
  readonly because:
    | "maxSegments"
    | "maxCompressedSegments"
    | "bytesMax"
    | "ageMax"
    | "freeBytesMin"
    | "freeBefore"
    | "freezeBefore"
    | "archiveBehind"
}

/** What the maintainer itself does. */
export type StepAction = RetentionAction & { readonly action: "freeze" | "free" }

/** The actions that are due, in the order in which they should start. */
export const plan = (view: RetentionView, limits: ResolvedLimits): ReadonlyArray<StepAction> => {
  const frees: Array<StepAction> = []
  let bytes = view.bytes
  let coldWeight = view.coldWeight
  let freeBytes = view.freeBytes ?? Number.POSITIVE_INFINITY
  /** Deletes the oldest cold segments for as long as there is a reason to. */
  const freeWhile = (why: (oldest: RetainedSegment) => RetentionAction["because"] | undefined): void => {
    while (frees.length < view.coldCount) {
      const oldest = view.coldAt(frees.length)
      const isHeld = oldest.segmentIndex >= view.heldFromIndex && bytes <= (limits.heldBytesMax ?? bytes)
      const because = oldest.segmentIndex < view.keptFromIndex && !isHeld ? why(oldest) : undefined
      if (because === undefined) return
      frees.push(actionOn("free", because, oldest))
      bytes -= oldest.bytes
      coldWeight -= oldest.weight
      freeBytes += oldest.bytes
    }
  }
  const coldMax = limits.maxCompressedSegments === "unlimited" ? Number.POSITIVE_INFINITY : limits.maxCompressedSegments

  freeWhile((oldest) =>
    coldWeight + view.arrivingWeight > coldMax
      ? "maxCompressedSegments"
      : whyLess(limits, view, oldest, bytes, freeBytes)
  )
  const freezes: Array<StepAction> = []
  let { arrivingWeight } = view
  const closedHotMax = Math.max(0, limits.maxSegments - 2)
  for (let frozen = 0; frozen < view.hotCount; frozen++) {
    const oldest = view.hotAt(frozen)
    // Past the limits in bytes, age and free space a hot segment is frozen too: it gets smaller, and then it can be
    // deleted. So is one that is older than a cold one that must be deleted, as after an abandoned freeze.
    const isInTheWay = coldWeight > coldMax &&
      oldest.segmentIndex <= Math.min(view.heldFromIndex, view.keptFromIndex) &&
      oldest.segmentIndex < view.coldAt(frees.length).segmentIndex
    const because = view.hotCount - frozen > closedHotMax && oldest.segmentIndex !== view.toContinueIndex
      ? "maxSegments"
      : isInTheWay
      ? "maxCompressedSegments"
      : oldest.segmentIndex < view.freezeBeforeIndex
      ? "freezeBefore"
      : whyLess(limits, view, oldest, bytes, freeBytes)
    if (because === undefined) break
    freezes.push(actionOn("freeze", because, oldest))
    arrivingWeight += oldest.weight
  }
  freeWhile(() => coldWeight + arrivingWeight > coldMax ? "maxCompressedSegments" : undefined)
  return [...frees, ...freezes]
}

const actionOn = (
  action: StepAction["action"],
  because: RetentionAction["because"],
  { bytes, segmentIndex }: RetainedSegment
): StepAction => ({ action, segmentIndex, bytes, because })

const isExpired = ({ ageMax }: ResolvedLimits, { ageMillis }: RetainedSegment): boolean =>
  ageMax !== undefined && ageMillis !== undefined && ageMillis > Duration.toMillis(ageMax)

/** What asks for less, limits of counts aside. */
const whyLess = (
  limits: ResolvedLimits,
  { freeBeforeIndex }: Pick<RetentionView, "freeBeforeIndex">,
  oldest: RetainedSegment,
  bytes: number,
  freeBytes: number
): RetentionAction["because"] | undefined => {
  if (oldest.segmentIndex < freeBeforeIndex) return "freeBefore"
  if (limits.bytesMax !== undefined && bytes > limits.bytesMax) return "bytesMax"
  if (isExpired(limits, oldest)) return "ageMax"
  if (limits.freeBytesMin !== undefined && freeBytes < limits.freeBytesMin) return "freeBytesMin"
  return undefined
}
