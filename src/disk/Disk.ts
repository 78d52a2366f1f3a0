/**
 * The only door to files. Everything in this package that touches a disk does it through this service, so a test can
 * own every byte, every sync and every fault.
 *
 * What a layer of `Disk` guarantees:
 *
 * 1. A completed `DiskFile.sync` makes every earlier completed `write` and `truncate` of that file durable. Nothing
 *    else does.
 * 2. A completed `syncDirectory` makes every earlier completed create, rename, unlink, makeDirectory and
 *    removeDirectory in that directory durable. Nothing else does.
 * 3. `rename` replaces its target atomically: after a crash the name stands for the old file or the new one, whole.
 * 4. After a failed `sync` nothing is promised about the unsynced bytes, not even if a later `sync` succeeds. So no
 *    caller may sync that file again and believe it; write the bytes to a fresh file. After a failed `syncDirectory`
 *    nothing is promised about the names that any caller changed before it: change them again (`changeNames`).
 * 5. An operation that was interrupted has either completed or not begun; it never continues in the background after
 *    the interruption was acknowledged.
 *
 * Reads and writes may be short, as in POSIX; `readFully` and `writeFully` loop.
 *
 * Its error and the reasons are plain classes and no `Schema`: nothing encodes them, and a report carries their words.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { plainText } from "../internal/plainText.ts"
import type { DiskReason } from "./DiskReason.ts"

/**
 * A disk operation failed. Retrying `sync` on the same file is never right, whatever `isRetryable` is (rule 4).
 *
 * @since 0.1.0
 * @category errors
 */
export class DiskError extends Data.TaggedError("DiskError")<{
  readonly reason: DiskReason
  /** The operation, as in `open`, `write`, `sync`. */
  readonly operation: string
  readonly path: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${plainText(`${this.operation} ${this.path}`)}: ${this.reason.message}`
  }
  /** Whether the same operation may succeed later with nothing else changed. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
}

/**
 * What a name stands for. `other` is everything that is neither a regular file nor a directory, links included.
 *
 * @since 0.1.0
 * @category models
 */
export type EntryKind = "file" | "directory" | "other"

/**
 * A name in a directory, and what it stands for. A link is `other`: it is not followed.
 *
 * @since 0.1.0
 * @category models
 */
export interface DirectoryEntry {
  readonly name: string
  readonly kind: EntryKind
}

/**
 * What a file system reports about a path.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileStat {
  readonly kind: EntryKind
  readonly bytes: number
  /** Unix time in milliseconds. */
  readonly modifiedMillis: number
  /** Stands for the file itself, not its name: the same after a rename, another for a fresh file of the same name. */
  readonly identity: string
  /** Who may read, write and enter, as in `chmod`: 0o640. */
  readonly permissions: number
}

/**
 * An open file. Offsets and lengths are in bytes. Views on shared memory may be written and read into.
 *
 * @since 0.1.0
 * @category models
 */
export interface DiskFile {
  readonly path: string
  /** Reads up to `target.length` bytes at `offset`; 0 only at the end of the file. */
  readonly read: (target: Uint8Array, offset: number) => Effect.Effect<number, DiskError>
  /** Writes the chunks one after the other from `offset`; returns how many bytes were taken, at least 1. */
  readonly write: (chunks: ReadonlyArray<Uint8Array>, offset: number) => Effect.Effect<number, DiskError>
  /** Cuts the file, or extends it with zeros that need not be stored yet. */
  readonly truncate: (bytes: number) => Effect.Effect<void, DiskError>
  /** fdatasync: see rules 1 and 4. */
  readonly sync: Effect.Effect<void, DiskError>
  /** What the file system reports about the open file. */
  readonly stat: Effect.Effect<FileStat, DiskError>
  /**
   * Takes away every permission that is not among these: a copy must not be readable by more users than its original.
   */
  readonly restrict: (permissions: number) => Effect.Effect<void, DiskError>
  /** Gives the descriptor back. Closing twice is harmless. */
  readonly close: Effect.Effect<void>
}

/**
 * - `read`: an existing file, for reading
 * - `write`: an existing file, for reading and writing
 * - `create`: a new file, for reading and writing; fails with `Exists` when the name is taken
 *
 * @since 0.1.0
 * @category models
 */
export type OpenMode = "read" | "write" | "create"

/**
 * The file system as this library uses it; the opening of this module has the rules that every layer keeps. All
 * operations fail with a `DiskError` that names the operation, the path and the reason.
 *
 * @since 0.1.0
 * @category services
 */
export class Disk extends Context.Service<Disk, {
  /** Whether everything on this disk follows from a seed and the clock: then nothing that uses it starts a thread. */
  readonly isSimulated?: boolean
  /**
   * What is known of the file of a closed segment without reading it; `undefined` when nothing is. Only a disk on which
   * reading is slow has a catalogue. It saves reads: what is read is checked all the same.
   *
   * - `firstEventId`: its first event; of a segment without events the id that comes next, or 0
   * - `blocks`: where every `blocksEvery`th block of its LZ4 frame begins, in bytes of the file, the first included;
   *   none when it must be read from its first byte
   *
   * @internal
   */
  readonly catalogued?: (
    path: string
  ) => Effect.Effect<
    | { readonly firstEventId: number; readonly blocks: ReadonlyArray<number>; readonly blocksEvery: number }
    | undefined,
    DiskError
  >
  /**
   * Opens a regular file. Never follows a link in the last component (`Unsafe`). New files get mode 0640 or stricter.
   */
  readonly open: (path: string, mode: OpenMode) => Effect.Effect<DiskFile, DiskError>
  /** Names in no particular order, without `.` and `..`. */
  readonly list: (directory: string) => Effect.Effect<ReadonlyArray<DirectoryEntry>, DiskError>
  /** What the file system reports about a path; a link is not followed. */
  readonly stat: (path: string) => Effect.Effect<FileStat, DiskError>
  /** Gives a file another name, replacing what has it. Durable with `syncDirectory`. */
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  /** Takes a name away. Durable with `syncDirectory`. */
  readonly unlink: (path: string) => Effect.Effect<void, DiskError>
  /**
   * Makes the directory and its parents, with mode 0750 or stricter; `permissions` makes the directory itself stricter.
   * An existing one is fine.
   */
  readonly makeDirectory: (path: string, permissions?: number) => Effect.Effect<void, DiskError>
  /**
   * Takes an empty directory away; `Exists` while there is something in it. Durable with `syncDirectory` of its parent.
   */
  readonly removeDirectory: (path: string) => Effect.Effect<void, DiskError>
  /** fsync of a directory: makes names that came, went or changed durable. */
  readonly syncDirectory: (path: string) => Effect.Effect<void, DiskError>
  /**
   * Runs `change`, which changes names in a directory, and makes the change durable. The directory is opened before
   * the change and synced after it, by the same descriptor: so a sync that fails for another caller in between, and may
   * have lost this change, is reported here, too.
   */
  readonly changeNames: <A, E, R>(
    directory: string,
    change: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | DiskError, R>
  /** Bytes that an unprivileged writer could still use on the file system that holds `path`. */
  readonly freeBytes: (path: string) => Effect.Effect<number, DiskError>
  /**
   * Fails with `Unsupported` if this runtime, or the file system of a directory whose lock the caller holds, lacks
   * something that recording needs; `detail` names it.
   */
  readonly requireAbilities: (directory: string) => Effect.Effect<void, DiskError>
  /**
   * Takes the lock `path` and gives it back when the scope closes. While another holder has it, in this process or in
   * another: `Held`, which names the holder. A holder that died in any way leaves no false lock on the same
   * kernel; a restart of the machine leaves none on a local file system. What cannot be known from here stays held, and
   * `holder` tells what to do.
   *
   * While it is held, a name that begins with that of the lock stands in its directory. A holder that died leaves it
   * there; the next holder removes it.
   */
  readonly lock: (path: string) => Effect.Effect<void, DiskError, Scope.Scope>
  /** Names the holder of the lock `path`, or who may be it; undefined when there is none. Changes nothing. */
  readonly lockHolder: (path: string) => Effect.Effect<string | undefined, DiskError>
}>()("effect-wal/disk/Disk") {}

/** Opens a file for as long as the scope lives. */
export const openScoped = (path: string, mode: OpenMode): Effect.Effect<DiskFile, DiskError, Disk | Scope.Scope> =>
  Disk.use((disk) => Effect.acquireRelease(disk.open(path, mode), (file) => file.close))

/** Removes a file; one that is not there counts as removed. */
export const removeIfThere = (path: string): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => Effect.catchReason(disk.unlink(path), "DiskError", "NotFound", () => Effect.void))

/** Reads until `target` is full or the file ends; returns the bytes read. */
export const readFully = Effect.fnUntraced(function*<E = DiskError>(
  file: { readonly read: (target: Uint8Array, offset: number) => Effect.Effect<number, E> },
  target: Uint8Array,
  offset: number
): Effect.fn.Return<number, E> {
  let done = 0
  while (done < target.length) {
    const count = yield* file.read(done === 0 ? target : target.subarray(done), offset + done)
    if (count === 0) break
    done += count
  }
  return done
})

/** Writes all of the chunks from `offset`, however short the single writes are; returns the bytes written. */
export const writeFully = Effect.fnUntraced(function*(
  file: DiskFile,
  chunks: ReadonlyArray<Uint8Array>,
  offset: number
) {
  let total = 0
  for (const chunk of chunks) total += chunk.length
  let done = 0
  let rest = chunks
  while (done < total) {
    const count = yield* file.write(rest, offset + done)
    done += count
    if (done < total) rest = dropBytes(rest, count)
  }
  return total
})

const dropBytes = (chunks: ReadonlyArray<Uint8Array>, bytes: number): ReadonlyArray<Uint8Array> => {
  const rest: Array<Uint8Array> = []
  let skip = bytes
  for (const chunk of chunks) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      rest.push(skip === 0 ? chunk : chunk.subarray(skip))
      skip = 0
    }
  }
  return rest
}
