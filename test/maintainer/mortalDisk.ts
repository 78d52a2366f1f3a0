/** A disk at whose hand executors die: at the operation with a number that a test sets. */
import * as Effect from "effect/Effect"
import { Disk } from "../../src/disk/Disk.ts"
import type { DiskFile } from "../../src/disk/Disk.ts"

/** A disk whose operations die by an unhandled defect, from number `dieAt` on, `deaths` times. */
export const mortal = (disk: Disk["Service"]) => {
  const state = { operations: 0, dieAt: Number.POSITIVE_INFINITY, deaths: 0 }
  const guard = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      state.operations += 1
      if (state.operations < state.dieAt) return effect
      state.deaths -= 1
      if (state.deaths <= 0) state.dieAt = Number.POSITIVE_INFINITY
      return Effect.die(new Error("the executor dies here"))
    })
  const file = (opened: DiskFile): DiskFile => ({
    ...opened,
    read: (target, offset) => guard(opened.read(target, offset)),
    write: (chunks, offset) => guard(opened.write(chunks, offset)),
    truncate: (bytes) => guard(opened.truncate(bytes)),
    sync: guard(opened.sync),
    stat: guard(opened.stat)
  })
  const service = Disk.of({
    ...disk,
    open: (path, mode) => guard(Effect.map(disk.open(path, mode), file)),
    stat: (path) => guard(disk.stat(path)),
    rename: (from, to) => guard(disk.rename(from, to)),
    unlink: (path) => guard(disk.unlink(path)),
    syncDirectory: (path) => guard(disk.syncDirectory(path)),
    changeNames: (path, change) => disk.changeNames(path, Effect.tap(change, () => guard(Effect.void)))
  })
  return { service, state }
}
