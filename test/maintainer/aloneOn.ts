/** A maintainer of an application's own segments; its queues are the test's. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Disk } from "../../src/disk/Disk.ts"
import { blocking } from "../../src/maintainer/Compressor.ts"
import type { RawCompressor } from "../../src/maintainer/Compressor.ts"
import { layerAlone, SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { SegmentsToFree, SegmentsToFreeze } from "../../src/shared/SegmentQueues.ts"
import * as TaskQueue from "../../src/shared/TaskQueue.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"
import { buildWal } from "../fixtures/segments.ts"
import { foundation, hotPath, open, put, settle, simulated } from "./maintaining.ts"
import type { Kind } from "./maintaining.ts"

const directory = "/wal"

/** Twelve segments of a kind, and a maintainer of them. */
export const aloneOn =
  (kind: Kind) => (compressor: RawCompressor = blocking, options: { readonly drainMax?: number } = {}) =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Layer.merge(foundation, simulated({}, compressor)))
      const disk = Context.get(services, Disk)
      const segments = buildWal({ layout: kind.layout, segments: Array.from({ length: 12 }, () => 30) })
      yield* disk.makeDirectory(directory)
      for (const { bytes, segmentIndex } of segments) {
        yield* Effect.provideService(put(hotPath(directory, segmentIndex), bytes), Disk, disk)
      }
      const opened = yield* open(
        layerAlone({ directory, limits: { maxSegments: 32, maxCompressedSegments: 64 }, ...options })
          .pipe(
            Layer.provide(Layer.succeedContext(services))
          )
      )
      yield* settle
      const maintainer = Context.get(opened.context, SegmentMaintainer)
      const cycles = Effect.map(Context.get(services, Telemetry).snapshot, (snapshot) => snapshot.lifecycle.cycles)
      const freeze = (...segmentIndices: ReadonlyArray<number>) => {
        for (const segmentIndex of segmentIndices) {
          TaskQueue.offerUnsafe(Context.get(services, SegmentsToFreeze), { segmentIndex, bytes: 0 })
        }
      }
      const free = (segmentIndex: number) => {
        TaskQueue.offerUnsafe(Context.get(services, SegmentsToFree), { segmentIndex, bytes: 0 })
      }
      return { ...opened, services, maintainer, cycles, freeze, free }
    })
