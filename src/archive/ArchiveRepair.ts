/**
 * Puts archived segments back into a directory: those that are damaged there, and those that are missing between others
 * or were moved to quarantine. What was lost with them is no longer lost.
 *
 * ```text
 * the object, read and proved → report and copies of the damaged files in quarantine/ → the copy under its name, synced
 *   → the damaged file's name removed → holes that are filled forgotten
 * ```
 *
 * Each arrow means "before", so nothing is replaced before what replaces it was proved, and a crash at any point leaves
 * a segment that is damaged, whole, or both. Doing it again is always right. No recorder may hold the directory.
 *
 * A segment stays as it is when the archive does not have it whole, or when what follows it in the directory does not
 * continue it: recording went on after the loss, and a second truth cannot be put before that.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { writeCopy } from "../disk/CopyFile.ts"
import { Disk, removeIfThere } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { moveName, removeName } from "../disk/DurableNames.ts"
import { lockName } from "../disk/FileNames.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../disk/HoleStore.ts"
import { SegmentDirectory, segmentsOf } from "../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import type { Compression } from "../format/SegmentName.ts"
import { requireOptions } from "../internal/options.ts"
import { readingFields } from "../reading/ReadingOptions.ts"
import { keepEvidence } from "../reading/recovery/Quarantine.ts"
import { verify } from "../reading/recovery/Verify.ts"
import type { VerifyFault, VerifyReport } from "../reading/recovery/Verify.ts"
import { endOf, faultBetween } from "../reading/segment/SegmentChain.ts"
import { readStart } from "../reading/segment/SegmentReader.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { Damaged, NotProved, OtherLog } from "./ArchiveReason.ts"
import { logName } from "./LogName.ts"
import { manifestKey, segmentKey } from "./Manifest.ts"
import type { Manifest, SegmentRow } from "./Manifest.ts"
import * as ManifestStore from "./ManifestStore.ts"
import { observed, prove, sourceOf } from "./SegmentCheck.ts"

/**
 * A segment that is put back. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveRepairStep {
  readonly segmentIndex: number
  /** `damaged`: what stood there goes to quarantine. `missing`: nothing stood there, or a part of it. */
  readonly because: "damaged" | "missing"
  readonly key: string
  readonly firstEventId: number
  readonly lastEventId: number
}

/**
 * What is to be put back, or was.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveRepairReport {
  readonly directory: string
  readonly applied: boolean
  /** Where the damaged files are; null when none was replaced. */
  readonly quarantine: string | null
  readonly steps: ReadonlyArray<ArchiveRepairStep>
  /** Of the directory as it is afterwards; of how it is, when nothing was applied. */
  readonly left: ReadonlyArray<VerifyFault>
  readonly holes: ReadonlyArray<AcknowledgedHole>
}

const Options = Schema.Struct({ ...readingFields, log: logName, apply: Schema.Boolean })

/**
 * What to repair.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveRepairOptions extends Schema.Codec.Encoded<typeof Options> {}

/** A segment that can be put back, and what it takes. */
interface Plan {
  readonly step: ArchiveRepairStep
  readonly row: SegmentRow
  /** Its damaged files. */
  readonly damaged: ReadonlyArray<SegmentFile>
}

/**
 * Puts back what the archive has. Fails with `OtherLog` when the archive is that of another log, with `NotProved` when
 * an object is not what the manifest says, and with `Held` when `apply` is set and a recorder holds the directory.
 *
 * **Example** (What the archive could put back)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 * import { Archive, ArchiveRepair, DirectoryStore } from "effect-wal/archive"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./archive")
 * const store = DirectoryStore.layer({ directory: "./archive" })
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ appendDurable }) => appendDurable(Buffer.from("hello"))).pipe(
 *   Effect.provide(Archive.layer({ log: "events" }).pipe(
 *     Layer.provide(Events.parts),
 *     Layer.provideMerge(Events.layer({ directory: "./log", onArchiveBehind: "keep" })),
 *     Layer.provide(store)
 *   ))
 * )
 *
 * const look = Effect.gen(function*() {
 *   const { left, steps } = yield* ArchiveRepair.repair({ directory: "./log", log: "events", apply: false })
 *   yield* Console.log(`${steps.length} to put back, ${left.length} faults`) // => 0 to put back, 0 faults
 * }).pipe(Effect.provide(store))
 *
 * await Effect.runPromise(Effect.andThen(record, look).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category repair
 */
export const repair: (
  options: ArchiveRepairOptions
) => Effect.Effect<ArchiveRepairReport, DiskError | StoreError | ArchiveError, Disk | ObjectStore> = Effect.fn(
  "ArchiveRepair.repair"
)(
  function*(given: ArchiveRepairOptions) {
    const { apply, directory: path, log, naming } = requireOptions("options", Options, given)
    const directory = new SegmentDirectory(path, naming)
    yield* Effect.annotateCurrentSpan("log", directory.path)
    const disk = yield* Disk
    if (apply) yield* disk.lock(directory.pathOf(lockName))
    const manifests = yield* ManifestStore.make(log)
    const found = yield* manifests.read
    if (found === undefined) {
      return yield* new ArchiveError({ reason: new Damaged({ detail: "there is no manifest" }), key: manifestKey(log) })
    }
    const { manifest } = found
    const verifying = verify({ directory: directory.path, naming: directory.naming })
    const before = yield* verifying
    yield* requireSameLog(manifest, before, log)
    const plans = yield* plan(directory, log, before, (index) => manifests.rowFor(manifest, index), manifest)
    const steps = plans.map(({ step }) => step)
    const report = { directory: directory.path, applied: apply, steps }
    if (!apply || plans.length === 0) {
      return { ...report, quarantine: null, left: before.faults, holes: before.holes }
    }
    // Everything is read and proved before anything is changed, and once more when it is written.
    for (const { row, step } of plans) yield* proved(row, step.key)
    const damaged = plans.flatMap((planned) => planned.damaged)
    const quarantine = damaged.length === 0
      ? null
      : yield* keepEvidence(directory, damaged, (place) => ({ ...report, quarantine: place }))
    for (const { row, step } of plans) yield* putBack(directory, row, step.key)
    yield* forgetFilled(directory, before, plans)
    const after = yield* verifying
    return { ...report, quarantine, left: after.faults, holes: after.holes }
  },
  Effect.scoped
)

/** Fails when an intact segment shows that the directory has another log. */
const requireSameLog = Effect.fnUntraced(function*(manifest: Manifest, { segments }: VerifyReport, log: string) {
  const segment = segments[0]
  if (segment === undefined) return
  const { form, path, segmentIndex } = segment
  const compression: Compression = path.endsWith("b") ? "block" : "frame"
  const start = yield* Effect.option(readStart({ path, segmentIndex, form, compression }))
  const walId = Option.match(start, {
    onNone: () => manifest.walId,
    onSome: ({ header }) => Buffer.from(header.walId).toString("hex")
  })
  if (walId === manifest.walId) return
  const detail = `its wal_id is ${manifest.walId}, that of the directory ${walId}`
  return yield* new ArchiveError({ reason: new OtherLog({ detail }), key: manifestKey(log) })
})

/** What the archive can put back, oldest first. */
const plan = Effect.fnUntraced(function*<E, R>(
  directory: SegmentDirectory,
  log: string,
  { faults, holes, segments }: VerifyReport,
  rowFor: (segmentIndex: number) => Effect.Effect<ManifestRow, E, R>,
  { naming }: Manifest
) {
  const files = segmentsOf(yield* directory.scan).flatMap((entry) => directory.filesOf(entry))
  const isIntact = ({ path }: SegmentFile): boolean => segments.some((segment) => segment.path === path)
  const wanted = new Map<number, ArchiveRepairStep["because"]>()
  for (const fault of faults) {
    if (fault.kind === "Missing") addRange(wanted, fault.firstSegmentIndex, fault.lastSegmentIndex)
    const file = fault.kind === "Corrupt" ? files.find(({ path }) => path === fault.path) : undefined
    if (file !== undefined && !isIntact(file)) wanted.set(file.segmentIndex, "damaged")
  }
  for (const hole of holes) addRange(wanted, hole.firstSegmentIndex, hole.lastSegmentIndex)
  const plans: Array<Plan> = []
  for (const [segmentIndex, because] of [...wanted].sort(([left], [right]) => left - right)) {
    const row = yield* rowFor(segmentIndex)
    if (row === undefined || row.form === "none" || row.hole !== null) continue
    const here = segments.filter((segment) => segment.segmentIndex === segmentIndex)
    // The archive has no more than the directory. Beside a damaged file an intact one may stand since a crash of this.
    if (because === "missing" && here.some(({ lastEventId }) => lastEventId >= row.lastId)) continue
    const key = segmentKey(log, naming, row)
    plans.push({
      row,
      damaged: files.filter((file) => file.segmentIndex === segmentIndex && !isIntact(file)),
      step: { segmentIndex, because, key, firstEventId: row.firstId, lastEventId: row.lastId }
    })
  }
  return yield* Effect.filter(plans, (planned) => fits(planned, plans, files, isIntact))
})

type ManifestRow = Effect.Success<ReturnType<ManifestStore.ManifestStore["rowFor"]>>

const addRange = (wanted: Map<number, ArchiveRepairStep["because"]>, from: number, through: number): void => {
  for (let index = from; index <= through; index++) if (!wanted.has(index)) wanted.set(index, "missing")
}

/** Whether the next segment in the directory, when it stays, continues the archived one. */
const fits = Effect.fnUntraced(function*(
  { row, step }: Plan,
  plans: ReadonlyArray<Plan>,
  files: ReadonlyArray<SegmentFile>,
  isIntact: (file: SegmentFile) => boolean
) {
  const nextIndex = step.segmentIndex + 1
  const next = files.find((file) => file.segmentIndex === nextIndex && isIntact(file))
  if (next === undefined || plans.some((other) => other.step.segmentIndex === nextIndex)) return true
  const start = yield* Effect.option(readStart(next))
  if (Option.isNone(start)) return true
  const { header } = yield* proved(row, step.key)
  return header === undefined || continues(header, start.value.header, start.value.firstEventId)
})

const continues = (before: SegmentHeader, header: SegmentHeader, firstEventId: number | undefined): boolean =>
  faultBetween(endOf(before), header, firstEventId) === undefined

/** The bytes of an archived segment, every one of them proved, and what was found in them. */
const proved = Effect.fnUntraced(function*(row: SegmentRow, key: string) {
  const { bytes } = yield* (yield* ObjectStore).get(key)
  const compression: Compression = row.form === "lz4" ? "frame" : "block"
  const file: SegmentFile = { segmentIndex: row.index, path: key, form: "cold", compression }
  const notProved = (detail: string) => new ArchiveError({ reason: new NotProved({ detail }), key })
  const stored = observed(sourceOf(bytes))
  const content = yield* Effect.mapError(prove(file, stored), ({ message }) => notProved(message))
  if (stored.end().xxh64 !== row.storedXxh64) return yield* notProved("its bytes are not those of the manifest")
  if (content.contentXxh64 !== row.contentXxh64) return yield* notProved("its content is not that of the manifest")
  return { bytes, compression, header: content.header }
})

/** Gives the archived segment its name in the directory, and then removes every other file of that segment. */
const putBack = Effect.fnUntraced(function*(directory: SegmentDirectory, row: SegmentRow, key: string) {
  const disk = yield* Disk
  const { bytes, compression } = yield* proved(row, key)
  const path = directory.coldPath(row.index, compression)
  const prepared = directory.freezingPath(row.index, compression)
  const { permissions } = yield* disk.stat(directory.path)
  let position = 0
  const read = (target: Uint8Array) =>
    Effect.sync(() => {
      const part = bytes.subarray(position, position + target.length)
      target.set(part)
      position += part.length
      return part.length
    })
  yield* removeIfThere(prepared)
  yield* writeCopy(prepared, read, bytes.length, permissions)
  const entry = segmentsOf(yield* directory.scan).find(({ segmentIndex }) => segmentIndex === row.index)
  const files = entry === undefined ? [] : directory.filesOf(entry)
  // A name that could not be made durable is taken back, so that the next attempt gives it anew.
  const naming = files.some((file) => file.path === path)
    ? disk.changeNames(directory.path, disk.rename(prepared, path))
    : moveName(directory.path, prepared, path)
  yield* Effect.onError(naming, () => Effect.ignore(removeIfThere(prepared)))
  for (const file of files) if (file.path !== path) yield* removeName(directory.path, file.path, prepared)
})

/** Forgets the holes of which every segment is back, but for events that the archive does not have either. */
const forgetFilled = Effect.fnUntraced(function*(
  directory: SegmentDirectory,
  { segments }: VerifyReport,
  plans: ReadonlyArray<Plan>
) {
  const { holes } = yield* HoleStore.read(directory.path)
  const back = new Map(plans.map(({ row }) => [row.index, row.lastId]))
  const isBack = (index: number, { firstSegmentIndex }: AcknowledgedHole): boolean =>
    back.has(index) || index !== firstSegmentIndex && segments.some(({ segmentIndex }) => segmentIndex === index)
  const left = holes.flatMap((hole): ReadonlyArray<AcknowledgedHole> => {
    const { firstSegmentIndex, lastEventId, lastSegmentIndex } = hole
    for (let index = firstSegmentIndex; index <= lastSegmentIndex; index++) if (!isBack(index, hole)) return [hole]
    const lastBack = back.get(lastSegmentIndex) ?? lastEventId
    return lastBack >= lastEventId
      ? []
      : [{ ...hole, firstSegmentIndex: lastSegmentIndex, firstEventId: lastBack + 1 }]
  })
  yield* HoleStore.write(directory.path, left)
})
