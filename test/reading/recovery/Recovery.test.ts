import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { Disk, openScoped, writeFully } from "../../../src/disk/Disk.ts"
import * as MetaStore from "../../../src/disk/MetaStore.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import { defaultNaming, hotName } from "../../../src/format/SegmentName.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import {
  buildSegment,
  buildWal,
  cold,
  eventsNamed,
  filesIn,
  format1Events,
  hot,
  put,
  smallBlocks,
  temporaryDirectory,
  torn,
  unclosedByAnother,
  walIdOfTests
} from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk, range } from "../../fixtures/simulatedWal.ts"
import { sweepStep, swept } from "../../sweep.ts"

const open = (version: 1 | 2 = 2, where = directory) =>
  Recovery.open({ directory: where, naming: defaultNaming, version })

const idsIn = (where = directory) =>
  Effect.map(Stream.runCollect(Replay.events({ directory: where })), (events) => events.map(({ id }) => id))

const layouts = [["format 1", format1Layout], ["format 2", smallBlocks]] as const

describe("Recovery", () => {
  it.effect("starts an empty directory from nothing", () =>
    Effect.gen(function*() {
      yield* put(directory)
      const { origin, report } = yield* open()
      assert.deepStrictEqual(origin, {
        walId: undefined,
        lastSegmentIndex: -1,
        chainedChecksum: 0n,
        lastEventId: 0,
        lastFlushNanos: 0n
      })
      assert.strictEqual(Recovery.formatReport(report), "/wal: no segments")
    }).pipe(onSimulatedDisk))

  for (const [name, layout] of layouts) {
    const { version } = layout

    it.effect(`goes on from a closed segment and touches nothing (${name})`, () =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 20] })
        yield* put(directory, ...wal.map(hot))
        const before = yield* filesIn(directory)
        const { origin } = yield* open(version)
        assert.deepStrictEqual(origin, {
          walId: version === 1 ? undefined : Uint8Array.from(walIdOfTests),
          lastSegmentIndex: 1,
          chainedChecksum: version === 1 ? 0n : wal[1]!.chainedChecksum,
          lastEventId: 30,
          lastFlushNanos: wal[1]!.header.lastFlushNanos
        })
        assert.deepStrictEqual(yield* filesIn(directory), before)
      }).pipe(onSimulatedDisk))

    it.effect(`goes on where the meta file says when retention deletes the last segment beside it (${name})`, () =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 20] })
        yield* put(directory, ...wal.map(hot))
        yield* MetaStore.write(directory, { lastOffset: 0, lastSegmentIndex: 1, lastEventId: 30 })
        const disk = yield* Disk
        const deleting = (count: number) =>
          Disk.of({
            ...disk,
            open: (path, mode) =>
              Effect.andThen(
                path.endsWith(hotName(defaultNaming, 1))
                  ? Effect.forEach(
                    wal.slice(0, count),
                    (segment) => Effect.ignore(disk.unlink(`${directory}/${hot(segment).name}`))
                  )
                  : Effect.void,
                disk.open(path, mode)
              )
          })
        const { origin, report } = yield* Effect.provideService(open(version), Disk, deleting(2))
        assert.deepStrictEqual([origin.lastSegmentIndex, origin.lastEventId], [1, 30])
        assert.strictEqual(report.segmentCount, 0)
        // Something else has deleted the newest of several.
        yield* put(directory, ...wal.map(hot))
        const only = Disk.of({
          ...disk,
          open: (path, mode) =>
            path.endsWith(hotName(defaultNaming, 1))
              ? Effect.andThen(Effect.ignore(disk.unlink(path)), disk.open(path, mode))
              : disk.open(path, mode)
        })
        const refused = yield* Effect.flip(Effect.provideService(open(version), Disk, only))
        assert.strictEqual(refused._tag === "DiskError" ? refused.reason._tag : refused._tag, "NotFound")
      }).pipe(onSimulatedDisk))

    it.effect(`goes on from a cold segment and touches nothing (${name})`, () =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 20] })
        for (const compression of ["frame", "block"] as const) {
          yield* put(directory, ...(yield* Effect.promise(() => Promise.all(wal.map((s) => cold(s, compression))))))
          const before = yield* filesIn(directory)
          const { origin } = yield* open(version)
          assert.strictEqual(origin.lastEventId, 30)
          assert.strictEqual(origin.lastSegmentIndex, 1)
          assert.deepStrictEqual(yield* filesIn(directory), before)
        }
      }).pipe(onSimulatedDisk))

    it.effect(`cuts the torn tail of a crash and closes the segment (${name})`, () =>
      Effect.gen(function*() {
        const [first, last] = buildWal({ layout, segments: [10, 20], lastIsOpen: true })
        yield* put(directory, hot(first!), hot(torn(last!, 3)))
        const { origin, report } = yield* open(version)
        assert.strictEqual(origin.lastEventId, 25)
        assert.strictEqual(origin.lastSegmentIndex, 1)
        assert.strictEqual(report.closedSegmentIndex, 1)
        assert.isAbove(report.cutBytes, 0)
        assert.match(
          Recovery.formatReport(report),
          /last event 25; closed segment 1; cut \d+ bytes \(\w+ at offset \d+\)/
        )
        assert.deepStrictEqual(yield* idsIn(), range(1, 25))
        const { faults, segments } = yield* verify({ directory })
        assert.deepStrictEqual(faults, [])
        assert.isTrue(segments.every(({ closed }) => closed))
        const again = yield* open(version)
        assert.deepStrictEqual(again.origin, origin)
        assert.strictEqual(again.report.closedSegmentIndex, undefined)
        assert.strictEqual(again.report.cutBytes, 0)
      }).pipe(onSimulatedDisk))

    it.effect(`gives an origin from which the next segment goes on (${name})`, () =>
      Effect.gen(function*() {
        const [first, last] = buildWal({ layout, segments: [10, 20], lastIsOpen: true })
        yield* put(directory, hot(first!), hot(torn(last!, 3)))
        const { origin } = yield* open(version)
        const next = buildSegment({
          layout,
          segmentIndex: origin.lastSegmentIndex + 1,
          firstEventId: origin.lastEventId + 1,
          commits: [version === 1 ? format1Events(26, 30) : eventsNamed(26, 30)],
          previousChainedChecksum: origin.chainedChecksum,
          ...(origin.walId === undefined ? {} : { walId: origin.walId })
        })
        yield* put(directory, hot(next))
        assert.deepStrictEqual((yield* verify({ directory })).faults, [])
        assert.deepStrictEqual(yield* idsIn(), range(1, 30))
      }).pipe(onSimulatedDisk))

    it.effect(`removes open segments without events and steps back (${name})`, () =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 5, 0], lastIsOpen: true })
        yield* put(directory, ...wal.map(hot))
        const { origin, report } = yield* open(version)
        assert.strictEqual(origin.lastSegmentIndex, 1)
        assert.strictEqual(origin.lastEventId, 15)
        assert.deepStrictEqual(report.removedSegmentIndices, [2])
        assert.isFalse((yield* filesIn(directory)).has(hotName(defaultNaming, 2)))
        assert.deepStrictEqual(yield* idsIn(), range(1, 15))
      }).pipe(onSimulatedDisk))

    it.effect(`keeps exactly the events of whole blocks, wherever the newest segment was cut (${name})`, () =>
      Effect.gen(function*() {
        const [first, last] = buildWal({ layout, segments: [3, 12], commitEvents: 4, lastIsOpen: true })
        const headerBytes = version === 1 ? 64 : 128
        // Cuts at every byte that decides something; inside a padding one stands for all.
        const lengths = range(headerBytes, last!.blockEnds.at(-1)!.offset).filter((length) =>
          version === 2 || length % 16_448 < 64 + 300 || length % 16_448 > 16_400
        )
        for (const at of swept(0, lengths.length)) {
          const length = lengths[at]!
          yield* put(directory, hot(first!), { ...hot(last!), bytes: last!.bytes.subarray(0, length) })
          const whole = last!.blockEnds.filter(({ offset }) => offset <= length).at(-1)?.eventCount ?? 0
          if (version === 2 && whole === 0 && length > headerBytes) {
            // The first flush was durable before the file had its name.
            const failure = yield* Effect.flip(open(version))
            assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "Truncated")
            continue
          }
          const { origin } = yield* open(version)
          assert.strictEqual(origin.lastEventId, 3 + whole, `cut to ${length}`)
          assert.strictEqual(origin.lastSegmentIndex, whole === 0 ? 0 : 1)
          if (length % 16 !== 0) continue
          assert.deepStrictEqual(yield* idsIn(), range(1, 3 + whole))
          assert.deepStrictEqual((yield* verify({ directory })).faults, [])
        }
      }).pipe(onSimulatedDisk))

    it.effect(`closes the newest segment in its place on a full disk, and has made it durable (${name})`, () =>
      Effect.gen(function*() {
        const simulated = yield* SimulatedDisk.SimulatedDisk
        const [first, last] = buildWal({ layout, segments: [10, 20], lastIsOpen: true })
        yield* put(directory, hot(first!), hot(torn(last!, 3)))
        yield* simulated.disk.syncDirectory("/")
        const names = (yield* simulated.disk.list(directory)).map(({ name }) => name).sort()
        yield* simulated.setCapacityBytes(0)
        const { origin, report } = yield* open(version)
        assert.strictEqual(origin.lastEventId, 25)
        assert.strictEqual(report.closedSegmentIndex, 1)
        yield* simulated.crash
        assert.deepStrictEqual((yield* simulated.disk.list(directory)).map(({ name }) => name).sort(), names)
        assert.deepStrictEqual(yield* idsIn(), range(1, 25))
        const { faults, segments } = yield* verify({ directory })
        assert.deepStrictEqual(faults, [])
        assert.isTrue(segments.every(({ closed }) => closed))
        assert.deepStrictEqual((yield* open(version)).origin, origin)
      }).pipe(onSimulatedDisk))

    it.effect(`on a full disk it does not believe what a killed process has failed to sync (${name})`, () =>
      Effect.gen(function*() {
        const simulated = yield* SimulatedDisk.SimulatedDisk
        const [last] = buildWal({ layout, segments: [20], lastIsOpen: true })
        const { name, bytes } = hot(last!)
        const path = `${directory}/${name}`
        const start = last!.blockEnds[0]!.offset
        yield* put(directory, { name, bytes: bytes.subarray(0, start) })
        yield* simulated.disk.syncDirectory("/")
        yield* Effect.scoped(Effect.gen(function*() {
          const file = yield* openScoped(path, "write")
          yield* writeFully(file, [bytes.subarray(start)], start)
          // Readers see it from now on, and no later sync reports that the device does not have it.
          yield* simulated.failNext("sync", "Io")
          yield* Effect.flip(file.sync)
        }))
        yield* simulated.heal
        yield* simulated.setCapacityBytes(0)
        const { origin } = yield* open(version)
        yield* simulated.crash
        const ids = yield* idsIn()
        assert.deepStrictEqual(ids, range(1, origin.lastEventId))
      }).pipe(onSimulatedDisk))

    it.effect.each<readonly [string, number]>([
      ["", Number.MAX_SAFE_INTEGER],
      [" on a full disk", 0]
    ])(
      `may crash at any point%s and opens again to the same events (${name})`,
      ([, capacityBytes]) =>
        Effect.gen(function*() {
          const wal = buildWal({ layout, segments: [6, 20, 0], lastIsOpen: true })
          const [newest] = buildWal({
            layout,
            segments: [20],
            firstSegmentIndex: 1,
            firstEventId: 7,
            lastIsOpen: true
          })
          // The chain must start from the segment before.
          const middle = version === 1 ? newest! : buildSegment({
            segmentIndex: 1,
            firstEventId: 7,
            commits: [eventsNamed(7, 11), eventsNamed(12, 16), eventsNamed(17, 21), eventsNamed(22, 26)],
            closed: false,
            previousChainedChecksum: wal[0]!.chainedChecksum
          })
          const files = [hot(wal[0]!), hot(torn(middle, 3)), hot(wal[2]!)]
          let crashes = 0
          for (let seed = 0; seed < 12; seed++) {
            for (const operation of swept(1, 200)) {
              const simulated = yield* SimulatedDisk.make({ seed: seed * 1000 + operation })
              const onDisk = Effect.provideService(Disk, simulated.disk)
              yield* onDisk(simulated.disk.makeDirectory(directory))
              yield* simulated.disk.syncDirectory("/")
              yield* onDisk(put(directory, ...files))
              yield* simulated.setCapacityBytes(capacityBytes)
              yield* simulated.crashAt((yield* simulated.operationCount) + operation)
              const exit = yield* Effect.exit(onDisk(open(version)))
              // The power may go off while something is cleaned up after another failure.
              const isPowerOff = Exit.isFailure(exit) &&
                exit.cause.reasons.some((reason) =>
                  reason._tag === "Die" && reason.defect instanceof SimulatedDisk.PowerOff
                )
              if (!isPowerOff) {
                assert.isTrue(Exit.isSuccess(exit))
                break
              }
              crashes += 1
              yield* simulated.crash
              const { origin } = yield* onDisk(open(version))
              const words = `seed ${seed}, power off at operation ${operation}`
              assert.strictEqual(origin.lastEventId, 21, words)
              assert.strictEqual(origin.lastSegmentIndex, 1, words)
              assert.deepStrictEqual(yield* onDisk(idsIn()), range(1, 21), words)
              assert.deepStrictEqual((yield* onDisk(verify({ directory }))).faults, [], words)
            }
          }
          assert.isAbove(crashes, 100 / sweepStep)
        })
    )
  }

  it.effect("has made everything durable when it is done", () =>
    Effect.gen(function*() {
      for (const [, layout] of layouts) {
        for (let seed = 0; seed < 20; seed++) {
          const simulated = yield* SimulatedDisk.make({ seed })
          const onDisk = Effect.provideService(Disk, simulated.disk)
          const wal = buildWal({ layout, segments: [20, 0], lastIsOpen: true })
          const [newest] = buildWal({ layout, segments: [20], lastIsOpen: true })
          yield* simulated.disk.makeDirectory(directory)
          yield* simulated.disk.syncDirectory("/")
          yield* onDisk(put(directory, hot(torn(newest!, 3)), hot(wal[1]!)))
          yield* onDisk(open(layout.version))
          yield* simulated.crash
          const { origin, report } = yield* onDisk(open(layout.version))
          assert.strictEqual(origin.lastEventId, 15)
          assert.deepStrictEqual(report.removedSegmentIndices, [])
          assert.strictEqual(report.closedSegmentIndex, undefined)
        }
      }
    }))

  /** A process was killed right after a sync of these bytes had failed. */
  const leaveUnsynced = Effect.fnUntraced(function*(simulated: SimulatedDisk.SimulatedDisk["Service"], left: {
    readonly name: string
    readonly bytes: Uint8Array
  }) {
    const path = `${directory}/${left.name}`
    const file = yield* simulated.disk.open(path, "write")
    yield* writeFully(file, [left.bytes], 0)
    yield* simulated.failNext("sync", "Io", /./)
    yield* Effect.flip(file.sync)
    yield* file.close
  })

  it.effect("does not believe a sync that says ok after one that has failed", () =>
    Effect.gen(function*() {
      for (const [name, layout] of layouts) {
        for (let seed = 0; seed < 10; seed++) {
          const simulated = yield* SimulatedDisk.make({ seed })
          const onDisk = Effect.provideService(Disk, simulated.disk)
          const [first, newest] = buildWal({ layout, segments: [10, 20], lastIsOpen: true })
          yield* simulated.disk.makeDirectory(directory)
          yield* simulated.disk.syncDirectory("/")
          yield* onDisk(put(directory, hot(first!), { ...hot(newest!), bytes: newest!.bytes.subarray(0, 700) }))
          yield* leaveUnsynced(simulated, hot(newest!))
          // The first attempts to open fail by syncs of their own.
          for (let failing = seed % 3; failing > 0; failing--) {
            yield* simulated.failNext("sync", "Io")
            assert.strictEqual((yield* Effect.flip(onDisk(open(layout.version))))._tag, "DiskError")
          }
          const { origin } = yield* onDisk(open(layout.version))
          assert.strictEqual(origin.lastEventId, 30)
          yield* simulated.crash
          const again = yield* onDisk(open(layout.version))
          assert.deepStrictEqual(again.origin, origin, `${name}, seed ${seed}`)
          assert.deepStrictEqual([...(yield* onDisk(filesIn(directory))).keys()].length, 2, "nothing else is left")
        }
      }
    }))

  it.effect("goes on from a closed header only when it is durable, whatever syncs have said", () =>
    Effect.gen(function*() {
      for (const [name, layout] of layouts) {
        for (let seed = 0; seed < 10; seed++) {
          const simulated = yield* SimulatedDisk.make({ seed })
          const onDisk = Effect.provideService(Disk, simulated.disk)
          const [closed] = buildWal({ layout, segments: [20] })
          const [stillOpen] = buildWal({ layout, segments: [20], lastIsOpen: true })
          yield* simulated.disk.makeDirectory(directory)
          yield* simulated.disk.syncDirectory("/")
          yield* onDisk(put(directory, hot(stillOpen!)))
          yield* leaveUnsynced(simulated, { name: hot(closed!).name, bytes: closed!.bytes.subarray(0, 128) })
          const { origin } = yield* onDisk(open(layout.version))
          assert.strictEqual(origin.lastEventId, 20)
          yield* simulated.crash
          const { report } = yield* onDisk(open(layout.version))
          assert.strictEqual(report.closedSegmentIndex, undefined, `${name}, seed ${seed}: it is still closed`)
        }
      }
    }))

  it.effect.each(formats)(
    "does not believe the name of a continued segment whose sync has failed, although the meta file knows it ($name)",
    ({ layout }) =>
      Effect.gen(function*() {
        for (let seed = 0; seed < 10; seed++) {
          const simulated = yield* SimulatedDisk.make({ seed })
          const onDisk = Effect.provideService(Disk, simulated.disk)
          const [short] = buildWal({ layout, segments: [5] })
          const [longer] = buildWal({ layout, segments: [15] })
          yield* simulated.disk.makeDirectory(directory)
          yield* simulated.disk.syncDirectory("/")
          yield* onDisk(put(directory, hot(short!)))
          yield* simulated.disk.syncDirectory(directory)
          yield* onDisk(MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 0, lastEventId: 5 }))
          // A start has continued the segment: a fresh file takes its name, and that was never made durable.
          const { bytes, name } = hot(longer!)
          yield* onDisk(put(directory, { name: `${name}.tmp`, bytes }))
          yield* simulated.disk.rename(`${directory}/${name}.tmp`, `${directory}/${name}`)
          yield* simulated.failNext("syncDirectory", "Io")
          yield* Effect.flip(simulated.disk.syncDirectory(directory))
          const { origin } = yield* onDisk(open(layout.version))
          assert.strictEqual(origin.lastEventId, 15)
          yield* simulated.crash
          assert.strictEqual((yield* onDisk(open(layout.version))).origin.lastEventId, 15, `seed ${seed}`)
        }
      })
  )

  it.effect.each(formats)(
    "never cuts a closed segment that is damaged ($name)",
    ({ layout }) =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 20] })
        wal[1]!.bytes[wal[1]!.blockEnds[1]!.offset + 70]! ^= 1
        yield* put(directory, ...wal.map(hot))
        const before = yield* filesIn(directory)
        const failure = yield* Effect.flip(open(layout.version))
        assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadPayload")
        assert.deepStrictEqual(yield* filesIn(directory), before)
      }).pipe(onSimulatedDisk)
  )

  it.effect("touches nothing when the newest segment has no header that holds", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 20], lastIsOpen: true })
      wal[1]!.bytes[32]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const before = yield* filesIn(directory)
      const failure = yield* Effect.flip(open())
      assert.strictEqual(failure._tag === "SegmentCorrupt" ? failure.reason._tag : failure._tag, "BadHeader")
      assert.include(failure.message, "effect-wal repair")
      assert.deepStrictEqual(yield* filesIn(directory), before)
    }).pipe(onSimulatedDisk))

  it.effect("touches nothing when the newest segment does not go on from the one before", () =>
    Effect.gen(function*() {
      const wal = buildWal({ segments: [10, 20], lastIsOpen: true })
      const other = buildWal({ segments: [10, 20], lastIsOpen: true, walId: new Uint8Array(16) })
      const rewritten = buildWal({ segments: [10, 20], lastIsOpen: true, commitEvents: 3 })
      const unclosed = buildWal({ segments: [10], lastIsOpen: true })
      for (
        const [before, newest] of [[wal[0], other[1]], [wal[0], rewritten[1]], [unclosed[0], wal[1]]] as const
      ) {
        yield* put(directory, hot(before!), hot(newest!))
        const files = yield* filesIn(directory)
        const failure = yield* Effect.flip(open())
        assert.strictEqual(failure._tag, "SegmentCorrupt")
        assert.deepStrictEqual(yield* filesIn(directory), files)
      }
    }).pipe(onSimulatedDisk))

  it.effect.each(formats)("refuses a directory of the other format ($name)", ({ layout }) =>
    Effect.gen(function*() {
      yield* put(directory, ...buildWal({ layout, segments: [10] }).map(hot))
      const failure = yield* Effect.flip(open(layout.version === 1 ? 2 : 1))
      assert.strictEqual(failure._tag, "FormatMismatch")
      assert.include(failure.message, `has format ${layout.version}`)
    }).pipe(onSimulatedDisk))

  it.effect("opens what a crash of another writer of format 1 leaves: several unclosed, the newest never used", () =>
    Effect.gen(function*() {
      yield* put(
        directory,
        hot(unclosedByAnother(4, 100, 300)),
        hot(unclosedByAnother(5, 400, 10)),
        hot(unclosedByAnother(6, 410, 0))
      )
      const { origin, report } = yield* open(1)
      assert.strictEqual(origin.lastEventId, 409)
      assert.strictEqual(origin.lastSegmentIndex, 5)
      assert.strictEqual(report.cutBytes, 0)
      assert.deepStrictEqual(report.removedSegmentIndices, [6])
      assert.deepStrictEqual(yield* idsIn(), range(100, 409))
      assert.deepStrictEqual((yield* verify({ directory })).faults, [])
    }).pipe(onSimulatedDisk))

  it.effect("closes a segment of format 1 with zeros behind its last block, as long as it was preallocated", () =>
    Effect.gen(function*() {
      const [segment] = buildWal({ layout: format1Layout, segments: [20], lastIsOpen: true })
      const bytes = Buffer.concat([torn(segment!, 3).bytes, Buffer.alloc(20 * 16_448)])
      yield* put(directory, { ...hot(segment!), bytes })
      yield* open(1)
      const after = Buffer.from((yield* filesIn(directory)).get(hotName(defaultNaming, 0))!, "latin1")
      assert.strictEqual(after.length, bytes.length)
      assert.isTrue(after.subarray(segment!.blockEnds.at(-2)!.offset).every((byte) => byte === 0))
    }).pipe(onSimulatedDisk))

  it.effect.each(formats)(
    "knows the last id behind closed segments without events ($name)",
    ({ layout }) =>
      Effect.gen(function*() {
        yield* put(directory, ...buildWal({ layout, segments: [10, 0, 0] }).map(hot))
        const { origin } = yield* open(layout.version)
        assert.strictEqual(origin.lastEventId, 10)
        assert.strictEqual(origin.lastSegmentIndex, 2)
      }).pipe(onSimulatedDisk)
  )

  it.effect("reads a bounded amount of a directory of 10,000 segments", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.SimulatedDisk
      const wal = buildWal({ segments: Array.from({ length: 10_000 }, () => 1), lastIsOpen: true })
      yield* put(directory, ...wal.map(hot))
      const before = yield* simulated.operationCount
      assert.strictEqual((yield* open()).origin.lastEventId, 10_000)
      assert.isBelow((yield* simulated.operationCount) - before, 40)
    }).pipe(onSimulatedDisk))

  it.effect.each(formats)(
    "counts segments that are missing, and leaves them to verification ($name)",
    ({ layout }) =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10] })
        yield* put(directory, hot(wal[0]!), hot(wal[3]!), hot(wal[4]!))
        const { report } = yield* open(layout.version)
        assert.strictEqual(report.missingSegmentCount, 2)
        assert.include(Recovery.formatReport(report), "2 segments missing")
      }).pipe(onSimulatedDisk)
  )

  it.live("refuses a directory in which a segment's name stands for a directory", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* put(directory, ...buildWal({ segments: [10] }).map(hot))
      yield* Disk.use((disk) => disk.makeDirectory(`${directory}/FS.00000001.wal`))
      const failure = yield* Effect.flip(open(2, directory))
      assert.strictEqual(failure._tag === "DiskError" ? failure.reason._tag : failure._tag, "Unsafe")
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live.each(formats)("recovers on the machine's own disk ($name)", ({ layout }) =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const [first, last] = buildWal({ layout, segments: [10, 20], lastIsOpen: true })
      yield* put(directory, hot(first!), hot(torn(last!, 3)))
      const { origin } = yield* open(layout.version, directory)
      assert.strictEqual(origin.lastEventId, 25)
      assert.deepStrictEqual(yield* idsIn(directory), range(1, 25))
      assert.deepStrictEqual((yield* verify({ directory })).faults, [])
    }).pipe(Effect.provide(NodeDisk.layer)))
})
