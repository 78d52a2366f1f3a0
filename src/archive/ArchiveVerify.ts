/**
 * Compares what a store has with what the manifest of a log says, on any machine that sees the store. Whoever reads an
 * archive finds damage too, where it reads; this finds it before it is needed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { SegmentFile } from "../disk/SegmentDirectory.ts"
import { requireOptions, whole } from "../internal/options.ts"
import { ObjectStore } from "../store/ObjectStore.ts"
import type { StoreError } from "../store/ObjectStore.ts"
import type { ArchiveError } from "./ArchiveError.ts"
import { logName } from "./LogName.ts"
import { segmentKey } from "./Manifest.ts"
import type { Manifest, SegmentRow } from "./Manifest.ts"
import * as ManifestStore from "./ManifestStore.ts"
import { observed, prove } from "./SegmentCheck.ts"
import { storedSource } from "./StoredSegment.ts"

/**
 * What is wrong with an archived segment.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArchiveFault {
  readonly segmentIndex: number
  readonly key: string
  readonly message: string
}

const Options = Schema.Struct({ log: logName, sample: whole("count", 0, Number.MAX_SAFE_INTEGER) })

/**
 * Which log, and how many of its segments are read and proved, drawn at random.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifyOptions extends Schema.Codec.Encoded<typeof Options> {}

/**
 * Compares every archived segment with what the store tells about its object, and reads and proves `sample` of them.
 * It gives each fault that it finds. A request that fails ends it.
 *
 * **Example** (Reading two segments of an archive)
 *
 * ```ts
 * import { Console, Effect, Layer, Stream } from "effect"
 * import { NodeDisk } from "effect-wal"
 * import { ArchiveVerify, DirectoryStore } from "effect-wal/archive"
 * import { mkdirSync } from "node:fs"
 *
 * mkdirSync("./store")
 *
 * const program = Effect.gen(function*() {
 *   const faults = yield* Stream.runCollect(ArchiveVerify.verify({ log: "events", sample: 2 }))
 *   yield* Console.log(`${faults.length} faults`) // => 0 faults
 * })
 *
 * const store = DirectoryStore.layer({ directory: "./store" }).pipe(Layer.provide(NodeDisk.layer))
 *
 * await Effect.runPromise(Effect.provide(program, store))
 * ```
 *
 * @since 0.1.0
 * @category verifying
 */
export const verify = (options: VerifyOptions): Stream.Stream<ArchiveFault, StoreError | ArchiveError, ObjectStore> =>
  Stream.unwrap(Effect.gen(function*() {
    const { log, sample } = requireOptions("options", Options, options)
    const manifests = yield* ManifestStore.make(log)
    const found = yield* manifests.read
    if (found === undefined) return Stream.empty
    const { manifest } = found
    let left = manifest.nextIndex - manifest.firstIndex
    let wanted = sample
    return manifests.rows(manifest, manifest.firstIndex).pipe(
      Stream.mapEffect(Effect.fnUntraced(function*(row) {
        // Each of the rest with the same chance, until so many are drawn.
        const isDrawn = (yield* Random.next) * left-- < wanted
        if (isDrawn) wanted -= 1
        return row.form === "none" ? [] : yield* faultsOf(log, manifest, row, isDrawn)
      })),
      Stream.flatMap((faults) => Stream.fromIterable(faults))
    )
  }))

const faultsOf = Effect.fnUntraced(function*(log: string, { naming }: Manifest, row: SegmentRow, isRead: boolean) {
  const store = yield* ObjectStore
  const key = segmentKey(log, naming, row)
  const fault = (message: string): ReadonlyArray<ArchiveFault> => [{ segmentIndex: row.index, key, message }]
  const look = Effect.gen(function*() {
    const { bytes, etag } = yield* store.head(key)
    if (bytes !== row.storedBytes) return fault(`${bytes} bytes where the manifest has ${row.storedBytes}`)
    if (etag !== row.etag) return fault(`ETag ${etag} where the manifest has ${row.etag}`)
    if (!isRead) return []
    const stored = observed(storedSource(store, key, { bytes, etag }))
    const compression = row.form === "lz4" ? "frame" : "block"
    const file: SegmentFile = { segmentIndex: row.index, path: key, form: "cold", compression }
    const proved = yield* prove(file, stored)
    if (stored.end().xxh64 !== row.storedXxh64) return fault(otherBytes)
    return proved.contentXxh64 === row.contentXxh64 ? [] : fault("other content than that which was proved")
  })
  return yield* look.pipe(
    Effect.catchReason("StoreError", "NotFound", () => Effect.succeed(fault("the object is not there"))),
    Effect.catchTag("SegmentCorrupt", ({ message }) => Effect.succeed(fault(`${otherBytes}: ${message}`)))
  )
})

const otherBytes = "other bytes than those that were proved"
