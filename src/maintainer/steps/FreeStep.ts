/**
 * Cold becomes deleted: the compressed file is unlinked and the directory synced. Only a cold segment is ever freed. A
 * file that is already gone counts as done, so the step may be repeated.
 */
import * as Effect from "effect/Effect"
import { Disk, removeIfThere } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { Compression } from "../../format/SegmentName.ts"
import { fromDisk, StepError } from "./StepError.ts"

/** Deletes one cold segment, in either compression. */
export const free = Effect.fn("FreeStep.free")(
  function*(directory: SegmentDirectory, segmentIndex: number) {
    yield* Effect.annotateCurrentSpan("segmentIndex", segmentIndex)
    const disk = yield* Disk
    const onDisk = Effect.mapError(fromDisk("free", segmentIndex))
    const hot = directory.hotPath(segmentIndex)
    const isHot = yield* Effect.as(disk.stat(hot), true).pipe(
      Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(false)),
      onDisk
    )
    if (isHot) {
      return yield* new StepError({
        step: "free",
        reason: "NotFound",
        segmentIndex,
        path: hot,
        detail: "the segment is hot, and only a cold one is freed"
      })
    }
    for (const compression of ["frame", "block"] satisfies ReadonlyArray<Compression>) {
      yield* onDisk(removeIfThere(directory.coldPath(segmentIndex, compression)))
    }
    yield* onDisk(disk.syncDirectory(directory.path))
  }
)
