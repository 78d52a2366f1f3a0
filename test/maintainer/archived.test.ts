/** What an archive has not confirmed is not deleted: from the first step of retention on, and however executors run. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as TestClock from "effect/testing/TestClock"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { SegmentsToFree } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import { buildWal, frameOf } from "../fixtures/segments.ts"
import {
  coldPath,
  foundation,
  inTime,
  kinds,
  look,
  named,
  NodeDisk,
  open,
  put,
  quiet,
  recorded,
  segmentBytesMax,
  settle,
  subjects,
  temporaryDirectory,
  until
} from "./maintaining.ts"
import { startedOn } from "./startedOn.ts"

const limits = { maxSegments: 4, maxCompressedSegments: 4 }

const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, position) => from + position)

describe.each(subjects)("$name", ({ alone, wal }) => {
  it.live.each(kinds)(
    "deletes what was archived, and nothing else, whatever the limits and whatever was asked ($format)",
    (kind) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const { close, context } = yield* open(
          wal({
            directory,
            // Holds keep nothing past `heldBytesMax`; an archive is no hold.
            limits: { ...limits, bytesMax: 1, heldBytesMax: 1, freeBytesMin: Number.MAX_SAFE_INTEGER },
            onArchiveBehind: "keep",
            segmentBytesMax,
            format: kind.format
          })
        )
        const recorder = Context.get(context, Recorder)
        const maintainer = Context.get(context, SegmentMaintainer)
        for (let id = 1; id <= kind.count; id++) yield* recorder.append(kind.event(id))
        yield* recorder.commit
        yield* maintainer.freeBefore(kind.count)
        yield* inTime("the drain", maintainer.drain)
        assert.deepStrictEqual(yield* recorded(directory, kind), named(1, kind.count, kind))

        const newest = recorder.writer.activeSegmentIndex
        const { archive } = yield* maintainer.status
        assert.deepInclude(archive, { archivedBefore: 0, behindSegments: newest, freedUnarchived: 0 })
        const due = (yield* maintainer.plan).filter(({ action }) => action === "archive")
        assert.deepStrictEqual(due.map(({ segmentIndex }) => segmentIndex), range(0, newest))
        assert.deepStrictEqual([...new Set(due.map(({ because }) => because))], ["archiveBehind"])

        for (const archivedBefore of [3, 1, 7]) {
          yield* maintainer.archivedBefore(archivedBefore)
          yield* inTime("the drain", maintainer.drain)
          const { cold, hot } = yield* look(directory)
          assert.strictEqual(Math.min(...cold, ...hot), Math.max(3, archivedBefore))
        }
        yield* close
        assert.strictEqual(Math.min(...(yield* look(directory)).cold), 7)
      }).pipe(quiet, Effect.provide(NodeDisk.layer))
  )

  it.live.each(kinds)(
    "keeps what it finds until the archive has told, and a drain ends ($format)",
    (kind) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const segments = buildWal({ layout: kind.layout, segments: Array.from({ length: 12 }, () => 20) })
        for (const { bytes, segmentIndex } of segments) {
          yield* put(coldPath(directory, segmentIndex), yield* Effect.promise(() => frameOf(bytes)))
        }
        const queues = yield* Layer.build(foundation)
        const { close, context } = yield* open(
          alone({ directory, limits, onArchiveBehind: "keep" }).pipe(Layer.provide(Layer.succeedContext(queues)))
        )
        const maintainer = Context.get(context, SegmentMaintainer)
        // An application offers what is not archived; an executor lets it lie.
        const toFree = Context.get(queues, SegmentsToFree)
        yield* maintainer.archivedBefore(2)
        for (const segmentIndex of [2, 3]) TaskQueue.offerUnsafe(toFree, { segmentIndex, bytes: 0 })
        yield* inTime("the drain", maintainer.drain)
        assert.deepStrictEqual((yield* look(directory)).cold, range(2, 12))
        assert.strictEqual((yield* maintainer.status).failures, 0)
        yield* maintainer.archivedBefore(12)
        yield* until(maintainer, Effect.map(maintainer.status, ({ coldSegments }) => coldSegments === 4))
        assert.deepStrictEqual((yield* look(directory)).cold, range(8, 12))
        yield* close
      }).pipe(Effect.scoped, quiet, Effect.provide(NodeDisk.layer))
  )
})

describe.each(kinds)("$format", (kind) => {
  const started = startedOn(kind)

  it.effect("is held before the first step of retention", () =>
    Effect.gen(function*() {
      const options = { limits, onArchiveBehind: "keep" } as const
      const { found, maintainer } = yield* started({ cold: range(0, 12), options })
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual((yield* found).cold, range(0, 12))
      const { archive } = yield* maintainer.status
      assert.deepStrictEqual({ ...archive, behindBytes: 0 }, {
        onBehind: "keep",
        archivedBefore: 0,
        behindSegments: 12,
        behindBytes: 0,
        behindMillis: archive?.behindMillis ?? 0,
        freedUnarchived: 0,
        problem: undefined
      })
      yield* maintainer.archivedBefore(5)
      yield* settle
      assert.deepStrictEqual((yield* found).cold, range(5, 12))
      yield* maintainer.archivedBefore(12)
      yield* settle
      assert.deepStrictEqual((yield* found).cold, range(8, 12))
      assert.strictEqual((yield* maintainer.status).archive?.behindSegments, 0)
    }).pipe(Effect.scoped, quiet))

  it.effect("deletes what is not archived only if it was told to, says so at the start, and counts", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
      const options = { limits, onArchiveBehind: "free" } as const
      const { found, maintainer } = yield* Effect.provide(started({ cold: range(0, 12), options }), logger)
      yield* maintainer.archivedBefore(3)
      yield* settle
      assert.deepStrictEqual((yield* found).cold, range(8, 12))
      const freed = (yield* maintainer.status).archive?.freedUnarchived ?? 0
      assert.isAtLeast(freed, 5)
      yield* TestClock.adjust("11 seconds")
      const told = lines.filter((line) => line.includes("onArchiveBehind: free"))
      assert.include(told[0], "are deleted when a limit asks for that")
      assert.strictEqual(told.filter((line) => line.includes("although the archive does not have it")).length, freed)
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "All")))

  it.effect("has no archive unless it was told of one", () =>
    Effect.gen(function*() {
      const { found, maintainer } = yield* started({ cold: range(0, 12), options: { limits } })
      assert.deepStrictEqual((yield* found).cold, range(8, 12))
      assert.isUndefined((yield* maintainer.status).archive)
      assert.deepStrictEqual(yield* maintainer.plan, [])
    }).pipe(Effect.scoped, quiet))
})
