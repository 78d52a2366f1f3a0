/**
 * Makes the files of the next segments before they are needed, as long as a full segment, so that a later fdatasync has
 * no new length to record. A prepared file has a `.tmp` name and no promised byte; it gets its `.wal` name with its
 * first durable block. One that a crash leaves is garbage, and the next start removes it.
 */
import * as Effect from "effect/Effect"
import { Disk, removeIfThere } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"

/** How many files are made ahead of the segment that is being filled. */
const segmentsAhead = 2

/** Holds prepared files until they are taken or discarded. */
interface SegmentPreparer {
  /** The file for this segment: a prepared one, or a new one. The caller closes it. */
  readonly take: (segmentIndex: number) => Effect.Effect<DiskFile, DiskError, Disk>
  /** Prepares one more file, if one is missing; `true` when it did. A failure does no harm: `take` tries again. */
  readonly prepareNext: (nextIndex: number) => Effect.Effect<boolean, DiskError, Disk>
  /** Closes and removes the files that were prepared and not taken, or prepared only in part. More may be prepared. */
  readonly discard: Effect.Effect<void, never, Disk>
}

/** A preparer for files of `fileBytes`. */
export const make = (options: {
  readonly directory: SegmentDirectory
  readonly fileBytes: number
}): SegmentPreparer => {
  const ready = new Map<number, DiskFile>()
  /** Created, but not made as long as they must be: they are never taken. */
  const failed = new Set<number>()
  const { directory } = options

  const create = Effect.fnUntraced(function*(segmentIndex: number) {
    const disk = yield* Disk
    const path = directory.preparingPath(segmentIndex)
    yield* removeIfThere(path)
    const file = yield* disk.open(path, "create")
    failed.add(segmentIndex)
    yield* Effect.onError(file.truncate(options.fileBytes), () => file.close)
    failed.delete(segmentIndex)
    return file
  }, Effect.uninterruptible)

  return {
    take: (segmentIndex) =>
      Effect.suspend(() => {
        const file = ready.get(segmentIndex)
        ready.delete(segmentIndex)
        return file === undefined ? create(segmentIndex) : Effect.succeed(file)
      }),
    prepareNext: Effect.fnUntraced(function*(nextIndex) {
      for (let index = nextIndex; index < nextIndex + segmentsAhead; index++) {
        if (ready.has(index)) continue
        // Whole or not at all: an interruption must not leave a file that is not listed here.
        yield* Effect.uninterruptible(Effect.map(create(index), (file) => ready.set(index, file)))
        return true
      }
      return false
    }),
    discard: Effect.gen(function*() {
      const disk = yield* Disk
      for (const [segmentIndex, file] of ready) {
        yield* file.close
        yield* Effect.ignore(disk.unlink(directory.preparingPath(segmentIndex)))
      }
      ready.clear()
      for (const segmentIndex of failed) yield* Effect.ignore(disk.unlink(directory.preparingPath(segmentIndex)))
      failed.clear()
    })
  }
}
