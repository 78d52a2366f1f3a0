import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import { flashstrikeLayout } from "../../src/format/SegmentSealer.ts"
import * as Recovery from "../../src/recovery/Recovery.ts"
import { repair } from "../../src/recovery/Repair.ts"
import * as Replay from "../../src/recovery/Replay.ts"
import { verify } from "../../src/recovery/Verify.ts"
import { formats } from "../fixtures/formats.ts"
import { buildSegment, buildWal, cold, eventsOf, hot, put, temporaryDirectory } from "../fixtures/segments.ts"

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

const range = (from: number, to: number): Array<number> => Array.from({ length: to - from + 1 }, (_, i) => from + i)

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
        assert.strictEqual(refused._tag === "DiskError" ? refused.reason : refused._tag, "Held")
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
          assert.isDefined(failure)
          // A second repair finds nothing to move.
          const again = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual([again.steps.length, again.left.length], [0, 1])
          // The blocks behind the damage are read in quarantine.
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
            "quarantine"
          ])
          // Everything before the damage is read, and the gap behind it is said.
          assert.deepStrictEqual(yield* replayed(place), { ids: range(1, 30), failure: "SegmentCorrupt" })
          // What remains is whole, and does not go on; a second repair finds nothing to move.
          const again = yield* repair({ directory: place, apply: true })
          assert.deepStrictEqual(again.steps, [])
          assert.deepStrictEqual(
            again.left.map((fault) => fault.kind === "Corrupt" ? fault.segmentIndex : fault.kind),
            [2]
          )
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
        assert.strictEqual((yield* open).origin.lastEventId, 15)
        assert.deepStrictEqual((yield* verify({ directory })).faults, [])
        assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 15), failure: undefined })
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
        const wal = buildWal({ layout: flashstrikeLayout, segments: [600, 600, 600], commitEvents: 300 })
        wal[1]!.bytes[wal[1]!.blockEnds[1]!.offset - 40]! ^= 1
        yield* put(directory, ...wal.map(hot))
        const report = yield* repair({ directory, apply: true })
        assert.deepStrictEqual(report.steps.map(({ kept }) => kept), ["nothing"])
        assert.deepStrictEqual(yield* replayed(directory), { ids: range(1, 600), failure: "SegmentMissing" })
      })
  )
})
