/**
 * `wal_meta.dat`: 16 bytes that tell where the log ends, replaced as a whole: temporary file, fdatasync, rename,
 * directory sync. It is a hint for readers that want to know without looking: when it is absent, short or older than
 * the directory, the directory wins. When it is ahead of the directory, events that were durable are lost, and their
 * ids are not used again: see `Recovery`.
 *
 * ```text
 *  off  type  field
 *    0  u32   last_offset           bytes of the newest segment that are durable
 *    4  u32   last_segment_index
 *    8  u64   last_event_id         durable
 * ```
 */
import * as Effect from "effect/Effect"
import { readId } from "../format/Block.ts"
import { segmentIndexMax } from "../format/Limits.ts"
import { Disk, openScoped, readFully } from "./Disk.ts"
import type { DiskError } from "./Disk.ts"
import { metaName, metaTemporaryName } from "./FileNames.ts"
import { replaceFile } from "./ReplaceFile.ts"
import { pathIn } from "./SegmentDirectory.ts"

/** Where the log ends. */
export interface Meta {
  readonly lastOffset: number
  readonly lastSegmentIndex: number
  readonly lastEventId: number
}

const metaBytes = 16

/** Replaces the meta of a directory, durably and atomically. */
export const write = Effect.fnUntraced(function*(directory: string, meta: Meta) {
  const bytes = new Uint8Array(metaBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, meta.lastOffset, true)
  view.setUint32(4, meta.lastSegmentIndex, true)
  view.setBigUint64(8, BigInt(meta.lastEventId), true)
  yield* replaceFile(directory, metaName, metaTemporaryName, bytes)
})

/** Removes what a `write` that did not complete has left. */
export const removeTemporary = (directory: string): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => disk.unlink(pathIn(directory, metaTemporaryName)))

/**
 * Reads the meta of a directory; `undefined` when it is absent, is not 16 bytes long, or names an index or id that
 * cannot be.
 */
export const read = (directory: string): Effect.Effect<Meta | undefined, DiskError, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, metaName), "read")
    const bytes = new Uint8Array(metaBytes + 1)
    if ((yield* readFully(file, bytes, 0)) !== metaBytes) return undefined
    const view = new DataView(bytes.buffer)
    const meta: Meta = {
      lastOffset: view.getUint32(0, true),
      lastSegmentIndex: view.getUint32(4, true),
      lastEventId: readId(view, 8)
    }
    return meta.lastSegmentIndex <= segmentIndexMax && !Number.isNaN(meta.lastEventId) ? meta : undefined
  })).pipe(Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed(undefined)))
