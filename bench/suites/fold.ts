/** Folding: a state machine is opened over a log without snapshots, so every event is read, decoded and applied. */
import type * as Contexts from "effect/Context"
import type * as Layers from "effect/Layer"
import type * as Disks from "../../src/disk/Disk.ts"
import type { Log } from "../../src/recorder/Log.ts"
import { eventsPerSecond } from "../harness/Suite.ts"
import type { Contestant, Opened, Suite } from "../harness/Suite.ts"

/** A log of so many events, which each round folds. */
const folding = async <Self, Event>(
  log: Contexts.Key<Self, Log<Event>>,
  layer: Layers.Layer<Self, unknown, Disks.Disk>,
  count: number,
  eventOf: (index: number) => Event,
  sizeOf: (event: Event) => number
): Promise<Opened> => {
  const Effect = await import("effect/Effect")
  const Layer = await import("effect/Layer")
  const ManagedRuntime = await import("effect/ManagedRuntime")
  const References = await import("effect/References")
  const Schema = await import("effect/Schema")
  const NodeDisk = await import("../../src/disk/NodeDisk.ts")
  const StateMachine = await import("../../src/state/StateMachine.ts")
  const quiet = Layer.succeed(References.MinimumLogLevel, "Error")
  const runtime = ManagedRuntime.make(layer.pipe(Layer.provide(NodeDisk.layer), Layer.provideMerge(quiet)))
  const events = Array.from({ length: count }, (_, index) => eventOf(index))
  await runtime.runPromise(Effect.flatMap(log, (log) => Effect.andThen(log.appendEach(events), log.flush)))
  const opening = Effect.flatMap(log, (log) =>
    StateMachine.make({
      log,
      state: Schema.Int,
      initial: 0,
      apply: (sum, event) => sum + sizeOf(event),
      snapshotEvery: {}
    }))
  return {
    round: async () => {
      const started = performance.now()
      const { recovery } = await runtime.runPromise(Effect.scoped(opening))
      const seconds = (performance.now() - started) / 1000
      if (recovery.foldedEvents !== count) throw new Error(`${recovery.foldedEvents} of ${count} events were folded`)
      return { measures: { events: count / seconds / 1e6 } }
    },
    close: () => runtime.dispose()
  }
}

const countOf = (quick: boolean): number => (quick ? 10_000 : 200_000)

const bytes: Contestant = {
  name: "bytes",
  note: "events of 32 bytes, nothing to decode",
  open: async ({ directory, quick }) => {
    const Wal = await import("../../src/recorder/Wal.ts")
    class Bytes extends Wal.Service<Bytes>()("bench/Bytes") {}
    const event = Buffer.alloc(32, 0x61)
    return folding(Bytes, Bytes.layer({ directory }), countOf(quick), (): Uint8Array => event, ({ length }) => length)
  }
}

const json: Contestant = {
  name: "JSON",
  note: "events { item, count }, each decoded by its schema",
  open: async ({ directory, quick }) => {
    const Schema = await import("effect/Schema")
    const Wal = await import("../../src/recorder/Wal.ts")
    const Moved = Schema.Struct({ item: Schema.String, count: Schema.Int })
    class Moves extends Wal.Service<Moves>()("bench/Moves", { event: Moved }) {}
    const eventOf = (index: number) => ({ item: `item ${index % 1000}`, count: 1 })
    return folding(Moves, Moves.layer({ directory }), countOf(quick), eventOf, ({ count }) => count)
  }
}

export const suite: Suite = {
  name: "fold",
  tables: [{
    name: "fold",
    title: "folding a log of small events into a state",
    metrics: [eventsPerSecond],
    reference: "bytes",
    contestants: [bytes, json]
  }]
}
