/**
 * Changes of names that are durable or have not happened. A sync of the directory that fails may have lost a change for
 * good, and the next sync would report success all the same (rule 4 of `Disk`). So a change whose sync failed is taken
 * back: what the directory shows is then as it was, and the next attempt is a change of its own.
 */
import * as Effect from "effect/Effect"
import { Disk, removeIfThere } from "./Disk.ts"
import type { DiskError } from "./Disk.ts"

/**
 * Moves a file or a directory within a directory, durably, to a name that is not in use. If this fails, it has its old
 * name again.
 */
export const moveName = (directory: string, from: string, to: string): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => {
    let isMoved = false
    const move = Effect.uninterruptible(Effect.map(disk.rename(from, to), () => {
      isMoved = true
    }))
    return Effect.onError(
      disk.changeNames(directory, move),
      () => isMoved ? Effect.ignore(disk.rename(to, from)) : Effect.void
    )
  })

/**
 * Removes a file, durably: moves it to `garbage`, a name that a start removes, and unlinks it there. If the move fails,
 * the file has its name again. If it is at `garbage` already, an earlier removal has got no further, and perhaps could
 * not take the change back: then it is moved there once more. A file that is in neither place counts as removed, as
 * soon as the directory is synced.
 */
export const removeName = (directory: string, path: string, garbage: string): Effect.Effect<void, DiskError, Disk> =>
  moveName(directory, path, garbage).pipe(
    Effect.catchReason(
      "DiskError",
      "NotFound",
      () =>
        Disk.use((disk) =>
          disk.rename(garbage, path).pipe(
            Effect.andThen(moveName(directory, path, garbage)),
            Effect.catchReason("DiskError", "NotFound", () => disk.syncDirectory(directory))
          )
        )
    ),
    Effect.andThen(removeIfThere(garbage)),
    Effect.uninterruptible
  )
