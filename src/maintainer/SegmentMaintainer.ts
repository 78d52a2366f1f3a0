/**
 * The maintainer of one directory: makes full segments durable, compresses the older ones, deletes the oldest, and
 * keeps the limits. This module is the service; it decides. An executor works (`MaintainerExecutor`); a layer runs it:
 * `SegmentMaintainer.layer` as a fiber of this runtime, `SegmentMaintainerWorker.layer` in a thread or in a pool of
 * threads. The service and the application's code are the same for all of them.
 *
 * What is guaranteed (the promises have the numbers of docs/RELIABILITY.md):
 *
 * 1. One maintainer at a time holds a directory (promise 23).
 * 2. Everything that is offered is persisted, frozen or freed, or is on the list of failures. A failure never stops the
 *    loop and never deletes anything.
 * 3. There are never more than `maxSegments` hot segments (with `onHotLimit: "wait"`) or `maxCompressedSegments` cold
 *    ones: the oldest is deleted before the next freeze starts. Two exceptions: a segment whose step was abandoned does
 *    not count, and a limit is exceeded rather than delete a segment that is held or that is newer than a hot one,
 *    because that would leave a hole in the log (promises 6 and 11).
 * 4. When the layer's scope closes, everything in the queues is worked off first. A deadline ends compression, never
 *    persisting (promise 7).
 * 5. An executor that dies is followed by another, which finds every task (promise 8). After too many deaths in a
 *    minute the maintainer is down: everything that waits for it fails with the reason.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type { Disk, DiskError } from "../disk/Disk.ts"
import { resolveUnsafe, schedule } from "../internal/options.ts"
import { SegmentArena } from "../shared/SegmentArena.ts"
import type { SegmentQueues } from "../shared/SegmentQueues.ts"
import type { Telemetry } from "../telemetry/Telemetry.ts"
import { fiberHost } from "./FiberHost.ts"
import type { AloneOptions, MaintainerOptions } from "./MaintainerOptions.ts"
import { make, SegmentMaintainer } from "./MaintainerService.ts"

export type { DrainReceipt } from "./Drain.ts"
export type { DurableHold } from "./DurableHolding.ts"
export type { HeldBackStatus } from "./HeldBackStatus.ts"
export { MaintainerDown, SegmentMaintainer } from "./MaintainerService.ts"
export type { Hold, MaintainerService, MaintainerStatus } from "./MaintainerService.ts"
export type { DurableHoldStatus } from "./retention/DurableHolds.ts"
export type { HoldStatus } from "./retention/Holds.ts"
export type { PerQueue } from "./retention/MaintainerState.ts"
export type { CatalogEntry } from "./retention/SegmentCatalog.ts"

/**
 * How the loop of a fiber runs. A thread cannot be given code, so `SegmentMaintainerWorker` takes no schedule; its loop
 * follows `sleepMin` and `sleepMax`.
 */
export type FiberOptions = {
  /**
   * When the loop looks for work again, of its own accord: its input is whether the last cycle has worked, its output
   * means nothing. A doorbell or a time to be met ends its sleeps early. It must not end, or the executor ends with it.
   * Default: `adaptive(sleepMin, sleepMax)`.
   */
  readonly schedule?: Schedule.Schedule<unknown, boolean>
}

/**
 * The executor is a fiber of this runtime.
 *
 * **Example** (Building a recorder of parts, with a schedule)
 *
 * ```ts
 * import { Console, Effect, Schedule } from "effect"
 * import { NodeDisk, Wal } from "effect-wal"
 *
 * class Events extends Wal.Service<Events>()("app/Events") {}
 *
 * // Looks for work once a minute. A commit or a full segment does not wait for that: it rings.
 * const EventsLive = Events.layer({ directory: "./log", schedule: Schedule.spaced("1 minute") })
 *
 * const program = Events.use(({ appendDurable }) => appendDurable(Buffer.from("hello")))
 *
 * await Effect.runPromise(
 *   Effect.flatMap(program, Console.log).pipe(Effect.provide(EventsLive), Effect.provide(NodeDisk.layer)) // => 1
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: MaintainerOptions & FiberOptions
): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | SegmentArena | Telemetry> =>
  Layer.effect(
    SegmentMaintainer,
    Effect.flatMap(SegmentArena, (arena) => make(options, arena, host(options)))
  )

/**
 * The same without a recorder of ours: the application that writes segments offers their files to the queues.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAlone = (
  options: AloneOptions & FiberOptions
): Layer.Layer<SegmentMaintainer, DiskError, Disk | SegmentQueues | Telemetry> =>
  Layer.effect(SegmentMaintainer, Effect.suspend(() => make(options, undefined, host(options))))

const Fibers = Schema.Struct({ schedule: Schema.optional(schedule) })

const host = (options: FiberOptions) => fiberHost(resolveUnsafe(Fibers, options).schedule)
