import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../../src/disk/Disk.ts"
import * as MetaStore from "../../../src/disk/MetaStore.ts"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import { format1Layout } from "../../../src/format/SegmentLayout.ts"
import type { SegmentLayout } from "../../../src/format/SegmentLayout.ts"
import { defaultNaming } from "../../../src/format/SegmentName.ts"
import * as Recovery from "../../../src/reading/recovery/Recovery.ts"
import { repair } from "../../../src/reading/recovery/Repair.ts"
import { verify } from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import { formats } from "../../fixtures/formats.ts"
import {
  buildSegment,
  buildWal,
  cold,
  eventsOf,
  hot,
  put,
  smallBlocks,
  temporaryDirectory
} from "../../fixtures/segments.ts"
import { settableClock } from "../../fixtures/settableClock.ts"
import { range } from "../../fixtures/simulatedWal.ts"

const live = <A, E>(name: string, test: (directory: string) => Effect.Effect<A, E, Disk>) =>
  it.live(name, () => Effect.flatMap(temporaryDirectory, test).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

/** The ids that a replay gives before it fails, and the failure. */
const replayed = Effect.fnUntraced(function*(directory: string) {
  const ids: Array<number> = []
  const exit = yield* Effect.result(
    Stream.runForEach(Replay.events({ directory }), ({ id }) => Effect.sync(() => ids.push(id)))
  )
  return { ids, failure: exit._tag === "Failure" ? exit.failure._tag : undefined }
})

/** What a replay past damage gives, and the holes it tells of. */
const holesIn = Effect.fnUntraced(function*(directory: string) {
  const ids: Array<number> = []
  const holes: Array<readonly [number, number | undefined]> = []
  const onHole = ({ firstMissingId, lastMissingId }: Replay.Hole) =>
    Effect.sync(() => {
      holes.push([firstMissingId, lastMissingId])
    })
  yield* Stream.runForEach(Replay.events({ directory, onHole }), ({ id }) => Effect.sync(() => ids.push(id)))
  return { ids, holes }
})

describe.each(formats)("Repair ($name)", ({ headerBytes, layout }) => {
  live("says what it would do, and writes nothing, unless it is to be applied", (directory) =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      wal[0]!.bytes[wal[0]!.blockEnds[0]!.offset - 1]! ^= 1
      wal[0]!.bytes[headerBytes + 12]! ^= 1
      yield* put(directory, ...wal.map(hot))
      const report = yield* repair({ directory, apply: false })
      assert.deepStrictEqual(report.steps.map(({ kept, segmentIndex }) => [segmentIndex, kept]), [[0, "nothing"]])
      assert.isNull(report.quarantine)
      assert.deepStrictEqual(readdirSync(directory).sort(), wal.map((segment) => hot(segment).name))
    }))

  live("leaves the form of a segment that holds", (directory) =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      yield* put(directory, ...wal.map(hot), yield* Effect.promise(() => cold(wal[0]!)))
      const bad = hot(wal[0]!)
      const bytes = Buffer.from(bad.bytes)
      bytes[200]! ^= 1
      yield* Disk.use((disk) => disk.unlink(join(directory, bad.name)))
      yield* put(directory, { ...bad, bytes })
      const report = yield* repair({ directory, apply: true })
      assert.deepStrictEqual(report.steps.map(({ kept }) => kept), ["other form"])
      assert.deepStrictEqual((yield* verify({ directory })).faults, [])
      assert.deepStrictEqual((yield* replayed(directory)).ids, range(1, 20))
    }))

  live(
    "moves no segment that holds by itself, and touches nothing while the directory is held",
    (directory) =>
      Effect.gen(function*() {
        const wal = buildWal({ layout, segments: [10, 10] })
        // The next index, but an id that is taken.
        const foreign = buildSegment({
          layout,
          segmentIndex: 1,
          firstEventId: 10,
          commits: [eventsOf(layout, 10, 14)],
          previousChainedChecksum: layout.version === 1 ? 0n : wal[0]!.chainedChecksum
        })
        yield* put(directory, hot(wal[0]!), hot(foreign))
        const report = yield* repair({ directory, apply: true })
        assert.deepStrictEqual([report.steps.length, report.left.length], [0, 1])
        const refused = yield* Effect.scoped(Effect.andThen(
          Disk.use((disk) => disk.lock(join(directory, "wal.lock"))),
          Effect.flip(repair({ directory, apply: true }))
        ))
        assert.strictEqual(refused._tag === "DiskError" ? refused.reason._tag : refused._tag, "Held")
      })
  )

  live(
    "moves a damaged segment to quarantine byte for byte, and says what was done beside it",
    (directory) =>
      Effect.gen(function*() {
        for (const form of ["hot", "cold"] as const) {
          const place = join(directory, form)
          const wal = buildWal({ layout, segments: [20, 20, 20], commitEvents: 5 })
          const damaged = wal[1]!
          damaged.bytes[damaged.blockEnds[1]!.offset + 70]! ^= 1
          const file = form === "hot" ? hot(damaged) : yield* Effect.promise(() => cold(damaged))
          yield* put(place, hot(wal[0]!), file, hot(wal[2]!))
          const report = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual(report.steps.map(({ segmentIndex }) => segmentIndex), [1])
          const quarantine = report.quarantine!
          assert.deepStrictEqual(readdirSync(quarantine).sort(), [file.name, "report.json"])
          assert.isTrue(readFileSync(join(quarantine, file.name)).equals(file.bytes))
          assert.deepStrictEqual(JSON.parse(readFileSync(join(quarantine, "report.json"), "utf8")), report)
          // Everything before the damage is read, and a gap is never passed over.
          const { failure, ids } = yield* replayed(place)
          assert.deepStrictEqual(ids, range(1, layout.version === 1 ? 20 : 30))
          assert.strictEqual(failure, "EventsLost")
          // The loss is acknowledged, and a second repair finds nothing to do.
          const again = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual([again.steps.length, again.left.length], [0, 0])
          // The blocks after the damage are read in quarantine.
          const behind: Array<number> = []
          yield* Stream.runForEach(
            Replay.events({ directory: quarantine, onHole: () => Effect.void }),
            ({ id }) => Effect.sync(() => behind.push(id))
          )
          assert.deepStrictEqual(behind, [...range(21, 30), ...range(36, 40)])
        }
      })
  )
})

/** What a recorder has written before it crashes: four events. */
const nextAfter = ({ chainedChecksum, lastEventId, lastSegmentIndex }: Recovery.Origin, layout: SegmentLayout) =>
  buildSegment({
    layout,
    segmentIndex: lastSegmentIndex + 1,
    firstEventId: lastEventId + 1,
    commits: [eventsOf(layout, lastEventId + 1, lastEventId + 4)],
    closed: false,
    previousChainedChecksum: chainedChecksum
  })

/** Ways to damage a closed segment of events 11 to 20 in two blocks. */
const damages: ReadonlyArray<readonly [string, (bytes: Buffer, headerBytes: number) => void]> = [
  ["its header", (bytes) => bytes[20]! ^= 1],
  ["its first block", (bytes, headerBytes) => bytes[headerBytes + 70]! ^= 1],
  ["the header of its first block", (bytes, headerBytes) => bytes[headerBytes + 40]! ^= 1]
]

describe.each(formats)("Repair of the newest segment ($name)", ({ headerBytes, layout }) => {
  const { version } = layout
  const open = (directory: string) => Recovery.open({ directory, naming: defaultNaming, version })

  for (const form of ["hot", "cold"] as const) {
    for (const [what, damage] of damages) {
      for (const damageOfFile of form === "hot" ? [false] : [false, true]) {
        const words = damageOfFile ? "the first block of its frame" : what
        if (damageOfFile && damage !== damages[0]![1]) continue
        live(
          `lets no id be given out twice, and says what is lost: ${form}, ${words} is damaged`,
          (directory) =>
            Effect.gen(function*() {
              const wal = buildWal({ layout, segments: [10, 10], commitEvents: 5 })
              if (!damageOfFile) damage(wal[1]!.bytes, headerBytes)
              const file = form === "hot" ? hot(wal[1]!) : yield* Effect.promise(() => cold(wal[1]!))
              // A match that begins 0 bytes back; only the meta file tells what lies in the frame.
              if (damageOfFile) file.bytes.set([0x0f, 0, 0], 19)
              yield* put(directory, hot(wal[0]!), file)
              if (damageOfFile) {
                yield* MetaStore.write(directory, { lastOffset: 9, lastSegmentIndex: 1, lastEventId: 20 })
              }
              const planned = yield* repair({ directory, apply: false })
              assert.deepStrictEqual([planned.lastEventId, planned.lastGivenId], [10, 20])
              const { lastEventId, lastGivenId, steps } = yield* repair({ directory, apply: true })
              assert.deepStrictEqual([steps.length, lastEventId, lastGivenId], [1, 10, 20])
              // Nothing was recorded yet: what is left is whole.
              assert.deepStrictEqual((yield* verify({ directory })).faults, [])
              const { origin, report } = yield* open(directory)
              assert.deepStrictEqual([origin.lastSegmentIndex, origin.lastEventId], [1, 20])
              assert.include(Recovery.formatReport(report), "last event 10; ids 11 to 20 are lost and not used again")
              yield* put(directory, hot(nextAfter(origin, layout)))
              const { faults, holes } = yield* verify({ directory })
              assert.deepStrictEqual(faults, [])
              assert.deepStrictEqual(
                holes.map(({ firstEventId, firstSegmentIndex, lastEventId }) => [
                  firstSegmentIndex,
                  firstEventId,
                  lastEventId
                ]),
                [[1, 11, 20]]
              )
              assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 10), failure: "EventsLost" })
              assert.deepStrictEqual(yield* holesIn(directory), {
                ids: [...range(1, 10), ...range(21, 24)],
                holes: [[11, 20]]
              })
              // The next crash is no other than any.
              assert.strictEqual((yield* open(directory)).origin.lastEventId, 24)
              assert.deepStrictEqual((yield* repair({ directory, apply: true })).steps, [])
            })
        )
      }
    }
  }

  live("knows of no lost id when another form of the newest segment holds", (directory) =>
    Effect.gen(function*() {
      const wal = buildWal({ layout, segments: [10, 10] })
      const frame = yield* Effect.promise(() => cold(wal[1]!))
      yield* put(directory, hot(wal[0]!), hot(wal[1]!), { ...frame, bytes: frame.bytes.subarray(0, 60) })
      const { lastEventId, lastGivenId, steps } = yield* repair({ directory, apply: true })
      assert.deepStrictEqual([steps.length, lastEventId, lastGivenId], [1, 20, 20])
      assert.strictEqual((yield* open(directory)).origin.lastEventId, 20)
    }))
})

describe("Repair of format 2", () => {
  live(
    "keeps the whole blocks before the damage of a segment",
    (directory) =>
      Effect.gen(function*() {
        for (const form of ["hot", "cold"] as const) {
          const place = join(directory, form)
          const wal = buildWal({ segments: [20, 20, 20], commitEvents: 5 })
          const damaged = wal[1]!
          damaged.bytes[damaged.blockEnds[1]!.offset + 70]! ^= 1
          const file = form === "hot" ? hot(damaged) : yield* Effect.promise(() => cold(damaged))
          yield* put(place, hot(wal[0]!), file, hot(wal[2]!))
          const report = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual(
            report.steps.map(({ firstEventId, kept, lastEventId }) => [kept, firstEventId, lastEventId]),
            [["whole blocks", 21, 30]]
          )
          assert.deepStrictEqual(readdirSync(place).sort(), [
            ...wal.map((segment) => hot(segment).name),
            "quarantine",
            "wal_holes.json"
          ])
          // Everything before the damage is read, and the gap after it is reported.
          assert.deepStrictEqual(yield* replayed(place), { ids: range(1, 30), failure: "EventsLost" })
          // What remains is whole, and the loss is acknowledged; a second repair finds nothing to do.
          const again = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual([again.steps, again.left], [[], []])
        }
      })
  )

  live(
    "opens the way for recording when the newest segment is closed and damaged",
    (directory) =>
      Effect.gen(function*() {
        const wal = buildWal({ segments: [10, 10], commitEvents: 5 })
        const damaged = wal[1]!
        damaged.bytes[damaged.blockEnds[0]!.offset + 70]! ^= 1
        yield* put(directory, ...wal.map(hot))
        const open = Recovery.open({ directory, naming: defaultNaming, version: 2 })
        assert.strictEqual((yield* Effect.flip(open))._tag, "SegmentCorrupt")
        yield* repair({ directory, apply: true })
        const { origin } = yield* open
        assert.strictEqual(origin.lastEventId, 20)
        assert.deepStrictEqual((yield* verify({ directory })).faults, [])
        assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 15), failure: "EventsLost" })
        // After the whole blocks that were kept the ids do not continue.
        yield* put(directory, hot(nextAfter(origin, smallBlocks)))
        const { faults, holes, segments } = yield* verify({ directory })
        assert.deepStrictEqual(faults, [])
        assert.deepStrictEqual(holes.map(({ firstEventId, lastEventId }) => [firstEventId, lastEventId]), [[16, 20]])
        assert.deepStrictEqual(segments.map(({ lastEventId }) => lastEventId), [10, 15, 24])
        assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 15), failure: "EventsLost" })
        assert.deepStrictEqual(yield* holesIn(directory), {
          ids: [...range(1, 15), ...range(21, 24)],
          holes: [[16, 20]]
        })
        assert.strictEqual((yield* open).origin.lastEventId, 24)
      })
  )

  live(
    "leaves a log that opens when the segment before the newest was damaged",
    (directory) =>
      Effect.gen(function*() {
        for (const lastIsOpen of [false, true]) {
          const place = join(directory, String(lastIsOpen))
          const wal = buildWal({ segments: [10, 10, 10], commitEvents: 5, lastIsOpen })
          wal[1]!.bytes[wal[1]!.blockEnds[0]!.offset + 70]! ^= 1
          yield* put(place, ...wal.map(hot))
          assert.strictEqual((yield* repair({ directory: place, apply: true })).lastGivenId, 30)
          const { origin } = yield* Recovery.open({ directory: place, naming: defaultNaming, version: 2 })
          assert.deepStrictEqual([origin.lastSegmentIndex, origin.lastEventId], [2, 30])
          assert.deepStrictEqual(yield* holesIn(place), { ids: [...range(1, 15), ...range(21, 30)], holes: [[16, 20]] })
        }
      })
  )

  live(
    "mends a segment entirely when only what lies behind its last block is damaged",
    (directory) =>
      Effect.gen(function*() {
        const wal = buildWal({ segments: [10, 10] })
        const whole = Buffer.from(wal[0]!.bytes)
        yield* put(directory, { ...hot(wal[0]!), bytes: Buffer.concat([whole, Buffer.from("rubbish")]) }, hot(wal[1]!))
        assert.strictEqual((yield* repair({ directory, apply: true })).steps.length, 1)
        assert.deepStrictEqual((yield* verify({ directory })).faults, [])
        assert.isTrue(readFileSync(join(directory, hot(wal[0]!).name)).equals(whole))
      })
  )
})

describe("Repair of format 1", () => {
  live(
    "keeps no part of a segment, since a part could hide that events are missing",
    (directory) =>
      Effect.gen(function*() {
        const wal = buildWal({ layout: format1Layout, segments: [600, 600, 600], commitEvents: 300 })
        wal[1]!.bytes[wal[1]!.blockEnds[1]!.offset - 40]! ^= 1
        yield* put(directory, ...wal.map(hot))
        const report = yield* repair({ directory, apply: true })
        assert.deepStrictEqual(report.steps.map(({ kept }) => kept), ["nothing"])
        assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 600), failure: "EventsLost" })
      })
  )
})

describe("what repair keeps of an open segment", () => {
  it.effect.each([0, -86_400_000, 2 ** 50])(
    "is closed, wherever the wall clock stands (%i)",
    (millis) =>
      Effect.gen(function*() {
        const wal = buildWal({ segments: [20], lastIsOpen: true })
        wal[0]!.bytes[wal[0]!.blockEnds[2]!.offset - 1]! ^= 1
        wal[0]!.bytes[wal[0]!.blockEnds[1]!.offset + 70]! ^= 1
        yield* put("/log", ...wal.map(hot))
        const { clock, set } = yield* settableClock
        set(millis)
        const report = yield* Effect.provideService(repair({ directory: "/log", apply: true }), Clock.Clock, clock)
        assert.deepStrictEqual(report.steps.map(({ kept }) => kept), ["whole blocks"])
        const { faults, segments } = yield* verify({ directory: "/log" })
        assert.deepStrictEqual(faults, [])
        assert.deepStrictEqual(segments.map(({ closed, eventCount }) => [closed, eventCount]), [[true, 10]])
      }).pipe(Effect.provide(SimulatedDisk.layer({ seed: 1 })))
  )
})
