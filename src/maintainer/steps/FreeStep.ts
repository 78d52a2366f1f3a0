/**
 * Cold becomes deleted: the compressed file is renamed to a `.tmp`, the directory synced, and the `.tmp` unlinked (see
 * `DurableNames`). So no younger segment is deleted durably before this one is. Only a cold segment is ever freed. A
 * file that is already gone counts as done, so the step may be repeated.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../disk/Disk.ts"
import { removeName } from "../../disk/DurableNames.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import type { Compression } from "../../format/SegmentName.ts"
import { fromDisk, StepError } from "./StepError.ts"
import { NotFound } from "./StepReason.ts"

/** Deletes one cold segment, in either compression. */
export const free = Effect.fnUntraced(
  function*(directory: SegmentDirectory, segmentIndex: number) {
    const disk = yield* Disk
    const onDisk = Effect.mapError(fromDisk("free", segmentIndex))
    const hot = directory.hotPath(segmentIndex)
    const isThere = (path: string) =>
      Effect.as(disk.stat(path), true).pipe(
        Effect.catchReason("DiskError", "NotFound", () => Effect.succeed(false)),
        onDisk
      )
    if (yield* isThere(hot)) {
      return yield* new StepError({
        step: "free",
        reason: new NotFound({ detail: "the segment is hot, and only a cold one is freed" }),
        segmentIndex,
        path: hot
      })
    }
    const forms: ReadonlyArray<Compression> = ["frame", "block"]
    const found = yield* Effect.filter(forms, (compression) => isThere(directory.coldPath(segmentIndex, compression)))
    // Of a predecessor that died, nothing may be left but the `.tmp`.
    for (const compression of found.length > 0 ? found : forms) {
      const garbage = directory.freezingPath(segmentIndex, compression)
      yield* onDisk(removeName(directory.path, directory.coldPath(segmentIndex, compression), garbage))
    }
  }
)
