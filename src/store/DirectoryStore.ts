/**
 * An object store in a directory: a second disk, or a network file system. Objects are files, and the names in a key
 * are directories, so people can look at it and copy it with any tool.
 *
 * - The ETag of an object is the MD5 of its content, as in most buckets. It survives a copy to another place.
 * - A `put` writes the object beside its place, syncs it, gives it its name and syncs the directory. What is decided
 *   before that is decided under a lock of the key. So conditions hold between processes, and between machines where
 *   the file system tells one machine of the sockets of another (see `LockSocket`); a lock that is held is `Busy`.
 * - After a directory could not be synced, nothing is promised about the names in it (rule 4 of `Disk`). So the object
 *   is written again before this layer shows it: what a `get` or a `Taken` confirms is durable.
 *
 * The own files are in `.unfinished`: objects that are being written or removed, and locks, named by a hash of their
 * key. What a process that died has left there is removed by the next one, before its first request. The directory also
 * tells that the disk is still mounted: once it was seen and is gone, every request fails with `Unreachable`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { resolve } from "node:path"
import { Disk, openScoped, readFully, removeIfThere, writeFully } from "../disk/Disk.ts"
import type { DirectoryEntry, DiskError, DiskFile, FileStat } from "../disk/Disk.ts"
import { removeName } from "../disk/DurableNames.ts"
import { makeDirectoryIn, pathIn } from "../disk/SegmentDirectory.ts"
import { refuseArgument, requireWhole } from "../internal/arguments.ts"
import { hashedBytesMax, makeMd5, md5 } from "./Md5.ts"
import { EndedEarly, forEachPiece, isSource, lengthOf, pieceBytesMax, requireContent } from "./ObjectContent.ts"
import { compareKeys, requireKey, requirePrefix } from "./ObjectKey.ts"
import { ObjectStore, StoreError } from "./ObjectStore.ts"
import type { GetOptions, ListedObject, ObjectContent, PutOptions, StoreOperation } from "./ObjectStore.ts"
import { storeReason } from "./StoreReason.ts"
import type { StoreReason } from "./StoreReason.ts"
import { UsageCounter } from "./UsageCounter.ts"

/**
 * The options of a store in a directory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** A directory that is there. It is not made: where it is missing, its disk may not be mounted. */
  readonly directory: string
}

/**
 * A store in a directory. Building it touches nothing. Requests fail with `Unreachable` while the directory is not
 * there.
 *
 * **Gotchas**
 *
 * - A key cannot be an object and the beginning of another key at once: the second is refused as `Unsuitable`.
 * - `head`, and the first `get` of a range, read the whole object, because that is where its ETag comes from.
 * - A directory that is empty because its disk is not mounted looks like a new store.
 *
 * **Example** (An object in a directory)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk } from "effect-wal"
 * import { DirectoryStore, ObjectStore } from "effect-wal/archive"
 * import { mkdirSync, readFileSync } from "node:fs"
 *
 * mkdirSync("./store")
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* ObjectStore.ObjectStore
 *   yield* store.put("notes/first", Buffer.from("hello"), { onlyIf: "absent" })
 *   yield* Console.log(readFileSync("./store/notes/first", "utf8")) // => hello
 * })
 *
 * const layer = DirectoryStore.layer({ directory: "./store" }).pipe(Layer.provide(NodeDisk.layer))
 *
 * await Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<ObjectStore, never, Disk> =>
  Layer.effect(ObjectStore, Effect.suspend(() => make(options)))

const unfinishedName = ".unfinished"

/** How many pieces of memory are kept from one request to the next. */
const spareMax = 4

/** How many ETags of files are remembered. */
const rememberedMax = 4096

/** A file's name for a name in a key: no own name, and none that is hidden. */
const fileNameOf = (name: string): string => name.replaceAll("%", "%25").replace(/^\./, "%2E")

/** The name in a key for a file's name; undefined for a file that is not ours. */
const nameOf = (fileName: string): string | undefined => {
  const name = fileName.replace(/^%2E/, ".").replaceAll("%25", "%")
  return fileNameOf(name) === fileName ? name : undefined
}

const nameOfVersion = ({ bytes, identity, modifiedMillis }: FileStat): string =>
  `${identity} ${bytes} ${modifiedMillis}`

/** What the own files of a key begin with. */
const hashOf = (key: string): string => createHash("md5").update(key).digest("hex")

/** A request that a condition or the caller's key ends: no failure of the disk. */
class Refused {
  readonly reason: StoreReason
  constructor(tag: StoreReason["_tag"], detail: string) {
    this.reason = storeReason(tag, detail)
  }
}

/** A source that failed as it was read: also where its failure is one of a disk, it is not one of the store's. */
class SourceFailed<E> {
  readonly error: E
  constructor(error: E) {
    this.error = error
  }
}

/** The content, with failures that are told from those of the store's disk. */
const distinct = <E>(content: ObjectContent<E>): ObjectContent<SourceFailed<E>> =>
  isSource(content)
    ? {
      bytes: content.bytes,
      read: (target, offset) => Effect.mapError(content.read(target, offset), (error) => new SourceFailed(error))
    }
    : content

const refuse = (tag: StoreReason["_tag"], detail = ""): Effect.Effect<never, Refused> =>
  Effect.fail(new Refused(tag, detail))

const tagOf = (error: DiskError): StoreReason["_tag"] => {
  switch (error.reason._tag) {
    case "Denied":
      return "Denied"
    case "Full":
    case "Held":
    case "TooManyFiles":
    case "Exists":
      return "Busy"
    case "Unsafe":
    case "Unsupported":
    case "IsDirectory":
    case "NotDirectory":
      return "Unsuitable"
    case "NotFound":
    case "Away":
    case "BadArchive":
    case "Io":
      return "Unreachable"
  }
}

const storeErrorOf = (
  operation: StoreOperation,
  key: string,
  failure: DiskError | Refused,
  isApplied: "no" | "unknown"
): StoreError =>
  failure instanceof Refused
    ? new StoreError({ reason: failure.reason, operation, key, isApplied })
    : new StoreError({
      reason: storeReason(tagOf(failure), failure.message),
      operation,
      key,
      isApplied,
      cause: failure
    })

const make = Effect.fnUntraced(function*(options: Options) {
  const disk = yield* Disk
  if (typeof options.directory !== "string") refuseArgument("options.directory", options.directory, "a path")
  const root = resolve(options.directory)
  const unfinished = pathIn(root, unfinishedName)
  const usage = new UsageCounter()
  /** ETags by the files that have them. A file that has a name in the store never changes. */
  const etags = new Map<string, string>()
  /** Directories below the root that are there, durably, and are no links. */
  const made = new Set<string>()
  /** Directories below the root that are there and are no links. */
  const seen = new Set<string>()
  /** Keys whose names may not be durable although they are seen. */
  const doubtful = new Set<string>()
  let hasUnfinished = false

  const withDisk = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Disk>> =>
    Effect.provideService(effect, Disk, disk)

  const statIfThere = (path: string): Effect.Effect<FileStat | undefined, DiskError> =>
    Effect.catchIf(
      disk.stat(path),
      ({ reason }) => reason._tag === "NotFound" || reason._tag === "NotDirectory",
      () => Effect.succeed(undefined)
    )

  /** Fails unless the disk is still mounted. To be asked before it is concluded that something is not there. */
  const requireMounted = Effect.suspend(() =>
    hasUnfinished
      ? Effect.flatMap(statIfThere(unfinished), (stat) =>
        stat === undefined
          ? refuse("Unreachable", `${unfinished} has gone; is the disk still mounted?`)
          : Effect.void)
      : Effect.void
  )

  const remember = (stat: FileStat, etag: string): void => {
    if (etags.size >= rememberedMax) etags.clear()
    etags.set(nameOfVersion(stat), etag)
  }

  const knownEtag = (stat: FileStat): string | undefined => etags.get(nameOfVersion(stat))

  const etagOf = Effect.fnUntraced(function*(file: DiskFile) {
    const stat = yield* file.stat
    const known = knownEtag(stat)
    if (known !== undefined) return known
    const hash = createHash("md5")
    const piece = new Uint8Array(Math.min(hashedBytesMax, Math.max(1, stat.bytes)))
    let offset = 0
    while (offset < stat.bytes) {
      const count = yield* file.read(piece, offset)
      if (count === 0) return yield* refuse("Corrupt", "the file has got shorter")
      hash.update(piece.subarray(0, count))
      offset += count
      yield* Effect.yieldNow
    }
    const etag = hash.digest("hex")
    remember(stat, etag)
    return etag
  })

  /** The path of a directory below the root; undefined when there is none. A link to one is refused. */
  const findDirectory = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
    let path = root
    for (const name of names) {
      path = pathIn(path, fileNameOf(name))
      if (seen.has(path)) continue
      const stat = yield* statIfThere(path)
      if (stat === undefined || stat.kind === "file") return undefined
      if (stat.kind === "other") {
        return yield* refuse("Unsuitable", `${path} is no directory; the store needs the name for one`)
      }
      seen.add(path)
    }
    return path
  })

  /** Makes a directory below the root, durably, with those on the way to it. */
  const makeDirectories = Effect.fnUntraced(function*(fileNames: ReadonlyArray<string>) {
    let path = root
    for (const name of fileNames) {
      const parent = path
      path = pathIn(parent, name)
      if (made.has(path)) continue
      yield* makeDirectoryIn(parent, name)
      // A process that died may have made it without a sync.
      yield* disk.syncDirectory(parent)
      made.add(path)
    }
    return path
  })

  /** Makes the directory of the own files, once: when it is gone later, the disk is. */
  const makeUnfinished = Effect.suspend(() =>
    hasUnfinished ? Effect.void : Effect.map(makeDirectories([unfinishedName]), () => {
      hasUnfinished = true
    })
  )

  /** Removes what processes that died have left. What another one holds, and what we may not change, stays. */
  const clean: Effect.Effect<void, DiskError, Scope.Scope> = Effect.gen(function*() {
    const names = yield* disk.list(unfinished)
    hasUnfinished = true
    const hashes = new Set(names.map(({ name }) => name.split(".")[0]!))
    yield* Effect.forEach(
      hashes,
      (hash) =>
        disk.lock(pathIn(unfinished, `${hash}.lock`)).pipe(
          Effect.andThen(withDisk(removeIfThere(pathIn(unfinished, `${hash}.tmp`)))),
          Effect.scoped,
          Effect.ignore
        ),
      { discard: true }
    )
  })

  let isReached = false
  /** To be run before anything else is asked of the directory: its disk may be mounted after this layer was built. */
  const reach: Effect.Effect<void, DiskError | Refused> = Effect.suspend(() =>
    isReached ? Effect.void : disk.list(root).pipe(
      Effect.mapError((error) =>
        error.reason._tag === "NotFound"
          ? new Refused("Unreachable", `there is no directory ${root}; make it, or mount its disk`)
          : error
      ),
      Effect.andThen(Effect.catchReason(Effect.scoped(clean), "DiskError", "NotFound", () => Effect.void)),
      Effect.map(() => {
        isReached = true
      })
    )
  )

  const ownPath = (key: string, ending: string): string => pathIn(unfinished, `${hashOf(key)}.${ending}`)

  const lock = (key: string) => disk.lock(ownPath(key, "lock"))

  /** Calls `use` with the open file of an object. */
  const withObject = <A, E>(
    key: string,
    use: (file: DiskFile, stat: FileStat) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | DiskError | Refused> =>
    Effect.scoped(Effect.gen(function*() {
      const names = key.split("/")
      const directory = yield* findDirectory(names.slice(0, -1))
      const missing = Effect.andThen(requireMounted, refuse("NotFound"))
      if (directory === undefined) return yield* missing
      const open = withDisk(openScoped(pathIn(directory, fileNameOf(names.at(-1)!)), "read"))
      const file = yield* Effect.catchIf(
        open,
        ({ reason }) => reason._tag === "NotFound" || reason._tag === "IsDirectory" || reason._tag === "NotDirectory",
        () => missing
      )
      return yield* use(file, yield* file.stat)
    }))

  /** Memory in which sources are read, kept from one request to the next. */
  const spare: Array<Uint8Array> = []

  /** Calls `use` with each piece of the content. */
  const pieces = <E, E2>(
    content: ObjectContent<E>,
    use: (piece: Uint8Array, offset: number) => Effect.Effect<void, E2>
  ) =>
    Effect.suspend(() => {
      let taken: Uint8Array | undefined
      const take = () => taken = spare.pop() ?? new Uint8Array(pieceBytesMax)
      return Effect.tap(forEachPiece(content, take, use), () =>
        Effect.sync(() => {
          // After an interruption the disk may still use it.
          if (taken !== undefined && spare.length < spareMax) spare.push(taken)
        }))
    }).pipe(Effect.catchIf((error) => error instanceof EndedEarly, ({ detail }) => refuse("Corrupt", detail)))

  const etagOfContent = <E>(content: ObjectContent<E>) =>
    Effect.suspend(() => {
      const hash = makeMd5()
      return Effect.map(pieces(content, (piece) => hash.update(piece)), () => hash.digest().toString("hex"))
    })

  /**
   * Writes an object to its place, durably, and gives its ETag. The caller holds the lock of the key. `begun` runs
   * before the renaming.
   */
  const place = Effect.fnUntraced(function*<E>(
    key: string,
    directory: string,
    content: ObjectContent<E>,
    begun: () => void,
    md5?: Uint8Array
  ) {
    const names = key.split("/")
    const temporary = ownPath(key, "tmp")
    const target = pathIn(directory, fileNameOf(names.at(-1)!))
    yield* removeIfThere(temporary)
    const write = Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(temporary, "create")
      const hash = makeMd5()
      yield* pieces(content, (piece, offset) => Effect.andThen(hash.update(piece), writeFully(file, [piece], offset)))
      const digest = hash.digest()
      if (md5 !== undefined && digest.compare(md5) !== 0) return yield* refuse("Corrupt")
      yield* file.sync
      return { stat: yield* file.stat, etag: digest.toString("hex") }
    }))
    let isBegun = false
    const rename = Effect.suspend(() => {
      begun()
      isBegun = true
      return disk.rename(temporary, target)
    })
    const { etag, stat } = yield* Effect.onError(
      Effect.tap(write, () => Effect.uninterruptible(disk.changeNames(directory, rename))),
      () => {
        if (isBegun) doubtful.add(key)
        return Effect.ignore(disk.unlink(temporary))
      }
    )
    doubtful.delete(key)
    remember(stat, etag)
    return etag
  }, withDisk)

  /** Writes an object again whose name may not be durable; see the opening of this module. */
  const settle = Effect.fnUntraced(function*(key: string) {
    if (!doubtful.has(key)) return
    const directory = yield* findDirectory(key.split("/").slice(0, -1))
    if (directory === undefined) {
      doubtful.delete(key)
      return
    }
    const again = withObject(
      key,
      (file, { bytes }) => place(key, directory, { bytes, read: file.read }, () => undefined)
    )
    yield* Effect.catchIf(
      again,
      (failure) => failure instanceof Refused && failure.reason._tag === "NotFound",
      () => Effect.sync(() => doubtful.delete(key))
    )
  })

  const settled = (key: string) =>
    Effect.suspend(() => doubtful.has(key) ? Effect.scoped(Effect.andThen(lock(key), settle(key))) : Effect.void)

  /** Fails when the condition of a `put` is not met. The caller holds the lock of the key. */
  const decide = Effect.fnUntraced(function*<E>(
    key: string,
    directory: string,
    content: ObjectContent<E>,
    onlyIf: PutOptions["onlyIf"]
  ) {
    const path = pathIn(directory, fileNameOf(key.split("/").at(-1)!))
    const stat = yield* statIfThere(path)
    if (stat !== undefined && stat.kind !== "file") {
      return yield* refuse("Unsuitable", `${path} is no file; the store needs the name for an object`)
    }
    if (onlyIf === undefined) return
    if (stat === undefined) return onlyIf === "absent" ? undefined : yield* refuse("Changed", "it is gone")
    const present = yield* withObject(key, etagOf)
    if (onlyIf === "absent") {
      // The caller will compare, and then rely on it. Its writer may have died before it was durable.
      if (present === (yield* etagOfContent(content))) yield* place(key, directory, content, () => undefined)
      return yield* refuse("Taken")
    }
    if (present !== onlyIf.etag) return yield* refuse("Changed")
  })

  const put = <E = never>(key: string, content: ObjectContent<E>, putOptions?: PutOptions) =>
    Effect.suspend(() => {
      requireKey("key", key)
      requireContent("content", content)
      usage.request("put", lengthOf(content))
      let isApplied: "no" | "unknown" = "no"
      return Effect.gen(function*() {
        yield* reach
        yield* makeUnfinished
        yield* requireMounted
        const directory = yield* makeDirectories(key.split("/").slice(0, -1).map(fileNameOf))
        yield* lock(key)
        yield* settle(key)
        const told = distinct(content)
        yield* decide(key, directory, told, putOptions?.onlyIf)
        const begun = () => {
          isApplied = "unknown"
        }
        return yield* place(key, directory, told, begun, putOptions?.md5)
      }).pipe(
        Effect.scoped,
        withDisk,
        Effect.mapError((failure) => {
          if (failure instanceof SourceFailed) return failure.error
          if (!(failure instanceof Refused)) made.clear()
          return storeErrorOf("put", key, failure, isApplied)
        })
      )
    })

  const get = (key: string, getOptions?: GetOptions) =>
    Effect.suspend(() => {
      requireKey("key", key)
      const range = getOptions?.range
      if (range !== undefined) {
        requireWhole("options.range.from", range.from)
        requireWhole("options.range.bytes", range.bytes, 1)
      }
      usage.request("get")
      const read = (file: DiskFile, stat: FileStat) =>
        Effect.gen(function*() {
          const whole = range === undefined ? yield* readWhole(file, stat.bytes) : undefined
          const known = knownEtag(stat)
          const etag = known ?? (whole === undefined ? yield* etagOf(file) : (yield* md5(whole)).toString("hex"))
          if (known === undefined) remember(stat, etag)
          const onlyIf = getOptions?.onlyIf
          if (onlyIf !== undefined && onlyIf.etag !== etag) return yield* refuse("Changed")
          const bytes = whole ?? (yield* readRange(file, stat.bytes, range!))
          usage.received(bytes.length)
          return { bytes, etag }
        })
      return reach.pipe(
        Effect.andThen(settled(key)),
        Effect.andThen(withObject(key, read)),
        Effect.mapError((failure) => storeErrorOf("get", key, failure, "no"))
      )
    })

  const head = (key: string) =>
    Effect.suspend(() => {
      requireKey("key", key)
      usage.request("head")
      const facts = (file: DiskFile, { bytes, modifiedMillis }: FileStat) =>
        Effect.map(etagOf(file), (etag) => ({ key, bytes, etag, modifiedMillis }))
      return reach.pipe(
        Effect.andThen(settled(key)),
        Effect.andThen(withObject(key, facts)),
        Effect.mapError((failure) => storeErrorOf("head", key, failure, "no"))
      )
    })

  /** The objects below a directory. `begin` is what all of their keys begin with. */
  const walk = (
    path: string,
    begin: string,
    prefix: string,
    startAfter: string
  ): Stream.Stream<ListedObject, DiskError | Refused> =>
    Stream.unwrap(Effect.suspend(() => {
      usage.request("list")
      const entries = Effect.catchIf(
        disk.list(path),
        ({ reason }) => path !== root && (reason._tag === "NotFound" || reason._tag === "NotDirectory"),
        () => Effect.as(requireMounted, [])
      )
      return Effect.map(entries, (found) =>
        Stream.flatMap(Stream.fromIterable(wanted(found, begin, prefix, startAfter)), ({ entry, key }) =>
          entry.kind === "directory"
            ? walk(pathIn(path, entry.name), key, prefix, startAfter)
            : Stream.fromIterableEffect(Effect.map(statIfThere(pathIn(path, entry.name)), (stat) =>
              stat === undefined ? [] : [{ key, bytes: stat.bytes, modifiedMillis: stat.modifiedMillis }]))))
    }))

  const list = (prefix: string, listOptions?: { readonly startAfter?: string }) =>
    Stream.suspend(() => {
      const startAfter = listOptions?.startAfter ?? ""
      requirePrefix("prefix", prefix)
      requirePrefix("options.startAfter", startAfter)
      const found = Stream.unwrap(Effect.as(Effect.andThen(reach, requireMounted), walk(root, "", prefix, startAfter)))
      return Stream.mapError(found, (failure) => storeErrorOf("list", prefix, failure, "no"))
    })

  const removeOne = (key: string) =>
    Effect.suspend(() => {
      let isApplied: "no" | "unknown" = "no"
      return Effect.gen(function*() {
        const names = key.split("/")
        yield* reach
        yield* requireMounted
        const directory = yield* findDirectory(names.slice(0, -1))
        if (directory === undefined) return
        const path = pathIn(directory, fileNameOf(names.at(-1)!))
        yield* makeUnfinished
        yield* lock(key)
        const stat = yield* statIfThere(path)
        if (stat !== undefined && stat.kind !== "file") return
        isApplied = "unknown"
        yield* removeName(directory, path, ownPath(key, "tmp"))
        doubtful.delete(key)
      }).pipe(
        Effect.scoped,
        withDisk,
        Effect.mapError((failure) => storeErrorOf("remove", key, failure, isApplied))
      )
    })

  const remove = (keys: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      for (const key of keys) requireKey("keys", key)
      usage.request("remove")
      return Effect.forEach(keys, removeOne, { discard: true })
    })

  return ObjectStore.of({ name: `file://${root}`, put, get, head, list, remove, usage: Effect.sync(() => usage.usage) })
})

const readWhole = Effect.fnUntraced(function*(file: DiskFile, bytes: number) {
  const target = new Uint8Array(bytes)
  if ((yield* readFully(file, target, 0)) < bytes) return yield* refuse("Corrupt", "the file has got shorter")
  return target
})

const readRange = Effect.fnUntraced(function*(
  file: DiskFile,
  fileBytes: number,
  range: { readonly from: number; readonly bytes: number }
) {
  const bytes = Math.min(range.bytes, fileBytes - range.from)
  if (bytes <= 0) return yield* refuse("Corrupt", `the object ends at byte ${fileBytes}, before ${range.from}`)
  const target = new Uint8Array(bytes)
  if ((yield* readFully(file, target, range.from)) < bytes) {
    return yield* refuse("Corrupt", "the file has got shorter")
  }
  return target
})

/** The entries of a directory that have, or may contain, keys that a listing wants, in the order of keys. */
const wanted = (
  entries: ReadonlyArray<DirectoryEntry>,
  begin: string,
  prefix: string,
  startAfter: string
): ReadonlyArray<{ readonly entry: DirectoryEntry; readonly key: string }> =>
  entries.flatMap((entry) => {
    const name = entry.kind === "other" || entry.name.startsWith(".") ? undefined : nameOf(entry.name)
    if (name === undefined) return []
    const isDirectory = entry.kind === "directory"
    const key = begin + name + (isDirectory ? "/" : "")
    const isAfter = compareKeys(key, startAfter) > 0 || (isDirectory && startAfter.startsWith(key))
    const isWanted = key.startsWith(prefix) || (isDirectory && prefix.startsWith(key))
    return isAfter && isWanted ? [{ entry, key }] : []
  }).sort((left, right) => compareKeys(left.key, right.key))
