/**
 * An application that writes segments of its own: it provides the queues and a maintainer, and nothing else of ours.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { decompressFrameSync } from "lz4-napi"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { lockName } from "../../src/disk/FileNames.ts"
import { coldName, hotName } from "../../src/format/SegmentName.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as SegmentMaintainerWorker from "../../src/maintainer/SegmentMaintainerWorker.ts"
import { SegmentProof } from "../../src/maintainer/steps/SegmentProof.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import { SegmentsToFreeze, SegmentsToPersist } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import { journal, naming, proof } from "./journal.ts"
import {
  foundation,
  inTime,
  look,
  NodeDisk,
  open,
  quiet,
  subjects,
  temporaryDirectory,
  watch,
  writeHot
} from "./maintaining.ts"
import { slowMillis } from "./slowProof.ts"

/** What an own writer has beside its maintainer: the disk, the queues, the counters. */
const beside = Layer.build(Layer.fresh(Layer.merge(NodeDisk.layer, foundation)))

describe.concurrent.each(subjects)("$name", ({ alone, executors }) => {
  it.live("keeps an application's own bytes, under its own names, by its own proof", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const services = yield* beside
      const { close, context } = yield* open(
        alone({
          directory,
          naming,
          limits: { maxSegments: 4, maxCompressedSegments: 6 },
          proofModule: new URL("./journal.ts", import.meta.url)
        }).pipe(
          Layer.provide(Layer.succeed(SegmentProof, proof)),
          Layer.provide(Layer.succeedContext(services))
        )
      )
      const maintainer = Context.get(context, SegmentMaintainer)
      const outcomes = yield* watch(maintainer)
      for (let segmentIndex = 0; segmentIndex < 12; segmentIndex++) {
        const whole = journal(segmentIndex, 50)
        const text = segmentIndex === 5 ? whole.slice(0, -4) : whole
        writeFileSync(join(directory, hotName(naming, segmentIndex)), text)
        const task = { segmentIndex, bytes: text.length }
        assert.isTrue(yield* TaskQueue.offer(Context.get(services, SegmentsToPersist), task))
      }
      yield* inTime("draining", maintainer.drain)
      const count = (tag: StepOutcome["_tag"]) => outcomes.filter(({ _tag }) => _tag === tag).length
      const free = count("Freed")
      assert.deepStrictEqual([count("Persisted"), count("Frozen")], [12, 9])
      // Where several are frozen side by side, a place may have been made for another while the damaged one still had
      // its own.
      assert.include(executors > 1 ? [3, 4] : [3], free)
      assert.deepStrictEqual(
        (yield* maintainer.failures).map(({ reason, segmentIndex, step }) => [step, segmentIndex, reason]),
        [["freeze", 5, "Corrupt"]]
      )
      const frozen = [0, 1, 2, 3, 4, 6, 7, 8, 9]
      const { counters } = yield* Context.get(services, Telemetry).snapshot
      assert.strictEqual(
        counters.compressionBytesIn,
        frozen.reduce((sum, segmentIndex) => sum + journal(segmentIndex, 50).length, 0)
      )
      yield* close
      assert.deepStrictEqual(
        readdirSync(directory).filter((name) => name !== lockName).sort(),
        [
          ...frozen.slice(free).map((segmentIndex) => coldName(naming, segmentIndex, "frame")),
          ...[5, 10, 11].map((segmentIndex) => hotName(naming, segmentIndex))
        ].sort()
      )
      for (const segmentIndex of [4, 9]) {
        const cold = readFileSync(join(directory, coldName(naming, segmentIndex, "frame")))
        assert.strictEqual(decompressFrameSync(cold).toString(), journal(segmentIndex, 50))
      }
    }).pipe(Effect.scoped, quiet))
})

// It only waits, so the others run beside it.
describe.concurrent("a worker", () => {
  it.live("is waited for when its scope closes, although the drain takes longer than 5 s", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const services = yield* beside
      const { close, context } = yield* open(
        SegmentMaintainerWorker.layerAlone({
          directory,
          limits: { maxSegments: 16, maxCompressedSegments: 64 },
          proofModule: new URL("./slowProof.ts", import.meta.url)
        }).pipe(Layer.provide(Layer.succeedContext(services)))
      )
      writeHot(directory, ...[0, 1, 2].map((segmentIndex) => ({ segmentIndex, bytes: Buffer.from("ours alone") })))
      for (const segmentIndex of [0, 1, 2]) {
        TaskQueue.offerUnsafe(Context.get(services, SegmentsToFreeze), { segmentIndex, bytes: 10 })
      }
      const begun = performance.now()
      yield* close
      assert.isAtLeast(performance.now() - begun, slowMillis - 1)
      assert.deepStrictEqual(yield* Context.get(context, SegmentMaintainer).failures, [])
      const { cold, hot, leftovers } = yield* look(directory).pipe(Effect.provideContext(services))
      assert.deepStrictEqual([cold, hot, leftovers], [[0, 1, 2], [], []])
    }).pipe(Effect.scoped, quiet))
})
