/** A segment rots while a log is recorded, or before it is opened again: what each policy does, in every layer. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { backup } from "../../src/reading/recovery/Backup.ts"
import { repair } from "../../src/reading/recovery/Repair.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { pairs, temporaryDirectory } from "./fixtures.ts"
import type { Kind } from "./fixtures.ts"

const layersAndFormats = pairs.map(([[layer, walLayer], [format, { event, options }]]) => {
  const long = (id: number) => Buffer.from(`event ${id}`.padEnd(eventBytes - 4))
  return { layer, walLayer, format, kind: { options, event: options.format === 1 ? event : long } }
})

/** Twelve events of 64 bytes, with their lengths, fill a segment. At most eight segments may stand. */
const perSegment = 12
const eventBytes = 64
const limits = { maxSegments: 4, maxCompressedSegments: 4 }
const options = { segmentBytesMax: perSegment * eventBytes, slots: 4, limits } as const

const walNames = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory).filter((name) => /\.wal(\.lz4)?$/.test(name)).sort()

/** Flips a bit in the last of the bytes of a segment that are not zero. */
const flip = (path: string): Buffer => {
  const bytes = readFileSync(path)
  let at = bytes.length - 1
  while (bytes[at] === 0) at -= 1
  bytes[at]! ^= 1
  writeFileSync(path, bytes)
  return bytes
}

/** Records these segments, each handed over by itself. */
const recordSegments = (recorder: Recorder["Service"], { event }: Kind, from: number, to: number) =>
  Effect.gen(function*() {
    for (let segment = from; segment <= to; segment++) {
      for (let at = 0; at < perSegment; at++) {
        yield* recorder.append(event(recorder.writer.lastEventId + 1))
        if (at === 6) yield* recorder.commit
      }
      yield* recorder.commit
      yield* recorder.rotate
    }
  })

/** Until the segment is closed and durable, so nothing writes to its file any more. */
const untilHot = (maintainer: SegmentMaintainer["Service"], segmentIndex: number) =>
  until(
    Effect.map(maintainer.segments, (segments) =>
      segments.some((segment) => segment.segmentIndex === segmentIndex && segment.state === "hot"))
  )

const until = <E>(isDone: Effect.Effect<boolean, E>) =>
  Effect.gen(function*() {
    while (!(yield* isDone)) yield* Effect.sleep(5)
  })

/** What a replay gives that skips what is lost, and the holes. */
const skipping = (directory: string) =>
  Effect.gen(function*() {
    const holes: Array<Replay.AcknowledgedHole> = []
    const ids: Array<number> = []
    yield* Replay.events({ directory, onLost: (hole) => Effect.sync(() => void holes.push(hole)) }).pipe(
      Stream.runForEach(({ id }) => Effect.sync(() => void ids.push(id)))
    )
    return { holes, ids }
  }).pipe(Effect.provide(NodeDisk.layer))

const verified = (directory: string, incremental?: "onlyNew") =>
  Effect.provide(verify({ directory, ...(incremental === undefined ? {} : { incremental }) }), NodeDisk.layer)

describe.each(layersAndFormats)("A rotten segment ($layer, $format)", ({ kind, walLayer }) => {
  const walOf = (directory: string, onDamaged: "keep" | "quarantine") =>
    Layer.provide(walLayer({ ...kind.options, ...options, directory, onDamaged }), NodeDisk.layer)
  const keptInPlace = kind.options.format === 1 ? 0 : 7

  it.live("goes to quarantine while recording continues, and retention deletes past it", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const rottenPath = join(directory, "FS.00000001.wal")
      const rotten = yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const maintainer = yield* SegmentMaintainer
        yield* recordSegments(recorder, kind, 0, 1)
        yield* untilHot(maintainer, 1)
        const bytes = flip(rottenPath)
        yield* recordSegments(recorder, kind, 2, 3)
        yield* until(Effect.map(maintainer.status, ({ holes }) => holes.length > 0))
        const { damaged, holes } = yield* maintainer.status
        assert.deepStrictEqual(damaged, [])
        assert.deepStrictEqual(
          holes.map(({ firstEventId, lastEventId }) => [firstEventId, lastEventId]),
          [[perSegment + keptInPlace + 1, 2 * perSegment]]
        )
        const { counters, gauges } = yield* (yield* Telemetry).snapshot
        assert.deepStrictEqual([counters.segmentsQuarantined, gauges.acknowledgedHoles], [1, 1])
        const along = yield* skipping(directory)
        assert.deepStrictEqual(along.holes, holes)
        yield* recordSegments(recorder, kind, 4, 18)
        yield* until(Effect.sync(() => walNames(directory).length <= 8))
        yield* until(Effect.map(maintainer.verifyConsistency, ({ isConsistent }) => isConsistent))
        return bytes
      }).pipe(Effect.provide(walOf(directory, "quarantine")))
      assert.isAtMost(walNames(directory).length, 8)
      assert.strictEqual(walNames(directory).at(-1)?.slice(0, 11), "FS.00000018")
      // The evidence is kept as it was, and the hole is forgotten with its neighbours.
      const quarantine = join(directory, "quarantine", readdirSync(join(directory, "quarantine"))[0]!)
      assert.isTrue(readFileSync(join(quarantine, "FS.00000001.wal")).equals(rotten))
      const { faults } = yield* verified(directory)
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.scoped, quiet))

  it.live("that is the newest goes to quarantine at the next start, no id is used again, and readers are told", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const record = (onDamaged: "keep" | "quarantine", from: number, to: number) =>
        Effect.flatMap(Recorder, (recorder) => Effect.as(recordSegments(recorder, kind, from, to), recorder.recovery))
          .pipe(
            Effect.provide(walOf(directory, onDamaged))
          )
      yield* record("quarantine", 0, 2)
      flip(join(directory, "FS.00000002.wal"))
      const refused = yield* Effect.flip(record("keep", 3, 3))
      assert.strictEqual(refused._tag, "SegmentCorrupt")
      assert.include(refused.message, "repair")
      const recovery = yield* record("quarantine", 3, 4)
      assert.strictEqual(recovery.lastGivenId, 3 * perSegment)
      const hole = [2 * perSegment + keptInPlace + 1, 3 * perSegment] as const
      for (const mode of [undefined, "onlyNew", "onlyNew"] as const) {
        const { faults, holes } = yield* verified(directory, mode)
        assert.deepStrictEqual(faults, [])
        assert.deepStrictEqual(holes.map(({ firstEventId, lastEventId }) => [firstEventId, lastEventId]), [[...hole]])
      }
      const strict = yield* Effect.flip(
        Effect.provide(Stream.runDrain(Replay.events({ directory })), NodeDisk.layer)
      )
      assert.strictEqual(strict._tag, "EventsLost")
      assert.include(strict.message, `events ${hole[0]} to ${hole[1]} are lost, which is acknowledged`)
      assert.include(strict.message, `replay from event ${hole[1] + 1}`)
      const { holes, ids } = yield* skipping(directory)
      assert.deepStrictEqual(holes.map(({ firstEventId }) => firstEventId), [hole[0]])
      assert.strictEqual(ids.length, 5 * perSegment - (hole[1] - hole[0] + 1))
      assert.strictEqual(ids.at(-1), 5 * perSegment)
      // A copy carries the acknowledgement.
      const to = join(directory, "copy")
      const copied = yield* Effect.provide(backup({ directory, to }), NodeDisk.layer)
      assert.deepStrictEqual([copied.faults.length, copied.holes.length], [0, 1])
      assert.deepStrictEqual((yield* skipping(to)).ids, ids)
      // A segment that something else removes stays a fault.
      rmSync(join(directory, "FS.00000003.wal"))
      assert.isAbove((yield* verified(directory)).faults.length, 0)
      const unacknowledged = yield* Effect.flip(skipping(directory))
      assert.notStrictEqual(unacknowledged._tag, "EventsLost")
    }).pipe(Effect.scoped, quiet))

  it.live("stays where it is with the policy keep, with all that is newer, and status and repair tell", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const rottenPath = join(directory, "FS.00000003.wal")
      const rotten = yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        const maintainer = yield* SegmentMaintainer
        yield* recordSegments(recorder, kind, 0, 3)
        yield* untilHot(maintainer, 3)
        const bytes = flip(rottenPath)
        yield* recordSegments(recorder, kind, 4, 20)
        // What is older goes as the limits demand; what is newer stays.
        yield* until(
          Effect.sync(() => walNames(directory)[0] === "FS.00000003.wal" && walNames(directory).length === 18)
        )
        const { damaged, holes } = yield* maintainer.status
        assert.deepStrictEqual([damaged, holes], [[3], []])
        return bytes
      }).pipe(Effect.provide(walOf(directory, "keep")))
      assert.isTrue(readFileSync(rottenPath).equals(rotten))
      yield* Effect.provide(Effect.scoped(repair({ directory, apply: true })), NodeDisk.layer)
      assert.deepStrictEqual((yield* verified(directory)).faults, [])
      yield* Effect.gen(function*() {
        yield* Recorder
        yield* until(Effect.sync(() => walNames(directory).length <= 8))
      }).pipe(Effect.provide(walOf(directory, "keep")))
    }).pipe(Effect.scoped, quiet))

  it.live("that is cold stops no deletion; a repair acknowledges what is lost", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const rottenPath = join(directory, "FS.00000001.wal.lz4")
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        yield* recordSegments(recorder, kind, 0, 5)
        yield* until(Effect.sync(() => existsSync(rottenPath)))
      }).pipe(Effect.provide(walOf(directory, "quarantine")))
      const bytes = readFileSync(rottenPath)
      bytes[bytes.length >> 1]! ^= 1
      writeFileSync(rottenPath, bytes)
      assert.isAbove((yield* verified(directory)).faults.length, 0)
      yield* Effect.provide(Effect.scoped(repair({ directory, apply: true })), NodeDisk.layer)
      const { faults, holes } = yield* verified(directory)
      assert.deepStrictEqual([faults, holes.length], [[], 1])
      const { holes: skipped, ids } = yield* skipping(directory)
      assert.deepStrictEqual(skipped, holes)
      assert.strictEqual(ids.at(-1), 6 * perSegment)
      yield* Effect.gen(function*() {
        const recorder = yield* Recorder
        yield* recordSegments(recorder, kind, 6, 20)
        yield* until(Effect.sync(() => walNames(directory).length <= 8))
      }).pipe(Effect.provide(walOf(directory, "quarantine")))
      assert.deepStrictEqual((yield* verified(directory)).faults, [])
    }).pipe(Effect.scoped, quiet))
})
