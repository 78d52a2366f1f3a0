/**
 * A directory of segments: where its files lie, and which there are. Listing looks at names alone: one listing, no
 * stat, no read, so a directory of 10,000 segments costs a few milliseconds. A name tells what a file should be; only
 * reading tells whether it is.
 *
 * The order is that of the indices, never of names or file times. A name of a segment that stands for no regular file
 * (a link, a directory) is never opened; it is listed as `unsafe`.
 */
import * as Effect from "effect/Effect"
import { resolve } from "node:path"
import type { Compression, ParsedName, SegmentNaming } from "../format/SegmentName.ts"
import { coldName, defaultNaming, freezingName, hotName, parseName, preparingName } from "../format/SegmentName.ts"
import type { DirectoryEntry } from "./Disk.ts"
import { Disk, DiskError } from "./Disk.ts"
import { Unsafe } from "./DiskReason.ts"

/** The files of one segment index. During a freeze, and after a crash in one, there are several. */
export interface SegmentEntry {
  readonly segmentIndex: number
  readonly hot: boolean
  /** A hot file is being prepared; it never held an event that was promised. */
  readonly preparing: boolean
  /** The finished cold files, `frame` before `block`. */
  readonly cold: ReadonlyArray<Compression>
  /** Freezes in progress; garbage when nothing writes to the directory. */
  readonly freezing: ReadonlyArray<Compression>
}

/** A directory at one moment. */
export interface Listing {
  /** By index, each index once. */
  readonly entries: ReadonlyArray<SegmentEntry>
  /** Names that the naming does not give, in order. */
  readonly foreign: ReadonlyArray<string>
  /** Names of segments that stand for no regular file, in order. */
  readonly unsafe: ReadonlyArray<string>
}

/** One file of a segment, to be read. */
export interface SegmentFile {
  readonly segmentIndex: number
  readonly path: string
  readonly form: "hot" | "cold"
  /** Of a cold file; `frame` otherwise. */
  readonly compression: Compression
}

/** The path of a name in a directory. */
export const pathIn = (directory: string, name: string): string =>
  directory.endsWith("/") ? directory + name : `${directory}/${name}`

/** The directory of a path in one. */
export const directoryOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/"))) || "/"

/** The last name of a path. */
export const nameIn = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

/**
 * A directory and the names of the segments in it: the one place that builds paths of segments. It does not cross
 * threads: another thread is given `path` and `naming`, and makes its own.
 *
 * Its path is absolute. So a program that changes its working directory changes nothing for a log that is open, or for
 * a reader that has begun.
 */
export class SegmentDirectory {
  readonly path: string
  readonly naming: SegmentNaming

  constructor(path: string, naming: SegmentNaming = defaultNaming) {
    this.path = resolve(path)
    this.naming = naming
  }

  /** The path of any name in it. */
  pathOf(name: string): string {
    return pathIn(this.path, name)
  }

  hotPath(segmentIndex: number): string {
    return this.pathOf(hotName(this.naming, segmentIndex))
  }

  /** Of the hot file while it is being prepared. */
  preparingPath(segmentIndex: number): string {
    return this.pathOf(preparingName(this.naming, segmentIndex))
  }

  coldPath(segmentIndex: number, compression: Compression): string {
    return this.pathOf(coldName(this.naming, segmentIndex, compression))
  }

  /** Of the cold file while it is being written. */
  freezingPath(segmentIndex: number, compression: Compression): string {
    return this.pathOf(freezingName(this.naming, segmentIndex, compression))
  }

  /** Reads a name in it; `undefined` for a name that the naming would not have written. */
  parse(name: string): ParsedName | undefined {
    return parseName(this.naming, name)
  }

  /**
   * Every finished file of an entry. The one to read first comes first: hot before cold (a freeze leaves the hot file
   * until the cold one is proven, and it reads faster), frame before block. Empty when there are only leftovers.
   */
  filesOf(
    { cold, hot, segmentIndex }: Pick<SegmentEntry, "segmentIndex" | "hot" | "cold">
  ): ReadonlyArray<SegmentFile> {
    const files: Array<SegmentFile> = cold.map((compression) => ({
      segmentIndex,
      path: this.coldPath(segmentIndex, compression),
      form: "cold",
      compression
    }))
    if (hot) files.unshift({ segmentIndex, path: this.hotPath(segmentIndex), form: "hot", compression: "frame" })
    return files
  }

  /** What lies in it now. Fails when it cannot be listed (`NotFound`, `Denied`, ...). */
  get scan(): Effect.Effect<Listing, DiskError, Disk> {
    return Disk.use((disk) => Effect.map(disk.list(this.path), (names) => listingOf(this.naming, names)))
  }
}

const listingOf = (naming: SegmentNaming, names: ReadonlyArray<DirectoryEntry>): Listing => {
  const byIndex = new Map<number, Forms>()
  const foreign: Array<string> = []
  const unsafe: Array<string> = []
  for (const { kind, name } of names) {
    const parsed = parseName(naming, name)
    if (parsed === undefined) foreign.push(name)
    else if (kind !== "file") unsafe.push(name)
    else {
      const forms = byIndex.get(parsed.index) ?? { hot: false, preparing: false, cold: [], freezing: [] }
      byIndex.set(parsed.index, forms)
      if (parsed.form === "hot") forms.hot = true
      else if (parsed.form === "preparing") forms.preparing = true
      else forms[parsed.form].push(parsed.compression)
    }
  }
  const entries = Array.from(byIndex, ([segmentIndex, forms]): SegmentEntry => ({
    segmentIndex,
    hot: forms.hot,
    preparing: forms.preparing,
    cold: forms.cold.sort(frameFirst),
    freezing: forms.freezing.sort(frameFirst)
  }))
  entries.sort((a, b) => a.segmentIndex - b.segmentIndex)
  return { entries, foreign: foreign.sort(), unsafe: unsafe.sort() }
}

/** The forms of one index while they are being gathered. */
interface Forms {
  hot: boolean
  preparing: boolean
  readonly cold: Array<Compression>
  readonly freezing: Array<Compression>
}

const frameFirst = (a: Compression, b: Compression): number => (a === b ? 0 : a === "frame" ? -1 : 1)

/** The entries that have a finished file, without those of leftovers alone. */
export const segmentsOf = (listing: Listing): ReadonlyArray<SegmentEntry> =>
  listing.entries.filter((entry) => entry.hot || entry.cold.length > 0)

/**
 * Makes a directory and its parents, durably: a file is not safe before every name on the way to it is. A parent that
 * we may not open cannot be synced by us, and was not made by us. If a sync fails, the directories that were made are
 * removed, so that the next attempt makes them anew (see `DurableNames`).
 */
export const makeDirectoryDurable = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const parents = parentsOf(directory)
  const missing = yield* Effect.filter(
    [directory, ...parents],
    (path) =>
      Effect.as(disk.stat(path), false).pipe(
        Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(true))
      )
  )
  yield* disk.makeDirectory(directory)
  const sync = Effect.forEach(
    parents,
    (parent) => Effect.catchReason(disk.syncDirectory(parent), "DiskError", "Denied", () => Effect.void),
    { discard: true }
  )
  const removeMade = Effect.forEach(missing, (path) => Effect.ignore(disk.removeDirectory(path)), { discard: true })
  yield* Effect.onError(sync, () => removeMade)
})

/**
 * Makes a directory of our own in a directory, durably, and returns its path. A link that has its name is not followed
 * (`Unsafe`), so nothing is written outside. Its permissions are those of the directory that it is in, or stricter.
 */
export const makeDirectoryIn = Effect.fnUntraced(function*(
  directory: string,
  name: string,
  permissions?: number
) {
  const disk = yield* Disk
  const path = pathIn(directory, name)
  const found = yield* Effect.map(disk.stat(path), ({ kind }) => kind).pipe(
    Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(undefined))
  )
  if (found === undefined) {
    const made = disk.makeDirectory(path, permissions ?? (yield* disk.stat(directory)).permissions)
    yield* Effect.onError(disk.changeNames(directory, made), () => Effect.ignore(disk.removeDirectory(path)))
  } else if (found !== "directory") {
    return yield* new DiskError({ operation: "makeDirectory", path, reason: new Unsafe({ detail: "" }) })
  }
  return path
})

/** The nearest first, up to the root or to where a relative path begins. */
const parentsOf = (path: string): ReadonlyArray<string> => {
  const isAbsolute = path.startsWith("/")
  const names = path.split("/").filter((name) => name !== "")
  return names.map((_, depth) => {
    const parent = names.slice(0, names.length - 1 - depth).join("/")
    return isAbsolute ? `/${parent}` : parent === "" ? "." : parent
  })
}
