/**
 * The object of a segment as a source: it is read by ranges, each with the version as its condition, so a segment of
 * any length needs the memory of one range.
 */
import * as Effect from "effect/Effect"
import { types } from "node:util"
import type { ObjectStore } from "../store/ObjectStore.ts"
import { StoreError } from "../store/ObjectStore.ts"
import type { ObjectSource } from "../store/ObjectStore.ts"
import { Corrupt } from "../store/StoreReason.ts"

/** So much is asked for at once. A range is a request, which costs money. */
const rangeBytesMax = 1024 * 1024

/** The bytes of one version of an object of this length. Fails with `Corrupt` when it is shorter or longer. */
export const storedSource = (
  store: ObjectStore["Service"],
  key: string,
  { bytes, etag }: { readonly bytes: number; readonly etag: string }
): ObjectSource<StoreError> => {
  let begin = 0
  let range = new Uint8Array(0)
  const drop = (): void => {
    if (range.length > 0) release(range)
    range = new Uint8Array(0)
  }
  const fetch = Effect.fnUntraced(function*(offset: number) {
    drop()
    const rest = bytes - offset
    // One byte more than there should be tells that nothing follows.
    const wanted = rest <= rangeBytesMax ? rest + 1 : rangeBytesMax
    const found = yield* store.get(key, { range: { from: offset, bytes: wanted }, onlyIf: { etag } })
    if (found.bytes.length !== Math.min(rest, wanted)) {
      const detail = found.bytes.length > rest
        ? `the object has more than ${bytes} bytes`
        : `the object ends after ${offset + found.bytes.length} bytes of ${bytes}`
      return yield* new StoreError({ reason: new Corrupt({ detail }), operation: "get", key, isApplied: "no" })
    }
    begin = offset
    range = new Uint8Array(found.bytes.buffer as ArrayBuffer, found.bytes.byteOffset, found.bytes.byteLength)
  })
  return {
    bytes,
    read: Effect.fnUntraced(function*(target, offset) {
      if (offset >= bytes) {
        drop()
        return 0
      }
      if (offset < begin || offset >= begin + range.length) yield* fetch(offset)
      const part = range.subarray(offset - begin, offset - begin + target.length)
      target.set(part)
      return part.length
    })
  }
}

/**
 * Gives memory back at once: V8 hears late of what lies outside its heap, and would let the ranges of some segments
 * wait for the next collection. Only where nothing else lies in it.
 */
const release = ({ buffer, byteLength }: Uint8Array): void => {
  if (types.isArrayBuffer(buffer) && !buffer.resizable && buffer.byteLength === byteLength) buffer.transfer(0)
}
