/** What the maintainer promises, however its executors run (a fiber, a thread, a pool of threads), in both formats. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync, writeFileSync } from "node:fs"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import { buildWal } from "../fixtures/segments.ts"
import {
  foundation,
  hotPath,
  inTime,
  kinds,
  look,
  named,
  NodeDisk,
  open,
  quiet,
  recorded,
  segmentBytesMax,
  subjects,
  temporaryDirectory,
  until,
  watch,
  writeHot
} from "./maintaining.ts"

const offer = (queue: TaskQueue.TaskQueue, ...segmentIndices: ReadonlyArray<number>): void => {
  for (const segmentIndex of segmentIndices) {
    assert.isTrue(TaskQueue.offerUnsafe(queue, { segmentIndex, bytes: 1000 }))
  }
}

describe.each(subjects)("$name", ({ alone, executors, wal }) => {
  const limits = { maxSegments: 4, maxCompressedSegments: 6 }

  it.live.each(kinds)(
    "persists, compresses or deletes everything, and holds the limits at every moment ($format)",
    (kind) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const { close, context } = yield* open(wal({ directory, limits, segmentBytesMax, format: kind.format }))
        const recorder = Context.get(context, Recorder)
        const maintainer = Context.get(context, SegmentMaintainer)
        const events = yield* watch(maintainer)
        for (let id = 1; id <= kind.count; id++) {
          assert.strictEqual(yield* recorder.append(kind.event(id)), id)
          if (id % 20 === 0) {
            const found = yield* look(directory)
            assert.isAtMost(found.hot.length, limits.maxSegments)
            assert.isAtMost(found.cold.length + found.both.length, limits.maxCompressedSegments)
            assert.deepStrictEqual(found.empty, [])
          }
        }
        yield* close
        const found = yield* look(directory)
        assert.isAtMost(found.hot.length, limits.maxSegments)
        assert.strictEqual(found.cold.length, limits.maxCompressedSegments)
        assert.deepStrictEqual([found.both, found.leftovers, found.empty], [[], [], []])
        const rotated = recorder.writer.activeSegmentIndex + 1
        assert.isAbove(rotated, 12)
        const of = (tag: StepOutcome["_tag"]) =>
          events.filter((event) => event._tag === tag).map((event) => event.segmentIndex)
        assert.deepStrictEqual(of("Persisted"), Array.from({ length: rotated }, (_, index) => index))
        assert.deepStrictEqual(
          [...of("Frozen")].sort((a, b) => a - b),
          Array.from({ length: rotated - found.hot.length }, (_, index) => index)
        )
        assert.strictEqual(of("Freed").length, rotated - found.hot.length - found.cold.length)
        const left = yield* recorded(directory, kind)
        assert.deepStrictEqual(left, named(kind.count - left.length + 1, kind.count, kind))
      }).pipe(quiet, Effect.provide(NodeDisk.layer))
  )

  it.live(
    "freezes what an application asks for when there is a place for it",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        writeHot(directory, ...buildWal({ segments: Array.from({ length: 14 }, () => 20) }))
        const queues = yield* Layer.build(foundation)
        const { close, context } = yield* open(
          alone({ directory, limits: { maxSegments: 32, maxCompressedSegments: 4 } }).pipe(
            Layer.provide(Layer.succeedContext(queues))
          )
        )
        const maintainer = Context.get(context, SegmentMaintainer)
        offer(Context.get(queues, SegmentsToFreeze), 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
        const within = Effect.map(look(directory), ({ both, cold, hot }) => {
          assert.isAtMost(cold.length + both.length, 4)
          return hot.length === 2
        })
        yield* inTime("twelve freezes", Effect.repeat(Effect.delay(within, 1), { until: (isDone) => isDone }))
        assert.deepStrictEqual((yield* look(directory)).cold, [8, 9, 10, 11])
        assert.strictEqual((yield* maintainer.status).failures, 0)
        yield* close
      }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer))
  )

  // Only the lead persists, so a pool is no different here.
  it.live.each(executors > 1 ? [] : kinds)(
    "visibly exceeds the limit of hot segments when it was told to, and comes back to it ($format)",
    ({ event, format }) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const { close, context } = yield* open(
          wal({ directory, limits, format, segmentBytesMax, slots: 16, onHotLimit: "exceed" })
        )
        const recorder = Context.get(context, Recorder)
        const maintainer = Context.get(context, SegmentMaintainer)
        let most = 0
        for (let round = 0; round < 20 && most <= limits.maxSegments; round++) {
          for (let i = 0; i < 300; i++) yield* recorder.append(event(i + 1))
          yield* recorder.commit
          most = Math.max(most, (yield* maintainer.status).hotSegments)
        }
        assert.isAbove(most, limits.maxSegments)
        yield* close
        assert.isAtMost((yield* look(directory)).hot.length, limits.maxSegments)
      }).pipe(quiet, Effect.provide(NodeDisk.layer))
  )

  it.live.each(kinds)(
    "works off all three queues when its scope closes, and lists what cannot be done ($format)",
    ({ layout }) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const built = buildWal({ layout, segments: [20, 20, 20, 20, 20, 20, 20, 20, 20] })
        writeHot(directory, ...built)
        const damaged = Buffer.from(built[6]!.bytes)
        damaged[200] = damaged[200]! ^ 1
        writeFileSync(hotPath(directory, 6), damaged)
        writeFileSync(hotPath(directory, 7), built[7]!.bytes.subarray(0, built[7]!.bytes.length - 64))
        writeFileSync(hotPath(directory, 8), "")
        writeHot(directory, ...buildWal({ layout, segments: [20], firstSegmentIndex: 9 }))
        const disk = yield* Layer.build(NodeDisk.layer)
        const queues = yield* Layer.build(foundation)
        const { close, context } = yield* open(
          alone({ directory, limits: { maxSegments: 16, maxCompressedSegments: 64 } }).pipe(
            Layer.provide(Layer.succeedContext(Context.merge(disk, queues)))
          )
        )
        const maintainer = Context.get(context, SegmentMaintainer)
        const toPersist = Context.get(queues, SegmentsToPersist)
        const toFreeze = Context.get(queues, SegmentsToFreeze)
        const toFree = Context.get(queues, SegmentsToFree)
        offer(toFreeze, 0)
        yield* until(maintainer, Effect.map(maintainer.status, (status) => status.coldSegments === 1))

        const outcomes = yield* watch(maintainer)
        offer(toPersist, 3, 8, 78, 4)
        offer(toFreeze, 6, 7, 8, 77, 1, 2)
        offer(toFree, 0, 5)
        const receipt = yield* inTime("draining", maintainer.drain)
        const done = (tag: StepOutcome["_tag"]) =>
          outcomes.filter(({ _tag }) => _tag === tag).map(({ segmentIndex }) => segmentIndex).toSorted()
        assert.deepStrictEqual([done("Persisted"), done("Frozen"), done("Freed")], [[3, 4], [1, 2], [0]])
        // What a thread has done before the drain begins, the receipt does not count.
        assert.isAtMost(receipt.done.persist, 2)
        assert.isAtMost(receipt.done.freeze, 2)
        assert.isAtMost(receipt.done.free, 1)
        assert.isAtMost(receipt.failures, 7)
        assert.deepStrictEqual(receipt.left, { persist: 0, freeze: 0, free: 0 })
        const failures = yield* maintainer.failures
        assert.deepStrictEqual(
          failures.map(({ isRetryable, reason, segmentIndex, step }) => [step, segmentIndex, reason, isRetryable])
            .sort((a, b) => String(a).localeCompare(String(b))),
          [
            ["free", 5, "NotFound", false],
            ["freeze", 6, "Corrupt", false],
            ["freeze", 7, "Corrupt", false],
            ["freeze", 77, "NotFound", false],
            ["freeze", 8, "Corrupt", false],
            ["persist", 78, "NotFound", false],
            ["persist", 8, "Corrupt", false]
          ]
        )
        for (const { atMillis, message, path } of failures) {
          assert.include(message, path)
          assert.isAbove(atMillis, 0)
        }
        const counted = (yield* Context.get(queues, Telemetry).snapshot).failures
        assert.deepStrictEqual([counted.Corrupt, counted.NotFound], [4, 3])

        // One more in each queue; only the closing of the scope waits for them.
        offer(toPersist, 5)
        offer(toFreeze, 3)
        offer(toFree, 1)
        yield* close
        for (const queue of [toPersist, toFreeze, toFree]) assert.strictEqual(TaskRing.unfinishedUnsafe(queue.ring), 0)
        const found = yield* look(directory)
        assert.deepStrictEqual([found.hot, found.cold, found.leftovers], [[4, 5, 6, 7, 8, 9], [2, 3], []])
        assert.deepStrictEqual(readFileSync(hotPath(directory, 6)), damaged)
      }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer))
  )
})
