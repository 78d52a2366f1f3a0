/** effect-wal, opened for a contestant: a runtime that holds the layer, and what a round needs of it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as References from "effect/References"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import type { WalOptions } from "../../src/recorder/WalParts.ts"
import * as Arena from "../../src/shared/Arena.ts"
import * as Doorbell from "../../src/shared/Doorbell.ts"
import { SegmentArena } from "../../src/shared/SegmentArena.ts"
import { Telemetry } from "../../src/telemetry/Telemetry.ts"

/**
 * Who runs the maintainer: a fiber of the application (`Wal.layer`), whose calls to the disk are made by libuv's threads,
 * or by the thread that calls (`caller`, over `NodeDisk.layerBlocking`); a thread of its own, or three of them
 * (`Wal.layerWorker`).
 */
export type Host = "fiber" | "caller" | "thread" | "pool"

export interface OpenWal {
  readonly runtime: ManagedRuntime.ManagedRuntime<Wal.Parts, Wal.WalError>
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly telemetry: Telemetry["Service"]
  readonly arena: Arena.Arena
  readonly run: <A, E>(effect: Effect.Effect<A, E, Wal.Parts>) => Promise<A>
  /** Rotates, and waits until all slots but the empty active one are blank: the whole arena is free. */
  readonly settle: () => Promise<void>
  /** Waits until there is nothing to persist, freeze or free. */
  readonly rest: () => Promise<void>
  readonly close: () => Promise<void>
}

export const openWal = async (host: Host, options: WalOptions): Promise<OpenWal> => {
  const isFiber = host === "fiber" || host === "caller"
  const layer = (isFiber ? Wal.layer(options) : Wal.layerWorker({ ...options, workers: host === "pool" ? 3 : 1 }))
    .pipe(
      Layer.provide(host === "caller" ? NodeDisk.layerBlocking : NodeDisk.layer),
      Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Error"))
    )
  const runtime = ManagedRuntime.make(layer)
  const services = Effect.all({
    recorder: Recorder,
    maintainer: SegmentMaintainer,
    arena: SegmentArena,
    telemetry: Telemetry
  })
  const { arena, maintainer, recorder, telemetry } = await runtime.runPromise(services)
  // Once through everything, so that the maintainer's thread has started and its code is loaded before a clock runs.
  await runtime.runPromise(recorder.appendDurable(new Uint8Array(Math.max(1, arena.layout.eventSize))))

  const allBlank = (): boolean => {
    for (let slot = 0; slot < arena.slots; slot++) {
      const state = Arena.stateOf(arena, slot)
      if (state !== Arena.SlotState.Blank && state !== Arena.SlotState.Active) return false
    }
    return true
  }
  const settled = Effect.gen(function*() {
    yield* recorder.rotate
    while (true) {
      const seen = Doorbell.readUnsafe(arena.durable)
      if (allBlank()) return
      yield* Doorbell.wait(arena.durable, seen)
    }
  })
  return {
    runtime,
    recorder,
    maintainer,
    telemetry,
    arena,
    run: (effect) => runtime.runPromise(effect),
    settle: () => runtime.runPromise(settled),
    rest: async () => {
      await runtime.runPromise(settled)
      await runtime.runPromise(maintainer.drain)
    },
    close: () => runtime.dispose()
  }
}

/** Limits under which nothing becomes due for compression in a short run. */
export const keepHot = { maxSegments: 128, maxCompressedSegments: "unlimited" } as const
/** Limits under which every closed segment is frozen at once. */
export const freezeAll = { maxSegments: 4, maxCompressedSegments: "unlimited" } as const
