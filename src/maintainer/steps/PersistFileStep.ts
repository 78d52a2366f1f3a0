/**
 * Makes a file durable that an application wrote by itself, and its name too. After a failed sync of either, its bytes
 * are copied to a fresh file that replaces it: a second sync of the same file would prove nothing.
 */
import * as Effect from "effect/Effect"
import { copyFile } from "../../disk/CopyFile.ts"
import { Disk, openScoped, removeIfThere } from "../../disk/Disk.ts"
import type { DiskError } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { fromDisk, StepError } from "./StepError.ts"
import { Corrupt } from "./StepReason.ts"

/**
 * Makes the file durable and returns its length. An empty one is `Corrupt`. `doubted` has the segments whose sync has
 * failed; the step adds to it and takes away.
 */
export const persistFile = Effect.fnUntraced(
  function*(directory: SegmentDirectory, segmentIndex: number, doubted: Set<number>) {
    const path = directory.hotPath(segmentIndex)
    const persist = doubted.has(segmentIndex)
      ? replaceByCopy(directory, path, directory.freezingPath(segmentIndex, "frame"))
      : syncInPlace(directory, path)
    const bytes = yield* persist.pipe(
      Effect.tapError((error) =>
        Effect.sync(() => {
          if (error.operation === "sync" || error.operation === "syncDirectory") doubted.add(segmentIndex)
        })
      ),
      Effect.mapError(fromDisk("persist", segmentIndex))
    )
    doubted.delete(segmentIndex)
    if (bytes === 0) {
      const reason = new Corrupt({ detail: "an empty file" })
      return yield* new StepError({ step: "persist", reason, segmentIndex, path })
    }
    return bytes
  }
)

const syncInPlace = (directory: SegmentDirectory, path: string): Effect.Effect<number, DiskError, Disk> =>
  Disk.use((disk) =>
    disk.changeNames(
      directory.path,
      Effect.scoped(Effect.gen(function*() {
        const file = yield* openScoped(path, "read")
        yield* file.sync
        return (yield* file.stat).bytes
      }))
    )
  )

/** `fresh` is a name that a start removes. */
const replaceByCopy = Effect.fnUntraced(function*(directory: SegmentDirectory, path: string, fresh: string) {
  const disk = yield* Disk
  yield* removeIfThere(fresh)
  const bytes = yield* copyFile(path, fresh)
  yield* disk.changeNames(directory.path, disk.rename(fresh, path)).pipe(
    Effect.onError(() => Effect.ignore(removeIfThere(fresh)))
  )
  return bytes
})
