/**
 * Which local files of archived segments are not to be read, because they are damaged and the archive has them whole.
 *
 * A file is checked when it is first opened: all of it is read once, as a replay reads it. So a local segment that is
 * archived is read twice by the first reader, the second time from memory. The other way, to turn to the archive where
 * a reader meets the damage, would have to be built into every reader (replay, verification, copies, the command line),
 * and each had to continue in another form of the segment after events that it had handed out. Here no reader knows.
 *
 * What counts is whether the file is intact, not whether it equals the archived one: a recorder may have continued a
 * segment, and a freeze makes a file of its own. A file that was found damaged is left aside for as long as this lives.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Disk } from "../disk/Disk.ts"
import type { DiskError, DiskFile } from "../disk/Disk.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { rotatingMemory } from "../reading/segment/BlockMemory.ts"
import { forReplay, readSegment } from "../reading/segment/SegmentReader.ts"

/** The local files of archived segments. */
interface LocalCopies {
  /** Whether an open file is to be read. Otherwise its path is left aside from now on. */
  readonly isIntact: (file: SegmentFile, opened: DiskFile) => Effect.Effect<boolean, DiskError>
  readonly isLeftAside: (path: string) => boolean
}

/** The local files on this disk. */
export const makeLocalCopies = (disk: Disk["Service"]): LocalCopies => {
  const oneByOne = Semaphore.makeUnsafe(1)
  const intact = new Set<string>()
  const leftAside = new Set<string>()

  const read = (file: SegmentFile) =>
    readSegment(file, { segmentIndex: file.segmentIndex }, () => {}, forReplay(rotatingMemory(1))).pipe(
      Effect.as("intact" as const),
      Effect.catchTag("SegmentCorrupt", () => Effect.succeed("damaged" as const)),
      // Frozen or deleted meanwhile: the open file was not found damaged.
      Effect.catchReason("DiskError", "NotFound", () => Effect.succeed("gone" as const)),
      // A disk that does not give the bytes.
      Effect.catchReason("DiskError", "Io", () => Effect.succeed("damaged" as const)),
      Effect.provideService(Disk, disk)
    )

  const isIntact = Effect.fnUntraced(function*(file: SegmentFile, opened: DiskFile) {
    const { bytes, identity } = yield* opened.stat
    // A segment grows while it is recorded; one that is archived does so only when a recorder continues it.
    const key = `${identity} ${bytes}`
    if (intact.has(key)) return true
    const found = yield* read(file)
    if (found === "damaged") leftAside.add(file.path)
    if (found === "intact") intact.add(key)
    return found !== "damaged"
  })

  return {
    isIntact: (file, opened) => oneByOne.withPermit(isIntact(file, opened)),
    isLeftAside: (path) => leftAside.has(path)
  }
}
