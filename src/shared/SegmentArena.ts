/**
 * The arena of one recorder as a service: the memory between the thread that appends and the executor that writes.
 * `Wal` makes one; an application that builds a recorder from its parts provides this layer.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { requireSize } from "../internal/arguments.ts"
import type { SizeInput } from "../internal/notations.ts"
import * as Arena from "./Arena.ts"
import * as Doorbell from "./Doorbell.ts"

export type { SegmentLayout } from "../format/SegmentLayout.ts"
export type { Arena, HeldBack } from "./Arena.ts"

/**
 * The arena of one recorder.
 *
 * @since 0.1.0
 * @category services
 */
export class SegmentArena extends Context.Service<SegmentArena, Arena.Arena>()("effect-wal/shared/SegmentArena") {}

/**
 * How an arena is made.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArenaOptions extends Omit<Arena.ArenaOptions, "slotBytes"> {
  /** The payload of a slot. */
  readonly slotBytes: SizeInput
}

/**
 * A new arena, all slots blank.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ slotBytes, ...options }: ArenaOptions): Layer.Layer<SegmentArena> =>
  Layer.effect(
    SegmentArena,
    Effect.acquireRelease(
      Effect.sync(() => Arena.makeUnsafe({ ...options, slotBytes: requireSize("slotBytes", slotBytes, 1) })),
      // The runtime keeps the memory of a doorbell that was waited for until it rings.
      (arena) =>
        Effect.sync(() => {
          Doorbell.ringUnsafe(arena.work)
          Doorbell.ringUnsafe(arena.durable)
        })
    )
  )
