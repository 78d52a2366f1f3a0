/**
 * Bytes of objects that never change, read by ranges and kept in bounded memory.
 *
 * An object is cut into ranges of about 1 MiB, where its LZ4 blocks begin when those places are known: so a block lies
 * in one range. A read that lacks neighbouring ranges asks for them at once, in one request. Every request names the
 * version of the object (its ETag), so two versions are never mixed. What is under way is not asked for again.
 *
 * Requests belong to the cache and not to the read that began them: one that was begun ahead may end after its reader.
 * Nothing follows from it but bytes in the cache.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { ObjectStore, StoreError } from "../store/ObjectStore.ts"
import { Corrupt } from "../store/StoreReason.ts"

/** About so many bytes are asked for at once. */
const rangeBytes = 1024 * 1024

/** A range may be so much longer, so that a block of 1 MiB that could not be compressed fits with what is around it. */
const slackBytes = 4096

/** One version of an object, and where its ranges begin. */
export interface RangedObject {
  readonly key: string
  readonly etag: string
  readonly bytes: number
  /** The first is 0. */
  readonly begins: ReadonlyArray<number>
}

/** Where the ranges of an object begin that has LZ4 blocks at these places. */
export const rangesOf = (bytes: number, blocks: ReadonlyArray<number>): ReadonlyArray<number> => {
  const begins = [0]
  let begin = 0
  let last = 0
  for (const place of [...blocks.slice(1), bytes]) {
    while (place - begin > rangeBytes + slackBytes) {
      begin = last > begin ? last : begin + rangeBytes
      begins.push(begin)
    }
    last = place
  }
  return begins
}

/** What is read of objects. */
interface RangeCache {
  /** Fills `target` from `offset` on; it lies within the object. */
  readonly read: (object: RangedObject, target: Uint8Array, offset: number) => Effect.Effect<void, StoreError>
  /** The number of the range that has this byte. */
  readonly rangeAt: (object: RangedObject, offset: number) => number
  /** Begins to fetch ranges that are not there, each by itself. Numbers beyond the last range are passed over. */
  readonly ahead: (object: RangedObject, first: number, count: number) => Effect.Effect<void>
}

/** A cache of at most `bytesMax` bytes, beside what is under way. It lives as long as the scope. */
export const makeRangeCache = Effect.fnUntraced(function*(bytesMax: number) {
  const store = yield* ObjectStore
  const scope = yield* Effect.scope
  /** By age: the one used last comes last. */
  const kept = new Map<string, Uint8Array>()
  let keptBytes = 0
  const underway = new Map<string, Deferred.Deferred<Uint8Array, StoreError>>()

  const nameOf = ({ etag, key }: RangedObject, range: number): string => `${range} ${etag} ${key}`

  const keep = (name: string, bytes: Uint8Array): void => {
    kept.set(name, bytes)
    keptBytes += bytes.length
    for (const [oldest, { length }] of kept) {
      if (keptBytes <= bytesMax) break
      kept.delete(oldest)
      keptBytes -= length
    }
  }

  const find = (name: string): Uint8Array | undefined => {
    const bytes = kept.get(name)
    if (bytes === undefined) return undefined
    kept.delete(name)
    kept.set(name, bytes)
    return bytes
  }

  const endOf = ({ begins, bytes }: RangedObject, range: number): number => begins[range + 1] ?? bytes

  const request = Effect.fnUntraced(function*({ etag, key }: RangedObject, from: number, bytes: number) {
    const found = yield* store.get(key, { range: { from, bytes }, onlyIf: { etag } })
    if (found.bytes.length === bytes) return found.bytes
    const detail = `the object ends after ${from + found.bytes.length} bytes`
    return yield* new StoreError({ reason: new Corrupt({ detail }), operation: "get", key, isApplied: "no" })
  })

  /**
   * Begins to fetch neighbouring ranges, none of which is there or under way, by one request. Gives what they will be.
   */
  const begin = (object: RangedObject, first: number, last: number) =>
    Effect.suspend(() => {
      const from = object.begins[first]!
      const waiting = Array.from({ length: last - first + 1 }, (_, position) => {
        const range = first + position
        const deferred = Deferred.makeUnsafe<Uint8Array, StoreError>()
        underway.set(nameOf(object, range), deferred)
        return { range, deferred }
      })
      const settle = ({ deferred, range }: typeof waiting[number], exit: Exit.Exit<Uint8Array, StoreError>): void => {
        underway.delete(nameOf(object, range))
        if (Exit.isFailure(exit)) {
          Deferred.doneUnsafe(deferred, exit)
          return
        }
        const part = exit.value.subarray(object.begins[range]! - from, endOf(object, range) - from)
        // Parts of one answer would be kept in memory together; so each of several gets memory of its own.
        const bytes = waiting.length === 1 ? part : new Uint8Array(part)
        keep(nameOf(object, range), bytes)
        Deferred.doneUnsafe(deferred, Effect.succeed(bytes))
      }
      return request(object, from, endOf(object, last) - from).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            for (const one of waiting) settle(one, exit)
          })
        ),
        Effect.ignore,
        Effect.forkIn(scope, { startImmediately: true }),
        Effect.as(waiting.map(({ deferred }) => deferred))
      )
      // What is noted as under way is.
    }).pipe(Effect.uninterruptible)

  /** The bytes of neighbouring ranges. */
  const rangesFrom = Effect.fnUntraced(function*(object: RangedObject, first: number, last: number) {
    const found: Array<Effect.Effect<Uint8Array, StoreError>> = []
    for (let range = first; range <= last;) {
      const name = nameOf(object, range)
      const bytes = find(name)
      const coming = underway.get(name)
      if (bytes !== undefined || coming !== undefined) {
        found.push(bytes === undefined ? Deferred.await(coming!) : Effect.succeed(bytes))
        range += 1
        continue
      }
      let end = range
      while (end < last && !kept.has(nameOf(object, end + 1)) && !underway.has(nameOf(object, end + 1))) end += 1
      for (const deferred of yield* begin(object, range, end)) found.push(Deferred.await(deferred))
      range = end + 1
    }
    return yield* Effect.all(found)
  })

  const rangeAt: RangeCache["rangeAt"] = ({ begins }, offset) => begins.findLastIndex((begin) => begin <= offset)

  const cache: RangeCache = {
    rangeAt,
    read: Effect.fnUntraced(function*(object, target, offset) {
      const first = rangeAt(object, offset)
      const pieces = yield* rangesFrom(object, first, rangeAt(object, offset + target.length - 1))
      let done = 0
      for (const [position, piece] of pieces.entries()) {
        const skip = Math.max(0, offset - object.begins[first + position]!)
        const part = piece.subarray(skip, skip + target.length - done)
        target.set(part, done)
        done += part.length
      }
    }),
    ahead: Effect.fnUntraced(function*(object, first, count) {
      for (let range = first; range < Math.min(first + count, object.begins.length); range++) {
        const name = nameOf(object, range)
        if (find(name) === undefined && !underway.has(name)) yield* begin(object, range, range)
      }
    })
  }
  return cache
})
