/**
 * MD5: the one checksum of content that every object store knows, and what most of them take for an ETag. It protects
 * against accidents, not against people.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"

/** Bytes hashed at once: half a millisecond, in which the thread does nothing else. */
export const hashedBytesMax = 256 * 1024

/** An MD5 under way. */
interface Md5 {
  /** Takes the next bytes, and lets other fibers run in between. */
  readonly update: (bytes: Uint8Array) => Effect.Effect<void>
  readonly digest: () => Buffer
}

/** Begins an MD5. */
export const makeMd5 = (): Md5 => {
  const hash = createHash("md5")
  const update: Md5["update"] = (bytes) =>
    Effect.suspend(() => {
      let offset = 0
      const step = Effect.sync(() => {
        hash.update(bytes.subarray(offset, offset + hashedBytesMax))
        offset += hashedBytesMax
      })
      return Effect.whileLoop({
        while: () => offset < bytes.length,
        body: () => offset === 0 ? step : Effect.andThen(Effect.yieldNow, step),
        step: () => undefined
      })
    })
  return { update, digest: () => hash.digest() }
}

/** Computes the MD5 of `bytes`, and lets other fibers run in between. */
export const md5 = (bytes: Uint8Array): Effect.Effect<Buffer> =>
  Effect.suspend(() => {
    const hash = makeMd5()
    return Effect.map(hash.update(bytes), hash.digest)
  })
