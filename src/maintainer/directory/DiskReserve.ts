/**
 * A file that only takes up space. A drain that finds the disk full removes it and has room again: see
 * `MaintainerOptions.reserveBytes`.
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, writeFully } from "../../disk/Disk.ts"
import { reserveName } from "../../disk/FileNames.ts"
import { pathIn } from "../../disk/SegmentDirectory.ts"

/** A reserve must not be what fills the disk: it is made where so many of it would fit. */
const reservesThatFit = 2

/**
 * Holds a reserve of `reserveBytes`, if that is above 0, and removes one that an earlier process left. It is made at
 * once, or by `renew` when there is no room for it yet, and removed when it is released or when the scope closes.
 */
export const makeReserve = Effect.fnUntraced(function*(options: {
  readonly directory: string
  readonly reserveBytes: number
}) {
  const { directory, reserveBytes } = options
  const disk = yield* Disk
  const path = pathIn(directory, reserveName)
  const remove = Effect.ignore(disk.unlink(path))
  let isThere = false
  let isMissed = false
  yield* remove
  yield* Effect.addFinalizer(() => reserveBytes > 0 ? remove : Effect.void)

  const write = Effect.provideService(
    Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(path, "create")
      const piece = new Uint8Array(Math.min(reserveBytes, 1 << 20))
      for (let offset = 0; offset < reserveBytes; offset += piece.length) {
        yield* writeFully(file, [piece.subarray(0, Math.min(piece.length, reserveBytes - offset))], offset)
      }
      yield* file.sync
    })),
    Disk,
    disk
  )
  const missed = (why: string) =>
    Effect.suspend(() => {
      const isNew = !isMissed
      isMissed = true
      return isNew ? Effect.logWarning(`no reserve: ${why}; it is made when there is room`) : Effect.void
    })

  /** Makes the reserve, unless it is there or there is no room for it beside what recording needs. */
  const renew = Effect.fnUntraced(function*(freeBytes: number | undefined) {
    if (reserveBytes === 0 || isThere) return
    if (freeBytes !== undefined && freeBytes < reservesThatFit * reserveBytes) {
      return yield* missed(`${freeBytes} bytes are free, and the reserve takes ${reserveBytes}`)
    }
    isThere = true
    yield* Effect.matchEffect(write, {
      onFailure: (error) => {
        isThere = false
        return Effect.andThen(remove, missed(error.message))
      },
      onSuccess: () =>
        Effect.sync(() => {
          isMissed = false
        })
    })
  })
  if (reserveBytes > 0) {
    yield* renew(yield* Effect.orElseSucceed(disk.freeBytes(directory), () => undefined))
  }

  /** Removes the reserve; `true` when this has made room. */
  const release = Effect.suspend(() => {
    const hasMadeRoom = isThere
    isThere = false
    return hasMadeRoom ? Effect.as(remove, true) : Effect.succeed(false)
  })
  return { renew, release }
})
