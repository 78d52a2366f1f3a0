/** A damaged segment is moved away and its loss acknowledged: in which order, and what readers believe of that. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { Disk, openScoped, removeIfThere, writeFully } from "../../../src/disk/Disk.ts"
import * as HoleStore from "../../../src/disk/HoleStore.ts"
import type { AcknowledgedHole } from "../../../src/disk/HoleStore.ts"
import * as MetaStore from "../../../src/disk/MetaStore.ts"
import { SegmentDirectory } from "../../../src/disk/SegmentDirectory.ts"
import { defaultNaming } from "../../../src/format/SegmentName.ts"
import { quarantineSegment } from "../../../src/reading/recovery/Quarantine.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { repair } from "../../../src/reading/recovery/Repair.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import { buildWal, hot, put } from "../../fixtures/segments.ts"
import type { BuiltSegment } from "../../fixtures/segments.ts"
import { directory, onSimulatedDisk, range, unlink } from "../../fixtures/simulatedWal.ts"
import { mortal } from "../../maintainer/mortalDisk.ts"
import { sweepStep, swept } from "../../sweep.ts"

const where = new SegmentDirectory(directory)
const holesPath = `${directory}/wal_holes.json`

/** The ids that a replay gives, what it skips, and the failure that ends it. */
const read = Effect.fnUntraced(function*(options: Pick<Replay.ReplayOptions, "from"> & { readonly skips: boolean }) {
  const ids: Array<number> = []
  const holes: Array<AcknowledgedHole> = []
  const { skips, ...rest } = options
  const onLost = (hole: AcknowledgedHole) => Effect.sync(() => void holes.push(hole))
  const result = yield* Effect.result(
    Stream.runForEach(
      Replay.events({ directory, ...rest, ...(skips ? { onLost } : {}) }),
      ({ id }) => Effect.sync(() => void ids.push(id))
    )
  )
  return { ids, holes: holes.map(shortly), failure: result._tag === "Failure" ? result.failure._tag : undefined }
})

const shortly = (hole: AcknowledgedHole) => [
  hole.firstSegmentIndex,
  hole.lastSegmentIndex,
  hole.firstEventId,
  hole.lastEventId
]

const putFile = (path: string, bytes: Uint8Array) =>
  Effect.scoped(Effect.gen(function*() {
    yield* removeIfThere(path)
    const file = yield* openScoped(path, "create")
    yield* writeFully(file, [bytes], 0)
    yield* file.sync
  }))

/** Damages the second block of a segment. */
const rot = (segment: BuiltSegment): BuiltSegment => {
  segment.bytes[segment.blockEnds[0]!.offset + 70]! ^= 1
  return segment
}

/** Logs of three closed segments, with events or without, of which some are damaged and moved away in some order. */
const damagedWals = [0, 10].flatMap((a) => [0, 10].flatMap((b) => [0, 10].map((c) => [a, b, c]))).flatMap((segments) =>
  [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]].flatMap((damaged) =>
    (["oldest first", "newest first", "repair"] as const).map((order) => ({ segments, damaged, order }))
  )
)

describe.each(formats)("A damaged segment ($name)", ({ headerBytes, layout }) => {
  const isFormat1 = layout.version === 1
  const first = isFormat1 ? 11 : 16
  const hole = [1, 1, first, 20]
  const kept = [...range(1, first - 1), ...range(21, 30)]
  const damagedWal = () => {
    const wal = buildWal({ layout, segments: [10, 10, 10], commitEvents: 5 })
    rot(wal[1]!)
    return wal
  }

  it.effect("may be moved away with a crash at any operation: it is never missing before that is acknowledged", () =>
    Effect.gen(function*() {
      const wal = damagedWal()
      const damaged = wal[1]!.bytes
      for (const death of ["power off", "killed"] as const) {
        let crashes = 0
        for (let seed = 0; seed < (death === "killed" ? 1 : 4); seed++) {
          for (const operation of swept(1, 300)) {
            const words = `seed ${seed}, ${death} at operation ${operation}`
            const simulated = yield* SimulatedDisk.make({ seed: seed * 1000 + operation })
            const onDisk = Effect.provideService(Disk, simulated.disk)
            yield* onDisk(simulated.disk.makeDirectory(directory))
            yield* simulated.disk.syncDirectory("/")
            yield* onDisk(put(directory, ...wal.map(hot)))
            const { service, state } = mortal(simulated.disk)
            if (death === "killed") Object.assign(state, { dieAt: operation, deaths: Number.POSITIVE_INFINITY })
            else yield* simulated.crashAt((yield* simulated.operationCount) + operation)
            const exit = yield* Effect.exit(Effect.provideService(quarantineSegment(where, 1), Disk, service))
            if (Exit.isSuccess(exit)) break
            crashes += 1
            if (death === "power off") yield* simulated.crash
            const { faults, holes } = yield* onDisk(verify({ directory }))
            const files = yield* simulated.files
            const isSafe = [...files].some(([path, bytes]) =>
              path.endsWith("/FS.00000001.wal") && Buffer.compare(bytes, damaged) === 0
            )
            assert.isTrue(isSafe, `${words}: the damaged bytes are in place or in quarantine`)
            const isInPlace = faults.length > 0
            assert.isTrue(faults.every((fault) => fault.kind === "Corrupt" && fault.segmentIndex === 1), words)
            assert.deepStrictEqual(holes.map(shortly), isInPlace ? [] : [hole], words)
            // The next start does it again.
            yield* onDisk(quarantineSegment(where, 1))
            const after = yield* onDisk(verify({ directory }))
            assert.deepStrictEqual([after.faults, after.holes.map(shortly)], [[], [hole]], words)
            assert.deepStrictEqual((yield* onDisk(read({ skips: true }))).ids, kept, words)
          }
        }
        assert.isAbove(crashes, 20 / sweepStep)
      }
    }))

  it.effect("leaves a hole that a replay names, and skips only when it is told to", () =>
    Effect.gen(function*() {
      yield* put(directory, ...damagedWal().map(hot))
      const done = yield* quarantineSegment(where, 1)
      assert.strictEqual(done?.kept, isFormat1 ? "nothing" : "whole blocks")
      assert.deepStrictEqual(yield* read({ skips: false }), {
        ids: range(1, first - 1),
        holes: [],
        failure: "EventsLost"
      })
      assert.deepStrictEqual(yield* read({ skips: true }), { ids: kept, holes: [hole], failure: undefined })
      // From an event that is lost, and from one after the hole.
      const from = { id: 18 }
      assert.deepStrictEqual(yield* read({ skips: false, from }), { ids: [], holes: [], failure: "EventsLost" })
      assert.deepStrictEqual(yield* read({ skips: true, from }), {
        ids: range(21, 30),
        holes: [hole],
        failure: undefined
      })
      const after = { ids: range(21, 30), holes: [], failure: undefined }
      assert.deepStrictEqual(yield* read({ skips: false, from: { id: 21 } }), after)
      // Nothing more is to be done.
      assert.isUndefined(yield* quarantineSegment(where, 1))
      assert.isUndefined(yield* quarantineSegment(where, 2))
      assert.deepStrictEqual((yield* Effect.scoped(repair({ directory, apply: true }))).steps, [])
    }).pipe(onSimulatedDisk))

  it.effect("is one hole with a damaged neighbour, whichever goes first, and with what a repair moves", () =>
    Effect.gen(function*() {
      for (const order of [[1, 2], [2, 1], "repair"] as const) {
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          const wal = buildWal({ layout, segments: [10, 10, 10, 10], commitEvents: 5 })
          for (const at of [1, 2]) wal[at]!.bytes[headerBytes + 70]! ^= 1
          yield* put(directory, ...wal.map(hot))
          if (order === "repair") yield* Effect.scoped(repair({ directory, apply: true }))
          else for (const segmentIndex of order) yield* quarantineSegment(where, segmentIndex)
          const { faults, holes } = yield* verify({ directory })
          assert.deepStrictEqual([faults, holes.map(shortly)], [[], [[1, 2, 11, 30]]], String(order))
          assert.deepStrictEqual((yield* read({ skips: true })).ids, [...range(1, 10), ...range(31, 40)])
        }).pipe(Effect.provideService(Disk, simulated.disk))
      }
    }))

  it.effect("leaves a neighbour that was moved before acknowledged, with a crash at any operation", () =>
    Effect.gen(function*() {
      let crashes = 0
      for (const order of [[1, 2], [2, 1]] as const) {
        for (let operation = 1; operation < 300; operation++) {
          const words = `${order.join(" then ")}, power off at operation ${operation}`
          const simulated = yield* SimulatedDisk.make({ seed: operation })
          const isDone = yield* Effect.gen(function*() {
            const wal = buildWal({ layout, segments: [10, 10, 10, 10], commitEvents: 5 })
            for (const at of [1, 2]) wal[at]!.bytes[headerBytes + 70]! ^= 1
            yield* simulated.disk.makeDirectory(directory)
            yield* simulated.disk.syncDirectory("/")
            yield* put(directory, ...wal.map(hot))
            yield* quarantineSegment(where, order[0])
            yield* simulated.crashAt((yield* simulated.operationCount) + operation)
            const exit = yield* Effect.exit(quarantineSegment(where, order[1]))
            yield* simulated.crash
            yield* simulated.crashAt(Number.MAX_SAFE_INTEGER)
            const { faults } = yield* verify({ directory })
            const found = faults.map((fault) => [fault.kind, "segmentIndex" in fault ? fault.segmentIndex : -1])
            const stillThere: typeof found = faults.length === 0 ? [] : [["Corrupt", order[1]]]
            assert.deepStrictEqual(found, stillThere, words)
            const { failure } = yield* read({ skips: true })
            assert.strictEqual(failure, faults.length === 0 ? undefined : "SegmentCorrupt", words)
            return Exit.isSuccess(exit)
          }).pipe(Effect.provideService(Disk, simulated.disk))
          if (isDone) break
          crashes += 1
        }
      }
      assert.isAbove(crashes, 30)
    }))

  it.effect("that is the oldest leaves the log beginning later; the hole is told until what follows is gone", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10], commitEvents: 5 })
      wal[0]!.bytes[headerBytes + 70]! ^= 1
      yield* put(directory, ...wal.map(hot))
      yield* quarantineSegment(where, 0)
      const { faults, holes } = yield* verify({ directory })
      assert.deepStrictEqual([faults, holes.map(shortly)], [[], [[0, 0, 1, 10]]])
      assert.deepStrictEqual(yield* read({ skips: false }), { ids: range(11, 30), holes: [], failure: undefined })
      yield* unlink(wal[1]!)
      const later = yield* verify({ directory })
      assert.deepStrictEqual([later.faults, later.holes, later.ignoredHints], [[], [], []])
    }).pipe(onSimulatedDisk))

  it.effect("that is the oldest has lost its events, and not deleted them", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10], commitEvents: 5 })
      // In its first block, so that nothing of it stays.
      wal[0]!.bytes[headerBytes + 70]! ^= 1
      yield* put(directory, ...wal.map(hot))
      yield* quarantineSegment(where, 0)
      for (const id of [1, 4, 10]) {
        const refused = yield* Effect.flip(Stream.runDrain(Replay.events({ directory, from: { id } })))
        assert.strictEqual(refused._tag, "EventsLost")
        assert.include(refused.message, "events 1 to 10 are lost")
        assert.deepStrictEqual(yield* read({ from: { id }, skips: true }), {
          ids: range(11, 30),
          holes: [[0, 0, 1, 10]],
          failure: undefined
        })
      }
      // Those of a segment that retention has deleted meanwhile are deleted, with the hole before it.
      yield* unlink(wal[1]!)
      const deleted = yield* Effect.flip(Stream.runDrain(Replay.events({ directory, from: { id: 4 } })))
      assert.strictEqual(deleted._tag, "EventsDeleted")
    }).pipe(onSimulatedDisk))

  it.effect("and its damaged neighbours are told to a replay that begins with any of them", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10, 10], commitEvents: 5 })
      // In their first blocks, so that nothing of them stays.
      for (const segment of wal.slice(1, 4)) segment.bytes[headerBytes + 70]! ^= 1
      yield* put(directory, ...wal.map(hot))
      for (const segmentIndex of [1, 2, 3]) yield* quarantineSegment(where, segmentIndex)
      for (const segmentIndex of [1, 2, 3]) {
        const from = { segmentIndex }
        assert.strictEqual((yield* read({ skips: false, from })).failure, "EventsLost", `from ${segmentIndex}`)
        const { failure, ids } = yield* read({ skips: true, from })
        assert.deepStrictEqual({ failure, ids }, { failure: undefined, ids: range(41, 50) }, `from ${segmentIndex}`)
      }
    }).pipe(onSimulatedDisk))

  it.effect("loses no event that a segment has which was written while it was moved away", () =>
    Effect.gen(function*() {
      const wal = damagedWal()
      yield* put(directory, ...wal.slice(0, 2).map(hot))
      yield* MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 1, lastEventId: 20 })
      const disk = yield* Disk
      let isFollowed = false
      // The flusher makes the next segment durable, names it in the meta file, and all that between two looks.
      const busy: Disk["Service"] = {
        ...disk,
        open: (path, mode) =>
          Effect.gen(function*() {
            if (path.endsWith("wal_meta.dat") && mode === "read" && !isFollowed) {
              isFollowed = true
              yield* Effect.provideService(put(directory, hot(wal[2]!)), Disk, disk)
              yield* Effect.provideService(
                MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 2, lastEventId: 30 }),
                Disk,
                disk
              )
            }
            return yield* disk.open(path, mode)
          })
      }
      yield* Effect.provideService(quarantineSegment(where, 1), Disk, busy)
      const { faults, holes } = yield* verify({ directory })
      assert.deepStrictEqual([faults, holes.map(shortly)], [[], [hole]])
      assert.deepStrictEqual(yield* read({ skips: true }), { ids: kept, holes: [hole], failure: undefined })
    }).pipe(onSimulatedDisk))

  it.effect("beside a recorder reaches to where the recorder's own segments begin, which no file tells", () =>
    Effect.gen(function*() {
      for (const order of [[1, 2], [2, 1]]) {
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          const wal = buildWal({ layout, segments: [10, 10, 10, 10], commitEvents: 5 })
          for (const at of [1, 2]) wal[at]!.bytes.fill(0xff, 48)
          yield* put(directory, ...wal.slice(0, 3).map(hot))
          // Segment 3 is in memory. In their own bytes the damaged ones have room for more events.
          for (const segmentIndex of order) yield* quarantineSegment(where, segmentIndex, () => 31)
          yield* put(directory, hot(wal[3]!))
          const { faults, holes } = yield* verify({ directory })
          assert.deepStrictEqual([faults, holes.map(shortly)], [[], [[1, 2, 11, 30]]], String(order))
          assert.deepStrictEqual((yield* read({ skips: true })).ids, [...range(1, 10), ...range(31, 40)])
        }).pipe(Effect.provideService(Disk, simulated.disk))
      }
    }))

  it.effect("that is the only one gives no id out again, also when the meta file names the one before it", () =>
    Effect.gen(function*() {
      for (const isRepaired of [false, true]) {
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          const wal = buildWal({ layout, segments: [500, 10], commitEvents: 5 })
          wal[1]!.bytes.fill(0xff, 48)
          yield* put(directory, hot(wal[1]!))
          yield* MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 0, lastEventId: 500 })
          if (isRepaired) yield* Effect.scoped(repair({ directory, apply: true }))
          else yield* quarantineSegment(where, 1)
          const { origin } = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
          assert.isAtLeast(origin.lastEventId, 510, isRepaired ? "repaired" : "in quarantine")
        }).pipe(Effect.provideService(Disk, simulated.disk))
      }
    }))

  it.effect("leaves its place acknowledged when its index is not used again, also where it costs no event", () =>
    Effect.gen(function*() {
      let acknowledged = 0
      for (const at of swept(0, damagedWals.length)) {
        const { damaged, order, segments } = damagedWals[at]!
        const words = JSON.stringify({ segments, damaged, order })
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          const wal = buildWal({ layout, segments, commitEvents: 5 })
          for (const at of damaged) {
            if (segments[at] === 0) wal[at]!.bytes[48]! ^= 1
            else rot(wal[at]!)
          }
          yield* put(directory, ...wal.map(hot))
          yield* MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 2, lastEventId: wal[2]!.lastEventId })
          if (order === "repair") yield* Effect.scoped(repair({ directory, apply: true }))
          else {for (const at of order === "oldest first" ? damaged : damaged.toReversed()) {
              yield* quarantineSegment(where, at)
            }}
          const { origin } = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
          const { holes } = yield* HoleStore.read(directory)
          const there = new Set((yield* verify({ directory })).segments.map(({ segmentIndex }) => segmentIndex))
          for (const segmentIndex of range(0, origin.lastSegmentIndex)) {
            const isNamed = holes.some((hole) =>
              hole.firstSegmentIndex <= segmentIndex && segmentIndex <= hole.lastSegmentIndex
            )
            assert.isTrue(there.has(segmentIndex) || isNamed, `${words}: segment ${segmentIndex}`)
          }
          // The place of a segment that was moved away stays empty.
          for (const hole of holes) assert.isAtMost(hole.lastSegmentIndex, origin.lastSegmentIndex, words)
          const { faults, ignoredHints } = yield* verify({ directory })
          assert.deepStrictEqual([faults, ignoredHints], [[], []], words)
          // A hole in which no event is lost stops no reader.
          if (holes.every((hole) => hole.lastEventId < hole.firstEventId)) {
            assert.deepStrictEqual(
              yield* read({ skips: false }),
              { ids: range(1, wal[2]!.lastEventId), holes: [], failure: undefined },
              words
            )
          }
          acknowledged += holes.length
        }).pipe(Effect.provideService(Disk, simulated.disk))
      }
      assert.isAbove(acknowledged, 0)
    }))

  it.effect("that is the newest is told at the end of a replay, although nothing follows", () =>
    Effect.gen(function*() {
      for (const segments of [[10, 10], [10]]) {
        const simulated = yield* SimulatedDisk.make({ seed: 1 })
        yield* Effect.gen(function*() {
          const wal = buildWal({ layout, segments, commitEvents: 5 })
          const last = wal.at(-1)!
          // In its first block, so that nothing of it stays.
          last.bytes[headerBytes + 70]! ^= 1
          yield* put(directory, ...wal.map(hot))
          yield* quarantineSegment(where, last.segmentIndex)
          const before = range(1, last.firstEventId - 1)
          const lost = [[last.segmentIndex, last.segmentIndex, last.firstEventId, last.lastEventId]]
          assert.deepStrictEqual(yield* read({ skips: false }), { ids: before, holes: [], failure: "EventsLost" })
          assert.deepStrictEqual(yield* read({ skips: true }), { ids: before, holes: lost, failure: undefined })
          const inside = { id: last.firstEventId + 3 }
          assert.strictEqual((yield* read({ from: inside, skips: false })).failure, "EventsLost")
          assert.deepStrictEqual(yield* read({ from: inside, skips: true }), {
            ids: [],
            holes: lost,
            failure: undefined
          })
          // The next event is still to come.
          const next = { id: last.lastEventId + 1 }
          assert.deepStrictEqual(yield* read({ from: next, skips: false }), { ids: [], holes: [], failure: undefined })
        }).pipe(Effect.provideService(Disk, simulated.disk))
      }
    }))

  it.effect("that is the newest gives no id out again, also after a crash right behind it", () =>
    Effect.gen(function*() {
      for (const lastIsOpen of [false, true]) {
        for (const operation of swept(1, 300)) {
          const words = `${lastIsOpen ? "open" : "closed"}, power off at operation ${operation}`
          const simulated = yield* SimulatedDisk.make({ seed: operation })
          const isDone = yield* Effect.gen(function*() {
            const wal = buildWal({ layout, segments: [10, 20], commitEvents: 5, lastIsOpen })
            rot(wal[1]!)
            yield* simulated.disk.makeDirectory(directory)
            yield* simulated.disk.syncDirectory("/")
            yield* put(directory, ...wal.map(hot))
            yield* simulated.crashAt((yield* simulated.operationCount) + operation)
            const exit = yield* Effect.exit(quarantineSegment(where, 1))
            yield* simulated.crash
            yield* simulated.crashAt(Number.MAX_SAFE_INTEGER)
            if (Exit.isFailure(exit)) yield* quarantineSegment(where, 1)
            const { origin } = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
            assert.isAtLeast(origin.lastEventId, 30, words)
            assert.isAtLeast(origin.lastSegmentIndex, 1, words)
            const { faults, holes } = yield* verify({ directory })
            assert.deepStrictEqual([faults.length, holes.length], [0, 1], words)
            assert.strictEqual(holes[0]!.lastEventId, origin.lastEventId, words)
            return Exit.isSuccess(exit)
          }).pipe(Effect.provideService(Disk, simulated.disk))
          if (isDone) break
        }
      }
    }))

  it.effect("keeps its acknowledgement out of what the directory contradicts: a rotten, absent, old or crafted file", () =>
    Effect.gen(function*() {
      yield* put(directory, ...damagedWal().map(hot))
      yield* quarantineSegment(where, 1)
      const { holes } = yield* HoleStore.read(directory)
      const disk = yield* Disk
      const file = yield* Effect.scoped(Effect.gen(function*() {
        const opened = yield* openScoped(holesPath, "read")
        const bytes = new Uint8Array((yield* opened.stat).bytes)
        yield* opened.read(bytes, 0)
        return bytes
      }))
      const whole = yield* read({ skips: true })
      const origin = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
      const unacknowledged = isFormat1 ? "SegmentMissing" : "SegmentCorrupt"
      const check = Effect.fnUntraced(function*(words: string) {
        const { faults, holes, ignoredHints } = yield* verify({ directory })
        assert.deepStrictEqual([faults.length, holes], [1, []], words)
        const replayed = yield* read({ skips: true })
        assert.deepStrictEqual(replayed, { ids: range(1, first - 1), holes: [], failure: unacknowledged }, words)
        const opened = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
        assert.deepStrictEqual(opened.origin, origin.origin, words)
        return ignoredHints
      })
      for (const at of swept(0, file.length)) {
        const bytes = Uint8Array.from(file)
        bytes[at]! ^= 1 << (at % 8)
        yield* putFile(holesPath, bytes)
        // The line feed at the end is not part of it.
        if (at < file.length - 1) assert.deepStrictEqual(yield* check(`byte ${at}`), ["wal_holes.json is not intact"])
      }
      yield* disk.unlink(holesPath)
      assert.deepStrictEqual(yield* check("absent"), [])
      const crafted: ReadonlyArray<Partial<AcknowledgedHole>> = [
        { firstEventId: first - 1 },
        { firstEventId: first + 1 },
        { lastEventId: 19 },
        { lastEventId: 21 },
        { lastEventId: Number.MAX_SAFE_INTEGER },
        { lastSegmentIndex: 2 },
        { firstSegmentIndex: 2, lastSegmentIndex: 2 },
        { firstSegmentIndex: 0, lastSegmentIndex: 0 }
      ]
      for (const change of crafted) {
        // Format 1 does not tell which ids follow: there a hole is known by its segments and its beginning.
        if (isFormat1 && change.lastEventId !== undefined && change.lastEventId < 21) continue
        yield* HoleStore.write(directory, [{ ...holes[0]!, ...change }])
        const words = JSON.stringify(change)
        if (change.lastSegmentIndex === 2 || change.lastEventId === undefined) yield* check(words)
        else {
          assert.isAbove((yield* verify({ directory })).faults.length, 0, words)
          const { failure, ids } = yield* read({ skips: true })
          assert.deepStrictEqual(ids, range(1, first - 1), words)
          assert.isDefined(failure, words)
        }
      }
      yield* HoleStore.write(directory, holes)
      assert.deepStrictEqual(yield* read({ skips: true }), whole)
    }).pipe(onSimulatedDisk))

  it.effect("covers nothing that is removed beside the hole", () =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10, 10, 10], commitEvents: 5 })
      yield* put(directory, ...wal.map((segment, at) => hot(at === 1 ? rot(segment) : segment)))
      yield* quarantineSegment(where, 1)
      yield* unlink(wal[2]!)
      const { faults } = yield* verify({ directory })
      assert.isTrue(faults.some(({ kind }) => kind === "Missing"))
      const { failure, ids } = yield* read({ skips: true })
      assert.deepStrictEqual([ids, failure], [range(1, first - 1), "SegmentMissing"])
    }).pipe(onSimulatedDisk))

  it.effect("stays where it is when the disk is full, and nothing is left in quarantine", () =>
    Effect.gen(function*() {
      const simulated = yield* SimulatedDisk.make({ seed: 1 })
      yield* Effect.gen(function*() {
        yield* put(directory, ...damagedWal().map(hot))
        const disk = yield* Disk
        const files = yield* simulated.files
        const used = [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0)
        yield* simulated.setCapacityBytes(used + 600)
        const failure = yield* Effect.flip(quarantineSegment(where, 1))
        assert.strictEqual(failure._tag === "DiskError" ? failure.reason._tag : failure._tag, "Full")
        assert.deepStrictEqual(yield* disk.list(`${directory}/quarantine`), [])
        assert.deepStrictEqual((yield* verify({ directory })).faults.map(({ kind }) => kind), ["Corrupt"])
      }).pipe(Effect.provideService(Disk, simulated.disk))
    }))

  it.effect("is left to a follower: one that is past it notices nothing, one before it is told", () =>
    Effect.gen(function*() {
      const wal = damagedWal()
      const whole = buildWal({ layout, segments: [10, 10, 10], commitEvents: 5 })
      yield* put(directory, ...whole.slice(0, 2).map(hot))
      const ids: Array<number> = []
      const pulled = yield* Stream.toPull(Replay.events({ directory, follow: "poll" }))
      while (ids.length < 20) for (const { id } of yield* pulled) ids.push(id)
      // It rots after it was read.
      yield* putFile(where.hotPath(1), wal[1]!.bytes)
      yield* put(directory, hot(whole[2]!))
      yield* MetaStore.write(directory, { lastOffset: 1, lastSegmentIndex: 2, lastEventId: 30 })
      yield* quarantineSegment(where, 1)
      while (ids.length < 30) for (const { id } of yield* pulled) ids.push(id)
      assert.deepStrictEqual(ids, range(1, 30))
      assert.strictEqual((yield* read({ skips: false })).failure, "EventsLost")
    }).pipe(Effect.scoped, onSimulatedDisk))
})
