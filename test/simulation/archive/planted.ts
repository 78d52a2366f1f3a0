/**
 * Mistakes that an archive could make, each put in through the store that it sees, so the code under test has no
 * switches.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { decodeManifest, encodeManifest, manifestKey, segmentKey } from "../../../src/archive/Manifest.ts"
import type { Manifest } from "../../../src/archive/Manifest.ts"
import { copyOfContent, EndedEarly } from "../../../src/store/ObjectContent.ts"
import type { GetOptions, ObjectContent, ObjectStore, PutOptions, StoreError } from "../../../src/store/ObjectStore.ts"
import type { StoreSeams } from "./ArchivedLife.ts"
import type { ArchivedRunOptions } from "./ArchivedSimulation.ts"
import { log } from "./StoreWatch.ts"

export interface PlantedStoreBug extends Omit<ArchivedRunOptions, "seed" | "seams"> {
  readonly name: string
  /** It is found within so many seeds, counted from `seedFirst`, or from 1. */
  readonly seedsMax: number
  readonly seedFirst?: number
  /** Fresh for every run, for some remember something. */
  readonly plant: () => StoreSeams
}

/** How a run with a seed is told of the bug. */
export const archivedOptionsOf = (
  { name: _name, plant, seedFirst: _seedFirst, seedsMax: _seedsMax, ...options }: PlantedStoreBug,
  seed: number
): ArchivedRunOptions => ({ seed, seams: plant(), ...options })

type Store = ObjectStore["Service"]

const onStore = (change: (store: Store) => Partial<Store>): () => StoreSeams => () => ({
  store: (store) => ({ ...store, ...change(store) })
})

/** A `put` that has all bytes at once, whether they are sent from memory or while they are read. */
const whole =
  (put: (key: string, bytes: Uint8Array, options?: PutOptions) => Effect.Effect<string, StoreError>) =>
  <E>(key: string, content: ObjectContent<E>, options?: PutOptions): Effect.Effect<string, StoreError | E> =>
    Effect.flatMap(
      Effect.catchIf(copyOfContent(content), (error) => error instanceof EndedEarly, (error) => Effect.die(error)),
      (bytes) => put(key, bytes, options)
    )

/** The part of an object that a request asks for. */
const partOf = (bytes: Uint8Array, range: GetOptions["range"]): Uint8Array =>
  range === undefined ? Uint8Array.from(bytes) : bytes.slice(range.from, range.from + range.bytes)

const key = manifestKey(log)
const etagOf = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")
/** The name of a page, without the epoch of who has written it. */
const withoutEpoch = (key: string): string => key.replace(/\/index\/\d+\//, "/index/0/")
const isSegment = (key: string): boolean => key.startsWith(`${log}/segments/`)
const indexOf = (key: string): number => Number(/FS\.(\d{8})\./.exec(key)?.[1])
const manifestOf = (bytes: Uint8Array): Manifest => Effect.runSync(Effect.orDie(decodeManifest(key, bytes)))

/** The keys of the segments that this manifest lets expire, as far as it has their rows itself. */
const expiredKeys = ({ firstIndex, naming, removedBefore, rows }: Manifest): ReadonlyArray<string> =>
  rows.flatMap((row) =>
    row.form !== "none" && row.index < firstIndex && row.index >= removedBefore ? segmentKey(log, naming, row) : []
  )

export const plantedStoreBugs: ReadonlyArray<PlantedStoreBug> = [
  {
    name: "a manifest is written without its condition",
    seedsMax: 300,
    seedFirst: 59,
    plant: onStore((store) => ({ put: (at, bytes, options) => store.put(at, bytes, at === key ? {} : options) }))
  },
  {
    name: "the manifest is written before the segment",
    seedsMax: 100,
    plant: onStore((store) => {
      let later: Effect.Effect<unknown> = Effect.void
      const early = new Map<string, Uint8Array>()
      return {
        put: whole((at, bytes, options) => {
          if (isSegment(at)) {
            later = Effect.andThen(later, Effect.ignore(store.put(at, bytes, options)))
            early.set(at, Uint8Array.from(bytes))
            return Effect.succeed(etagOf(bytes))
          }
          if (at !== key) return store.put(at, bytes, options)
          const segments = later
          later = Effect.void
          return Effect.tap(store.put(at, bytes, options), () => segments)
        }),
        get: (at, options) => {
          const bytes = early.get(at)
          return bytes === undefined
            ? store.get(at, options)
            : Effect.succeed({ bytes: partOf(bytes, options?.range), etag: etagOf(bytes) })
        }
      }
    })
  },
  {
    name: "local files may go when the upload is answered",
    seedsMax: 300,
    plant: () => ({
      store: (store, archivedBefore) => ({
        ...store,
        put: (at, bytes, options) =>
          Effect.tap(
            store.put(at, bytes, options),
            () => isSegment(at) ? archivedBefore(indexOf(at) + 1) : Effect.void
          )
      })
    })
  },
  {
    name: "what has expired goes before the manifest says so",
    seedsMax: 300,
    seedFirst: 23,
    plant: onStore((store) => ({
      put: whole((at, bytes, options) => {
        const goes = at === key ? expiredKeys(manifestOf(bytes)) : []
        const removed = goes.length === 0 ? Effect.void : Effect.ignore(store.remove(goes))
        return Effect.andThen(removed, store.put(at, bytes, options))
      })
    }))
  },
  {
    name: "what has expired goes as soon as the manifest says so",
    seedsMax: 300,
    seedFirst: 20,
    plant: onStore((store) => ({
      put: whole((at, bytes, options) =>
        Effect.tap(store.put(at, bytes, options), () => {
          const goes = at === key ? expiredKeys(manifestOf(bytes)) : []
          return goes.length === 0 ? Effect.void : Effect.ignore(store.remove(goes))
        })
      )
    }))
  },
  {
    name: "a lost answer is taken for success",
    seedsMax: 300,
    seedFirst: 110,
    plant: onStore((store) => ({
      put: whole((at, bytes, options) =>
        Effect.catchIf(
          store.put(at, bytes, options),
          ({ isApplied }) => at === key && isApplied === "unknown",
          () => Effect.succeed("0".repeat(32))
        )
      )
    }))
  },
  {
    name: "a refusal after a lost answer is taken for another owner's",
    seedsMax: 300,
    seedFirst: 14,
    plant: onStore((store) => {
      let isLost = false
      return {
        put: whole((at, bytes, options) =>
          Effect.tapError(store.put(at, bytes, options), ({ isApplied }) =>
            Effect.sync(() => {
              if (at === key && isApplied === "unknown") isLost = true
            }))
        ),
        get: (at, options) =>
          Effect.map(store.get(at, options), (found) => {
            if (at !== key || !isLost) return found
            isLost = false
            const manifest = manifestOf(found.bytes)
            return {
              ...found,
              bytes: encodeManifest({ ...manifest, epoch: manifest.epoch + 1, nonce: "0".repeat(14) })
            }
          })
      }
    })
  },
  {
    name: "a page is named without its epoch",
    seedsMax: 40,
    seedFirst: 2,
    longShare: 1,
    weak: /store put orders\/index.*$/,
    plant: () => ({
      store: (store) => ({
        ...store,
        put: (at, bytes, options) => store.put(withoutEpoch(at), bytes, options),
        get: (at, options) => store.get(withoutEpoch(at), options)
      }),
      nameOf: withoutEpoch
    })
  },
  {
    name: "what is read back is not what is stored",
    seedsMax: 100,
    plant: onStore((store) => {
      const flip = (bytes: Uint8Array, at: number): void => {
        if (at >= 0 && at < bytes.length) bytes[at]! ^= 1
      }
      const middles = new Map<string, number>()
      return {
        put: whole((at, bytes, options) => {
          if (!isSegment(at)) return store.put(at, bytes, options)
          middles.set(at, bytes.length >> 1)
          const rotten = Uint8Array.from(bytes)
          flip(rotten, bytes.length >> 1)
          // The sum of the bytes that it was to be is not that of these.
          return store.put(at, rotten, options?.onlyIf === undefined ? {} : { onlyIf: options.onlyIf })
        }),
        get: (at, options) =>
          Effect.map(store.get(at, options), (found) => {
            const shown = Uint8Array.from(found.bytes)
            flip(shown, (middles.get(at) ?? -1) - (options?.range?.from ?? 0))
            return { ...found, bytes: shown }
          })
      }
    })
  }
]
