/**
 * Moves damaged segments out of a log, and destroys nothing: each goes to a directory of its own under `quarantine/`,
 * byte for byte and under its name, so every command that reads can read it there.
 *
 * What stays in its place:
 *
 * - when the same segment also exists in another form that is intact: that form
 * - in format 2, the whole blocks before the damage, as a closed segment. If no event was lost, replay continues after
 *   it; otherwise replay reports a broken chain
 * - when no block is intact, or in format 1: nothing. (Every segment of format 1 starts its own chain, so a shortened
 *   one could not show that events are missing.) Replay then reports the segment as missing
 *
 * No id is used twice. When the newest segment is damaged, the last id that it, its successors and the meta file show
 * goes into the meta file before anything is moved, and recording continues after it (see `Recovery`), under the next
 * index. Bytes of that segment that nothing explains any more count as events, so recording may continue after ids that
 * were never used. Replay and verification then report missing events (format 2) or a missing segment (format 1).
 *
 * A segment that is intact and only does not continue its predecessor stays where it is. So does what is no regular
 * file or cannot be read.
 *
 * A crash at any point leaves each damaged segment where it was or in quarantine, never in neither. No recorder may
 * hold the directory: applying takes its lock.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, openScoped, removeIfThere, writeFully } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import { lockName, quarantineName, repairReportName } from "../../disk/FileNames.ts"
import * as MetaStore from "../../disk/MetaStore.ts"
import { makeDirectoryIn, nameIn, pathIn, SegmentDirectory, segmentsOf } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import { closedNanosOf } from "../../format/Limits.ts"
import { chainsSegments } from "../../format/SegmentLayout.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import { requireOptions } from "../../internal/options.ts"
import { readingFields } from "../ReadingOptions.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { judge } from "./HintedEnd.ts"
import { lastIdIn } from "./SegmentLastId.ts"
import { readPrefix, writePrefix } from "./SegmentPrefix.ts"
import type { SegmentPrefix } from "./SegmentPrefix.ts"
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
  readonly kept: "other form" | "whole blocks" | "nothing"
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
 * @since 0.1.0
 * @category repair
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { NodeDisk, Recorder, Repair, Wal } from "effect-wal"
 *
 * const record = Effect.flatMap(Recorder.Recorder, ({ append }) => append(Buffer.from("hello"))).pipe(
 *   Effect.provide(Wal.layer({ directory: "./log" }))
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
 */
export const repair: (
  options: RepairOptions
) => Effect.Effect<RepairReport, DiskError | SegmentCorrupt, Disk> = Effect.fn("Repair.repair")(
  function*(options: RepairOptions) {
    requireOptions("options", Options, options)
    const { apply } = options
    const directory = new SegmentDirectory(options.directory, options.naming)
    const disk = yield* Disk
    if (apply) yield* disk.lock(directory.pathOf(lockName))
    const { given, ignored, lastEventId, left, plans } = yield* plan(directory)
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
    const now = yield* Clock.currentTimeMillis
    const name = new Date(now).toISOString().replace(/[:.]/g, "-")
    const quarantine = yield* makeDirectoryIn(yield* makeDirectoryIn(directory.path, quarantineName), name)
    const report: RepairReport = { ...found, quarantine }
    // Before anything is moved: a crash half-way leaves a report of what was found.
    yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(pathIn(quarantine, repairReportName), "create")
      yield* writeFully(file, [Buffer.from(`${JSON.stringify(report, undefined, 2)}\n`)], 0)
      yield* file.sync
    }))
    yield* disk.syncDirectory(quarantine)
    if (given.lastEventId > lastEventId) yield* MetaStore.write(directory.path, given)
    for (const { file, prefix } of plans) {
      const hotFile = directory.hotPath(file.segmentIndex)
      const moved = pathIn(quarantine, nameIn(file.path))
      if (prefix !== undefined) {
        const prepared = directory.preparingPath(file.segmentIndex)
        yield* removeIfThere(prepared)
        const { closedNanos } = prefix.header
        yield* writePrefix(file, prefix, prepared, closedNanos === 0n ? closedNanosOf(now) : closedNanos)
        if (file.form === "hot") {
          // The rename that puts the whole blocks in place removes the damaged file's name, so the file is copied
          // first.
          yield* copyFile(file.path, moved)
          yield* disk.syncDirectory(quarantine)
          yield* disk.rename(prepared, hotFile)
          yield* disk.syncDirectory(directory.path)
          continue
        }
        yield* disk.rename(prepared, hotFile)
        yield* disk.syncDirectory(directory.path)
      }
      yield* disk.rename(file.path, moved)
      yield* disk.syncDirectory(quarantine)
      yield* disk.syncDirectory(directory.path)
    }
    return report
  },
  Effect.scoped
)

/** The last event of the segments before this one that verify. */
const lastEventIdBefore = (segments: ReadonlyArray<VerifiedSegment>, segmentIndex: number): number =>
  segments.reduce((last, other) => other.segmentIndex < segmentIndex ? Math.max(last, other.lastEventId) : last, 0)

interface Plan {
  readonly step: RepairStep
  readonly file: SegmentFile
  /** What is put in the file's place. */
  readonly prefix: SegmentPrefix | undefined
}

const plan = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  const found = yield* MetaStore.read(directory.path)
  const { faults, segments } = yield* verify({ directory: directory.path, naming: directory.naming })
  const files = segmentsOf(yield* directory.scan).flatMap((entry) => directory.filesOf(entry))
  const left: Array<VerifyFault> = []
  const plans: Array<Plan> = []
  let lastEventId = segments.reduce((last, segment) => Math.max(last, segment.lastEventId), 0)
  let lastGivenId = lastEventId
  for (const fault of faults) {
    const file = fault.kind === "Corrupt" ? files.find(({ path }) => path === fault.path) : undefined
    const isWhole = (other: { readonly path: string }) => other.path === file?.path
    if (file === undefined || segments.some(isWhole) || plans.some((other) => other.file === file)) {
      left.push(fault)
      continue
    }
    const { path, segmentIndex } = file
    const hasOther = segments.some((other) => other.segmentIndex === segmentIndex)
    const begun = hasOther ? undefined : yield* readPrefix(file)
    const prefix = begun !== undefined && chainsSegments(begun.header.version) && begun.eventCount > 0
      ? begun
      : undefined
    lastEventId = Math.max(lastEventId, prefix?.lastEventId ?? 0)
    const isNewest = !segments.some((other) => other.segmentIndex > segmentIndex && other.eventCount > 0)
    const before = Math.max(prefix?.lastEventId ?? 0, lastEventIdBefore(segments, segmentIndex))
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
  const newest = Math.max(-1, ...files.map(({ segmentIndex }) => segmentIndex))
  // Of a newest segment that is damaged something is missing.
  const isClosed = !plans.some(({ file }) => file.segmentIndex === newest)
  const { end, ignored } = judge(found, { lastSegmentIndex: newest, lastEventId: lastGivenId, isClosed })
  return { left, plans, lastEventId, ignored, given: { lastOffset: 0, ...end } }
})
