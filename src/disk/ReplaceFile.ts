/**
 * Replaces a small file as a whole: temporary file, sync, rename, directory sync. Readers see the old bytes or the new
 * ones, after a crash too.
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, removeIfThere, writeFully } from "./Disk.ts"
import { pathIn } from "./SegmentDirectory.ts"

/**
 * Gives `name` in a directory these bytes. What an earlier attempt has left under `temporaryName` is removed. After a
 * failure something stays there only if the disk does not let it be removed.
 */
export const replaceFile = Effect.fnUntraced(function*(
  directory: string,
  name: string,
  temporaryName: string,
  bytes: Uint8Array
) {
  const disk = yield* Disk
  const temporary = pathIn(directory, temporaryName)
  yield* removeIfThere(temporary)
  const replace = Effect.gen(function*() {
    yield* Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(temporary, "create")
      yield* writeFully(file, [bytes], 0)
      yield* file.sync
    }))
    yield* disk.rename(temporary, pathIn(directory, name))
  }).pipe(Effect.onError(() => Effect.ignore(disk.unlink(temporary))))
  yield* disk.changeNames(directory, replace)
})
