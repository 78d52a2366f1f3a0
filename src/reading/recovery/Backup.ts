/**
 * Copies a directory while a recorder may be writing to it. The copy verifies. It ends with an event that was complete
 * on disk when the newest segment was read, and starts with the oldest segment that still existed when the copy reached
 * it.
 *
 * Segments are copied from the newest to the oldest. So a segment that is deleted meanwhile is missing at the old end
 * and nowhere else, and what must follow a segment was copied before it. Closed segments are copied as they are; of the
 * open one its whole blocks are copied. The copy is made beside its name, verified, and only then gets its name: a
 * directory of that name is a complete backup.
 *
 * The snapshots of state machines are copied after the newest segment. So a machine opens in a copy of a log that was
 * trimmed; unless two more snapshots were written, and what the copied ones needed was deleted, before the copy reached
 * it.
 *
 * A backup that fails or is interrupted removes what it has copied. A crash leaves the unfinished copy with the lock of
 * the dead process in it. So the next backup of that name recognizes the copy and starts again in its place.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { dirname, resolve } from "node:path"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, DiskError, removeIfThere } from "../../disk/Disk.ts"
import { Exists } from "../../disk/DiskReason.ts"
import { moveName } from "../../disk/DurableNames.ts"
import {
  backupLockName,
  holesName,
  holesTemporaryName,
  isLockName,
  isPrivateName,
  snapshotIn
} from "../../disk/FileNames.ts"
import * as HoleStore from "../../disk/HoleStore.ts"
import type { AcknowledgedHole } from "../../disk/HoleStore.ts"
import { makeDirectoryDurable, makeDirectoryIn, nameIn, pathIn, SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import { path, requireOptions } from "../../internal/options.ts"
import { makeDirectoryReader } from "../DirectoryReader.ts"
import { readingFields } from "../ReadingOptions.ts"
import type { SegmentCorrupt } from "../segment/SegmentCorrupt.ts"
import { readStart } from "../segment/SegmentReader.ts"
import { readPrefix, writePrefix } from "./SegmentPrefix.ts"
import { verify } from "./Verify.ts"
import type { VerifyFault } from "./Verify.ts"

/**
 * What was copied. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export interface BackupReport {
  readonly directory: string
  readonly to: string
  readonly segmentCount: number
  readonly bytes: number
  /** 0 when there are no events. */
  readonly firstEventId: number
  readonly lastEventId: number
  /** What is wrong with the copy because it is wrong with the directory; damaged segments are copied as they are. */
  readonly faults: ReadonlyArray<VerifyFault>
  /** Where events are lost in the directory, and so in the copy, which is acknowledged. */
  readonly holes: ReadonlyArray<AcknowledgedHole>
}

/**
 * What to copy.
 *
 * @since 0.1.0
 * @category models
 */
export interface BackupOptions {
  readonly directory: string
  /** Must not exist yet. */
  readonly to: string
  readonly naming?: SegmentNaming
}

const Options = Schema.Struct({ ...readingFields, to: path })

/** How often a directory that had nothing to copy is listed. */
const looksMax = 3

/**
 * Copies a directory. Fails with `Exists` when `to` already exists, or when `to.partial` exists and is no unfinished
 * copy; with `Held` while another backup of that name is being made.
 *
 * **Example** (Copying a log)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Backup, NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Events).appendDurable(Buffer.from("hello"))
 *   // Beside the recorder; the copy verifies.
 *   const { faults, lastEventId, to } = yield* Backup.backup({ directory: "./log", to: "./copy" })
 *   yield* Console.log(`${to}: up to event ${lastEventId}, ${faults.length} faults`) // => up to event 1, 0 faults
 * })
 *
 * const WalLive = Events.layer({ directory: "./log" })
 * await Effect.runPromise(program.pipe(Effect.provide(WalLive), Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category backup
 */
export const backup: (
  options: BackupOptions
) => Effect.Effect<BackupReport, DiskError | SegmentCorrupt, Disk> = Effect.fn("Backup.backup")(
  function*(options: BackupOptions) {
    requireOptions("options", Options, options)
    const directory = new SegmentDirectory(options.directory, options.naming)
    yield* Effect.annotateCurrentSpan("log", directory.path)
    const { naming } = directory
    const disk = yield* Disk
    const to = resolve(options.to)
    const partial = new SegmentDirectory(`${to}.partial`, naming)
    yield* refuseExisting(to)
    const giveName = yield* takePlace(partial, directory.path)
    const reader = yield* makeDirectoryReader(directory)
    yield* reader.refuseUnsafe(-1)
    let bytes = 0
    let segmentCount = 0
    let isNewestEnd = true
    for (let look = 1; look <= looksMax && segmentCount === 0; look++) {
      for (const { segmentIndex } of reader.segments().toReversed()) {
        const copied = yield* reader.use(segmentIndex, (file) => copySegment(file, partial, isNewestEnd))
        if (copied === undefined || copied === 0) continue
        // The state machines of this moment: the segments that come next have the events after their snapshots.
        if (isNewestEnd) bytes += yield* copySnapshots(directory, partial)
        isNewestEnd = false
        bytes += copied
        segmentCount += 1
      }
      // Every listed segment may have been deleted, and newer ones made.
      if (segmentCount === 0) yield* reader.look
    }
    // Last: a hole is written down before its segment goes, so whatever was missing is in it.
    const { holes: known } = yield* HoleStore.read(directory.path)
    if (known.length > 0) yield* HoleStore.write(partial.path, known)
    yield* disk.syncDirectory(partial.path)
    const { faults, holes, segments } = yield* verify({ directory: partial.path, naming })
    yield* giveName(to)
    const withEvents = segments.filter(({ eventCount }) => eventCount > 0)
    const report: BackupReport = {
      directory: directory.path,
      to,
      segmentCount,
      bytes,
      firstEventId: withEvents[0]?.firstEventId ?? 0,
      lastEventId: withEvents.at(-1)?.lastEventId ?? 0,
      faults: faults.map((fault) => "path" in fault ? { ...fault, path: fault.path.replace(partial.path, to) } : fault),
      holes
    }
    return report
  },
  Effect.scoped
)

/**
 * Makes an empty directory for an unfinished copy, locked for as long as the scope lives. The function that is returned
 * gives it the name of a complete copy, durably. A scope that closes before that removes the directory and what is in
 * it.
 */
const takePlace = Effect.fnUntraced(function*(directory: SegmentDirectory, source: string) {
  const disk = yield* Disk
  const partial = directory.path
  let isNamed = false
  const unlessNamed = (work: Effect.Effect<void, DiskError>) => Effect.suspend(() => isNamed ? Effect.void : work)
  const { permissions } = yield* disk.stat(source)
  yield* makeDirectoryDurable(dirname(partial))
  yield* Effect.acquireRelease(
    makeDirectoryIn(dirname(partial), nameIn(partial), permissions),
    () => Effect.ignore(unlessNamed(disk.removeDirectory(partial)))
  )
  const found = (yield* disk.list(partial)).map(({ name }) => name)
  const isOfLock = (name: string): boolean => isLockName(backupLockName, name)
  const isOurs = (name: string): boolean =>
    isOfLock(name) || directory.parse(name) !== undefined || name === holesName || name === holesTemporaryName ||
    snapshotIn(name) !== undefined
  if (found.length > 0 && !(found.some(isOfLock) && found.every(isOurs))) return yield* refuse(partial)
  yield* disk.lock(directory.pathOf(backupLockName))
  const clear = Effect.gen(function*() {
    for (const { name } of yield* disk.list(partial)) {
      if (!isOfLock(name) || isPrivateName(backupLockName, name)) yield* disk.unlink(directory.pathOf(name))
    }
    yield* disk.syncDirectory(partial)
  })
  yield* Effect.acquireRelease(clear, () => Effect.ignore(unlessNamed(clear)))
  return Effect.fnUntraced(function*(to: string) {
    yield* moveName(dirname(to), partial, to)
    isNamed = true
    // Only then: an unfinished copy without its lock could not be recognized as one.
    const removeLock = Effect.gen(function*() {
      for (const { name } of yield* disk.list(to)) if (isOfLock(name)) yield* removeIfThere(pathIn(to, name))
    })
    yield* disk.changeNames(to, removeLock)
  }, Effect.uninterruptible)
})

/** Copies a segment; 0 bytes for one at the newest end that was prepared and has no event yet. */
const copySegment = Effect.fnUntraced(function*(file: SegmentFile, target: SegmentDirectory, isNewestEnd: boolean) {
  const path = target.pathOf(nameIn(file.path))
  if (file.form === "hot") {
    const start = yield* Effect.catchTag(readStart(file), "SegmentCorrupt", () => Effect.succeed(undefined))
    if (start !== undefined && start.header.closedNanos === 0n) {
      const prefix = yield* readPrefix(file)
      // Closed meanwhile: it is copied as the closed segment that it is now. Damaged: it is copied as it is.
      if (prefix !== undefined && prefix.header.closedNanos === 0n && !prefix.isDamaged) {
        if (prefix.eventCount === 0 && isNewestEnd) return 0
        return yield* writePrefix(file, prefix, path, 0n)
      }
    }
  }
  return yield* copyFile(file.path, path)
})

/**
 * Copies the snapshots of state machines; gives their bytes. One that goes meanwhile is left out, and one that is ahead
 * of the copied log is not used there.
 */
const copySnapshots = Effect.fnUntraced(function*(source: SegmentDirectory, target: SegmentDirectory) {
  const disk = yield* Disk
  let bytes = 0
  for (const { kind, name } of yield* disk.list(source.path)) {
    if (kind !== "file" || snapshotIn(name) === undefined) continue
    bytes += yield* Effect.catchReason(
      copyFile(source.pathOf(name), target.pathOf(name)),
      "DiskError",
      "NotFound",
      () => Effect.succeed(0)
    )
  }
  return bytes
})

const refuse = (path: string): Effect.Effect<never, DiskError> =>
  Effect.fail(new DiskError({ operation: "backup to", path, reason: new Exists({ detail: "" }) }))

const refuseExisting = Effect.fnUntraced(function*(path: string) {
  const disk = yield* Disk
  const found = yield* Effect.as(disk.stat(path), true).pipe(
    Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(false))
  )
  if (found) return yield* refuse(path)
})
