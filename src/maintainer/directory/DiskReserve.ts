/**
 * A file that only takes up space, so that a drain that finds the disk full has some left to give up: see
 * `MaintainerOptions.reserveBytes`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, writeFully } from "../../disk/Disk.ts"
import { reserveName } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"
import type { ResolvedMaintainerOptions } from "../MaintainerOptions.ts"

/**
 * Makes the reserve, if one is asked for, and removes what an earlier life has left of one. It is gone when the scope
 * closes, or when it is released. Without room for it there is a warning and no reserve.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeReserve = Effect.fnUntraced(function*(options: ResolvedMaintainerOptions) {
  const disk = yield* Disk
  const path = pathIn(options.directory, reserveName)
  const remove = Effect.ignore(disk.unlink(path))
  yield* remove
  if (options.reserveBytes > 0) {
    const write = Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(path, "create")
      const piece = new Uint8Array(Math.min(options.reserveBytes, 1 << 20))
      for (let offset = 0; offset < options.reserveBytes; offset += piece.length) {
        yield* writeFully(file, [piece.subarray(0, Math.min(piece.length, options.reserveBytes - offset))], offset)
      }
      yield* file.sync
    }))
    yield* Effect.catch(write, (error) => Effect.andThen(remove, Effect.logWarning(`no reserve: ${error.message}`)))
    yield* Effect.addFinalizer(() => remove)
  }
  return { release: remove }
})
