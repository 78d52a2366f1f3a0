/**
 * Copies files durably. A copy counts as made when it is synced. Its name is durable after a sync of the directory,
 * which is left to the caller, who often copies several files.
 */
import * as Effect from "effect/Effect"
import { Disk, openScoped, writeFully } from "./Disk.ts"
import type { DiskError } from "./Disk.ts"

/** Bytes copied at once. */
const pieceBytes = 1024 * 1024

/**
 * Makes a file of what `read` gives, at most `bytesMax` bytes, and syncs it. `read` fills its target from the front,
 * and gives 0 at the end. `head` replaces the first bytes. The file gets no permission that is not among `permissions`,
 * those of its original. Fails with `Exists` when the name is taken; a failure leaves no file.
 */
export const writeCopy = <E>(
  path: string,
  read: (target: Uint8Array) => Effect.Effect<number, E>,
  bytesMax: number,
  permissions: number,
  head: Uint8Array = new Uint8Array(0)
): Effect.Effect<number, E | DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const target = yield* openScoped(path, "create")
    const copy = Effect.gen(function*() {
      yield* target.restrict(permissions)
      const piece = new Uint8Array(Math.min(pieceBytes, bytesMax))
      let offset = 0
      while (offset < bytesMax) {
        const count = yield* read(piece.subarray(0, Math.min(piece.length, bytesMax - offset)))
        if (count === 0) break
        if (offset < head.length) piece.set(head.subarray(offset, offset + count))
        yield* writeFully(target, [piece.subarray(0, count)], offset)
        offset += count
      }
      yield* target.sync
      return offset
    })
    return yield* Effect.onError(copy, () => Effect.ignore(Disk.use((disk) => disk.unlink(path))))
  }))

/**
 * Copies a file as it is, up to the length that it had when it was opened. A file that is renamed or unlinked meanwhile
 * is copied all the same.
 */
export const copyFile = (from: string, to: string): Effect.Effect<number, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const source = yield* openScoped(from, "read")
    const { bytes, permissions } = yield* source.stat
    let position = 0
    const read = (target: Uint8Array) =>
      Effect.map(source.read(target, position), (count) => {
        position += count
        return count
      })
    return yield* writeCopy(to, read, bytes, permissions)
  }))
