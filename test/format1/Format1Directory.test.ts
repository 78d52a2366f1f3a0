/**
 * A directory as another writer of format 1 leaves it: closed segments, hot and frozen by `lz4`, several unclosed ones after a crash, one
 * of them prepared and never used. It is verified, replayed, maintained, and recorded on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"
import { format1BlockBytes } from "../../src/format/Block.ts"
import { layerAlone, SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../../src/maintainer/SegmentMaintainerWorker.ts"
import { finishedAfter } from "../../src/maintainer/SegmentWatcher.ts"
import * as SegmentWatcher from "../../src/maintainer/SegmentWatcher.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import { orderEvent } from "../fixtures/orders.ts"
import type { NamedFile } from "../fixtures/segments.ts"
import { cold, format1Events, hot, put } from "../fixtures/segments.ts"
import { Lz4FrameDecoder } from "../format/lz4/frameDecoder.ts"
import { foundation, open, quiet, until, watch } from "../maintainer/maintaining.ts"
import { layers, recording, replayed, temporaryDirectory } from "../recorder/fixtures.ts"
import { goldenContent, goldenFrame, segmentOfAnother } from "./orders.ts"

const golden: NamedFile = { name: "FS.00000001.wal.lz4", bytes: goldenFrame() }

/** Orders 1 to 650. */
const afterCrash = (newest: ReadonlyArray<NamedFile> = []) =>
  Effect.gen(function*() {
    const directory = yield* temporaryDirectory
    const unclosedAndCold = yield* Effect.promise(() =>
      cold(segmentOfAnother({ segmentIndex: 0, ids: [1, 20], closed: false }))
    )
    yield* put(
      directory,
      unclosedAndCold,
      golden,
      hot(segmentOfAnother({ segmentIndex: 2, ids: [41, 340] })),
      hot(segmentOfAnother({ segmentIndex: 3, ids: [341, 640], closed: false })),
      hot(segmentOfAnother({ segmentIndex: 4, ids: [641, 650], closed: false })),
      hot(segmentOfAnother({ segmentIndex: 5, ids: [651, 650], closed: false })),
      { name: "wal_meta.dat", bytes: new Uint8Array(16) },
      ...newest
    )
    return directory
  })

const orders = (toId: number) =>
  format1Events(1, toId).map((event, i) => [i + 1, Buffer.from(event).toString()] as const)

const faultsOf = (directory: string) => Effect.map(Verify.verify({ directory }), ({ faults }) => faults)

const names = (directory: string) => readdirSync(directory).filter((name) => name.startsWith("FS.")).sort()

describe("a frame of linked blocks, as lz4 makes it", () => {
  it("decodes to the segment it was made of", () => {
    const decoder = new Lz4FrameDecoder()
    const pieces = [...decoder.push(golden.bytes)].map((piece) => Buffer.from(piece))
    decoder.end()
    assert.isAbove(pieces.length, 1)
    assert.isTrue(Buffer.concat(pieces).equals(goldenContent().bytes))
  })
})

describe("a directory of another writer after its crash", () => {
  it.live("verifies whole, although segments are unclosed and one was never used", () =>
    Effect.gen(function*() {
      const directory = yield* afterCrash()
      const report = yield* Verify.verify({ directory })
      assert.deepStrictEqual(report.faults, [])
      assert.deepStrictEqual(
        report.segments.map(({ closed, eventCount, form }) => [form, closed, eventCount]),
        [
          ["cold", false, 20],
          ["cold", true, 20],
          ["hot", true, 300],
          ["hot", false, 300],
          ["hot", false, 10],
          ["hot", false, 0]
        ]
      )
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is replayed from its first to its last event", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* replayed(yield* afterCrash()), orders(650))
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("is at fault where an unclosed segment has lost its last events", () =>
    Effect.gen(function*() {
      const directory = yield* afterCrash()
      const shorter = hot(segmentOfAnother({ segmentIndex: 3, ids: [341, 639], closed: false }))
      yield* put(directory, shorter)
      const faults = yield* faultsOf(directory)
      assert.strictEqual(faults.length, 1)
      assert.include(faults[0], { kind: "Corrupt", segmentIndex: 3, reason: "Truncated", found: "last id 639" })
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live.each(layers.slice(0, 2))(
    "is recorded on, and brought within the limits (%s)",
    ([, walLayer]) =>
      Effect.gen(function*() {
        // The last block of the crash is torn: its header is there, its events are not.
        const torn = segmentOfAnother({ segmentIndex: 4, ids: [641, 650], closed: false })
        const tail = segmentOfAnother({ segmentIndex: 4, ids: [651, 660] }).bytes.subarray(64, 128)
        tail.copy(torn.bytes, 64 + format1BlockBytes)
        const directory = yield* afterCrash([])
        yield* put(directory, hot(torn))
        const wal = Layer.provide(
          walLayer({
            directory,
            format: 1,
            segmentBytesMax: 14 * 16_384,
            limits: { maxSegments: 3, maxCompressedSegments: 64 }
          }),
          NodeDisk.layer
        )
        yield* recording(wal, (recorder) =>
          Effect.gen(function*() {
            const { closedSegmentIndex, lastEventId, removedSegmentIndices } = recorder.recovery
            assert.deepStrictEqual([closedSegmentIndex, lastEventId, removedSegmentIndices], [4, 650, [5]])
            assert.isAbove(recorder.recovery.cutBytes, 0)
            for (let id = 651; id <= 660; id++) assert.strictEqual(yield* recorder.append(orderEvent(id)), id)
            assert.strictEqual(yield* recorder.commit, 660)
          }))
        assert.deepStrictEqual(yield* faultsOf(directory), [])
        assert.deepStrictEqual(yield* replayed(directory), orders(660))
        // The other writer's segment is continued.
        assert.deepStrictEqual(names(directory), [
          ...[0, 1, 2, 3].map((index) => `FS.0000000${index}.wal.lz4`),
          "FS.00000004.wal"
        ])
        assert.strictEqual(readFileSync(`${directory}/FS.00000004.wal`).length, 263_232)
      }).pipe(quiet, Effect.provide(NodeDisk.layer))
  )
})

const alone = {
  fiber: layerAlone,
  worker: SegmentMaintainerWorker.layerAlone
}

describe.each(["fiber", "worker"] as const)("a directory that another writer writes, maintained by a %s", (kind) => {
  const maintained = Effect.fnUntraced(function*(directory: string, services: Context.Context<Disk>) {
    const queues = yield* Layer.build(foundation)
    const context = Context.merge(services, queues)
    const opened = yield* open(
      alone[kind]({ directory, limits: { maxSegments: 2, maxCompressedSegments: 64 }, writer: "other" }).pipe(
        Layer.provide(Layer.succeedContext(context))
      )
    )
    const maintainer = Context.get(opened.context, SegmentMaintainer)
    const events = yield* watch(maintainer)
    yield* Effect.forkScoped(
      Effect.provideContext(SegmentWatcher.watch({ directory }), context)
    )
    return { ...opened, maintainer, events }
  })

  it.live("leaves everything alone that the other writer may still write, until it has closed a later segment", () =>
    Effect.gen(function*() {
      const directory = yield* afterCrash()
      const services = yield* Layer.build(NodeDisk.layer)
      const inProgress = ["FS.00000003.wal", "FS.00000004.wal", "FS.00000005.wal"]
      const foreign: ReadonlyArray<NamedFile> = [
        { name: "wal_meta.dat.tmp", bytes: new Uint8Array(16) },
        { name: "FS.00000006.wal", bytes: new Uint8Array(0) }
      ]
      yield* put(directory, ...foreign)
      const before = inProgress.map((name) => readFileSync(`${directory}/${name}`))
      const { close, events, maintainer } = yield* maintained(directory, services)
      const coldOnes = (count: number) => Effect.map(maintainer.status, (status) => status.coldSegments === count)
      yield* until(maintainer, coldOnes(3))
      yield* maintainer.drain
      assert.deepStrictEqual(names(directory).slice(2), ["FS.00000002.wal.lz4", ...inProgress, "FS.00000006.wal"])
      inProgress.forEach((name, i) => assert.isTrue(readFileSync(`${directory}/${name}`).equals(before[i]!)))
      assert.isTrue(existsSync(`${directory}/wal_meta.dat.tmp`))

      // The other writer is started again, fills a segment, closes it, and continues with the next.
      yield* put(
        directory,
        hot(segmentOfAnother({ segmentIndex: 6, ids: [651, 700] })),
        hot(segmentOfAnother({ segmentIndex: 7, ids: [701, 710], closed: false }))
      )
      yield* until(maintainer, coldOnes(7))
      yield* close
      assert.deepStrictEqual(
        events.filter((event) => event._tag === "Persisted").map((event) => event.segmentIndex),
        [2, 3, 4, 5, 6]
      )
      assert.deepStrictEqual(events.filter((event) => event._tag === "Failed"), [])
      assert.deepStrictEqual(names(directory), [
        ...[0, 1, 2, 3, 4, 5, 6].map((index) => `FS.0000000${index}.wal.lz4`),
        "FS.00000007.wal"
      ])
      assert.deepStrictEqual(yield* faultsOf(directory), [])
      assert.deepStrictEqual(yield* replayed(directory), orders(710))
    }).pipe(quiet, Effect.provide(NodeDisk.layer)))
})

const finished = (...files: ReadonlyArray<NamedFile>) =>
  Effect.gen(function*() {
    const directory = yield* temporaryDirectory
    yield* put(directory, ...files)
    const entries = yield* finishedAfter(new SegmentDirectory(directory), -1)
    return entries.map((entry) => entry.segmentIndex)
  }).pipe(Effect.provide(NodeDisk.layer))
const closed = (index: number) => hot(segmentOfAnother({ segmentIndex: index, ids: [index * 10 + 1, index * 10 + 10] }))
const unclosed = (index: number) =>
  hot(segmentOfAnother({ segmentIndex: index, ids: [index * 10 + 1, index * 10 + 10], closed: false }))

describe("what a watcher takes for finished", () => {
  it.live("is never the newest segment, closed or not", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* finished(closed(0)), [])
      assert.deepStrictEqual(yield* finished(closed(0), closed(1)), [0])
      assert.deepStrictEqual(yield* finished(closed(0), unclosed(1)), [0])
    }))

  it.live("is an unclosed one only when a later one is closed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* finished(unclosed(0), unclosed(1), unclosed(2)), [])
      assert.deepStrictEqual(yield* finished(unclosed(0), closed(1), unclosed(2), unclosed(3)), [0, 1])
      assert.deepStrictEqual(yield* finished(unclosed(0), closed(1)), [0])
    }))
})
