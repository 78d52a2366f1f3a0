/**
 * Measures a store as an archive uses it: whether it keeps the promises that an archive needs, how long a small `put`
 * and a range take, and how fast large objects go and come. It takes some three seconds, writes up to 65 MiB under keys
 * of its own, and removes them.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { elapsedMillis } from "../../internal/elapsed.ts"
import { ObjectStore } from "../../store/ObjectStore.ts"
import type { StoreError } from "../../store/ObjectStore.ts"
import { probe, probePrefix } from "../../store/Probe.ts"
import { timesOf } from "./DiskProbe.ts"
import type { Times } from "./DiskProbe.ts"

/** What a store takes. Plain data. */
interface StoreMeasures {
  /** Whether it refuses bytes whose MD5 is another than it was told. */
  readonly checksMd5: boolean
  /** Of objects of 4 KiB, one after the other. */
  readonly put: Times
  /** Of ranges of 1 MiB, one after the other. */
  readonly range: Times
  readonly putBytesPerSecond: number
  readonly getBytesPerSecond: number
}

const smallBytes = 4096
const rangeBytes = 1024 * 1024
const largeBytes = 8 * rangeBytes

/** Each kind of request is sent for so long, and so often at most. */
const measureMillis = 700
const requestsMax = 64
const largeMax = 8

/** Measures the store; fails where it fails, or does not keep what an archive needs. */
export const probeStore: Effect.Effect<StoreMeasures, StoreError, ObjectStore> = Effect.gen(function*() {
  const store = yield* ObjectStore
  const { checksMd5 } = yield* probe(store)
  const place = `${probePrefix}${(yield* Random.nextIntBetween(0, 2 ** 48)).toString(16)}`
  const keys: Array<string> = []
  const bytes = new Uint8Array(largeBytes)
  for (let at = 0; at < bytes.length; at += 4096) bytes[at] = yield* Random.nextIntBetween(0, 256)
  const put = (bytes: Uint8Array) =>
    Effect.suspend(() => {
      const key = `${place}-${keys.length}`
      keys.push(key)
      return store.put(key, bytes, { onlyIf: "absent" })
    })
  const measured = Effect.gen(function*() {
    const puts = yield* repeated(put(bytes.subarray(0, smallBytes)), requestsMax)
    const large = yield* repeated(put(bytes), largeMax)
    const key = keys.at(-1)!
    const ranges = yield* repeated(store.get(key, { range: { from: rangeBytes, bytes: rangeBytes } }), requestsMax)
    const gets = yield* repeated(store.get(key), largeMax)
    const measures: StoreMeasures = {
      checksMd5,
      put: timesOf(puts),
      range: timesOf(ranges),
      putBytesPerSecond: rateOf(large),
      getBytesPerSecond: rateOf(gets)
    }
    return measures
  })
  return yield* Effect.ensuring(measured, Effect.suspend(() => Effect.ignore(store.remove(keys))))
})

/** How long each of the requests took, in nanoseconds. */
const repeated = Effect.fnUntraced(function*<A>(request: Effect.Effect<A, StoreError>, countMax: number) {
  const nanos: Array<number> = []
  const begun = yield* elapsedMillis
  let before = begun
  while (nanos.length < countMax && (nanos.length === 0 || before - begun < measureMillis)) {
    yield* request
    const now = yield* elapsedMillis
    nanos.push(Math.round((now - before) * 1e6))
    before = now
  }
  return nanos
})

const rateOf = (nanos: ReadonlyArray<number>): number =>
  largeBytes * nanos.length / Math.max(1, nanos.reduce((sum, one) => sum + one, 0)) * 1e9
