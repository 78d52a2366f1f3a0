/**
 * A store in memory whose single requests a test can fail: before they are done, after they are done (the answer is
 * lost), or later (the request arrives after its sender was told that it is lost).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { copyOfContent, EndedEarly } from "../../src/store/ObjectContent.ts"
import { ObjectStore, StoreError } from "../../src/store/ObjectStore.ts"
import type { ObjectContent, PutOptions, StoreOperation } from "../../src/store/ObjectStore.ts"
import { Busy, Changed, Corrupt, NotFound, Taken, Unreachable } from "../../src/store/StoreReason.ts"

/** What becomes of a request. */
export type Fate = "done" | "refused" | "lost" | "late" | "away"

/** One request, as a test sees it. */
export interface Request {
  readonly operation: StoreOperation
  readonly key: string
}

/** A store, and what a test does with it. */
export interface MemoryStore {
  readonly objects: Map<string, Uint8Array>
  /** Every request so far. */
  readonly requests: Array<Request>
  /** Decides about every request. */
  fate: (request: Request) => Fate
  /** Whether the conditions of requests are answered as if they held. */
  ignoresConditions: boolean
  /** Called after an object was written or removed. */
  onChange: (request: Request) => void
  /** Does what was late. */
  readonly deliver: () => void
  readonly layer: Layer.Layer<ObjectStore>
}

const reasons = { Busy, Changed, Corrupt, NotFound, Taken, Unreachable }

/** The ETag of these bytes. */
export const etagOf = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

/** An empty store. */
export const makeMemoryStore = (): MemoryStore => {
  const objects = new Map<string, Uint8Array>()
  const requests: Array<Request> = []
  const late: Array<() => void> = []
  const usage = { requests: { put: 0, get: 0, head: 0, list: 0, remove: 0 }, sentBytes: 0, receivedBytes: 0 }
  const fail = (
    { key, operation }: Request,
    reason: keyof typeof reasons,
    isApplied: "no" | "unknown" = "no"
  ): StoreError => new StoreError({ operation, key, isApplied, reason: new reasons[reason]({ detail: "" }) })
  /** Runs `act` as the fate of the request demands. */
  const request = <A>(operation: StoreOperation, key: string, act: () => A): Effect.Effect<A, StoreError> =>
    Effect.suspend(() => {
      const told = { operation, key }
      requests.push(told)
      usage.requests[operation]++
      const attempt = (): A => {
        const result = act()
        if (operation === "put" || operation === "remove") self.onChange(told)
        return result
      }
      const changes = operation === "put" || operation === "remove" ? "unknown" : "no"
      try {
        switch (self.fate(told)) {
          case "done":
            return Effect.succeed(attempt())
          case "refused":
            return Effect.fail(fail(told, "Busy"))
          case "away":
            return Effect.fail(fail(told, "Unreachable"))
          case "lost":
            attempt()
            return Effect.fail(fail(told, "Unreachable", changes))
          case "late":
            late.push(attempt)
            return Effect.fail(fail(told, "Unreachable", changes))
        }
      } catch (error) {
        return error instanceof StoreError ? Effect.fail(error) : Effect.die(error)
      }
    })
  const found = (told: Request): Uint8Array => {
    const bytes = objects.get(told.key)
    if (bytes === undefined) throw fail(told, "NotFound")
    return bytes
  }
  const self: MemoryStore = {
    objects,
    requests,
    fate: () => "done",
    ignoresConditions: false,
    onChange: () => {},
    deliver: () => {
      for (const attempt of late.splice(0)) {
        try {
          attempt()
        } catch {
          // Its sender is gone: nobody is told.
        }
      }
    },
    layer: Layer.succeed(ObjectStore, {
      name: "memory:",
      put: Effect.fnUntraced(function*<E>(key: string, content: ObjectContent<E>, options?: PutOptions) {
        const copy = yield* Effect.catchIf(
          copyOfContent(content),
          (error) => error instanceof EndedEarly,
          () => Effect.fail(fail({ operation: "put", key }, "Corrupt"))
        )
        return yield* request("put", key, () => {
          const there = objects.get(key)
          const { md5, onlyIf } = options ?? {}
          if (md5 !== undefined && Buffer.from(md5).toString("hex") !== etagOf(copy)) {
            throw fail({ operation: "put", key }, "Corrupt")
          }
          if (onlyIf === "absent" && there !== undefined && !self.ignoresConditions) {
            throw fail({ operation: "put", key }, "Taken")
          }
          if (typeof onlyIf === "object" && (there === undefined || etagOf(there) !== onlyIf.etag)) {
            throw fail({ operation: "put", key }, "Changed")
          }
          usage.sentBytes += copy.length
          objects.set(key, copy)
          return etagOf(copy)
        })
      }),
      get: (key, options) =>
        request("get", key, () => {
          const bytes = found({ operation: "get", key })
          const { onlyIf, range } = options ?? {}
          if (onlyIf !== undefined && onlyIf.etag !== etagOf(bytes)) throw fail({ operation: "get", key }, "Changed")
          const part = range === undefined ? bytes : bytes.subarray(range.from, range.from + range.bytes)
          usage.receivedBytes += part.length
          return { bytes: Uint8Array.from(part), etag: etagOf(bytes) }
        }),
      head: (key) =>
        request("head", key, () => {
          const bytes = found({ operation: "head", key })
          return { key, bytes: bytes.length, etag: etagOf(bytes), modifiedMillis: 0 }
        }),
      list: (prefix) =>
        Stream.fromIterable(
          [...objects].filter(([key]) => key.startsWith(prefix)).map(([key, bytes]) => ({
            key,
            bytes: bytes.length,
            modifiedMillis: 0
          }))
        ),
      remove: (keys) =>
        Effect.forEach(keys, (key) => request("remove", key, () => void objects.delete(key)), { discard: true }),
      usage: Effect.sync(() => ({ ...usage, requests: { ...usage.requests } }))
    })
  }
  return self
}
