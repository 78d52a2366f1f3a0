/**
 * The segments of a directory as the river shows them: what they are by name and header, and how that changes. A look
 * reads only what is new: the header of a segment that it has not seen, and of the open one. A closed segment never
 * changes. So one whose file has changed nevertheless is verified, and so is one when the page asks.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../disk/Disk.ts"
import type { DiskError, FileStat } from "../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { makeDirectoryReader } from "../reading/DirectoryReader.ts"
import type { SegmentDirectoryReader } from "../reading/DirectoryReader.ts"
import { verifySegment } from "../reading/segment/SegmentReader.ts"
import { damaged, inspectFile } from "../report/InspectedSegment.ts"
import type { InspectedSegment } from "../report/InspectedSegment.ts"

/** A segment of the river. */
export interface Cell extends Omit<InspectedSegment, "path"> {
  /** The name of its file. */
  readonly file: string
  /** A cold file is being made of it. */
  readonly isFreezing: boolean
}

interface Known {
  readonly path: string
  readonly stat: FileStat
  readonly segment: InspectedSegment
}

/** A closed segment costs a `stat` in one of so many looks, at most this many a look. */
const checkedAtOnce = 64

/** Looks at the segments of a directory again and again. */
export class Cells {
  readonly directory: SegmentDirectory
  private known = new Map<number, Known>()
  private turn = 0

  constructor(directory: SegmentDirectory) {
    this.directory = directory
  }

  /** The segments now, oldest first. `isRecorded`: a recorder tells how far the open one is, so that is not read. */
  look(isRecorded: boolean): Effect.Effect<ReadonlyArray<Cell>, DiskError, Disk> {
    return Effect.gen({ self: this }, function*() {
      const reader = yield* makeDirectoryReader(this.directory)
      const entries = reader.segments()
      const from = this.turn % Math.max(1, entries.length)
      this.turn = from + checkedAtOnce
      const known = new Map<number, Known>()
      const cells: Array<Cell> = []
      for (const [place, { cold, freezing, hot, segmentIndex }] of entries.entries()) {
        const old = this.known.get(segmentIndex)
        const isTurn = place >= from && place < from + checkedAtOnce
        const isSame = old !== undefined && old.segment.state !== "open" && !isTurn &&
          old.path === this.directory.filesOf({ segmentIndex, hot, cold })[0]?.path
        const now = isSame ? old : yield* this.read(reader, segmentIndex, old, isRecorded)
        if (now === undefined) continue
        known.set(segmentIndex, now)
        cells.push(cellOf(now.segment, hot && freezing.length > 0))
      }
      this.known = known
      return cells
    })
  }

  /** Checks every byte of a segment; `undefined` when it is gone. The river shows what was found from then on. */
  verify(segmentIndex: number): Effect.Effect<Cell | undefined, DiskError, Disk> {
    return Effect.gen({ self: this }, function*() {
      const reader = yield* makeDirectoryReader(this.directory)
      const now = yield* reader.use(segmentIndex, (file) =>
        Effect.gen(function*() {
          const stat = yield* statOf(file)
          return yield* verified(file, stat)
        }))
      if (now === undefined) return undefined
      this.known.set(segmentIndex, now)
      return cellOf(now.segment, false)
    })
  }

  private read(
    reader: SegmentDirectoryReader,
    segmentIndex: number,
    old: Known | undefined,
    isRecorded: boolean
  ): Effect.Effect<Known | undefined, DiskError, Disk> {
    return reader.use(segmentIndex, (file) =>
      Effect.gen(function*() {
        const stat = yield* statOf(file)
        const isSameFile = old?.path === file.path && old.stat.identity === stat.identity
        const isUnchanged = isSameFile && old.stat.modifiedMillis === stat.modifiedMillis &&
          old.stat.bytes === stat.bytes
        if (isUnchanged && !(isRecorded && old.segment.state === "open")) return old
        if (isSameFile && old.segment.state !== "open") return yield* verified(file, stat)
        const known: Known = {
          path: file.path,
          stat,
          segment: yield* inspectFile(file, isRecorded ? "left" : "read")
        }
        return known
      }))
  }
}

const statOf = (file: SegmentFile) => Disk.use((disk) => disk.stat(file.path))

/** What a file is when every byte of it is checked. */
const verified = (file: SegmentFile, stat: FileStat): Effect.Effect<Known, DiskError, Disk> =>
  verifySegment(file, { segmentIndex: file.segmentIndex }).pipe(
    Effect.andThen(inspectFile(file)),
    Effect.catchTag("SegmentCorrupt", (error) => Effect.succeed(damaged(file, stat.bytes, error.message))),
    Effect.map((segment) => ({ path: file.path, stat, segment }))
  )

const cellOf = ({ path, ...segment }: InspectedSegment, isFreezing: boolean): Cell => ({
  ...segment,
  file: path.slice(path.lastIndexOf("/") + 1),
  isFreezing
})
