/**
 * Brings one closed segment into the store. The order of effects, each arrow meaning "before":
 *
 * ```text
 * PUT segments/EPOCH/NAME, if nothing is there → read back, compared, decoded and proved → its row
 * ```
 *
 * What was read back is what counts. When it has the very bytes of a cold file, decoding it proves that file too;
 * otherwise both are proved, and compared by what is in them.
 *
 * The row is not in the manifest yet, so the segment does not count as archived. To do it again is always right: what
 * already stands there is read back like what was just written. It is fine when it has the same content; other content
 * is an error. What no reader accepts any more (a body that arrived torn, or has rotted) is replaced: the key has our
 * own epoch and no manifest names it, so it is the failed attempt of this very archive.
 */
import * as Effect from "effect/Effect"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import { blockPlaces } from "../format/lz4/Lz4BlockPlaces.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { BadSegment, Different, NotProved } from "./ArchiveReason.ts"
import { segmentKey, thinPlaces } from "./Manifest.ts"
import type { SegmentRow } from "./Manifest.ts"
import { copyOf, prove, storedXxh64Of } from "./SegmentCopy.ts"
import type { ProvedContent, SegmentCopy } from "./SegmentCopy.ts"

/** Where segments go. */
export interface UploadTarget {
  readonly directory: SegmentDirectory
  readonly log: string
  /** As the manifest has it. */
  readonly naming: SegmentNaming
  readonly epoch: number
  /** `checksum`: what the store has confirmed by its MD5 is not read back. */
  readonly proof: "read" | "checksum"
}

/** A segment that is in the store and proved there. */
interface Uploaded {
  readonly row: SegmentRow
  /** `undefined` when its bytes are not of this package's formats. */
  readonly header: SegmentHeader | undefined
}

/** What can go wrong. */
type UploadFailure = StoreError | DiskError | SegmentCorrupt | ArchiveError

/** Uploads a closed segment and proves it. `livedSeconds` is for its row. */
export const upload = Effect.fnUntraced(function*(
  target: UploadTarget,
  segmentIndex: number,
  livedSeconds: number
): Effect.fn.Return<Uploaded, UploadFailure, ObjectStore | Disk> {
  const store = yield* ObjectStore
  const { directory, epoch, log, naming, proof } = target
  const copy = yield* copyOf(directory, segmentIndex)
  if (copy === undefined) {
    const detail = `segment ${segmentIndex} is not there`
    return yield* new ArchiveError({ reason: new BadSegment({ detail }), key: directory.path })
  }
  const key = segmentKey(log, naming, { epoch, form: copy.form, index: segmentIndex })
  const rowOf = (stored: Uint8Array, etag: string, { contentXxh64, facts, header, wholeBytes }: ProvedContent) => {
    const uploaded: Uploaded = {
      header,
      row: {
        index: segmentIndex,
        firstId: facts.firstEventId ?? 0,
        lastId: facts.lastEventId ?? 0,
        closedMillis: facts.closedMillis,
        storedBytes: stored.length,
        wholeBytes,
        epoch,
        etag,
        storedXxh64: storedXxh64Of(stored),
        contentXxh64,
        form: copy.form,
        livedSeconds,
        ...thinPlaces(blockPlaces(stored)),
        hole: null
      }
    }
    return uploaded
  }
  /** What is in the local file. One that is damaged leaves no object behind: no manifest names it. */
  const local = copy.content === undefined
    ? Effect.onError(prove(copy.file, copy.bytes), () => Effect.ignore(store.remove([key])))
    : Effect.succeed(copy.content)

  // Where nothing is read back, the local file is proved before.
  const known = proof === "checksum" ? yield* local : copy.content
  const written = yield* Effect.result(store.put(key, copy.bytes, { onlyIf: "absent" }))
  if (written._tag === "Success" && known !== undefined && proof === "checksum") {
    return rowOf(copy.bytes, written.success, known)
  }
  const isNew = written._tag === "Success"
  if (!isNew && written.failure.reason._tag !== "Taken" && written.failure.isApplied === "no") {
    return yield* written.failure
  }
  const back = yield* store.get(key).pipe(
    // A lost answer, and nothing is there: the next attempt writes it.
    Effect.catchReason("StoreError", "NotFound", (_, error) => Effect.fail(isNew ? error : written.failure))
  )
  const isSame = Buffer.compare(back.bytes, copy.bytes) === 0
  // A cold file and the same bytes read back are decoded and proved once, for both.
  if (isSame && copy.content === undefined) return rowOf(back.bytes, back.etag, known ?? (yield* local))
  const content = known ?? (yield* local)
  const file: SegmentFile = { ...copy.file, path: key, form: "cold", compression: compressionOf(copy) }
  const proved = yield* Effect.catch(prove(file, back.bytes), (error) =>
    Effect.gen(function*() {
      yield* store.put(key, copy.bytes, { onlyIf: { etag: back.etag } })
      const detail = `${error.message}; it is written again`
      return yield* new ArchiveError({ reason: new NotProved({ detail }), key, cause: error })
    }))
  if (!isSameContent(proved, content)) {
    const detail = `content of ${proved.wholeBytes} bytes (XXH64 ${proved.contentXxh64}) instead of ` +
      `${content.wholeBytes} (${content.contentXxh64})`
    return yield* new ArchiveError({ reason: new Different({ detail }), key })
  }
  return rowOf(back.bytes, back.etag, proved)
})

const compressionOf = ({ form }: SegmentCopy) => form === "lz4" ? "frame" : "block"

/** The same bytes of content, in which the same was found. */
const isSameContent = (proved: ProvedContent, copy: ProvedContent): boolean =>
  proved.wholeBytes === copy.wholeBytes && proved.contentXxh64 === copy.contentXxh64 &&
  proved.facts.events === copy.facts.events && proved.facts.firstEventId === copy.facts.firstEventId &&
  proved.facts.lastEventId === copy.facts.lastEventId
