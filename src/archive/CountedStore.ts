/**
 * A store as one archive uses it: what the archive asks is counted for its log alone, although several logs may share
 * one store.
 */
import * as Effect from "effect/Effect"
import { lengthOf } from "../store/ObjectContent.ts"
import type { ObjectStore } from "../store/ObjectStore.ts"
import { UsageCounter } from "../store/UsageCounter.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"

/** The same store, with a usage of its own that the telemetry shows too. Listings are not used by an archive. */
export const countedStore = (
  store: ObjectStore["Service"],
  telemetry: SegmentMaintainerUpdater
): ObjectStore["Service"] => {
  const usage = new UsageCounter()
  return {
    ...store,
    put: (key, content, options) =>
      Effect.suspend(() => {
        const bytes = lengthOf(content)
        usage.request("put", bytes)
        telemetry.count("storePuts", 1)
        telemetry.count("storeBytesSent", bytes)
        return store.put(key, content, options)
      }),
    get: (key, options) =>
      Effect.suspend(() => {
        usage.request("get")
        telemetry.count("storeGets", 1)
        return Effect.tap(store.get(key, options), ({ bytes }) =>
          Effect.sync(() => {
            usage.received(bytes.length)
            telemetry.count("storeBytesReceived", bytes.length)
          }))
      }),
    head: (key) =>
      Effect.suspend(() => {
        usage.request("head")
        telemetry.count("storeHeads", 1)
        return store.head(key)
      }),
    remove: (keys) =>
      Effect.suspend(() => {
        usage.request("remove")
        telemetry.count("storeRemovals", 1)
        return store.remove(keys)
      }),
    usage: Effect.sync(() => usage.usage)
  }
}
