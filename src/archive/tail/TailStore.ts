/**
 * Reads and writes the objects of a log's tail.
 *
 * An object is put where nothing is. A lost answer, and a refusal, are looked up: no two objects are equal, so bytes
 * that are ours were put by this very request. What else stands there decides who owns the log: an object of a higher
 * epoch has fenced us.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { ObjectStore } from "../../store/ObjectStore.ts"
import type { StoreError } from "../../store/ObjectStore.ts"
import { ArchiveError } from "../ArchiveError.ts"
import { Fenced } from "../ArchiveReason.ts"
import { decodeTailObject, encodeTailObject, fenceBytes, numberIn, tailKey, tailPrefix } from "./TailObject.ts"
import type { TailObject } from "./TailObject.ts"

/** What became of a put: it is done, or an object of an earlier owner has the number. */
export type Put = { readonly _tag: "Done" } | { readonly _tag: "Passed"; readonly object: TailObject }

/** The tail of one log in a store. */
export interface TailStore {
  /** The object of a number; `undefined` when there is none. */
  readonly get: (number: number) => Effect.Effect<TailObject | undefined, StoreError | ArchiveError>
  /** All objects from a number on, up to the first number that is free. */
  readonly from: (number: number) => Effect.Effect<ReadonlyArray<TailObject>, StoreError | ArchiveError>
  /** Prepares the put of an object: what it gives may be run again after a failure of the store. */
  readonly prepare: (object: TailObject) => Effect.Effect<Effect.Effect<Put, StoreError | ArchiveError>>
  /** Removes objects with blocks before this number, and never a fence. Whoever lists too little leaves some behind. */
  readonly removeBefore: (number: number) => Effect.Effect<void, StoreError>
}

/** So many objects are asked for at a time. */
const objectsAtOnce = 16

/** A request removes so many objects at most. */
const removedAtOnce = 1000

/** The tail of `log` in the store. */
export const make = Effect.fnUntraced(function*(log: string) {
  const store = yield* ObjectStore

  const get: TailStore["get"] = Effect.fnUntraced(function*(number) {
    const key = tailKey(log, number)
    const found = yield* store.get(key).pipe(
      Effect.catchReason("StoreError", "NotFound", () => Effect.succeed(undefined))
    )
    return found === undefined ? undefined : yield* decodeTailObject(key, number, found.bytes)
  })

  const from: TailStore["from"] = Effect.fnUntraced(function*(first) {
    const objects: Array<TailObject> = []
    while (true) {
      const numbers = Array.from({ length: objectsAtOnce }, (_, index) => first + objects.length + index)
      const found = yield* Effect.forEach(numbers, get, { concurrency: objectsAtOnce })
      const end = found.indexOf(undefined)
      for (const object of end < 0 ? found : found.slice(0, end)) objects.push(object!)
      if (end >= 0) return objects
    }
  })

  const prepare: TailStore["prepare"] = Effect.fnUntraced(function*(object) {
    const words = yield* Effect.all([Random.nextIntBetween(0, 2 ** 32), Random.nextIntBetween(0, 2 ** 32)])
    const bytes = encodeTailObject(object, BigInt(words[0]) << 32n | BigInt(words[1]))
    const key = tailKey(log, object.number)
    return Effect.gen(function*(): Effect.fn.Return<Put, StoreError | ArchiveError> {
      const written = yield* Effect.result(store.put(key, bytes, { onlyIf: "absent" }))
      if (written._tag === "Success") return { _tag: "Done" }
      const error = written.failure
      if (error.reason._tag !== "Taken" && error.isApplied === "no") return yield* error
      const found = yield* store.get(key).pipe(
        Effect.catchReason("StoreError", "NotFound", () => Effect.fail(error))
      )
      if (Buffer.compare(found.bytes, bytes) === 0) return { _tag: "Done" }
      const other = yield* decodeTailObject(key, object.number, found.bytes)
      if (other.epoch < object.epoch) return { _tag: "Passed", object: other }
      const detail = `epoch ${other.epoch} has its fence in the tail, this is epoch ${object.epoch}`
      return yield* new ArchiveError({ reason: new Fenced({ detail }), key })
    })
  })

  const removeBefore: TailStore["removeBefore"] = Effect.fnUntraced(function*(number) {
    const keys = yield* store.list(tailPrefix(log)).pipe(
      Stream.takeWhile(({ key }) => (numberIn(log, key) ?? Infinity) < number),
      Stream.filter(({ bytes }) => bytes > fenceBytes),
      Stream.map(({ key }) => key),
      Stream.runCollect
    )
    for (let at = 0; at < keys.length; at += removedAtOnce) yield* store.remove(keys.slice(at, at + removedAtOnce))
  })

  const self: TailStore = { get, from, prepare, removeBefore }
  return self
})
