/**
 * Brings one closed segment into the store. The order of effects, each arrow meaning "before":
 *
 * ```text
 * PUT segments/EPOCH/NAME, if nothing is there → read back, compared, decoded and proved → its row
 * ```
 *
 * All of it goes piece by piece, so a segment of any length takes the same memory.
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
import type * as Scope from "effect/Scope"
import { readFully } from "../disk/Disk.ts"
import type { Disk, DiskError } from "../disk/Disk.ts"
import type { SegmentDirectory, SegmentFile } from "../disk/SegmentDirectory.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { ObjectSource, StoreError } from "../store/ObjectStore.ts"
import { ArchiveError } from "./ArchiveError.ts"
import { BadSegment, Different, NotProved } from "./ArchiveReason.ts"
import { segmentKey, thinPlaces } from "./Manifest.ts"
import type { SegmentRow } from "./Manifest.ts"
import { observed, ProofMemory, prove } from "./SegmentCheck.ts"
import type { ProvedContent, StoredFacts } from "./SegmentCheck.ts"
import { CopyMemory, openCopy } from "./SegmentCopy.ts"
import type { SegmentCopy } from "./SegmentCopy.ts"
import { storedSource } from "./StoredSegment.ts"

/** The memory of one upload, which serves one after the other. */
export class UploadMemory {
  readonly proof = new ProofMemory()
  readonly copy = new CopyMemory()
  /** Of a cold file, what is compared with what was read back. */
  own = new Uint8Array(0)
}

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

/** Uploads a closed segment and proves it, in this memory. `livedSeconds` is for its row. */
export const upload = (
  target: UploadTarget,
  segmentIndex: number,
  livedSeconds: number,
  memory: UploadMemory
): Effect.Effect<Uploaded, UploadFailure, ObjectStore | Disk> =>
  Effect.scoped(uploadOpen(target, segmentIndex, livedSeconds, memory))

const uploadOpen = Effect.fnUntraced(function*(
  target: UploadTarget,
  segmentIndex: number,
  livedSeconds: number,
  memory: UploadMemory
): Effect.fn.Return<Uploaded, UploadFailure, ObjectStore | Disk | Scope.Scope> {
  const store = yield* ObjectStore
  const { directory, epoch, log, naming, proof } = target
  const copy = yield* openCopy(directory, segmentIndex, memory.copy)
  if (copy === undefined) {
    const detail = `segment ${segmentIndex} is not there`
    return yield* new ArchiveError({ reason: new BadSegment({ detail }), key: directory.path })
  }
  const key = segmentKey(log, naming, { epoch, form: copy.form, index: segmentIndex })
  const uploaded = (stored: StoredFacts, etag: string, { contentXxh64, facts, header, wholeBytes }: ProvedContent) => ({
    header,
    row: {
      index: segmentIndex,
      firstId: facts.firstEventId ?? 0,
      lastId: facts.lastEventId ?? 0,
      closedMillis: facts.closedMillis,
      storedBytes: stored.bytes,
      wholeBytes,
      epoch,
      etag,
      storedXxh64: stored.xxh64,
      contentXxh64,
      form: copy.form,
      livedSeconds,
      ...thinPlaces(stored.places),
      hole: null
    }
  })
  /** What is in the local file. One that is damaged leaves no object behind: no manifest names it. */
  const local = Effect.suspend(() => {
    if (copy.made !== undefined) return Effect.succeed(copy.made)
    const passing = observed(copy)
    return prove(copy.file, passing, memory.proof).pipe(
      Effect.map((content) => ({ content, stored: passing.end() })),
      Effect.tapErrorTag("SegmentCorrupt", () => Effect.ignore(store.remove([key])))
    )
  })

  // Where nothing is read back, the local file is proved before.
  const known = proof === "checksum" ? yield* local : copy.made
  const md5 = copy.made === undefined ? {} : { md5: copy.made.md5 }
  const written = yield* Effect.result(store.put(key, copy, { onlyIf: "absent", ...md5 }))
  if (written._tag === "Success" && known !== undefined && proof === "checksum") {
    return uploaded(known.stored, written.success, known.content)
  }
  if (written._tag === "Failure") {
    const { failure } = written
    const mayBeThere = failure._tag === "StoreError" &&
      (failure.reason._tag === "Taken" || failure.isApplied === "unknown")
    if (!mayBeThere) return yield* failure
  }
  const { bytes, etag } = yield* written._tag === "Success"
    ? Effect.succeed({ bytes: copy.bytes, etag: written.success })
    : store.head(key).pipe(
      // A lost answer, and nothing is there: the next attempt writes it.
      Effect.catchReason("StoreError", "NotFound", () => Effect.fail(written.failure))
    )
  const back = compared(observed(storedSource(store, key, { bytes, etag })), copy, memory)
  const file: SegmentFile = { ...copy.file, path: key, form: "cold", compression: compressionOf(copy) }
  const proved = yield* Effect.catchTag(
    prove(file, back, memory.proof),
    "SegmentCorrupt",
    (error) =>
      Effect.gen(function*() {
        // Perhaps the local file is what no reader accepts; then it is not sent again.
        yield* local
        yield* store.put(key, copy, { onlyIf: { etag }, ...md5 })
        const detail = `${error.message}; it is written again`
        return yield* new ArchiveError({ reason: new NotProved({ detail }), key, cause: error })
      })
  )
  const stored = back.end()
  // A cold file and the same bytes read back are decoded and proved once, for both.
  if (back.isSame()) return uploaded(stored, etag, proved)
  const { content } = known ?? (yield* local)
  if (!isSameContent(proved, content)) {
    const detail = `content of ${proved.wholeBytes} bytes (XXH64 ${proved.contentXxh64}) instead of ` +
      `${content.wholeBytes} (${content.contentXxh64})`
    return yield* new ArchiveError({ reason: new Different({ detail }), key })
  }
  return uploaded(stored, etag, proved)
})

/**
 * What was read back, compared with the cold file that was sent. A frame that was made on the way is not made again.
 */
const compared = <E>(back: ReturnType<typeof observed<E>>, copy: SegmentCopy, memory: UploadMemory) => {
  let isSame = copy.made === undefined && copy.bytes === back.bytes
  const read: ObjectSource<E | DiskError | ArchiveError>["read"] = Effect.fnUntraced(function*(target, offset) {
    const count = yield* back.read(target, offset)
    if (isSame) {
      if (memory.own.length < count) memory.own = new Uint8Array(target.length)
      const here = memory.own.subarray(0, count)
      isSame = (yield* readFully(copy, here, offset)) === count &&
        Buffer.compare(here, target.subarray(0, count)) === 0
    }
    return count
  })
  return { bytes: back.bytes, read, end: back.end, isSame: () => isSame }
}

const compressionOf = ({ form }: SegmentCopy) => form === "lz4" ? "frame" : "block"

/** The same bytes of content, in which the same was found. */
const isSameContent = (proved: ProvedContent, copy: ProvedContent): boolean =>
  proved.wholeBytes === copy.wholeBytes && proved.contentXxh64 === copy.contentXxh64 &&
  proved.facts.events === copy.facts.events && proved.facts.firstEventId === copy.facts.firstEventId &&
  proved.facts.lastEventId === copy.facts.lastEventId
