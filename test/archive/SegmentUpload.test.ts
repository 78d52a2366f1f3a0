/** One segment on its way to the store and back, longer than what is in memory of it at a time. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { segmentKey, thinPlaces } from "../../src/archive/Manifest.ts"
import { upload, UploadMemory } from "../../src/archive/SegmentUpload.ts"
import type { UploadTarget } from "../../src/archive/SegmentUpload.ts"
import { Disk } from "../../src/disk/Disk.ts"
import { pathIn, SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { blockPlaces } from "../../src/format/lz4/Lz4BlockPlaces.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import { xxh64 } from "../../src/internal/xxh64.ts"
import { blocking, Compressor } from "../../src/maintainer/Compressor.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../src/testing/SimulatedStore.ts"
import { buildSegment, cold, hot } from "../fixtures/segments.ts"
import type { NamedFile } from "../fixtures/segments.ts"
import { put } from "../maintainer/maintaining.ts"

const mebibyte = 2 ** 20

/** Noise, so that its copy is as long as it is: four blocks, of which one stays in memory, and four ranges. */
const noise = (mebibytes: number, seed: number): Array<Uint8Array> => {
  const random = new SeededRandom(seed)
  return Array.from({ length: mebibytes * 8 }, () => {
    const words = Uint32Array.from({ length: mebibyte / 8 / 4 }, () => random.uint32())
    return new Uint8Array(words.buffer)
  })
}

const layout = { version: 2, eventSize: 0, blockBytesMax: mebibyte } as const
const segment = buildSegment({ layout, commits: noise(3, 7).map((event) => [event]) })
const files = { hot: Promise.resolve(hot(segment)), cold: cold(segment), block: cold(segment, "block") }
const directory = "/wal"
const target: UploadTarget = {
  directory: new SegmentDirectory(directory),
  log: "orders",
  naming: defaultNaming,
  epoch: 1,
  proof: "read"
}
const keyOf = (form: "lz4" | "lz4b" = "lz4") => segmentKey("orders", defaultNaming, { epoch: 1, form, index: 0 })

/** A machine whose log has this file of segment 0, and its store. */
const machine = Effect.fnUntraced(function*(file: NamedFile) {
  const { disk } = yield* SimulatedDisk.make({ seed: 1 })
  const simulated = yield* SimulatedStore.make({ seed: 1 })
  const onDisk = Effect.provideService(Disk, disk)
  yield* onDisk(Effect.andThen(disk.makeDirectory(directory), put(pathIn(directory, file.name), file.bytes)))
  const memory = new UploadMemory()
  let compressions = 0
  const compressor = {
    ...blocking,
    compress: (bytes: Uint8Array) => {
      compressions++
      return blocking.compress(bytes)
    }
  }
  return {
    simulated,
    disk,
    compressor,
    compressions: () => compressions,
    archived: (given: Partial<UploadTarget> = {}, store = simulated.store) =>
      upload({ ...target, ...given }, 0, 0, memory).pipe(
        Effect.provideService(Disk, disk),
        Effect.provideService(Compressor, compressor),
        Effect.provideService(ObjectStore, store)
      ),
    object: (key = keyOf()) => Effect.map(simulated.contents, (objects) => objects.get(key)?.bytes)
  }
})

const hex = (bytes: Uint8Array): string => xxh64(bytes).toString(16).padStart(16, "0")

const reasonOf = <A>(archived: Effect.Effect<A, { readonly _tag: string }>) =>
  Effect.map(Effect.flip(archived), (error) => "reason" in error ? (error.reason as { _tag: string })._tag : error._tag)

describe("a segment on its way to the store", () => {
  for (const proof of ["read", "checksum"] as const) {
    for (const form of ["hot", "cold", "block"] as const) {
      it.effect(`has the row of its very bytes, read back or not (${form}, ${proof})`, () =>
        Effect.gen(function*() {
          const { archived, compressions, object, simulated } = yield* machine(yield* Effect.promise(() => files[form]))
          const { header, row } = yield* archived({ proof })
          const expected = (yield* Effect.promise(() => form === "block" ? files.block : files.cold)).bytes
          const stored = (yield* object(keyOf(row.form)))!
          assert.strictEqual(Buffer.compare(stored, expected), 0)
          assert.deepInclude(row, {
            form: form === "block" ? "lz4b" : "lz4",
            firstId: 1,
            lastId: segment.lastEventId,
            storedBytes: expected.length,
            wholeBytes: segment.bytes.length,
            storedXxh64: hex(expected),
            contentXxh64: hex(segment.bytes),
            ...thinPlaces(blockPlaces(expected))
          })
          assert.strictEqual(header?.eventCount, segment.header.eventCount)
          // Only what does not stay in memory is compressed a second time: all but the first block.
          const blocks = Math.ceil(segment.bytes.length / mebibyte)
          assert.strictEqual(compressions(), form === "hot" ? blocks + blocks - 1 : 0)
          const { requests } = yield* simulated.store.usage
          const ranges = Math.ceil(expected.length / mebibyte)
          assert.deepInclude(requests, { put: 1, get: proof === "read" ? ranges : 0, head: 0 })
        }))
    }
  }

  for (const form of ["hot", "cold"] as const) {
    it.effect(`is put again where the store has it torn, with more behind it, or rotten, and is right then (${form})`, () =>
      Effect.gen(function*() {
        const whole = (yield* Effect.promise(() => files.cold)).bytes
        const rotten = Uint8Array.from(whole)
        rotten[2 * mebibyte + 7]! ^= 1
        const more = Buffer.concat([whole, new Uint8Array(5)])
        for (
          const wrong of [whole.subarray(0, 0), whole.subarray(0, 2 * mebibyte), whole.subarray(0, -1), more, rotten]
        ) {
          const { archived, object, simulated } = yield* machine(yield* Effect.promise(() => files[form]))
          yield* simulated.store.put(keyOf(), wrong)
          assert.strictEqual(yield* reasonOf(archived()), "NotProved", `${wrong.length}`)
          const { row } = yield* archived()
          assert.strictEqual(Buffer.compare((yield* object())!, whole), 0)
          assert.deepInclude(row, { storedXxh64: hex(whole), storedBytes: whole.length })
        }
      }))

    it.effect(`is not there, or is whole, whatever becomes of the answers (${form})`, () =>
      Effect.gen(function*() {
        const whole = (yield* Effect.promise(() => files.cold)).bytes
        for (const fault of ["lostRequest", "lostAnswer", "failed", "busy", "damaged", "doubled"] as const) {
          const { archived, object, simulated } = yield* machine(yield* Effect.promise(() => files[form]))
          yield* simulated.failNext("put", fault)
          const first = yield* Effect.result(archived())
          if (first._tag === "Failure") yield* archived()
          assert.strictEqual(Buffer.compare((yield* object())!, whole), 0, fault)
        }
        const { archived, object, simulated } = yield* machine(yield* Effect.promise(() => files[form]))
        yield* simulated.failNext("get", "rotten")
        // One wrong bit of an answer is met anywhere: the object is written again.
        assert.strictEqual(yield* reasonOf(archived()), "NotProved")
        yield* archived()
        assert.strictEqual(Buffer.compare((yield* object())!, whole), 0)
      }))
  }

  it.effect("leaves no object behind where the local file is damaged, and tells of that file", () =>
    Effect.gen(function*() {
      for (const form of ["hot", "cold"] as const) {
        const { bytes, name } = yield* Effect.promise(() => files[form])
        const damaged = Uint8Array.from(bytes)
        damaged[2 * mebibyte + 99]! ^= 1
        for (const proof of ["read", "checksum"] as const) {
          const { archived, object } = yield* machine({ name, bytes: damaged })
          const error = yield* Effect.flip(archived({ proof }))
          assert.strictEqual(error._tag, "SegmentCorrupt")
          assert.include(error.message, name)
          assert.isUndefined(yield* object())
        }
      }
    }))

  it.effect("replaces nothing that has other content, which a reader accepts", () =>
    Effect.gen(function*() {
      const short = buildSegment({ commits: [[Buffer.from("another event")]] })
      const asLong = buildSegment({ layout, commits: noise(3, 8).map((event) => [event]) })
      for (const other of [short, asLong]) {
        const there = (yield* Effect.promise(() => cold(other))).bytes
        for (const form of ["hot", "cold"] as const) {
          const { archived, object, simulated } = yield* machine(yield* Effect.promise(() => files[form]))
          yield* simulated.store.put(keyOf(), there)
          assert.strictEqual(yield* reasonOf(archived()), "Different")
          assert.strictEqual(Buffer.compare((yield* object())!, there), 0)
        }
      }
    }))

  it.effect("is not taken for whole where a store has put more or less than it got, and says that it has put it", () =>
    Effect.gen(function*() {
      const whole = (yield* Effect.promise(() => files.cold)).bytes
      for (const wrong of [Buffer.concat([whole, new Uint8Array(1)]), whole.subarray(0, -1)]) {
        const { archived, object, simulated } = yield* machine(yield* Effect.promise(() => files.cold))
        const { store } = simulated
        const careless: ObjectStore["Service"] = { ...store, put: (key) => store.put(key, wrong) }
        assert.strictEqual(yield* reasonOf(archived({}, careless)), "Corrupt")
        assert.strictEqual(yield* reasonOf(archived()), "NotProved")
        yield* archived()
        assert.strictEqual(Buffer.compare((yield* object())!, whole), 0)
      }
    }))

  it.effect("is refused where its frame is made of other bytes the second time, and nothing is put", () =>
    Effect.gen(function*() {
      const { archived, compressor, object } = yield* machine(yield* Effect.promise(() => files.hot))
      let count = 0
      compressor.compress = (bytes) => {
        const made = blocking.compress(bytes) as Uint8Array
        // The block is stored as it is when it is no shorter; this one claims to be.
        return ++count === 6 ? made.subarray(0, 100) : made
      }
      const error = yield* Effect.flip(archived())
      assert.include(["StoreError", "ArchiveError"], error._tag)
      assert.isUndefined(yield* object())
    }))
})
