/**
 * Moves damaged segments out of a log, and destroys nothing: each goes to a directory of its own under `quarantine/`,
 * byte for byte and under its name, so every command that reads can read it there.
 *
 * What stays in its place:
 *
 * - when the same segment also exists in another form that is intact: that form
 * - in format 2, the whole blocks before the damage, as a closed segment
 * - when no block is intact, or in format 1: nothing. (Every segment of format 1 starts its own chain, so a shortened
 *   one could not show that events are missing.)
 *
 * The events that are lost are acknowledged (see `Quarantine`): replay reports them as lost, or skips them, and
 * verification lists the hole and no fault.
 *
 * No id is used twice. When the newest segment is damaged, the last id that it, its successors and the meta file show
 * goes into the meta file before anything is moved, and recording continues after it (see `Recovery`), under the next
 * index. Bytes of that segment that nothing explains any more count as events, so recording may continue after ids that
 * were never used. They count as lost.
 *
 * A segment that is intact and only does not continue its predecessor stays where it is. So does what is no regular
 * file or cannot be read.
 *
 * A crash at any point leaves each damaged segment where it was, in quarantine, or in both. No recorder may hold the
 * directory: applying takes its lock.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Disk } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { lockName } from "../../disk/FileNames.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import { SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import { requireOptions } from "../../internal/options.ts"
import { readingFields } from "../ReadingOptions.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart } from "../segment/SegmentReader.ts"
import { judge, lastIdTold } from "./HintedEnd.ts"
import * as Quarantine from "./Quarantine.ts"
import { lastIdIn } from "./SegmentLastId.ts"
import { verify } from "./Verify.ts"
import type { VerifiedSegment, VerifyFault } from "./Verify.ts"

/**
 * What is done about one damaged file. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface RepairStep {
  readonly segmentIndex: number
  readonly path: string
  readonly fault: VerifyFault
  /** What stays readable in its place: the segment's other form, its whole blocks before the damage, or nothing. */
  readonly kept: Quarantine.Kept
  /** Of the whole blocks that are kept; 0 when none are. */
  readonly eventCount: number
  readonly firstEventId: number
  readonly lastEventId: number
}

/**
 * What is to be repaired, or was.
 *
 * @since 0.1.0
 * @category models
 */
export interface RepairReport {
  readonly directory: string
  readonly applied: boolean
  /** Where the damaged segments are; null when nothing was moved. */
  readonly quarantine: string | null
  readonly steps: ReadonlyArray<RepairStep>
  /** The last event when all steps are done; 0 when none is left. */
  readonly lastEventId: number
  /** Recording continues after this id. It is above `lastEventId` when events between them are lost. */
  readonly lastGivenId: number
  /** Faults that are not repaired by moving a file. */
  readonly left: ReadonlyArray<VerifyFault>
  /** Why the meta file was not believed; empty when it was, and when it is absent or older than the directory. */
  readonly ignoredHint: string
}

/**
 * What to repair.
 *
 * @since 0.1.0
 * @category models
 */
export interface RepairOptions {
  readonly directory: string
  readonly naming?: SegmentNaming
  /** False: report what would be done, and write nothing. */
  readonly apply: boolean
}

const Options = Schema.Struct({ ...readingFields, apply: Schema.Boolean })

/**
 * Repairs a directory. Fails with `Held` when `apply` is set and a recorder holds the directory.
 *
 * **Example** (Planning a repair)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { NodeDisk, Repair, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ append }) => append(Buffer.from("hello"))).pipe(
 *   Effect.provide(Events.layer({ directory: "./log" }))
 * )
 *
 * // Reports what it would do; `apply: true` does it, and needs the directory for itself.
 * const look = Effect.gen(function*() {
 *   const { left, steps } = yield* Repair.repair({ directory: "./log", apply: false })
 *   yield* Console.log(`${steps.length} steps, ${left.length} faults left`) // => 0 steps, 0 faults left
 * })
 *
 * await Effect.runPromise(Effect.andThen(record, look).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category repair
 */
export const repair: (
  options: RepairOptions
) => Effect.Effect<RepairReport, DiskError | SegmentCorrupt, Disk> = Effect.fn("Repair.repair")(
  function*(options: RepairOptions) {
    requireOptions("options", Options, options)
    const { apply } = options
    const directory = new SegmentDirectory(options.directory, options.naming)
    yield* Effect.annotateCurrentSpan("log", directory.path)
    const disk = yield* Disk
    if (apply) yield* disk.lock(directory.pathOf(lockName))
    const { given, ignored, lastEventId, left, losses, plans } = yield* plan(directory)
    const steps = plans.map(({ step }) => step)
    const found = {
      directory: directory.path,
      applied: apply,
      quarantine: null,
      steps,
      lastEventId,
      lastGivenId: given.lastEventId,
      left,
      ignoredHint: ignored
    }
    if (!apply || plans.length === 0) return found
    const end = given.lastEventId > lastEventId ? given : undefined
    const reportOf = (quarantine: string): RepairReport => ({ ...found, quarantine })
    return reportOf(yield* Quarantine.setAside(directory, plans, losses, end, reportOf))
  },
  Effect.scoped
)

/**
 * The ids that a segment which stays tells. One that was closed without events names the id that comes next, so its
 * last id is the one before that.
 */
type Told = Pick<VerifiedSegment, "segmentIndex" | "firstEventId" | "lastEventId">

/** What the segments tell that verify; open ones without events tell nothing. */
const toldBy = Effect.fnUntraced(function*(
  segments: ReadonlyArray<VerifiedSegment>,
  files: ReadonlyArray<SegmentFile>
) {
  const told: Array<Told> = []
  for (const segment of segments) {
    if (segment.eventCount > 0) told.push(segment)
    const file = segment.eventCount > 0 ? undefined : files.find(({ path }) => path === segment.path)
    const firstEventId = file === undefined ? undefined : (yield* readStart(file)).firstEventId
    if (firstEventId === undefined) continue
    told.push({ segmentIndex: segment.segmentIndex, firstEventId, lastEventId: firstEventId - 1 })
  }
  return told
})

/** The last event before a segment. */
const lastEventIdBefore = (told: ReadonlyArray<Told>, segmentIndex: number): number =>
  told.reduce((last, other) => other.segmentIndex < segmentIndex ? Math.max(last, other.lastEventId) : last, 0)

interface Plan extends Quarantine.Move {
  readonly step: RepairStep
}

/** What is lost with the segments that are moved away. */
const lossesOf = Effect.fnUntraced(function*(
  plans: ReadonlyArray<Plan>,
  told: ReadonlyArray<Told>,
  lastGivenId: number
) {
  const kept = plans.filter(({ prefix }) => prefix !== undefined).map(({ step }) => step)
  const remaining: ReadonlyArray<Told> = [...told, ...kept]
  const losses: Array<Quarantine.Loss> = []
  for (const planned of plans) {
    const { kept, segmentIndex } = planned.step
    if (kept === "other form") continue
    const before = remaining.filter((other) => other.segmentIndex <= segmentIndex).map((other) => other.lastEventId)
    const after = remaining.filter((other) => other.segmentIndex > segmentIndex).map((other) => other.firstEventId)
    const loss = yield* Quarantine.lossOf(planned, {
      lastBefore: before.length === 0 ? undefined : Math.max(...before),
      firstAfter: after.length === 0 ? undefined : Math.min(...after),
      lastGivenId
    })
    if (loss !== undefined) losses.push(loss)
  }
  return losses
})

const plan = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  const found = yield* MetaStore.read(directory.path)
  const { faults, segments } = yield* verify({ directory: directory.path, naming: directory.naming })
  const files = segmentsOf(yield* directory.scan).flatMap((entry) => directory.filesOf(entry))
  const told = yield* toldBy(segments, files)
  const newest = Math.max(-1, ...files.map(({ segmentIndex }) => segmentIndex))
  const left: Array<VerifyFault> = []
  const plans: Array<Plan> = []
  let lastEventId = segments.reduce((last, segment) => Math.max(last, segment.lastEventId), 0)
  let lastGivenId = told.reduce((last, segment) => Math.max(last, segment.lastEventId), 0)
  for (const fault of faults) {
    const file = fault.kind === "Corrupt" ? files.find(({ path }) => path === fault.path) : undefined
    const isWhole = (other: { readonly path: string }) => other.path === file?.path
    if (file === undefined || segments.some(isWhole) || plans.some((other) => other.file === file)) {
      left.push(fault)
      continue
    }
    const { path, segmentIndex } = file
    const hasOther = segments.some((other) => other.segmentIndex === segmentIndex)
    const prefix = hasOther ? undefined : yield* Quarantine.prefixToKeep(file)
    lastEventId = Math.max(lastEventId, prefix?.lastEventId ?? 0)
    const isNewest = !told.some((other) => other.segmentIndex > segmentIndex)
    const shown = Math.max(prefix?.lastEventId ?? 0, lastEventIdBefore(told, segmentIndex))
    // When nothing older is left, only the meta file tells where the ids of the segment begin.
    const before = shown > 0 ? shown : lastIdTold(found, newest)
    lastGivenId = Math.max(lastGivenId, yield* lastIdIn(file, isNewest ? before : undefined))
    plans.push({
      file,
      prefix,
      step: {
        segmentIndex,
        path,
        fault,
        kept: hasOther ? "other form" : prefix === undefined ? "nothing" : "whole blocks",
        eventCount: prefix?.eventCount ?? 0,
        firstEventId: prefix?.firstEventId ?? 0,
        lastEventId: prefix?.lastEventId ?? 0
      }
    })
  }
  // Of a newest segment that is damaged something is missing.
  const isClosed = !plans.some(({ file }) => file.segmentIndex === newest)
  // Held against what stays: a newer segment may have been moved away before, and its index is not used again either.
  const { end: hinted, ignored } = judge(found, { lastSegmentIndex: newest, lastEventId, isClosed })
  const end = { ...hinted, lastEventId: Math.max(lastGivenId, hinted.lastEventId) }
  const losses = yield* lossesOf(plans, told, end.lastEventId)
  return { left, plans, losses, lastEventId, ignored, given: { lastOffset: 0, ...end } }
})
