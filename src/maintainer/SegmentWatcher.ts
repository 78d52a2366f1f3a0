/**
 * Finds the segments that another process has finished, and offers each of them once to be persisted; retention
 * continues from there. Reads names, and the headers of the newest few files.
 *
 * A segment is finished when one with a higher index is closed, or when it is closed itself and not the newest. So the
 * newest segment is always left alone, and with it every open one that may still be written: the active one, one that
 * was prepared ahead of it, one that was filled and is not closed yet. When a writer crashes and leaves segments open,
 * they are finished as soon as the restarted writer has closed a later one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import { SegmentDirectory, segmentsOf } from "../disk/SegmentDirectory.ts"
import type { SegmentEntry } from "../disk/SegmentDirectory.ts"
import type { SegmentNaming } from "../format/SegmentName.ts"
import { annotated } from "../internal/annotated.ts"
import { requireOptions } from "../internal/options.ts"
import { readingFields } from "../reading/ReadingOptions.ts"
import { readHeader } from "../reading/segment/SegmentReader.ts"
import { SegmentsToPersist } from "../shared/SegmentQueues.ts"
import * as TaskQueue from "../shared/TaskQueue.ts"
import { adaptive } from "./executor/MaintainerSchedule.ts"

/**
 * The directory to watch.
 *
 * @since 0.1.0
 * @category models
 */
export interface WatchOptions {
  readonly directory: string
  readonly naming?: SegmentNaming
}

/**
 * Watches until it is interrupted: every 10 ms while segments are being finished, and less and less often, down to once
 * a second, while none are. A failure is logged once and tried again.
 *
 * @since 0.1.0
 * @category watching
 * @example
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { NodeDisk, SegmentMaintainer, SegmentQueues, Telemetry } from "effect-wal"
 *
 * // What `effect-wal maintain` does: another process writes the segments, this one maintains them.
 * const directory = "./log"
 * const MaintainerLive = SegmentMaintainer.layerAlone({ directory, writer: "other" }).pipe(
 *   Layer.provideMerge(Layer.mergeAll(SegmentQueues.layer, Telemetry.layer({ writersMax: 1 })))
 * )
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.forkChild(SegmentMaintainer.watch({ directory }))
 *   yield* Effect.sleep("20 millis") // in an application: until it is asked to end
 *   yield* Console.log(yield* (yield* SegmentMaintainer.SegmentMaintainer).drain) // => failures: 0
 * })
 *
 * await Effect.runPromise(program.pipe(Effect.provide(MaintainerLive), Effect.provide(NodeDisk.layer)))
 * ```
 */
export const watch: (options: WatchOptions) => Effect.Effect<never, never, Disk | SegmentsToPersist> = Effect
  .fnUntraced(function*(options: WatchOptions) {
    requireOptions("options", Schema.Struct(readingFields), options)
    const disk = yield* Disk
    const toPersist = yield* SegmentsToPersist
    const directory = new SegmentDirectory(options.directory, options.naming)
    let offeredThrough = -1
    let said = ""
    const look = Effect.gen(function*() {
      const finished = yield* finishedAfter(directory, offeredThrough)
      for (const { cold, hot, segmentIndex } of finished) {
        // A segment in both forms is in the middle of its freeze.
        if (hot && cold.length === 0) {
          const { bytes } = yield* disk.stat(directory.hotPath(segmentIndex))
          yield* TaskQueue.offer(toPersist, { segmentIndex, bytes })
        }
        offeredThrough = segmentIndex
      }
      said = ""
      return finished.length > 0
    }).pipe(Effect.catch((error) => {
      const isNew = error.message !== said
      said = error.message
      const log = annotated("SegmentWatcher", directory.path)(Effect.logWarning(error.message))
      return Effect.as(isNew ? log : Effect.void, false)
    }))
    yield* Effect.repeat(look, adaptive())
    return yield* Effect.never
  })

/** The finished segments after this index, oldest first. */
export const finishedAfter: (
  directory: SegmentDirectory,
  segmentIndex: number
) => Effect.Effect<ReadonlyArray<SegmentEntry>, DiskError, Disk> = Effect.fnUntraced(
  function*(directory: SegmentDirectory, segmentIndex: number) {
    const later = segmentsOf(yield* directory.scan).filter((entry) => entry.segmentIndex > segmentIndex)
    for (let position = later.length - 1; position >= 0; position--) {
      const entry = later[position]!
      const header = entry.cold.length > 0 ? undefined : yield* readHeader(directory.hotPath(entry.segmentIndex))
      if (entry.cold.length > 0 || (header !== undefined && header.closedNanos !== 0n)) {
        return later.slice(0, Math.min(position + 1, later.length - 1))
      }
    }
    return []
  }
)
