/**
 * The proof of a segment that goes to the store, here and after it was read back: the reader of cold segments decodes
 * it from its first byte to its last, and `SegmentProof` proves what was decoded, as a freeze does. It takes the bytes
 * in pieces, so it needs the same memory for every segment.
 */
import * as Effect from "effect/Effect"
import { DiskError } from "../disk/Disk.ts"
import { diskReason } from "../disk/DiskReason.ts"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { makeBlockPlaces } from "../format/lz4/Lz4BlockPlaces.ts"
import { isSegmentFault } from "../format/SegmentFault.ts"
import type { SegmentFault } from "../format/SegmentFault.ts"
import { decodeHeader, headerBytesMax } from "../format/SegmentHeader.ts"
import type { SegmentHeader } from "../format/SegmentHeader.ts"
import { makeXxh64 } from "../internal/xxh64.ts"
import { SegmentProof } from "../maintainer/steps/SegmentProof.ts"
import type { SegmentFacts } from "../maintainer/steps/SegmentProof.ts"
import { FrameMemory } from "../reading/segment/FrameReader.ts"
import { coldContent } from "../reading/segment/SegmentContent.ts"
import { corrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { SegmentCorrupt } from "../reading/segment/SegmentCorrupt.ts"
import type { ObjectSource } from "../store/ObjectStore.ts"
import { hexOf } from "./Manifest.ts"

/** What is known of a segment's content after it was proved. */
export interface ProvedContent {
  readonly wholeBytes: number
  /** 16 hexadecimal digits. */
  readonly contentXxh64: string
  readonly facts: SegmentFacts
  /** `undefined` when the bytes are not of this package's formats. */
  readonly header: SegmentHeader | undefined
}

/** What is known of an object after all of its bytes have passed. */
export interface StoredFacts {
  readonly bytes: number
  /** 16 hexadecimal digits. */
  readonly xxh64: string
  /** Where the blocks of its frame begin; none when it must be read from its start. */
  readonly places: ReadonlyArray<number>
}

/** So much content is proved at once: a quarter of a millisecond, in which the thread does nothing else. */
const provedBytesMax = 256 * 1024

/** The memory of one proof, which serves one after the other. */
export class ProofMemory {
  readonly frame = new FrameMemory()
  readonly content = new Uint8Array(provedBytesMax)
}

/** Gathers what a proof needs, piece by piece. */
export const makeProving = Effect.fnUntraced(function*(segmentIndex: number) {
  const run = (yield* SegmentProof).begin(segmentIndex)
  const hash = makeXxh64()
  const head = new Uint8Array(headerBytesMax)
  let wholeBytes = 0
  const take = (piece: Uint8Array): void => {
    if (wholeBytes < head.length) head.set(piece.subarray(0, head.length - wholeBytes), wholeBytes)
    wholeBytes += piece.length
    hash.update(piece)
    run.push(piece)
  }
  return {
    /** Lets other fibers run in between. */
    push: Effect.fnUntraced(function*(piece: Uint8Array) {
      for (let offset = 0; offset < piece.length; offset += provedBytesMax) {
        take(piece.subarray(offset, offset + provedBytesMax))
        yield* Effect.yieldNow
      }
    }),
    end: (): ProvedContent | SegmentFault => {
      const facts = run.end()
      if (isSegmentFault(facts)) return facts
      const header = decodeHeader(head.subarray(0, Math.min(wholeBytes, head.length)))
      return {
        wholeBytes,
        contentXxh64: hexOf(hash.digest()),
        facts,
        header: isSegmentFault(header) ? undefined : header
      }
    }
  }
})

/**
 * Proves the bytes of a cold file. Fails with `SegmentCorrupt` when the reader refuses them, or the proof does, and as
 * the source does.
 */
export const prove = Effect.fnUntraced(function*<E>(
  file: SegmentFile,
  source: ObjectSource<E>,
  memory: ProofMemory = new ProofMemory()
): Effect.fn.Return<ProvedContent, SegmentCorrupt | E> {
  // The reader knows failures of a disk alone. So this one stands for that of the source.
  let failed: { readonly error: E } | undefined
  const read: ObjectSource<DiskError>["read"] = (target, offset) =>
    Effect.mapError(source.read(target, offset), (error) => {
      failed = { error }
      return new DiskError({ operation: "read", path: file.path, reason: diskReason("Io", "") })
    })
  const content = coldContent(file, { read }, source.bytes, () => false, memory.frame)
  const proving = yield* makeProving(file.segmentIndex)
  while (true) {
    const count = yield* Effect.catchTag(
      content.read(memory.content),
      "DiskError",
      (error) => failed === undefined ? Effect.die(error) : Effect.fail(failed.error)
    )
    if (count === 0) break
    yield* proving.push(memory.content.subarray(0, count))
  }
  const proved = proving.end()
  return isSegmentFault(proved) ? yield* corrupt(file, proved) : proved
})

/** A source whose bytes are looked at as they pass, from front to back, and what they were in the end. */
export const observed = <E>(source: ObjectSource<E>) => {
  const hash = makeXxh64()
  const places = makeBlockPlaces(source.bytes)
  const facts: ObjectSource<E> & { readonly end: () => StoredFacts } = {
    bytes: source.bytes,
    read: (target, offset) =>
      Effect.map(source.read(target, offset), (count) => {
        const passed = target.subarray(0, count)
        hash.update(passed)
        places.push(passed)
        return count
      }),
    end: () => ({ bytes: source.bytes, xxh64: hexOf(hash.digest()), places: places.end() })
  }
  return facts
}

/** Bytes in memory as a source. */
export const sourceOf = (bytes: Uint8Array): ObjectSource => ({
  bytes: bytes.length,
  read: (target, offset) =>
    Effect.sync(() => {
      const part = bytes.subarray(offset, offset + target.length)
      target.set(part)
      return part.length
    })
})
