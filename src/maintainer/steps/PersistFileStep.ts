/** Makes a file durable that an application wrote by itself, and its name too. */
import * as Effect from "effect/Effect"
import { Disk, openScoped } from "../../disk/Disk.ts"
import type { SegmentDirectory } from "../../disk/SegmentDirectory.ts"
import { fromDisk, StepError } from "./StepError.ts"

/** Makes the file durable and returns its length. An empty one is `Corrupt`. */
export const persistFile = Effect.fn("PersistFileStep.persist")(
  function*(directory: SegmentDirectory, segmentIndex: number) {
    yield* Effect.annotateCurrentSpan("segmentIndex", segmentIndex)
    const disk = yield* Disk
    const path = directory.hotPath(segmentIndex)
    const bytes = yield* Effect.gen(function*() {
      const bytes = yield* Effect.scoped(Effect.gen(function*() {
        const file = yield* openScoped(path, "read")
        yield* file.sync
        return (yield* file.stat).bytes
      }))
      yield* disk.syncDirectory(directory.path)
      return bytes
    }).pipe(Effect.mapError(fromDisk("persist", segmentIndex)))
    if (bytes === 0) {
      return yield* new StepError({ step: "persist", reason: "Corrupt", segmentIndex, path, detail: "an empty file" })
    }
    return bytes
  }
)
