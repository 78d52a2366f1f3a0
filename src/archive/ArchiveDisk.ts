/**
 * An archive as a `Disk`: `Replay`, `Verify`, `Backup` and every other reader read archived segments as if they lay in
 * a directory. With a directory of this machine both are one: what is there is read there, what is not (or is damaged)
 * is read from the archive. Without one the archive is enough, on a machine that never wrote.
 *
 * What a reader gets:
 *
 * - `list` unites the names of the directory and of the archive. A segment that the directory has is not named again.
 * - An archived segment is read by ranges of about 1 MiB, each with the ETag as its condition. A reader that goes
 *   forward has the next three under way, into the next segment too. A bounded cache holds what was read last.
 * - `stat` gives the ETag as the identity of an archived segment.
 * - Without a directory, what a replicated log has in its tail follows the archived segments, as hot ones. A directory
 *   of its recorder has all of that, and more.
 * - A segment that is freed in the directory while it is read is read on from the archive by the next `open`: the name
 *   is gone, the reader lists again, and finds the archived name. The directory is listed before the manifest is read,
 *   so a segment that moves meanwhile is in one of the two.
 * - A local file of an archived segment is read whole when it is first opened; one that is damaged is left aside, and
 *   the archive's copy is read instead (see `LocalCopies`).
 *
 * Nothing can be written here: every change fails with `Denied`, as on a file system that is mounted read-only. All
 * paths outside the directory are those of the disk below, so a backup can be made elsewhere.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { resolve } from "node:path"
import { Disk, DiskError } from "../disk/Disk.ts"
import type { DirectoryEntry, DiskFile, FileStat } from "../disk/Disk.ts"
import { Denied, diskReason, NotFound } from "../disk/DiskReason.ts"
import { holesName } from "../disk/FileNames.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import { directoryOf, nameIn, pathIn } from "../disk/SegmentDirectory.ts"
import { hotName, parseName } from "../format/SegmentName.ts"
import type { SizeInput } from "../internal/notations.ts"
import { path, resolveUnsafe, size, withDefault } from "../internal/options.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { requestSchedule, retrying } from "../store/Retrying.ts"
import { failed, makeArchiveView } from "./ArchiveView.ts"
import { makeLocalCopies } from "./LocalCopies.ts"
import { logName } from "./LogName.ts"
import { segmentKey } from "./Manifest.ts"
import type { Manifest, SegmentRow } from "./Manifest.ts"
import { makeRangeCache, rangesOf } from "./RangeCache.ts"
import type { RangedObject } from "./RangeCache.ts"
import { fileOf } from "./tail/TailContent.ts"

/**
 * Which archive, and where it is shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveDiskOptions {
  /** The name of the log in the store. */
  readonly log: string
  /**
   * The directory of the log on this machine, which need not be there. When it is not given, no file of this machine is
   * read, and readers give `shownDirectory(log)` as their directory.
   */
  readonly directory?: string | undefined
  /** How much of the archive is kept in memory, beside what is under way; 4 MiB or more, 16 MiB by default. */
  readonly cacheBytes?: SizeInput
}

/**
 * The directory in which the archive of a log is shown when `directory` is not given.
 *
 * @since 0.1.0
 * @category layers
 */
export const shownDirectory = (log: string): string => `/archive/${log}`

const cacheBytesMin = 4 * 1024 * 1024

const Options = Schema.Struct({
  log: logName,
  directory: Schema.optional(path),
  cacheBytes: withDefault(size(cacheBytesMin, Number.MAX_SAFE_INTEGER), 16 * 1024 * 1024)
})

/** How many ranges are under way before a reader that goes forward. */
const rangesAhead = 3

/** After so many bytes in a row a reader goes forward. One that seeks reads less, in several places. */
const forwardBytesMin = 4 * 1024 * 1024

/** As of a directory and of files that their owner may change: a copy is to be recorded into. */
const directoryPermissions = 0o750
const filePermissions = 0o640

/**
 * The archive of a log, alone or together with its directory, as a read-only `Disk`.
 *
 * **Details**
 *
 * The manifest is read when the directory is listed, at most once a second; at once when a name that was listed before
 * is gone, or a segment is missing between two. Errors are `DiskError`s: `Away` when the store is busy or cannot be
 * reached (after it was tried for a minute), `BadArchive` when an object is missing, cut off or another one,
 * `Denied` when the store refuses us. Bytes that rotted are found by the reader's checksums, like any damage.
 *
 * **Gotchas**
 *
 * A range that was begun ahead is finished when its reader ends early.
 *
 * **Example** (Reading a log on a machine that never wrote it)
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { NodeDisk, Replay, Wal } from "effect-wal"
 * import { Archive, ArchiveDisk, DirectoryStore } from "effect-wal/archive"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./archive")
 * const store = DirectoryStore.layer({ directory: "./archive" })
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * const record = Effect.flatMap(Events, ({ appendDurable }) => appendDurable(Buffer.from("hello"))).pipe(
 *   // Closing it archives what is left.
 *   Effect.provide(Archive.layer({ log: "events" }).pipe(
 *     Layer.provide(Events.parts),
 *     Layer.provideMerge(Events.layer({ directory: "./log", onArchiveBehind: "keep" })),
 *     Layer.provide(store)
 *   ))
 * )
 *
 * const read = Replay.events({ directory: ArchiveDisk.shownDirectory("events") }).pipe(
 *   Stream.runForEach(({ id, bytes }) => Console.log(`${id} ${Buffer.from(bytes)}`)), // => 1 hello
 *   Effect.provide(Layer.provide(ArchiveDisk.layer({ log: "events" }), store))
 * )
 *
 * await Effect.runPromise(Effect.andThen(record, read).pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: ArchiveDiskOptions): Layer.Layer<Disk, never, Disk | ObjectStore> =>
  Layer.effect(Disk, Effect.suspend(() => make(options)))

const make = Effect.fnUntraced(function*(options: ArchiveDiskOptions) {
  const { cacheBytes: bytesMax, directory: given, log } = resolveUnsafe(Options, options)
  const below = yield* Disk
  const directory = resolve(given ?? shownDirectory(log))
  const isLocal = given !== undefined
  const store = retrying(requestSchedule)(yield* ObjectStore)
  const view = yield* Effect.provideService(makeArchiveView(log, directory, !isLocal), ObjectStore, store)
  const copies = makeLocalCopies(below)
  const cache = yield* Effect.provideService(makeRangeCache(bytesMax), ObjectStore, store)
  const scope = yield* Effect.scope
  /** Of the last listing: the segments and the names that lay in the directory. */
  let localIndexes: ReadonlySet<number> = new Set()
  let localNames: ReadonlySet<string> = new Set()
  /** The segment that was read to its end last: the reader of the next one goes forward. */
  let endedIndex: number | undefined

  const isInside = (path: string): boolean => path === directory || path.startsWith(pathIn(directory, ""))
  /** The name in the directory that a path stands for; `undefined` for any other path. */
  const nameOf = (path: string): string | undefined => directoryOf(path) === directory ? nameIn(path) : undefined

  const notFound = (operation: string, path: string) =>
    Effect.fail(new DiskError({ operation, path, reason: new NotFound({ detail: "" }) }))

  /** What lies on the disk below; `undefined` when the name is not there, or is not to be read. */
  const ifThere = <A>(path: string, found: Effect.Effect<A, DiskError>): Effect.Effect<A | undefined, DiskError> =>
    !isLocal || copies.isLeftAside(path)
      ? Effect.undefined
      : Effect.catchReason(found, "DiskError", "NotFound", () => Effect.undefined)

  /** The directory of this machine, before the manifest: what leaves it in between is in the archive by then. */
  const list = Effect.gen(function*() {
    const local = yield* ifThere(directory, below.list(directory))
    const shownBefore = localIndexes
    const entries = (local ?? []).filter(({ name }) => !copies.isLeftAside(pathIn(directory, name)))
    let manifest = yield* view.look
    const indexes = finishedIn(manifest, entries)
    if (isLocal && manifest !== undefined && !isConsecutive(manifest, indexes, shownBefore)) {
      manifest = yield* view.lookNow
    }
    if (local === undefined && manifest === undefined) return yield* notFound("list", directory)
    localIndexes = indexes
    localNames = new Set(entries.map(({ name }) => name))
    if (manifest === undefined) return entries
    const archived = new Set<string>()
    for (let index = manifest.firstIndex; index < manifest.nextIndex; index++) {
      if (indexes.has(index)) continue
      const name = view.nameOf(manifest, index)
      if (name !== undefined) archived.add(name)
    }
    for (const { segmentIndex } of (yield* view.tail).segments) archived.add(hotName(manifest.naming, segmentIndex))
    const holes = yield* view.holes
    if (holes.length > 0) archived.add(holesName)
    const united: Array<DirectoryEntry> = entries.filter(({ name }) => !archived.has(name))
    for (const name of archived) united.push({ name, kind: "file" })
    return united
  })

  /** Whether an open local file is to be read, and not the archive's copy of that segment. */
  const isToBeRead = Effect.fnUntraced(function*(path: string, name: string, opened: DiskFile) {
    const parsed = yield* view.parse(name)
    if (parsed?.form !== "hot" && parsed?.form !== "cold") return true
    if ((yield* view.rowOf(parsed.index)) === undefined) return true
    const { compression, form, index: segmentIndex } = parsed
    return yield* copies.isIntact({ segmentIndex, path, form, compression }, opened)
  })

  const openLocal = Effect.fnUntraced(function*(path: string, name: string) {
    const opened = yield* ifThere(path, below.open(path, "read"))
    if (opened === undefined) return undefined
    const isRead = yield* Effect.onError(Effect.interruptible(isToBeRead(path, name, opened)), () => opened.close)
    if (isRead) return opened
    yield* opened.close
    return undefined
  }, Effect.uninterruptible)

  const openArchived = Effect.fnUntraced(function*(path: string, name: string) {
    const row = yield* view.rowNamed(name)
    const manifest = yield* view.last
    if (row === undefined || manifest === undefined) return yield* notFound("open", path)
    const file = archivedFile(path, row, manifest)
    // A reader that finds no file lists the directory again; one that is refused in the middle of a file fails.
    yield* file.read(new Uint8Array(1), 0)
    return file
    // A file is opened without interruption, and the store may be away.
  }, Effect.interruptible)

  const open = Effect.fnUntraced(function*(path: string, name: string) {
    const made = yield* madeFile(path, name)
    return made ?? (yield* openLocal(path, name)) ?? (yield* openArchived(path, name))
  })

  /** What is no object of the store, and no file of this machine: a segment of the tail, or the holes. */
  const madeFile = (path: string, name: string) => name === holesName ? holesFile : tailFile(path, name)

  /** A segment of the tail, as it is now; `undefined` when the name is not one of it. */
  const tailFile = Effect.fnUntraced(function*(path: string, name: string) {
    const { run, segments } = yield* view.tail
    if (segments.length === 0) return undefined
    const parsed = yield* view.parse(name)
    const segment = parsed?.form === "hot"
      ? segments.find(({ segmentIndex }) => segmentIndex === parsed.index)
      : undefined
    // Objects of a run are added to it; another run may have other blocks.
    return segment && memoryFile(path, fileOf(segment), `tail ${run} ${segment.segmentIndex}`)
  })

  /** The acknowledged holes of directory and archive, as a file; `undefined` when the archive tells of none. */
  const holesFile = Effect.gen(function*() {
    const archived = yield* view.holes
    if (archived.length === 0) return undefined
    const { holes } = isLocal
      ? yield* Effect.provideService(HoleStore.read(directory), Disk, below)
      : { holes: [] }
    return memoryFile(pathIn(directory, holesName), HoleStore.encode(HoleStore.merge(holes, archived)), holesName)
  })

  const objectOf = (row: SegmentRow, { naming }: Manifest): RangedObject => ({
    key: segmentKey(log, naming, row),
    etag: row.etag,
    bytes: row.storedBytes,
    begins: rangesOf(row.storedBytes, row.blocks)
  })

  /** What a request for a segment failed for, after a second look at the manifest: it may have expired. */
  const explain = Effect.fnUntraced(function*(path: string, row: SegmentRow, cause: StoreError) {
    const isGone = cause.reason._tag === "NotFound" || cause.reason._tag === "Changed"
    if (isGone) {
      yield* view.lookNow
      if ((yield* view.rowOf(row.index)) === undefined) return yield* notFound("read", path)
    }
    return yield* Effect.fail(failed("read", path)(cause))
  })

  /** Begins to fetch the first ranges of the segments after this one that only the archive has. */
  const aheadOf = Effect.fnUntraced(function*(segmentIndex: number, wanted: number) {
    let left = wanted
    for (let index = segmentIndex + 1; left > 0 && !localIndexes.has(index); index++) {
      const row = yield* view.rowOf(index)
      const manifest = yield* view.last
      if (row === undefined || manifest === undefined) return
      const object = objectOf(row, manifest)
      yield* cache.ahead(object, 0, left)
      left -= object.begins.length
    }
  })

  const archivedFile = (path: string, row: SegmentRow, manifest: Manifest): DiskFile => {
    const object = objectOf(row, manifest)
    const { bytes } = object
    /** Where the last read ended, and where those before it began that lie in a row with it. */
    let end = 0
    let begin = 0
    const isFollowing = row.index - 1 === endedIndex
    /** How many ranges of the next segments were begun. */
    let nextBegun = 0

    /** Begins to fetch what is read now, first, and the ranges behind it, in the next segments too. */
    const goAhead = Effect.fnUntraced(function*(offset: number, wanted: number) {
      const first = cache.rangeAt(object, offset)
      const last = cache.rangeAt(object, offset + wanted - 1)
      yield* cache.ahead(object, first, last - first + 1 + rangesAhead)
      const left = rangesAhead - (object.begins.length - 1 - last)
      if (!isFollowing || left <= nextBegun) return
      nextBegun = left
      yield* Effect.forkIn(Effect.ignore(aheadOf(row.index, left)), scope)
    })

    const read: DiskFile["read"] = Effect.fnUntraced(function*(target: Uint8Array, offset: number) {
      const wanted = Math.min(target.length, bytes - offset)
      if (wanted <= 0) return 0
      if (offset !== end) begin = offset
      if (isFollowing || offset - begin >= forwardBytesMin) yield* goAhead(offset, wanted)
      yield* Effect.catch(
        cache.read(object, target.subarray(0, wanted), offset),
        (cause) => explain(path, row, cause)
      )
      end = offset + wanted
      if (end === bytes) endedIndex = row.index
      return wanted
    })

    return readOnlyFile(path, read, {
      kind: "file",
      bytes,
      modifiedMillis: row.closedMillis,
      identity: row.etag,
      permissions: filePermissions
    })
  }

  const stat = Effect.fnUntraced(function*(path: string) {
    const name = nameOf(path)
    const made = name === undefined ? undefined : yield* madeFile(path, name)
    if (made !== undefined) return yield* made.stat
    const local = yield* ifThere(path, below.stat(path))
    if (local !== undefined) return local
    if (name === undefined) {
      if (path !== directory || (yield* view.last) === undefined) return yield* notFound("stat", path)
      const shown: FileStat = {
        kind: "directory",
        bytes: 0,
        modifiedMillis: 0,
        identity: log,
        permissions: directoryPermissions
      }
      return shown
    }
    const row = yield* view.rowNamed(name)
    const manifest = yield* view.last
    if (row === undefined || manifest === undefined) return yield* notFound("stat", path)
    return yield* archivedFile(path, row, manifest).stat
  })

  /** Of a name that the archive stands for: what the directory has may be another file of the same segment. */
  const catalogued = Effect.fnUntraced(function*(path: string) {
    const name = nameOf(path)
    if (name === undefined || localNames.has(name)) return undefined
    const row = yield* view.rowNamed(name)
    return row && { firstEventId: row.firstId, blocks: row.blocks, blocksEvery: row.blocksEvery }
  })

  const refuse = (operation: string, path: string): Effect.Effect<never, DiskError> =>
    Effect.fail(new DiskError({ operation, path, reason: new Denied({ detail: readOnly }) }))
  /** A change outside the directory is one on the disk below. */
  const unlessInside = <A, E, R>(
    operation: string,
    path: string,
    change: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | DiskError, R> =>
    Effect.suspend((): Effect.Effect<A, E | DiskError, R> => isInside(resolve(path)) ? refuse(operation, path) : change)

  return Disk.of({
    ...(below.isSimulated === undefined ? {} : { isSimulated: below.isSimulated }),
    catalogued,
    open: (path, mode) =>
      Effect.suspend(() => {
        const at = resolve(path)
        if (!isInside(at)) return below.open(path, mode)
        if (mode !== "read") return refuse("open", path)
        const name = nameOf(at)
        if (name !== undefined) return open(at, name)
        if (at === directory) {
          return Effect.fail(new DiskError({ operation: "open", path, reason: diskReason("IsDirectory", "") }))
        }
        return isLocal ? below.open(path, mode) : notFound("open", path)
      }),
    list: (path) =>
      Effect.suspend(() => {
        const at = resolve(path)
        if (at === directory) return list
        return isInside(at) && !isLocal ? notFound("list", path) : below.list(path)
      }),
    stat: (path) =>
      Effect.suspend(() => {
        const at = resolve(path)
        return isInside(at) ? stat(at) : below.stat(path)
      }),
    rename: (from, to) => unlessInside("rename", from, unlessInside("rename", to, below.rename(from, to))),
    unlink: (path) =>
      // What is not there cannot be denied, as on a file system that is mounted read-only.
      Effect.suspend(() =>
        isInside(resolve(path)) ? Effect.andThen(stat(resolve(path)), refuse("unlink", path)) : below.unlink(path)
      ),
    makeDirectory: (path, permissions) => unlessInside("makeDirectory", path, below.makeDirectory(path, permissions)),
    removeDirectory: (path) => unlessInside("removeDirectory", path, below.removeDirectory(path)),
    syncDirectory: (path) => unlessInside("syncDirectory", path, below.syncDirectory(path)),
    changeNames: (path, change) => unlessInside("changeNames", path, below.changeNames(path, change)),
    // Where nothing can be written nothing is free.
    freeBytes: (path) => Effect.suspend(() => isInside(resolve(path)) ? Effect.succeed(0) : below.freeBytes(path)),
    requireAbilities: (path) => unlessInside("requireAbilities", path, below.requireAbilities(path)),
    lock: (path) => unlessInside("lock", path, below.lock(path)),
    lockHolder: (path) =>
      Effect.suspend(() => isInside(resolve(path)) && !isLocal ? Effect.undefined : below.lockHolder(path))
  })
})

const readOnly = "an archive is only read; record into the log's directory with the disk itself"

/** The segments that have a finished file among these entries. */
const finishedIn = (manifest: Manifest | undefined, entries: ReadonlyArray<DirectoryEntry>): ReadonlySet<number> => {
  const indexes = new Set<number>()
  if (manifest === undefined) return indexes
  for (const { kind, name } of entries) {
    const parsed = kind === "file" ? parseName(manifest.naming, name) : undefined
    if (parsed?.form === "hot" || parsed?.form === "cold") indexes.add(parsed.index)
  }
  return indexes
}

/**
 * Whether the manifest is new enough for what the directory has: the local segments continue the archived ones, and
 * those that were there before are in one of the two.
 */
const isConsecutive = (
  { firstIndex, nextIndex }: Manifest,
  local: ReadonlySet<number>,
  before: ReadonlySet<number>
): boolean => {
  const isArchived = (index: number): boolean => index >= firstIndex && index < nextIndex
  for (const index of before) if (!local.has(index) && !isArchived(index)) return false
  for (const index of local) {
    if (index > nextIndex && !local.has(index - 1)) return false
  }
  return true
}

/** A file that is only read. */
const readOnlyFile = (path: string, read: DiskFile["read"], stat: FileStat): DiskFile => {
  const refuse = (operation: string) =>
    Effect.fail(new DiskError({ operation, path, reason: new Denied({ detail: readOnly }) }))
  return {
    path,
    read,
    write: () => refuse("write"),
    truncate: () => refuse("truncate"),
    sync: refuse("sync"),
    stat: Effect.succeed(stat),
    restrict: () => refuse("restrict"),
    close: Effect.void
  }
}

const memoryFile = (path: string, bytes: Uint8Array, identity: string): DiskFile =>
  readOnlyFile(
    path,
    (target, offset) =>
      Effect.sync(() => {
        const part = bytes.subarray(offset, offset + target.length)
        target.set(part)
        return part.length
      }),
    { kind: "file", bytes: bytes.length, modifiedMillis: 0, identity, permissions: filePermissions }
  )
