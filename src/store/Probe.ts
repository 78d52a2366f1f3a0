/**
 * The conformance probe: whether a store keeps the promises on which the ownership of a log and the safety of its bytes
 * rest. Some servers ignore conditions and answer as if they had decided them, so asking is the only way to know.
 *
 * It writes one object of a few bytes under a key of its own, so probes do not meet, and removes it. It needs some ten
 * requests.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { md5 } from "./Md5.ts"
import { StoreError } from "./ObjectStore.ts"
import type { ObjectStore, PutOptions, StoreOperation } from "./ObjectStore.ts"
import { retrying } from "./Retrying.ts"
import { Unsuitable } from "./StoreReason.ts"
import type { StoreReason } from "./StoreReason.ts"

/** What the keys of probes begin with. */
export const probePrefix = "effect-wal-probe/"

/** What a store does that it need not do. */
interface ProbeReport {
  /** Whether it refuses bytes whose MD5 is another than it was told. */
  readonly checksMd5: boolean
}

/**
 * Probes a store, one without retries. Fails with `Unsuitable` and a line that names the promise that it breaks; with
 * any other reason when a request failed, so that nothing is known and the probe may be repeated.
 */
export const probe = (store: ObjectStore["Service"]): Effect.Effect<ProbeReport, StoreError> =>
  Effect.flatMap(probeKey, (key) => Effect.ensuring(probeAt(store, key), Effect.ignore(store.remove([key]))))

const probeKey = Effect.map(
  Effect.all([Random.nextIntBetween(0, 2 ** 48), Random.nextIntBetween(0, 2 ** 48)]),
  (drawn) => probePrefix + drawn.map((number) => number.toString(16).padStart(12, "0")).join("")
)

/** Sends nothing again, and looks up what a `put` has done. */
const withLookUp = retrying(Schedule.recurs(0))

const probeAt = Effect.fnUntraced(function*(store: ObjectStore["Service"], key: string) {
  const lookingUp = withLookUp(store)

  const unsuitable = (operation: StoreOperation, detail: string) =>
    new StoreError({ reason: new Unsuitable({ detail }), operation, key, isApplied: "no" })

  /** Requires that a `put` is refused for this reason, and that it has changed nothing. */
  const requireRefused = Effect.fnUntraced(function*(
    bytes: Uint8Array,
    options: PutOptions,
    tag: StoreReason["_tag"],
    present: Uint8Array,
    condition: string
  ) {
    const isRefused = yield* Effect.as(store.put(key, bytes, options), false).pipe(
      Effect.catchIf(({ reason }) => reason._tag === tag, () => Effect.succeed(true))
    )
    if (!isRefused) return yield* unsuitable("put", `the server ignores ${condition} of PUT`)
    const found = yield* store.get(key)
    if (!isEqual(found.bytes, present)) {
      return yield* unsuitable("put", `the server refuses a PUT because of ${condition}, and overwrites all the same`)
    }
  })

  /** Requires that a `put` is done; `retrying` looks whether it is when the answer is another. */
  const requireDone = (bytes: Uint8Array, onlyIf: NonNullable<PutOptions["onlyIf"]>, condition: string) =>
    Effect.mapError(
      lookingUp.put(key, bytes, { onlyIf }),
      (error) => isRefusal(error) ? unsuitable("put", `the server refuses a PUT whose ${condition}`) : error
    )

  const first = Buffer.from(`first ${key}`)
  const second = Buffer.from(`second ${key}`)
  const third = Buffer.from(`third ${key}`)

  const firstTag = yield* requireDone(first, "absent", "If-None-Match: * is right")
  yield* requireRefused(second, { onlyIf: "absent" }, "Taken", first, "If-None-Match: *")
  const secondTag = yield* requireDone(second, { etag: firstTag }, "If-Match is right")
  if (secondTag === firstTag) return yield* unsuitable("put", "two versions of an object have the same ETag")
  yield* requireRefused(third, { onlyIf: { etag: firstTag } }, "Changed", second, "If-Match")

  const facts = yield* store.head(key)
  if (facts.etag !== secondTag || facts.bytes !== second.length) {
    return yield* unsuitable("head", "the server does not show what was just written")
  }
  const range = { from: 3, bytes: 5 }
  const part = yield* store.get(key, { range, onlyIf: { etag: secondTag } })
  if (!isEqual(part.bytes, second.subarray(3, 8)) || part.etag !== secondTag) {
    return yield* unsuitable("get", "the server gives other bytes than those of the range")
  }
  const isStaleRead = yield* Effect.as(store.get(key, { range, onlyIf: { etag: firstTag } }), true).pipe(
    Effect.catchIf(({ reason }) => reason._tag === "Changed", () => Effect.succeed(false))
  )
  if (isStaleRead) return yield* unsuitable("get", "the server ignores If-Match of GET")

  const checksMd5 = yield* Effect.as(
    store.put(key, third, { onlyIf: { etag: secondTag }, md5: yield* md5(second) }),
    false
  ).pipe(
    Effect.catchIf(({ reason }) => reason._tag === "Corrupt", () => Effect.succeed(true)),
    // The first of two was taken in spite of its MD5.
    Effect.catchIf(isRefusal, () => Effect.succeed(false))
  )
  return { checksMd5 }
})

const isRefusal = ({ reason }: StoreError): boolean => reason._tag === "Taken" || reason._tag === "Changed"

const isEqual = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0
