/**
 * `Disk` on the file system of the machine, and the only file that touches it.
 *
 * Two layers keep the same promises:
 *
 * - `layer` hands every call to libuv's thread pool, so the thread stays free. A call that has begun is never
 *   interrupted: an interruption waits for its end, so nothing continues in the background (rule 5 of `Disk`).
 * - `layerBlocking` makes the call on the calling thread. It answers soonest and is meant for worker threads, which
 *   have nothing else to do. Only a write or a sync of more than `bytesInPlaceMax` goes to the thread pool: it takes
 *   milliseconds, in which the thread can do something else.
 *
 * `layerBlockingWhile` is for a thread that works for several logs: it syncs in place only while it works for one.
 *
 * A file opened here is a regular file: no link is followed to it, and a FIFO or device is given back at once. A file
 * with calls under way is closed only after they have ended, so no call can hit a descriptor that was given to another
 * file meanwhile.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import { dirname } from "node:path"
import { types } from "node:util"
import { invariant } from "../internal/invariant.ts"
import { missingAbility, refusedByNode, requireDirectoryAbilities, requireNode } from "./Abilities.ts"
import type { DirectoryEntry, DiskFile, EntryKind, FileStat, OpenMode } from "./Disk.ts"
import { Disk, DiskError } from "./Disk.ts"
import type { DiskReason } from "./DiskReason.ts"
import { diskReason, Io, IsDirectory, NotDirectory, Unsafe, Unsupported } from "./DiskReason.ts"
import { findHolder, holdLock } from "./LockSocket.ts"
import type { LockCalls } from "./LockSocket.ts"
import { knock, listen } from "./UnixSocket.ts"

/**
 * `Disk` by asynchronous calls on libuv's thread pool.
 *
 * **Example** (Asking the disk)
 *
 * ```ts
 * import { Console, Effect } from "effect"
 * import { Disk, NodeDisk } from "effect-wal"
 *
 * const program = Effect.gen(function*() {
 *   const disk = yield* Disk.Disk
 *   yield* Console.log((yield* disk.freeBytes(".")) > 0) // => true
 *   const missing = yield* Effect.flip(disk.stat("./nothing"))
 *   yield* Console.log(missing.reason._tag) // => NotFound
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(NodeDisk.layer)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Disk> = Layer.fresh(Layer.sync(Disk, () => make(onThreadPool)))

/**
 * `Disk` by calls that block the calling thread: answers soonest, and is meant for threads that have nothing else to
 * do.
 */
export const layerBlocking: Layer.Layer<Disk> = Layer.fresh(Layer.sync(Disk, () => make(blocking)))

/**
 * As `layerBlocking` while `isAlone` returns `true`. Otherwise every sync goes to libuv's thread pool: how long it
 * takes, the disk decides, and whatever else the calling thread works for would wait for it too.
 */
export const layerBlockingWhile = (isAlone: () => boolean): Layer.Layer<Disk> =>
  Layer.fresh(Layer.sync(Disk, () =>
    make(
      blocking,
      (operation, path, start, run) =>
        Effect.suspend(() => (isAlone() ? blocking : onThreadPool)(operation, path, start, run))
    )))

/** What each errno of POSIX that a file call can return means here, and what Node itself returns; any other is `Io`. */
const reasonByErrno: Readonly<Record<string, DiskReason["_tag"]>> = {
  ENOENT: "NotFound",
  EEXIST: "Exists",
  ENOTEMPTY: "Exists",
  ENOTDIR: "NotDirectory",
  EISDIR: "IsDirectory",
  EACCES: "Denied",
  EPERM: "Denied",
  EROFS: "Denied",
  ETXTBSY: "Denied",
  ENOSPC: "Full",
  EDQUOT: "Full",
  EFBIG: "Full",
  EMLINK: "Full",
  EMFILE: "TooManyFiles",
  ENFILE: "TooManyFiles",
  ELOOP: "Unsafe",
  ENXIO: "Unsafe",
  ENODEV: "Unsafe",
  ENAMETOOLONG: "Unsupported",
  ENOSYS: "Unsupported",
  ENOTSUP: "Unsupported",
  EOPNOTSUPP: "Unsupported",
  EXDEV: "Unsupported",
  ERR_ACCESS_DENIED: "Denied"
}

/** `asked`: what was asked of the system, where that is only a part of the operation. */
const errorOf = (operation: string, path: string, error: NodeJS.ErrnoException, asked = operation): DiskError => {
  const code = error.code ?? ""
  const ability = missingAbility(asked, code, process.platform)
  if (ability !== undefined) {
    return new DiskError({ operation, path, reason: new Unsupported({ detail: `${code}: ${ability}` }), cause: error })
  }
  return new DiskError({ operation, path, reason: diskReason(reasonByErrno[code] ?? "Io", code), cause: error })
}

type Done<A> = (error: NodeJS.ErrnoException | null, value?: A) => void

/** One file call in both its forms: `start` calls back from the thread pool, `run` blocks and throws. */
type Call = <A>(
  operation: string,
  path: string,
  start: (done: Done<A>) => void,
  run: () => A
) => Effect.Effect<A, DiskError>

const onThreadPool: Call = <A>(operation: string, path: string, start: (done: Done<A>) => void) =>
  Effect.uninterruptible(Effect.callback<A, DiskError>((resume) => {
    start((error, value) =>
      // A call without a result calls back without a value; its `A` is void.
      resume(error ? Effect.fail(errorOf(operation, path, error)) : Effect.succeed(value as A))
    )
  }))

const blocking: Call = (operation, path, _start, run) =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (error) {
      if (isSystemError(error)) return Effect.fail(errorOf(operation, path, error))
      throw error
    }
  })

/**
 * Errors of the system carry the call that failed; errors about our arguments do not, and are defects. What Node's
 * permission model refuses carries none either. Its class tells nothing: in a `vm` context the error may be of another
 * realm.
 */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException & { readonly syscall?: string } =>
  types.isNativeError(error) && ("syscall" in error || ("code" in error && error.code === refusedByNode))

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants

/** O_NONBLOCK keeps the opening of a FIFO from waiting for its other end; on a regular file it does nothing. */
const openFlags: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
  write: O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
  create: O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CREAT | O_EXCL
}

const fileMode = 0o640
const lockPauseMillis = 5
const bootIdPath = "/proc/sys/kernel/random/boot_id"
const directoryMode = 0o750

/**
 * The most bytes of one call. Linux stops at 2,147,479,552; Node refuses more than 2^31 - 1 in one piece and reports
 * nonsense for more in several. The number of pieces has no such limit: libuv makes a call for every IOV_MAX of them.
 */
const callBytesMax = 2 ** 30

const kindOf = (entry: { isFile(): boolean; isDirectory(): boolean }): EntryKind =>
  entry.isFile() ? "file" : entry.isDirectory() ? "directory" : "other"

const permissionsOf = (stats: fs.BigIntStats): number => Number(stats.mode & 0o777n)

/** Inode numbers are given out again as soon as they are free, so the time of birth belongs to the identity. */
const statOf = (stats: fs.BigIntStats): FileStat => ({
  kind: kindOf(stats),
  bytes: Number(stats.size),
  modifiedMillis: Number(stats.mtimeMs),
  identity: `${stats.dev}:${stats.ino}:${stats.birthtimeNs}`,
  permissions: permissionsOf(stats)
})

const bigint = { bigint: true } as const

/** As many of the chunks as one call takes, without the empty ones. */
const chunksOfOneCall = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const taken: Array<Uint8Array> = []
  let room = callBytesMax
  for (const chunk of chunks) {
    if (chunk.length === 0) continue
    taken.push(chunk.length <= room ? chunk : chunk.subarray(0, room))
    room -= chunk.length
    if (room <= 0) break
  }
  return taken
}

/**
 * A blocking layer writes up to this many bytes, and syncs up to this many unsynced bytes of a file, on the calling
 * thread. The way to the thread pool and back takes some 50 µs, which is little beside the sync of a mebibyte and much
 * beside the sync of a few events.
 */
const bytesInPlaceMax = 2 ** 20

const makeFile = (call: Call, sync: Call, path: string, fd: number, mode: OpenMode): DiskFile => {
  let isOpen = true
  let bytesUnsynced = 0
  let callsUnderway = 0
  let onIdle: (() => void) | undefined

  const callOnFile = <A>(operation: string, start: (done: Done<A>) => void, run: () => A, by: Call = call) => {
    invariant(isOpen, `${path} is open when ${operation} begins`)
    return by<A>(operation, path, (done) => {
      invariant(isOpen, `${path} is open when ${operation} begins`)
      start((error, value) => {
        callsUnderway--
        // First the one who waits for the call, then the one who closes: either may go on at once.
        done(error, value)
        if (callsUnderway === 0) onIdle?.()
      })
      callsUnderway++
    }, run)
  }

  return {
    path,
    read: (target, offset) =>
      Effect.suspend(() => {
        invariant(Number.isSafeInteger(offset) && offset >= 0, `offset ${offset} of a read is a position in a file`)
        const length = Math.min(target.length, callBytesMax)
        if (length === 0) return Effect.succeed(0)
        return callOnFile<number>(
          "read",
          (done) => fs.read(fd, target, 0, length, offset, done),
          () => fs.readSync(fd, target, 0, length, offset)
        )
      }),
    write: (chunks, offset) =>
      Effect.suspend(() => {
        invariant(Number.isSafeInteger(offset) && offset >= 0, `offset ${offset} of a write is a position in a file`)
        invariant(mode !== "read", `${path} is open for writing`)
        const taken = chunksOfOneCall(chunks)
        if (taken.length === 0) return Effect.succeed(0)
        const by = taken.reduce((bytes, { length }) => bytes + length, 0) > bytesInPlaceMax ? onThreadPool : call
        const written = taken.length === 1
          ? callOnFile<number>(
            "write",
            (done) => fs.write(fd, taken[0]!, 0, taken[0]!.length, offset, done),
            () => fs.writeSync(fd, taken[0]!, 0, taken[0]!.length, offset),
            by
          )
          : callOnFile<number>(
            "write",
            (done) => fs.writev(fd, taken, offset, done),
            () => fs.writevSync(fd, taken, offset),
            by
          )
        // A device that takes nothing and reports nothing would keep `writeFully` turning for ever.
        return Effect.flatMap(written, (count) => {
          bytesUnsynced += count
          return count > 0
            ? Effect.succeed(count)
            : Effect.fail(new DiskError({ operation: "write", path, reason: new Io({ detail: "no byte was taken" }) }))
        })
      }),
    truncate: (bytes) =>
      Effect.suspend(() => {
        invariant(Number.isSafeInteger(bytes) && bytes >= 0, `${bytes} is a file length`)
        invariant(mode !== "read", `${path} is open for writing`)
        return callOnFile<void>(
          "truncate",
          (done) => fs.ftruncate(fd, bytes, done),
          () => fs.ftruncateSync(fd, bytes)
        )
      }),
    sync: Effect.suspend(() => {
      const by = bytesUnsynced > bytesInPlaceMax ? onThreadPool : sync
      bytesUnsynced = 0
      return callOnFile<void>("sync", (done) => fs.fdatasync(fd, done), () => fs.fdatasyncSync(fd), by)
    }),
    stat: Effect.suspend(() =>
      Effect.map(
        callOnFile<fs.BigIntStats>("stat", (done) => fs.fstat(fd, bigint, done), () => fs.fstatSync(fd, bigint)),
        statOf
      )
    ),
    restrict: (permissions) =>
      Effect.gen(function*() {
        const stats = yield* callOnFile<fs.BigIntStats>(
          "restrict",
          (done) => fs.fstat(fd, bigint, done),
          () => fs.fstatSync(fd, bigint)
        )
        const kept = permissionsOf(stats) & permissions
        if (kept === permissionsOf(stats)) return
        yield* callOnFile<void>("restrict", (done) => fs.fchmod(fd, kept, done), () => fs.fchmodSync(fd, kept))
      }),
    // An error of close tells nothing that sync has not told: bytes that were not synced were never promised.
    close: Effect.uninterruptible(Effect.suspend(() => {
      if (!isOpen) return Effect.void
      isOpen = false
      const idle = callsUnderway === 0 ? Effect.void : Effect.callback<void>((resume) => {
        onIdle = () => resume(Effect.void)
      })
      return Effect.andThen(idle, Effect.ignore(closeDescriptor(call, path, fd)))
    }))
  }
}

const closeDescriptor = (call: Call, path: string, fd: number) =>
  call<void>("close", path, (done) => fs.close(fd, done), () => fs.closeSync(fd))

/** `sync` makes the calls that wait for the device. */
const make = (call: Call, sync = call): Disk["Service"] => {
  // What root makes belongs to the owner of the directory that it is in. Otherwise a log that root has recorded into
  // once could not be opened by its owner any more. Where root may not give files away, they stay root's.
  const giveToOwner = (path: string, give: (uid: number, gid: number) => Effect.Effect<void, DiskError>) =>
    process.geteuid?.() !== 0 ? Effect.void : call<fs.Stats>(
      "stat",
      path,
      (done) => fs.stat(dirname(path), done),
      () => fs.statSync(dirname(path))
    ).pipe(
      Effect.flatMap(({ gid, uid }) => uid === 0 ? Effect.void : give(uid, gid)),
      Effect.ignore
    )

  const open = (path: string, mode: OpenMode) =>
    Effect.gen(function*() {
      const flags = openFlags[mode]
      const fd = yield* call<number>(
        "open",
        path,
        (done) => fs.open(path, flags, fileMode, done),
        () => fs.openSync(path, flags, fileMode)
      )
      const kind = yield* call<fs.BigIntStats>(
        "open",
        path,
        (done) => fs.fstat(fd, bigint, done),
        () => fs.fstatSync(fd, bigint)
      ).pipe(
        Effect.map(kindOf),
        Effect.tapError(() => Effect.ignore(closeDescriptor(call, path, fd)))
      )
      if (mode === "create") {
        yield* giveToOwner(path, (uid, gid) =>
          call<void>("open", path, (done) =>
            fs.fchown(fd, uid, gid, done), () => fs.fchownSync(fd, uid, gid)))
      }
      if (kind === "file") {
        return makeFile(call, sync, path, fd, mode)
      }
      yield* Effect.ignore(closeDescriptor(call, path, fd))
      const reason = kind === "directory" ? new IsDirectory({ detail: "" }) : new Unsafe({ detail: "" })
      return yield* new DiskError({ operation: "open", path, reason })
    }).pipe(Effect.uninterruptible)

  const rename = (from: string, to: string) =>
    call<void>("rename", from, (done) => fs.rename(from, to, done), () => fs.renameSync(from, to))

  const unlink = (path: string) =>
    call<void>("unlink", path, (done) => fs.unlink(path, done), () => fs.unlinkSync(path))

  // The kernel reports a failed sync once to each descriptor that was open when it failed.
  const changeNames = <A, E, R>(path: string, change: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      call<number>(
        "syncDirectory",
        path,
        (done) => fs.open(path, O_RDONLY | O_DIRECTORY, done),
        () => fs.openSync(path, O_RDONLY | O_DIRECTORY)
      ),
      (fd) =>
        Effect.tap(
          change,
          () => sync<void>("syncDirectory", path, (done) => fs.fsync(fd, done), () => fs.fsyncSync(fd))
        ),
      (fd) => Effect.ignore(closeDescriptor(call, path, fd))
    )

  const syncDirectory = (path: string) => changeNames(path, Effect.void)

  // Where the file system does not tell the kind of a name, Node asks for each with lstat. A name that disappears
  // between the two fails the whole listing, which is then started again.
  const list = (directory: string) =>
    call<Array<fs.Dirent>>(
      "list",
      directory,
      (done) => fs.readdir(directory, { withFileTypes: true }, done),
      () => fs.readdirSync(directory, { withFileTypes: true })
    ).pipe(
      Effect.retry({ while: isNameThatWentAway, times: 10 }),
      Effect.map((entries) =>
        entries.map((entry): DirectoryEntry => ({
          name: entry.name,
          kind: kindOf(entry)
        }))
      )
    )

  const stat = (path: string) =>
    Effect.map(
      call<fs.BigIntStats>("stat", path, (done) => fs.lstat(path, bigint, done), () => fs.lstatSync(path, bigint)),
      statOf
    )

  const makeOne = (path: string, permissions: number) => {
    const options = { mode: directoryMode & permissions } as const
    return call<void>(
      "makeDirectory",
      path,
      (done) => fs.mkdir(path, options, (error) => done(error, undefined)),
      () => fs.mkdirSync(path, options)
    ).pipe(
      // By its descriptor: the owner may put something else in its place meanwhile.
      Effect.andThen(giveToOwner(path, (uid, gid) =>
        Effect.acquireUseRelease(
          call<number>(
            "makeDirectory",
            path,
            (done) => fs.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, done),
            () => fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
          ),
          (fd) =>
            call<void>(
              "makeDirectory",
              path,
              (done) => fs.fchown(fd, uid, gid, done),
              () => fs.fchownSync(fd, uid, gid)
            ),
          (fd) => Effect.ignore(closeDescriptor(call, path, fd))
        ))),
      Effect.catchReason(
        "DiskError",
        "Exists",
        ({ detail }) =>
          Effect.flatMap(followed(path), (stats) =>
            stats.isDirectory()
              ? Effect.void
              : Effect.fail(
                new DiskError({ operation: "makeDirectory", path, reason: new NotDirectory({ detail }) })
              ))
      )
    )
  }

  const followed = (path: string) =>
    call<fs.Stats>("makeDirectory", path, (done) => fs.stat(path, done), () => fs.statSync(path))

  // Not Node's recursive mkdir: where making the parent succeeds and the child still has none, as under /proc, it never
  // ends.
  const makeDirectory = (path: string, permissions = directoryMode): Effect.Effect<void, DiskError> =>
    makeOne(path, permissions).pipe(
      Effect.catchIf(
        (error) => error.reason._tag === "NotFound" && dirname(path) !== path,
        () => Effect.andThen(makeDirectory(dirname(path)), makeOne(path, permissions))
      )
    )

  const removeDirectory = (path: string) =>
    call<void>("removeDirectory", path, (done) => fs.rmdir(path, done), () => fs.rmdirSync(path))

  const freeBytes = (path: string) =>
    Effect.map(
      call<fs.StatsFs>("freeBytes", path, (done) => fs.statfs(path, done), () => fs.statfsSync(path)),
      (stats) => stats.bavail * stats.bsize
    )

  const lockCalls = (path: string): LockCalls => ({
    names: (directory) => Effect.map(list(directory), (entries) => entries.map(({ name }) => name)),
    madeMillis: (name) =>
      call<fs.Stats>("lock", name, (done) => fs.lstat(name, done), () => fs.lstatSync(name)).pipe(
        Effect.map((stats) => stats.isSocket() ? stats.mtimeMs : undefined),
        Effect.catchReason("DiskError", "NotFound", () => Effect.undefined)
      ),
    directoryStat: Effect.fnUntraced(function*(directory: string) {
      const { dev, gid, uid } = yield* call<fs.Stats>(
        "lock",
        directory,
        (done) => fs.stat(directory, done),
        () => fs.statSync(directory)
      )
      const { type } = yield* call<fs.StatsFs>(
        "lock",
        directory,
        (done) => fs.statfs(directory, done),
        () => fs.statfsSync(directory)
      )
      return { device: dev, kind: type, uid, gid }
    }),
    giveTo: (name, uid, gid) =>
      call<void>("lock", name, (done) => fs.lchown(name, uid, gid, done), () => fs.lchownSync(name, uid, gid)),
    rename,
    unlink,
    listen: (name) => Effect.mapError(listen(name), (error) => errorOf("lock", path, error, "listen")),
    knock: (name) =>
      knock(name).pipe(
        Effect.as(""),
        Effect.catch((error) => {
          const code = error.code ?? ""
          return reasonByErrno[code] === "TooManyFiles"
            ? Effect.fail(errorOf("lock", path, error))
            : Effect.succeed(code)
        })
      ),
    bootId: Effect.orElseSucceed(
      call<string>(
        "lock",
        bootIdPath,
        (done) => fs.readFile(bootIdPath, "utf8", done),
        () => fs.readFileSync(bootIdPath, "utf8")
      ),
      () => ""
    ),
    isProcess: (pid) =>
      Effect.sync(() => {
        try {
          process.kill(pid, 0)
          return true
        } catch (error) {
          return !isSystemError(error) || error.code !== "ESRCH"
        }
      }),
    platform: process.platform,
    pause: Effect.callback<void>((resume) => void setTimeout(() => resume(Effect.void), lockPauseMillis))
  })

  const deviceOf = (path: string) =>
    Effect.map(call<fs.Stats>("stat", path, (done) => fs.stat(path, done), () => fs.statSync(path)), ({ dev }) => dev)

  const requireAbilities = (directory: string) =>
    Effect.andThen(
      requireNode(directory, process.versions.node),
      requireDirectoryAbilities(directory, { open, rename, unlink, syncDirectory, deviceOf })
    )

  const lock = (path: string) => holdLock(path, lockCalls(path))
  const lockHolder = (path: string) => findHolder(path, lockCalls(path))

  return {
    open,
    list,
    stat,
    rename,
    unlink,
    makeDirectory,
    removeDirectory,
    syncDirectory,
    changeNames,
    freeBytes,
    requireAbilities,
    lock,
    lockHolder
  }
}

const isNameThatWentAway = (error: DiskError): boolean =>
  error.reason._tag === "NotFound" && isSystemError(error.cause) && error.cause.syscall === "lstat"
