/**
 * Mistakes that a recorder with a second place could make, each put in through the store that its process sees, or
 * through its options, so the code under test has no switches.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { decodeManifest, encodeManifest, manifestKey } from "../../../src/archive/Manifest.ts"
import type { Manifest } from "../../../src/archive/Manifest.ts"
import { fenceBytes, numberIn, tailKey, tailPrefix } from "../../../src/archive/tail/TailObject.ts"
import type { ObjectStore, PutOptions } from "../../../src/store/ObjectStore.ts"
import { StoreError } from "../../../src/store/ObjectStore.ts"
import { storeReason } from "../../../src/store/StoreReason.ts"
import { log } from "./WorldSimulation.ts"
import type { StoreSeam, WorldRunOptions } from "./WorldSimulation.ts"

export interface PlantedWorldBug extends Omit<WorldRunOptions, "seed"> {
  readonly name: string
  /** It is found within so many seeds, counted from `seedFirst`, or from 1. */
  readonly seedsMax: number
  readonly seedFirst?: number
}

/** How a run with a seed is told of the bug. */
export const worldOptionsOf = (
  { name: _name, seedFirst: _seedFirst, seedsMax: _seedsMax, ...options }: PlantedWorldBug,
  seed: number
): WorldRunOptions => ({ seed, ...options })

type Store = ObjectStore["Service"]
type Put = (key: string, bytes: Uint8Array, options?: PutOptions) => Effect.Effect<string, StoreError>

const key = manifestKey(log)
const manifestOf = (bytes: Uint8Array): Manifest => Effect.runSync(Effect.orDie(decodeManifest(key, bytes)))
const isTail = (key: string): boolean => key.startsWith(tailPrefix(log))

/** A store whose puts of bytes are made by another function; those of sources, which are segments, are as they were. */
const puttingBy = (store: Store, put: Put): Store => ({
  ...store,
  put: (key, content, options) =>
    content instanceof Uint8Array ? put(key, content, options) : store.put(key, content, options)
})

const onBlocks = (change: (store: Store, put: Put) => Put): () => StoreSeam => () => (store) =>
  puttingBy(store, (key, bytes, options) => {
    const put: Put = (key, bytes, options) => store.put(key, bytes, options)
    return (isTail(key) && bytes.length > fenceBytes ? change(store, put) : put)(key, bytes, options)
  })

/** The manifest is not looked at again after the fence. */
const withoutSecondLook = (): StoreSeam => {
  let claimed: { readonly bytes: Uint8Array; readonly etag: string } | undefined
  let isFenced = false
  return (store) => ({
    ...puttingBy(store, (putKey, bytes, options) =>
      Effect.map(store.put(putKey, bytes, options), (etag) => {
        if (putKey === key && !isFenced) claimed = { bytes: Uint8Array.from(bytes), etag }
        return etag
      })),
    get: (getKey, options) =>
      Effect.suspend(() => {
        if (getKey !== key || claimed === undefined || isFenced) return store.get(getKey, options)
        isFenced = true
        return Effect.succeed({ ...claimed, bytes: Uint8Array.from(claimed.bytes) })
      })
  })
}

export const plantedWorldBugs: ReadonlyArray<PlantedWorldBug> = [
  {
    name: "a commit is acknowledged before the store has it",
    seedsMax: 1,
    seedFirst: 3,
    acknowledge: "local"
  },
  { name: "the manifest is not looked at a second time", seedsMax: 400, seam: withoutSecondLook },
  {
    name: "no fence is put",
    seedsMax: 1,
    seedFirst: 5,
    seam: () => (store) =>
      puttingBy(
        store,
        (key, bytes, options) =>
          isTail(key) && bytes.length === fenceBytes ? Effect.succeed("") : store.put(key, bytes, options)
      )
  },
  {
    name: "fences are removed",
    seedsMax: 400,
    seam: () => (store) => ({
      ...store,
      list: (prefix, options) => Stream.map(store.list(prefix, options), (object) => ({ ...object, bytes: 1000 }))
    })
  },
  {
    name: "a name of the tail that is taken counts as done",
    seedsMax: 100,
    seam: onBlocks((_, put) => (key, bytes, options) =>
      Effect.catchReason(put(key, bytes, options), "StoreError", "Taken", () => Effect.succeed(""))
    )
  },
  {
    name: "an object of the tail replaces what has its name",
    seedsMax: 100,
    seam: onBlocks((_, put) => (key, bytes) => put(key, bytes))
  },
  {
    name: "a lost answer counts as done",
    seedsMax: 100,
    seam: onBlocks((_, put) => (key, bytes, options) =>
      Effect.catchIf(put(key, bytes, options), ({ isApplied }) => isApplied === "unknown", () => Effect.succeed(""))
    )
  },
  {
    name: "an object of the tail is answered before it is put",
    seedsMax: 100,
    seam: onBlocks((_, put) => (key, bytes, options) =>
      Effect.as(Effect.forkDetach(Effect.delay(Effect.ignore(put(key, bytes, options)), 3000)), "")
    )
  },
  {
    name: "the manifest is replaced whatever it is",
    seedsMax: 100,
    seam: () => (store) =>
      puttingBy(
        store,
        (putKey, bytes, options) =>
          store.put(putKey, bytes, putKey === key && typeof options?.onlyIf === "object" ? {} : options)
      )
  },
  {
    name: "the manifest names a beginning of the tail that comes too late",
    seedsMax: 100,
    seam: () => {
      let newest = 0
      return (store) =>
        puttingBy(store, (putKey, bytes, options) => {
          newest = Math.max(newest, numberIn(log, putKey) ?? 0)
          if (putKey !== key) return store.put(putKey, bytes, options)
          const manifest = manifestOf(bytes)
          const tailFrom = Math.max(manifest.tailFrom ?? 0, newest + 1)
          return store.put(putKey, newest === 0 ? bytes : encodeManifest({ ...manifest, tailFrom }), options)
        })
    }
  },
  {
    name: "the tail is removed before the manifest names its new beginning",
    seedsMax: 400,
    seam: () => (store) =>
      puttingBy(store, (putKey, bytes, options) => {
        if (putKey !== key) return store.put(putKey, bytes, options)
        const { tailFrom = 0 } = manifestOf(bytes)
        const gone = store.list(tailPrefix(log)).pipe(
          Stream.filter((object) => object.key < tailKey(log, tailFrom) && object.bytes > fenceBytes),
          Stream.runCollect,
          Effect.flatMap((objects) => store.remove(objects.map((object) => object.key)))
        )
        return Effect.andThen(Effect.ignore(gone), store.put(putKey, bytes, options))
      })
  },
  {
    name: "an opening reads the tail as if it were empty",
    seedsMax: 40,
    seam: () => (store) => ({
      ...store,
      get: (getKey, options) =>
        isTail(getKey)
          ? Effect.flatMap(store.get(getKey, options), (found) =>
            found.bytes.length === fenceBytes
              ? Effect.succeed(found)
              : Effect.fail(
                new StoreError({ reason: storeReason("NotFound", ""), operation: "get", key: getKey, isApplied: "no" })
              ))
          : store.get(getKey, options)
    })
  }
]
