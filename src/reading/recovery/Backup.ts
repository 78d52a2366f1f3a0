/**
 * A copy of a directory that a recorder may be writing to: a log that verifies, up to an event that was whole on disk when the
 * newest segment was read, from the oldest segment that retention had not yet deleted when its turn came.
 *
 * Segments are copied from the newest to the oldest. So what is deleted meanwhile is missing at the old end and nowhere else,
 * and whatever a segment must be followed by was copied before it. Closed segments are copied as they lie there; of the open
 * one its whole blocks. The copy is made beside its name, verified, and only then gets its name: a directory of that name is
 * a whole backup.
 *
 * A backup that fails or is interrupted takes away what it has copied. A crash leaves the unfinished copy, with the lock of
 * the dead in it, and so the next backup of that name knows it and begins anew in its place.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, DiskError } from "../../disk/Disk.ts"
import { backupLockName } from "../../disk/FileNames.ts"
import { makeDirectoryDurable, nameIn, pathIn, SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { SegmentFile } from "../../disk/SegmentDirectory.ts"
import type { SegmentNaming } from "../../format/SegmentName.ts"
import { makeDirectoryReader } from "../DirectoryReader.ts"
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
  /** What is wrong with the copy, because it is wrong with the directory; damaged segments are copied as they are. */
  readonly faults: ReadonlyArray<VerifyFault>
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

/** How often a directory that showed nothing to copy is looked at. */
const looksMax = 3

/**
 * Copies a directory. Fails with `Exists` when `to` is already there, or a `to.partial` that is no unfinished copy; with
 * `Held` while another backup of that name is being made.
 *
 * @since 0.1.0
 * @category backup
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import { Backup, NodeDisk, Recorder, Wal } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   yield* (yield* Recorder.Recorder).appendDurable(Buffer.from("hello"))
 *   // Beside the recorder; the copy verifies.
 *   const { faults, lastEventId, to } = yield* Backup.backup({ directory: "./log", to: "./copy" })
 *   yield* Console.log(`${to}: up to event ${lastEventId}, ${faults.length} faults`) // => up to event 1, 0 faults
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(Wal.layer({ directory: "./log" })), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const backup: (
  options: BackupOptions
) => Effect.Effect<BackupReport, DiskError | SegmentCorrupt, Disk> = Effect.fn("Backup.backup")(
  function*(options: BackupOptions) {
    const directory = new SegmentDirectory(options.directory, options.naming)
    const { naming } = directory
    const disk = yield* Disk
    const to = options.to.replace(/(?<=.)\/+$/, "")
    const partial = new SegmentDirectory(`${to}.partial`, naming)
    yield* refuseExisting(to)
    const giveName = yield* takePlace(partial)
    const reader = yield* makeDirectoryReader(directory)
    let bytes = 0
    let segmentCount = 0
    let isBehindEvents = true
    for (let look = 1; look <= looksMax && segmentCount === 0; look++) {
      for (const { segmentIndex } of reader.segments().toReversed()) {
        const copied = yield* reader.use(segmentIndex, (file) => copySegment(file, partial, isBehindEvents))
        if (copied === undefined || copied === 0) continue
        isBehindEvents = false
        bytes += copied
        segmentCount += 1
      }
      // All that was seen may have been deleted, and newer segments made.
      if (segmentCount === 0) yield* reader.look
    }
    yield* disk.syncDirectory(partial.path)
    const { faults, segments } = yield* verify({ directory: partial.path, naming })
    yield* giveName(to)
    const withEvents = segments.filter(({ eventCount }) => eventCount > 0)
    const report: BackupReport = {
      directory: directory.path,
      to,
      segmentCount,
      bytes,
      firstEventId: withEvents[0]?.firstEventId ?? 0,
      lastEventId: withEvents.at(-1)?.lastEventId ?? 0,
      faults: faults.map((fault) => "path" in fault ? { ...fault, path: fault.path.replace(partial.path, to) } : fault)
    }
    return report
  },
  Effect.scoped
)

/**
 * An empty directory for an unfinished copy, which is nobody else's for as long as the scope lives. What is returned gives it
 * the name of a whole copy, durably. A scope that closes before that takes the directory away, and what is in it.
 */
const takePlace = Effect.fnUntraced(function*(directory: SegmentDirectory) {
  const disk = yield* Disk
  const partial = directory.path
  let isNamed = false
  const unlessNamed = (work: Effect.Effect<void, DiskError>) => Effect.suspend(() => isNamed ? Effect.void : work)
  yield* Effect.acquireRelease(
    makeDirectoryDurable(partial),
    () => Effect.ignore(unlessNamed(disk.removeDirectory(partial)))
  )
  const found = (yield* disk.list(partial)).map(({ name }) => name)
  const isOurs = (name: string): boolean => name.startsWith(backupLockName) || directory.parse(name) !== undefined
  if (found.length > 0 && !(found.includes(backupLockName) && found.every(isOurs))) return yield* refuse(partial)
  yield* disk.lock(directory.pathOf(backupLockName))
  const clear = Effect.gen(function*() {
    for (const { name } of yield* disk.list(partial)) {
      if (name !== backupLockName) yield* disk.unlink(directory.pathOf(name))
    }
    yield* disk.syncDirectory(partial)
  })
  yield* Effect.acquireRelease(clear, () => Effect.ignore(unlessNamed(clear)))
  return Effect.fnUntraced(function*(to: string) {
    yield* disk.rename(partial, to)
    isNamed = true
    // Only then: an unfinished copy without its lock would be nobody's.
    yield* disk.syncDirectory(parentOf(to))
    yield* disk.unlink(pathIn(to, backupLockName))
    yield* disk.syncDirectory(to)
  }, Effect.uninterruptible)
})

/** Copies a segment; 0 bytes when it is one at the newest end that was prepared and has no event yet. */
const copySegment = Effect.fnUntraced(function*(file: SegmentFile, target: SegmentDirectory, isBehindEvents: boolean) {
  const path = target.pathOf(nameIn(file.path))
  if (file.form === "hot") {
    const start = yield* Effect.catchTag(readStart(file), "SegmentCorrupt", () => Effect.succeed(undefined))
    if (start !== undefined && start.header.closedNanos === 0n) {
      const prefix = yield* readPrefix(file)
      // Closed since: it is copied as the closed one that it is now. Damaged: as it is.
      if (prefix !== undefined && prefix.header.closedNanos === 0n && !prefix.isDamaged) {
        if (prefix.eventCount === 0 && isBehindEvents) return 0
        return yield* writePrefix(file, prefix, path, 0n)
      }
    }
  }
  return yield* copyFile(file.path, path)
})

const refuse = (path: string): Effect.Effect<never, DiskError> =>
  Effect.fail(new DiskError({ operation: "backup to", path, reason: "Exists", detail: "" }))

const refuseExisting = Effect.fnUntraced(function*(path: string) {
  const disk = yield* Disk
  const found = yield* Effect.catchIf(
    Effect.as(disk.stat(path), true),
    (error: DiskError) => error.reason === "NotFound",
    () => Effect.succeed(false)
  )
  if (found) return yield* refuse(path)
})

const parentOf = (path: string): string => {
  const end = path.lastIndexOf("/")
  return end < 0 ? "." : end === 0 ? "/" : path.slice(0, end)
}
