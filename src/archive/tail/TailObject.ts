/**
 * An object of the tail: blocks of segments as they lie in their files, or a fence. Numbers are little-endian.
 *
 * ```text
 * LOG/tail/0000000000004711   immutable; created only where nothing is. The number is what two recorders want both
 *
 *  off  type  field
 *    0  u32   magic "ewtl"
 *    4  u16   version (1)
 *    6  u16   kind: 1 = fence, 2 = blocks
 *    8  u64   epoch of its writer
 *   16  u64   number, as in its name
 *   24  u64   number with which its run begins (of a fence: its own)
 *   32  u32   parts
 *   36  u32   0
 *   40  u64   nonce: no two objects are equal, so that a lost answer can be looked up
 *   48  u64   content_checksum = XXH64(bytes 64 to the end)
 *   56  u64   checksum = XXH64(bytes 0..56)
 *
 * of each part
 *    0  u32   segment_index
 *    4  u32   bytes
 *    8  u64   offset of the bytes in the file of the segment
 *   16 128 B  header of the segment, as it stood in the file then
 *  144        the bytes: whole blocks
 * ```
 *
 * A **run** is a sequence of objects of one epoch that holds the blocks of the log from the beginning of a segment on,
 * without a gap. So the objects of a run put together are the beginning of each of its segments' files. A run ends
 * where another begins.
 */
import * as Effect from "effect/Effect"
import { isSegmentFault } from "../../format/SegmentFault.ts"
import { decodeHeader, encodeHeader } from "../../format/SegmentHeader.ts"
import type { SegmentHeader } from "../../format/SegmentHeader.ts"
import { xxh64 } from "../../internal/xxh64.ts"
import { ArchiveError } from "../ArchiveError.ts"
import { Damaged, NewerFormat } from "../ArchiveReason.ts"

/** Blocks of one segment. */
export interface TailPart {
  readonly header: SegmentHeader
  /** Where they lie in the segment's file. */
  readonly offset: number
  readonly bytes: Uint8Array
}

/** An object of the tail. */
export interface TailObject {
  readonly kind: "fence" | "blocks"
  readonly epoch: number
  readonly number: number
  /** The number of the first object of its run. */
  readonly run: number
  readonly parts: ReadonlyArray<TailPart>
}

const magic = 0x6c747765
const version = 1
const headBytes = 64
const partHeadBytes = 144
const segmentHeaderBytes = 128

/** A fence has so many bytes, and no other object has so few. */
export const fenceBytes = headBytes

/** What the keys of a log's tail begin with. */
export const tailPrefix = (log: string): string => `${log}/tail/`

/** The key of an object of the tail. */
export const tailKey = (log: string, number: number): string => tailPrefix(log) + String(number).padStart(16, "0")

/** The number in a key of the tail; `undefined` of another key. */
export const numberIn = (log: string, key: string): number | undefined => {
  const [, digits] = /^(\d{16})$/.exec(key.slice(tailPrefix(log).length)) ?? []
  return digits === undefined || !key.startsWith(tailPrefix(log)) ? undefined : Number(digits)
}

/** The bytes of an object. */
export const encodeTailObject = (object: TailObject, nonce: bigint): Uint8Array => {
  const bytes = new Uint8Array(
    object.parts.reduce((sum, part) => sum + partHeadBytes + part.bytes.length, headBytes)
  )
  const view = new DataView(bytes.buffer)
  let at = headBytes
  for (const part of object.parts) {
    view.setUint32(at, part.header.segmentIndex, true)
    view.setUint32(at + 4, part.bytes.length, true)
    view.setBigUint64(at + 8, BigInt(part.offset), true)
    bytes.set(encodeHeader(part.header), at + 16)
    bytes.set(part.bytes, at + partHeadBytes)
    at += partHeadBytes + part.bytes.length
  }
  view.setUint32(0, magic, true)
  view.setUint16(4, version, true)
  view.setUint16(6, object.kind === "fence" ? 1 : 2, true)
  view.setBigUint64(8, BigInt(object.epoch), true)
  view.setBigUint64(16, BigInt(object.number), true)
  view.setBigUint64(24, BigInt(object.run), true)
  view.setUint32(32, object.parts.length, true)
  view.setBigUint64(40, nonce, true)
  view.setBigUint64(48, xxh64(bytes.subarray(headBytes)), true)
  view.setBigUint64(56, xxh64(bytes.subarray(0, 56)), true)
  return bytes
}

/** Reads an object. Fails with `Damaged` for what is none, is cut off or changed, or stands under another name. */
export const decodeTailObject = (
  key: string,
  number: number,
  bytes: Uint8Array
): Effect.Effect<TailObject, ArchiveError> =>
  Effect.suspend(() => {
    const damaged = (detail: string) => Effect.fail(new ArchiveError({ reason: new Damaged({ detail }), key }))
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < headBytes || view.getUint32(0, true) !== magic) return damaged("not an object of a tail")
    if (view.getUint16(4, true) !== version) {
      const detail = `format ${view.getUint16(4, true)}; this version knows ${version}`
      return Effect.fail(new ArchiveError({ reason: new NewerFormat({ detail }), key }))
    }
    const isIntact = view.getBigUint64(56, true) === xxh64(bytes.subarray(0, 56)) &&
      view.getBigUint64(48, true) === xxh64(bytes.subarray(headBytes))
    if (!isIntact) return damaged("it does not match its checksum")
    if (Number(view.getBigUint64(16, true)) !== number) return damaged("it is another object of the tail")
    const parts: Array<TailPart> = []
    let at = headBytes
    for (let left = view.getUint32(32, true); left > 0; left--) {
      const length = at + partHeadBytes <= bytes.length ? view.getUint32(at + 4, true) : Infinity
      if (at + partHeadBytes + length > bytes.length) return damaged("its parts end beyond it")
      const header = decodeHeader(bytes.subarray(at + 16, at + 16 + segmentHeaderBytes))
      if (isSegmentFault(header) || header.segmentIndex !== view.getUint32(at, true)) {
        return damaged("a part has no header of a segment")
      }
      parts.push({
        header,
        offset: Number(view.getBigUint64(at + 8, true)),
        bytes: bytes.subarray(at + partHeadBytes, at + partHeadBytes + length)
      })
      at += partHeadBytes + length
    }
    return Effect.succeed<TailObject>({
      kind: view.getUint16(6, true) === 1 ? "fence" : "blocks",
      epoch: Number(view.getBigUint64(8, true)),
      number,
      run: Number(view.getBigUint64(24, true)),
      parts
    })
  })
