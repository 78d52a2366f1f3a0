/**
 * Makes the files of the next segments before they are needed: created, and as long as a full segment will be, so that
 * a later fdatasync has no new length to record. A prepared file has a `.tmp` name and no promised byte; it gets its
 * `.wal` name with its first durable block. What a crash leaves of it is garbage and is removed at the next start.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Disk, removeIfThere } from "../../disk/Disk.ts"
import type { DiskError, DiskFile } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"

/**
 * How many files are made ahead of the segment that is being filled.
 *
 * @since 0.1.0
 * @category limits
 */
export const segmentsAhead = 2

/**
 * Holds prepared files until they are taken or the preparer is closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentPreparer {
  /** The file for this segment: one made ahead, or a new one. The caller closes it. */
  readonly take: (segmentIndex: number) => Effect.Effect<DiskFile, DiskError, Disk>
  /** Makes one more file ahead, if one is missing; says whether it did. Failing is no harm: `take` tries again. */
  readonly prepareNext: (nextIndex: number) => Effect.Effect<boolean, DiskError, Disk>
  /** Closes and removes what was prepared and not taken, and what could be prepared only in part. */
  readonly close: Effect.Effect<void, never, Disk>
}

/**
 * A preparer for files of `fileBytes`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly directory: SegmentDirectory
  readonly fileBytes: number
}): SegmentPreparer => {
  const ready = new Map<number, DiskFile>()
  /** Created, but not made as long as it must be: nobody will take them. */
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
        // Whole or not at all: an interruption must not leave a file that nobody knows of.
        yield* Effect.uninterruptible(Effect.map(create(index), (file) => ready.set(index, file)))
        return true
      }
      return false
    }),
    close: Effect.gen(function*() {
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
