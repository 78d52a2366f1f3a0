/** A log in an archive, for tests that read: rows and objects as an archive writes them, made by hand. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { pageEntries, segmentKey, thinPlaces } from "../../src/archive/Manifest.ts"
import type { Row, SegmentRow } from "../../src/archive/Manifest.ts"
import * as ManifestStore from "../../src/archive/ManifestStore.ts"
import type { ManifestContent } from "../../src/archive/ManifestStore.ts"
import type { AcknowledgedHole } from "../../src/disk/HoleStore.ts"
import { blockPlaces } from "../../src/format/lz4/Lz4BlockPlaces.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import type { Compression } from "../../src/format/SegmentName.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { cold, walIdOfTests } from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"

export const log = "orders"

const epoch = 3

const empty: ManifestContent = {
  walId: Buffer.from(walIdOfTests).toString("hex"),
  naming: defaultNaming,
  epoch,
  owner: "a test",
  livedSeconds: 0,
  firstIndex: 0,
  nextIndex: 0,
  removedBefore: 0,
  expired: [],
  storedBytes: 0,
  chain: null,
  pages: [],
  rows: []
}

const hex = (bytes: Uint8Array): string => xxh64(bytes).toString(16).padStart(16, "0")

/** The key of an archived segment. */
export const keyOf = (index: number, form: SegmentRow["form"] = "lz4"): string =>
  segmentKey(log, defaultNaming, { epoch, form, index })

interface ArchiveOptions {
  readonly compression?: Compression
  /** What is archived instead of the file as a freeze makes it. */
  readonly fileOf?: (segment: BuiltSegment) => Uint8Array
  /** Of the log, where it is not that of `buildWal`. */
  readonly walId?: Uint8Array
  /** Of a segment behind which events are lost. */
  readonly hole?: AcknowledgedHole
}

/** Archives segments that follow those that are archived. */
export const archive = Effect.fnUntraced(
  function*(segments: ReadonlyArray<BuiltSegment>, options: ArchiveOptions = {}) {
    const store = yield* ObjectStore
    const rows: Array<Row> = []
    for (const segment of segments) {
      const form = options.compression === "block" ? "lz4b" : "lz4"
      const file = options.fileOf?.(segment) ??
        (yield* Effect.promise(() => cold(segment, options.compression ?? "frame"))).bytes
      const etag = yield* store.put(keyOf(segment.segmentIndex, form), file, { onlyIf: "absent" })
      rows.push({
        index: segment.segmentIndex,
        firstId: segment.firstEventId,
        lastId: segment.lastEventId,
        closedMillis: Number(segment.header.closedNanos / 1_000_000n),
        storedBytes: file.length,
        wholeBytes: segment.bytes.length,
        epoch,
        etag,
        storedXxh64: hex(file),
        contentXxh64: hex(segment.bytes),
        form,
        livedSeconds: 0,
        ...thinPlaces(blockPlaces(file)),
        hole: options.hole ?? null
      })
    }
    yield* addRows(rows, options.walId)
  }
)

/** Writes down that a segment is lost. */
export const archiveHole = (index: number, hole: AcknowledgedHole) =>
  addRows([{ index, form: "none", livedSeconds: 0, hole }])

const addRows = Effect.fnUntraced(function*(rows: ReadonlyArray<Row>, walId: Uint8Array = walIdOfTests) {
  const manifests = yield* ManifestStore.make(log)
  const before = yield* manifests.read
  const first = rows[0]!.index
  const content = before?.manifest ?? {
    ...empty,
    walId: Buffer.from(walId).toString("hex"),
    firstIndex: first,
    nextIndex: first,
    removedBefore: first
  }
  yield* manifests.write(yield* manifests.append(content, rows), before)
})

/** Lets the segments before this one expire. Their objects go at once when that is told. */
export const expire = Effect.fnUntraced(function*(firstIndex: number, objects: "stay" | "go") {
  const manifests = yield* ManifestStore.make(log)
  const before = (yield* manifests.read)!
  const keys: Array<string> = []
  for (let index = before.manifest.firstIndex; index < firstIndex; index++) keys.push(keyOf(index))
  yield* manifests.write({ ...before.manifest, firstIndex }, before)
  if (objects === "go") yield* (yield* ObjectStore).remove(keys)
})

/** So many segments fill a page. */
export const segmentsOfPage = pageEntries

/** One request for a part of an object, or for all of it. */
export interface Get {
  readonly key: string
  readonly from: number
  readonly bytes: number
}

/** What was asked of the store. */
export class Gets extends Context.Service<Gets, {
  /** Requests for segments since this was asked last, and for everything else. */
  readonly take: Effect.Effect<{ readonly segments: ReadonlyArray<Get>; readonly others: ReadonlyArray<Get> }>
  /** The most that were under way at once. */
  readonly atOnce: () => number
  /** Answers for segments are cut off after so many bytes. */
  cutBytes: number
}>()("test/archive/Gets") {}

/** A simulated store that tells what was asked of it. */
export const countedStore = (options: SimulatedStore.Options = { seed: 1 }) =>
  Layer.effectContext(Effect.gen(function*() {
    const { store } = yield* SimulatedStore.SimulatedStore
    let gets: Array<Get> = []
    let underway = 0
    let most = 0
    const counted = Gets.of({
      take: Effect.sync(() => {
        const taken = gets
        gets = []
        const isSegment = ({ key }: Get): boolean => key.includes("/segments/")
        return { segments: taken.filter(isSegment), others: taken.filter((get) => !isSegment(get)) }
      }),
      atOnce: () => most,
      cutBytes: Infinity
    })
    const counting = ObjectStore.of({
      ...store,
      get: (key, getOptions) =>
        Effect.suspend(() => {
          const { bytes = 0, from = 0 } = getOptions?.range ?? {}
          gets.push({ key, from, bytes })
          underway += 1
          most = Math.max(most, underway)
          return store.get(key, getOptions).pipe(
            Effect.map((found) =>
              key.includes("/segments/") ? { ...found, bytes: found.bytes.subarray(0, counted.cutBytes) } : found
            ),
            Effect.ensuring(Effect.sync(() => (underway -= 1)))
          )
        })
    })
    return Context.make(ObjectStore, counting).pipe(Context.add(Gets, counted))
  })).pipe(Layer.provideMerge(SimulatedStore.layer(options)))
