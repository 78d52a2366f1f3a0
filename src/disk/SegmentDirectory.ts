/**
 * What lies in a directory of segments, told from names alone: one listing, no stat, no read, so a directory of 10,000
 * segments costs a few milliseconds. A name says what a file should be; whether it is, only reading it can tell.
 *
 * The order is that of the indices, never of names or file times. Something that bears a segment's name and is no regular
 * file (a link, a directory) is never opened; it is listed as `unsafe`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Compression, SegmentNaming } from "../format/SegmentName.ts"
import { coldName, hotName, parseName } from "../format/SegmentName.ts"
import type { DiskError } from "./Disk.ts"
import { Disk } from "./Disk.ts"

/**
 * The lock of a directory. What stands for it in the directory has a name that begins so.
 *
 * @since 0.1.0
 * @category names
 */
export const lockName = "wal.lock"

/**
 * The files that bear one segment index. During a freeze, and after a crash in one, there are several.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentEntry {
  readonly segmentIndex: number
  readonly hot: boolean
  /** A hot file being prepared is there; it never held an event that was promised. */
  readonly preparing: boolean
  /** The finished cold files, `frame` before `block`. */
  readonly cold: ReadonlyArray<Compression>
  /** Freezes in progress; garbage when nobody writes. */
  readonly freezing: ReadonlyArray<Compression>
}

/**
 * A directory at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listing {
  /** By index, each index once. */
  readonly entries: ReadonlyArray<SegmentEntry>
  /** Names that are none of the naming's, in order. */
  readonly foreign: ReadonlyArray<string>
  /** Names of the naming that stand for no regular file, in order. */
  readonly unsafe: ReadonlyArray<string>
}

/**
 * One file of a segment, to be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentFile {
  readonly segmentIndex: number
  readonly path: string
  readonly form: "hot" | "cold"
  /** Of a cold file; `frame` otherwise. */
  readonly compression: Compression
}

/**
 * Lists a directory. Fails when it cannot be listed (`NotFound`, `Denied`, ...).
 *
 * @since 0.1.0
 * @category listing
 */
export const scan = (directory: string, naming: SegmentNaming): Effect.Effect<Listing, DiskError, Disk> =>
  Disk.use((disk) =>
    Effect.map(disk.list(directory), (names) => {
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
    })
  )

/** The forms of one index while they are being gathered. */
interface Forms {
  hot: boolean
  preparing: boolean
  readonly cold: Array<Compression>
  readonly freezing: Array<Compression>
}

const frameFirst = (a: Compression, b: Compression): number => (a === b ? 0 : a === "frame" ? -1 : 1)

/**
 * The path of a name in a directory.
 *
 * @since 0.1.0
 * @category paths
 */
export const pathIn = (directory: string, name: string): string =>
  directory.endsWith("/") ? directory + name : `${directory}/${name}`

/**
 * The path of a hot segment.
 *
 * @since 0.1.0
 * @category paths
 */
export const hotPath = (directory: string, naming: SegmentNaming, segmentIndex: number): string =>
  pathIn(directory, hotName(naming, segmentIndex))

/**
 * The path of a cold segment.
 *
 * @since 0.1.0
 * @category paths
 */
export const coldPath = (
  directory: string,
  naming: SegmentNaming,
  segmentIndex: number,
  compression: Compression
): string => pathIn(directory, coldName(naming, segmentIndex, compression))

/**
 * Every finished file of an entry, the one to read first: hot before cold (a freeze leaves the hot file until the cold
 * one is proven, and it reads faster), frame before block. Empty when there is nothing but leftovers.
 *
 * @since 0.1.0
 * @category listing
 */
export const filesOf = (directory: string, naming: SegmentNaming, entry: SegmentEntry): ReadonlyArray<SegmentFile> => {
  const { segmentIndex } = entry
  const files: Array<SegmentFile> = entry.cold.map((compression) => ({
    segmentIndex,
    path: coldPath(directory, naming, segmentIndex, compression),
    form: "cold",
    compression
  }))
  if (entry.hot) {
    files.unshift({ segmentIndex, path: hotPath(directory, naming, segmentIndex), form: "hot", compression: "frame" })
  }
  return files
}

/**
 * The entries that hold a segment, leftovers left out.
 *
 * @since 0.1.0
 * @category listing
 */
export const segmentsOf = (listing: Listing): ReadonlyArray<SegmentEntry> =>
  listing.entries.filter((entry) => entry.hot || entry.cold.length > 0)

/**
 * Makes a directory and its parents, durably: a file is not safe before every name on the way to it is. A parent that we
 * may not open cannot be synced by us, and was not made by us.
 *
 * @since 0.1.0
 * @category making
 */
export const makeDirectoryDurable = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  yield* disk.makeDirectory(directory)
  for (const parent of parentsOf(directory)) {
    yield* Effect.catchIf(disk.syncDirectory(parent), (error) => error.reason === "Denied", () => Effect.void)
  }
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
