import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { Disk, openScoped, writeFully } from "../../../src/disk/Disk.ts"
import { withReadRate } from "../../../src/disk/ReadRate.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import type { VerifyReport } from "../../../src/reading/recovery/Verify.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildSegment, buildWal, cold, eventsNamed, eventsOf, filesIn, hot, put } from "../../fixtures/segments.ts"
import { directory, onReadOnlyDisk, onSimulatedDisk } from "../../fixtures/simulatedWal.ts"

const onlyNew = verify({ directory, incremental: "onlyNew" })
const again = verify({ directory, incremental: "again" })

const indicesRead = (report: VerifyReport): ReadonlyArray<number> =>
  report.segments.filter(({ remembered }) => !remembered).map(({ segmentIndex }) => segmentIndex)

/** Changes one byte of a file in place: the same file, of the same length. */
const rot = (name: string, offset: number) =>
  Effect.scoped(Effect.flatMap(
    openScoped(`${directory}/${name}`, "write"),
    (file) => writeFully(file, [Uint8Array.of(0xff)], offset)
  ))

describe.each(formats)("Verify, incrementally ($name)", ({ layout }) => {
  it.effect("reads a closed file once, and an open, new or frozen one again", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10], lastIsOpen: true })
      yield* put(directory, ...[0, 1, 2, 4].map((at) => hot(wal[at]!)).slice(0, 3))
      assert.deepStrictEqual(indicesRead(yield* onlyNew), [0, 1, 2])
      assert.deepStrictEqual(indicesRead(yield* onlyNew), [])
      yield* put(directory, hot(wal[3]!), hot(wal[4]!))
      assert.deepStrictEqual(indicesRead(yield* onlyNew), [3, 4])
      yield* put(directory, yield* Effect.promise(() => cold(wal[1]!)))
      yield* Disk.use((disk) => disk.unlink(`${directory}/${hot(wal[1]!).name}`))
      assert.deepStrictEqual(indicesRead(yield* onlyNew), [1, 4])
      const report = yield* onlyNew
      assert.deepStrictEqual(report.faults, [])
      assert.deepStrictEqual(report.segments.map(({ eventCount }) => eventCount), [10, 10, 10, 10, 10])
    }).pipe(onSimulatedDisk))

  it.effect("finds in a remembered file what rots later when it is told to read again, and forgets the file", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* onlyNew
      yield* rot(hot(wal[1]!).name, 200)
      assert.deepStrictEqual((yield* onlyNew).faults, [])
      assert.strictEqual((yield* again).faults.length, 1)
      assert.strictEqual((yield* onlyNew).faults.length, 1)
    }).pipe(onSimulatedDisk))

  it.effect("believes no list that makes no sense, and writes none when it is not asked to", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      yield* put(directory, ...wal.map(hot), { name: "wal_verified.json", bytes: Buffer.from("{\"files\":[1") })
      assert.deepStrictEqual(indicesRead(yield* onlyNew), [0, 1])
      const disk = yield* Disk
      yield* disk.unlink(`${directory}/wal_verified.json`)
      yield* verify({ directory })
      assert.notInclude((yield* disk.list(directory)).map(({ name }) => name), "wal_verified.json")
    }).pipe(onSimulatedDisk))

  it.effect("believes no list in which a bit has rotted, and reports it", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* onlyNew
      const list = Buffer.from((yield* filesIn(directory)).get("wal_verified.json")!, "latin1")
      // The last byte is the end of the line.
      for (let bit = 0; bit < (list.length - 1) * 8; bit++) {
        const bytes = Buffer.from(list)
        bytes[bit >> 3]! ^= 1 << (bit & 7)
        yield* put(directory, { name: "wal_verified.json", bytes })
        const report = yield* onlyNew
        assert.deepStrictEqual(indicesRead(report), [0, 1], `bit ${bit}`)
        assert.deepStrictEqual(report.ignoredHints, ["wal_verified.json is not intact"])
      }
      assert.deepStrictEqual((yield* onlyNew).ignoredHints, [])
    }).pipe(onSimulatedDisk))

  it.effect("leaves no temporary file when the disk does not take the list", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      yield* put(directory, ...wal.map(hot))
      const simulated = yield* SimulatedDisk.SimulatedDisk
      for (const operation of ["sync", "rename"] as const) {
        yield* simulated.failNext(operation, "Io", /wal_verified/)
        assert.match((yield* onlyNew).notRemembered, /wal_verified.json.*the device reported an error/)
        const names = [...(yield* simulated.files).keys()]
        assert.deepStrictEqual(names, wal.map((segment) => `${directory}/${hot(segment).name}`))
      }
    }).pipe(onSimulatedDisk))

  it.effect("gives its verdict in a directory that is read-only, and tells that nothing is remembered", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* rot(hot(wal[1]!).name, 200)
      const plain = yield* verify({ directory })
      assert.strictEqual(plain.faults.length, 1)
      assert.strictEqual(plain.notRemembered, "")
      yield* Effect.gen(function*() {
        for (const incremental of [onlyNew, again]) {
          const report = yield* incremental
          assert.deepStrictEqual(report.faults, plain.faults)
          assert.match(report.notRemembered, /permission denied/)
        }
      }).pipe(onReadOnlyDisk)
      assert.notInclude((yield* Disk.use((disk) => disk.list(directory))).map(({ name }) => name), "wal_verified.json")
    }).pipe(onSimulatedDisk))

  it.effect("reads at the rate it is given", () =>
    Effect.gen(function*() {
      const segment = buildSegment({ layout, commits: [eventsOf(layout, 1, 5000)] })
      yield* put(directory, hot(segment))
      const reader = yield* Effect.forkChild(withReadRate(verify({ directory }), Math.floor(segment.bytes.length / 10)))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* Fiber.join(reader)).faults, [])
    }).pipe(onSimulatedDisk))
})

describe("Verify, incrementally, of format 2", () => {
  it.effect("holds remembered files against their neighbours", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 10, 10] })
      yield* put(directory, ...wal.map(hot))
      yield* onlyNew
      const other = buildSegment({ segmentIndex: 0, commits: [eventsNamed(1, 10).toReversed()] })
      yield* Disk.use((disk) => disk.unlink(`${directory}/${hot(wal[0]!).name}`))
      yield* put(directory, hot(other))
      const { faults } = yield* onlyNew
      assert.deepStrictEqual(
        faults.map((fault) => fault.kind === "Corrupt" ? [fault.reason, fault.segmentIndex] : []),
        [["BrokenChain", 1]]
      )
    }).pipe(onSimulatedDisk))
})
