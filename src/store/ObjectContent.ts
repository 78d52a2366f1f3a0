/**
 * What a `put` sends: bytes in memory, or a source that is read piece by piece while it is sent. So an object need not
 * fit into memory.
 */
import * as Effect from "effect/Effect"
import { readFully } from "../disk/Disk.ts"
import { refuseArgument, requireBytes, requireWhole } from "../internal/arguments.ts"
import type { ObjectContent, ObjectSource } from "./ObjectStore.ts"

/** Bytes of a source that are in memory at a time. */
export const pieceBytesMax = 512 * 1024

/** Throws unless `content` can be sent. */
export const requireContent = (name: string, content: ObjectContent<unknown>): void => {
  if (!isSource(content)) return requireBytes(name, content)
  requireWhole(`${name}.bytes`, content.bytes)
  if (typeof content.read !== "function") refuseArgument(`${name}.read`, content.read, "a function")
}

/** Whether it is read while it is sent. */
export const isSource = <E>(content: ObjectContent<E>): content is ObjectSource<E> =>
  typeof content === "object" && content !== null && !ArrayBuffer.isView(content) && "read" in content

/** How many bytes are sent. */
export const lengthOf = (content: ObjectContent<unknown>): number => isSource(content) ? content.bytes : content.length

/** A source that ended before the length that it had told. */
export class EndedEarly {
  readonly detail: string
  constructor(bytes: number, given: number) {
    this.detail = `the source ends after ${given} bytes of ${bytes}`
  }
}

/**
 * Calls `use` with all bytes, in order. Bytes of a source are in `memory`, which has one or more, so a piece must not
 * be kept.
 */
export const forEachPiece = Effect.fnUntraced(function*<E, E2>(
  content: ObjectContent<E>,
  memory: () => Uint8Array,
  use: (piece: Uint8Array, offset: number) => Effect.Effect<unknown, E2>
): Effect.fn.Return<void, E | E2 | EndedEarly> {
  const bytes = lengthOf(content)
  const target = isSource(content) && bytes > 0 ? memory() : undefined
  for (let offset = 0; offset < bytes;) {
    const wanted = Math.min(target?.length ?? pieceBytesMax, bytes - offset)
    if (!isSource(content)) yield* use(content.subarray(offset, offset + wanted), offset)
    else {
      const piece = target!.subarray(0, wanted)
      const count = yield* readFully(content, piece, offset)
      if (count < wanted) return yield* Effect.fail(new EndedEarly(bytes, offset + count))
      yield* use(piece, offset)
    }
    offset += wanted
  }
})

/** All bytes of it in memory of their own. */
export const copyOfContent = Effect.fnUntraced(function*<E>(
  content: ObjectContent<E>
): Effect.fn.Return<Uint8Array, E | EndedEarly> {
  // Not `slice`: that of a `Buffer` shares its memory.
  if (!isSource(content)) return Uint8Array.from(content)
  const whole = new Uint8Array(content.bytes)
  const count = yield* readFully(content, whole, 0)
  return count < whole.length ? yield* Effect.fail(new EndedEarly(whole.length, count)) : whole
})
