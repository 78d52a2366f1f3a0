/**
 * The maintainer in threads: its executors run in one, or in several (`workers`). The queues, the arena and the
 * telemetry are the same shared memory as in the other layer; the service and its guarantees are the same too. The
 * thread that appends never waits for the disk, and flushing uses blocking calls, which have the lowest latency.
 *
 * The first executor (the lead) flushes and persists; all of them freeze and free. All logs of a process share a few
 * threads, and one that floods does not starve the others (promise 51). When a thread dies, each executor in it is
 * replaced, and its successor finds every task. When the scope closes, the drain comes first, for as long as it takes;
 * then each executor closes its files, and a thread without executors ends.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { findThreadModule } from "../disk/ThreadModule.ts"
import { absent, moduleUrl, resolveUnsafe, whole, withDefault } from "../internal/options.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import type { SegmentQueues } from "../shared/SegmentQueues.ts"
import * as Queues from "../shared/SegmentQueues.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"
import { blocking, Compressor } from "./Compressor.ts"
import type { ExecutorHost } from "./executor/Supervisor.ts"
import { fiberHost } from "./FiberHost.ts"
import { workersMax } from "./MaintainerOptions.ts"
import type { AloneOptions, MaintainerOptions } from "./MaintainerOptions.ts"
import { make, SegmentMaintainer } from "./MaintainerService.ts"
import { loadProof } from "./steps/ProofModule.ts"
import { SegmentProof } from "./steps/SegmentProof.ts"
import * as MaintainerPool from "./threads/MaintainerPool.ts"
import type { ThreadDied } from "./threads/MaintainerThread.ts"
import type { SeatData } from "./threads/ThreadMessages.ts"

/**
 * How the threads are set up.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerOptions {
  /**
   * How many executors the maintainer has, each in another thread: 1 to 16; default: 1. More of them compress side by
   * side.
   */
  readonly workers?: number | undefined
  /**
   * A module that exports the `ProofMaker` to use as `proof`, for applications whose segments only they can prove. A
   * proof is code and cannot be sent to a thread, so the thread imports it.
   */
  readonly proofModule?: URL
  /**
   * Where a bundled application has `effect-wal/maintainerThread`, with `effect-wal/compressorThread` beside it under
   * that name and with the same ending. Default: in the package, or beside the application's bundle; where it is in
   * neither, the maintainer is a fiber of the application's thread, compresses there too, and warns. Only logs with the
   * same module share threads.
   */
  readonly threadModule?: URL
  /** A thread cannot be given code. Only a layer whose maintainer is a fiber takes a schedule. */
  readonly schedule?: never
}

/**
 * The maintainer of a recorder's arena, in one thread or several, which it shares with other logs.
 *
 * **Example** (Building a recorder of parts, in threads)
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import {
 *   NodeDisk,
 *   Recorder,
 *   SegmentArena,
 *   SegmentMaintainerWorker,
 *   SegmentQueues,
 *   Telemetry
 * } from "effect-wal"
 *
 * // What `layerWorker` of a log is made of, for an application that replaces a part.
 * const options = { directory: "./log", workers: 2 }
 * const layout = { version: 2, eventSize: 0, blockBytesMax: 1024 * 1024 } as const
 * const RecorderLive = Recorder.layer().pipe(
 *   Layer.provideMerge(SegmentMaintainerWorker.layer(options)),
 *   Layer.provideMerge(Layer.mergeAll(
 *     SegmentQueues.layer,
 *     SegmentArena.layer({ slots: 4, slotBytes: "1MiB", layout }),
 *     Telemetry.layer({ writersMax: 1 + options.workers })
 *   )),
 *   Layer.provide(NodeDisk.layer)
 * )
 *
 * const program = Effect.flatMap(Recorder.Recorder, ({ appendDurable }) => appendDurable(Buffer.from("hello")))
 *
 * await Effect.runPromise(Effect.flatMap(program, Console.log).pipe(Effect.provide(RecorderLive))) // => 1
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: MaintainerOptions & WorkerOptions
): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | SegmentArena | Telemetry> =>
  Layer.effect(
    SegmentMaintainer,
    Effect.gen(function*() {
      const arena = yield* SegmentArena
      return yield* make(options, arena, host(options))
    })
  )

/**
 * The same without a recorder of ours: the writer of the segments offers their files to the queues.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAlone = (
  options: AloneOptions & WorkerOptions
): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | Telemetry> =>
  Layer.effect(SegmentMaintainer, Effect.suspend(() => make(options, undefined, host(options))))

const Workers = Schema.Struct({
  workers: withDefault(whole("count", 1, workersMax), 1),
  proofModule: Schema.optional(moduleUrl),
  threadModule: Schema.optional(moduleUrl),
  schedule: Schema.optional(absent("none, since a thread cannot be given code"))
})

type Host = ExecutorHost<ThreadDied, Disk | SegmentQueues | Telemetry>

const host = (options: WorkerOptions): Host => {
  const { workers } = resolveUnsafe(Workers, options)
  const module = options.threadModule ?? findThreadModule("maintainerThread", import.meta.url)
  return module === undefined ? hostWithoutThreads(options) : hostInThreads(workers, module, options)
}

const hostInThreads = (workers: number, module: URL, options: WorkerOptions): Host => ({
  count: workers,
  spawn: Effect.fnUntraced(function*(seat) {
    const data: SeatData = {
      executor: seat.executor,
      options: seat.options,
      control: seat.control.buffer,
      arena: seat.arena?.buffer,
      queues: yield* Queues.memory,
      telemetry: (yield* Telemetry).buffer,
      proofModule: options.proofModule?.href
    }
    const { control: log, emit, warn } = seat
    return yield* MaintainerPool.run(module, { log, data, emit, warn })
  })
})

/** For an application in a bundle that has no module for threads. */
const hostWithoutThreads = (options: WorkerOptions): Host => {
  const { count, spawn } = fiberHost()
  return {
    count,
    spawn: (seat) => {
      seat.warn(
        "the application's bundle has no effect-wal/maintainerThread beside it, so maintainers run and compress in " +
          "the application's thread, and commits wait longer: see Bundled applications in docs/OPERATIONS.md"
      )
      return spawn(seat).pipe(
        Effect.provideService(Compressor, blocking),
        Effect.provideServiceEffect(SegmentProof, loadProof(options.proofModule?.href))
      )
    }
  }
}
