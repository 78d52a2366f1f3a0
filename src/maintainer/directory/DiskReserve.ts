/**
 * A file that only takes up space. A drain that finds the disk full removes it and has room again: see
 * `MaintainerOptions.reserveBytes`.
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, writeFully } from "../../disk/Disk.ts"
import { reserveName } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"

/**
 * Makes the reserve, unless `reserveBytes` is 0, and removes one that an earlier process left. The reserve is removed
 * when it is released, or when the scope closes. Without room for it there is a warning and no reserve.
 */
export const makeReserve = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly reserveBytes: number
}) {
  const disk = yield* Disk
  const path = pathIn(options.directory, reserveName)
  const remove = Effect.ignore(disk.unlink(path))
  let isThere = false
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
    isThere = true
    yield* Effect.catch(write, (error) => Effect.andThen(remove, Effect.logWarning(`no reserve: ${error.message}`)))
    yield* Effect.addFinalizer(() => remove)
  }
  /** Removes the reserve; `true` the first time, when this has made room. */
  const release = Effect.suspend(() => {
    const hasMadeRoom = isThere
    isThere = false
    return hasMadeRoom ? Effect.as(remove, true) : Effect.succeed(false)
  })
  return { release }
})
