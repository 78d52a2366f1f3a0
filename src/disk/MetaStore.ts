/**
 * `wal_meta.dat`: 24 bytes that tell where the log ends, replaced as a whole: temporary file, fdatasync, rename,
 * directory sync. It is a hint for readers that want to know without looking: when it is absent, not intact or older
 * than the directory, the directory decides. When it is ahead of the directory, events that were durable are lost, and
 * their ids are not used again: see `HintedEnd` for what is believed.
 *
 * ```text
 *  off  type  field
 *    0  u32   last_offset           bytes of the newest segment that are durable; 0: written by a repair
 *    4  u32   last_segment_index
 *    8  u64   last_event_id         durable; by a repair: used, whether or not its event is still there
 *   16  u64   checksum = XXH64(bytes 0..16)
 * ```
 */
import * as Effect from "effect/Effect"
import { readId } from "../format/Block.ts"
import { xxh64 } from "../internal/xxh64.ts"
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

/** What was found. */
export interface FoundMeta {
  /** `undefined` when the file is absent or not intact. */
  readonly meta: Meta | undefined
  /** Why a file that is there is not intact; empty otherwise. */
  readonly fault: string
}

const metaBytes = 24
/** An offset beyond it is written as this one: 0 would stand for a repair. */
const offsetMax = 0xffff_ffff
const checksumOffset = 16

/** Replaces the meta of a directory, durably and atomically. */
export const write = Effect.fnUntraced(function*(directory: string, meta: Meta) {
  const bytes = new Uint8Array(metaBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.min(meta.lastOffset, offsetMax), true)
  view.setUint32(4, meta.lastSegmentIndex, true)
  view.setBigUint64(8, BigInt(meta.lastEventId), true)
  view.setBigUint64(checksumOffset, xxh64(bytes.subarray(0, checksumOffset)), true)
  yield* replaceFile(directory, metaName, metaTemporaryName, bytes)
})

/** Removes what a `write` that did not complete has left. */
export const removeTemporary = (directory: string): Effect.Effect<void, DiskError, Disk> =>
  Disk.use((disk) => disk.unlink(pathIn(directory, metaTemporaryName)))

/** Reads the meta of a directory. Something else in its place, or what may not be read, is not intact either. */
export const read = (directory: string): Effect.Effect<FoundMeta, never, Disk> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* openScoped(pathIn(directory, metaName), "read")
    const bytes = new Uint8Array(metaBytes + 1)
    return decode(bytes.subarray(0, yield* readFully(file, bytes, 0)))
  })).pipe(
    Effect.catch(({ message, reason }) =>
      Effect.succeed({ meta: undefined, fault: reason._tag === "NotFound" ? "" : message })
    )
  )

const decode = (bytes: Uint8Array): FoundMeta => {
  const notIntact = (fault: string): FoundMeta => ({ meta: undefined, fault: `${metaName} is not intact: ${fault}` })
  if (bytes.length !== metaBytes) return notIntact(`not ${metaBytes} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getBigUint64(checksumOffset, true) !== xxh64(bytes.subarray(0, checksumOffset))) {
    return notIntact("its checksum is wrong")
  }
  const lastEventId = readId(view, 8)
  if (Number.isNaN(lastEventId)) return notIntact("an event id above 2^53")
  const lastOffset = view.getUint32(0, true)
  return { meta: { lastOffset, lastSegmentIndex: view.getUint32(4, true), lastEventId }, fault: "" }
}
