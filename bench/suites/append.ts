/**
 * Append, not durable: how fast events can be handed over in a burst. For effect-wal an event is handed over when it lies
 * in the arena, where the maintainer and every thread sees it; for a peer, when its call has returned or resolved.
 */
import { eventsPerSecond } from "../harness/Suite.ts"
import type { Contestant, Suite, Table } from "../harness/Suite.ts"
import type { Host } from "../harness/Wal.ts"
import type { PeerMaker } from "../peers/Peer.ts"
import { peers } from "../peers/peers.ts"

const mebibyte = 2 ** 20
/** Fits the arena of 64 MiB, length prefixes included. */
const burstBytes = 56 * mebibyte

const measured = (count: number, startedMillis: number) => ({
  measures: { events: count / (performance.now() - startedMillis) / 1000 }
})

const walUnsafe = (host: Host, eventBytes: number): Contestant => ({
  name: `effect-wal, ${host}`,
  note: "appendUnsafe, burst of 56 MiB within the arena of 64 MiB, maintainer running",
  open: async ({ directory, quick }) => {
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const wal = await openWal(host, { directory, limits: keepHot })
    const event = new Uint8Array(eventBytes).fill(0x61)
    const count = Math.floor((quick ? 8 * mebibyte : burstBytes) / (eventBytes + 4))
    const { writer } = wal.recorder
    return {
      round: async () => {
        await wal.settle()
        const started = performance.now()
        for (let i = 0; i < count; i++) {
          if (writer.appendUnsafe(event) <= 0) throw new Error("the burst does not fit the arena")
        }
        return measured(count, started)
      },
      close: wal.close
    }
  }
})

const walReserve = (eventBytes: number): Contestant => ({
  name: "effect-wal, reserved",
  note: "fixed event size, reserveUnsafe, 8 bytes at a time into the arena, publishUnsafe; thread",
  open: async ({ directory, quick }) => {
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const wal = await openWal("thread", { directory, limits: keepHot, eventSize: eventBytes })
    const count = Math.floor((quick ? 8 * mebibyte : burstBytes) / eventBytes)
    const { writer } = wal.recorder
    const { view } = writer
    return {
      round: async () => {
        await wal.settle()
        const started = performance.now()
        for (let i = 0; i < count; i++) {
          const at = writer.reserveUnsafe(eventBytes)
          if (at <= 0) throw new Error("the burst does not fit the arena")
          for (let offset = 0; offset < eventBytes; offset += 8) view.setFloat64(at + offset, i, true)
          writer.publishUnsafe()
        }
        return measured(count, started)
      },
      close: wal.close
    }
  }
})

const walEffect = (eventBytes: number): Contestant => ({
  name: "effect-wal, Effect append",
  note: "`yield* recorder.append(event)` for each event, in one fiber; thread",
  open: async ({ directory, quick }) => {
    const Effect = await import("effect/Effect")
    const { keepHot, openWal } = await import("../harness/Wal.ts")
    const wal = await openWal("thread", { directory, limits: keepHot })
    const event = new Uint8Array(eventBytes).fill(0x61)
    const count = Math.min(quick ? 20_000 : 500_000, Math.floor(burstBytes / (eventBytes + 4)))
    return {
      round: async () => {
        await wal.settle()
        const started = performance.now()
        await wal.run(Effect.gen(function*() {
          for (let i = 0; i < count; i++) yield* wal.recorder.append(event)
        }))
        return measured(count, started)
      },
      close: wal.close
    }
  }
})

const memoryCopy = (eventBytes: number): Contestant => ({
  name: "copy into shared memory",
  note: "the physical limit: TypedArray.set into a SharedArrayBuffer of 64 MiB and nothing else",
  open: async ({ quick }) => {
    const target = new Uint8Array(new SharedArrayBuffer(64 * mebibyte))
    const event = new Uint8Array(eventBytes).fill(0x61)
    const count = Math.floor((quick ? 8 * mebibyte : burstBytes) / eventBytes)
    return {
      round: async () => {
        const started = performance.now()
        for (let i = 0, at = 0; i < count; i++, at += eventBytes) target.set(event, at)
        return measured(count, started)
      },
      close: async () => {}
    }
  }
})

/** Events that a peer gets at once, where it takes batches. */
const batchEvents = 1000

const peer = (maker: PeerMaker, eventBytes: number): Contestant => ({
  name: maker.name,
  ...(maker.note === undefined ? {} : { note: maker.note }),
  open: async ({ directory, quick }) => {
    const opened = await maker.open(directory, false)
    const event = new Uint8Array(eventBytes).fill(0x61)
    const millisMax = quick ? 40 : 400
    return {
      round: async () => {
        let count = 0
        const started = performance.now()
        do {
          const accepted = opened.append(event, batchEvents)
          if (accepted instanceof Promise) await accepted
          count += batchEvents
        } while (performance.now() - started < millisMax && count * eventBytes < burstBytes)
        return measured(count, started)
      },
      close: async () => opened.close()
    }
  }
})

const table = (eventBytes: number, fullOnly: boolean): Table => ({
  name: `append ${eventBytes} B`,
  title: `events of ${eventBytes} bytes, not durable`,
  metrics: [eventsPerSecond],
  reference: "effect-wal, thread",
  fullOnly,
  contestants: [
    walUnsafe("thread", eventBytes),
    walUnsafe("fiber", eventBytes),
    walReserve(eventBytes),
    walEffect(eventBytes),
    memoryCopy(eventBytes),
    ...peers.filter(({ name }) => !name.endsWith("FULL")).map((maker) => peer(maker, eventBytes))
  ]
})

export const suite: Suite = { name: "append", tables: [table(64, false), table(256, true), table(4096, true)] }
