/**
 * The program that is killed while it uses a store over a log. It writes, with synchronous writes, one line of JSON for
 * everything that it is about to do, or was answered; `killQueue.ts`, `killKvs.ts` and `killEventlog.ts` hold these lines
 * against each other, and `killBuffer.ts` against what its collector has received.
 */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as PersistedQueue from "effect/persistence/PersistedQueue"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { writeSync } from "node:fs"
import * as WalOtlp from "../../src/buffer/WalOtlp.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as WalEventJournal from "../../src/eventlog/WalEventJournal.ts"
import * as WalEventLogServerUnencrypted from "../../src/eventlog/WalEventLogServerUnencrypted.ts"
import * as WalKvs from "../../src/kvs/WalKvs.ts"
import * as WalQueue from "../../src/queue/WalQueue.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { useJournal, useStorage } from "./eventlogVictim.ts"
import type { EventlogLine } from "./eventlogVictim.ts"

export interface StoreVictimOptions {
  readonly store: "queue" | "kvs" | "journal" | "eventlog" | "buffer"
  readonly layer: "fiber" | "worker"
  readonly directory: string
  readonly seed: number
  /** The first number that this life may use: for elements of a queue, as values, and for entries. */
  readonly first: number
  /** Takes what is in the queue, and ends in order, instead of going on until it is killed. */
  readonly drains: boolean
  /** Where a buffer sends to. */
  readonly origin: string
}

/** What the victim of a queue tells. */
export type QueueLine =
  | { readonly type: "open" }
  | { readonly type: "offers"; readonly element: number }
  | { readonly type: "accepted"; readonly element: number }
  | { readonly type: "acknowledged"; readonly element: number }
  | { readonly type: "begins"; readonly element: number; readonly attempts: number }
  /** The handler is about to succeed. */
  | { readonly type: "succeeds"; readonly element: number }

/** What the victim of a store of keys and values tells. A value that is null is none. */
export type KvsLine =
  | { readonly type: "open"; readonly has: Readonly<Record<string, number>> }
  | { readonly type: "changes"; readonly keys: ReadonlyArray<string>; readonly value: number | null }
  | { readonly type: "changed"; readonly keys: ReadonlyArray<string>; readonly value: number | null }

/** What the victim with a buffer of telemetry tells. */
export type BufferLine =
  | { readonly type: "offers"; readonly batch: number }
  | { readonly type: "accepted"; readonly batch: number }

const say = (line: QueueLine | KvsLine | BufferLine | EventlogLine): void => {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(1, bytes, done)
    } catch (error) {
      // The reader is slow; the line must get out before anything else happens.
      if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error
    }
  }
}

const options: StoreVictimOptions = JSON.parse(process.argv[2] ?? "{}")
const random = new SeededRandom(options.seed)
let next = options.first

class StoreLog extends Wal.Service<StoreLog>()("victim/StoreLog") {}

const walOptions = {
  directory: options.directory,
  segmentBytesMax: 64 * 1024,
  blockBytesMax: 16 * 1024,
  slots: 3,
  limits: { maxSegments: 3, maxCompressedSegments: 2 }
}
const log = (options.layer === "fiber" ? StoreLog.layer(walOptions) : StoreLog.layerWorker(walOptions)).pipe(
  Layer.provide(NodeDisk.layer)
)

const callers = 4
/** Elements that are not acknowledged; then a producer waits. */
const backlogMax = 100

const useQueue = Effect.gen(function*() {
  const queue = yield* PersistedQueue.make({
    name: "elements",
    schema: Schema.Struct({ element: Schema.Int, text: Schema.String }),
    maxAttempts: 1_000_000,
    retrySchedule: Schedule.spaced("5 millis")
  })
  const { counts } = yield* WalQueue.Queues
  say({ type: "open" })
  let open = (yield* counts).reduce((sum, { waiting }) => sum + waiting, 0)

  const produce = Effect.gen(function*() {
    while (true) {
      if (open >= backlogMax) yield* Effect.sleep(1)
      else {
        open += 1
        const element = next++
        say({ type: "offers", element })
        const offer = queue.offer({ element, text: "x".repeat(random.below(600)) }, {
          ...(element % 2 === 0 ? { id: `element ${element}` } : {}),
          ...(random.chance(0.2) ? { delay: random.below(30) } : {})
        })
        yield* offer
        say({ type: "accepted", element })
        // Of an id that is there, another offer does nothing.
        if (element % 2 === 0 && random.chance(0.2)) yield* offer
      }
    }
  })
  const work = queue.take(({ element }, { attempts }) =>
    Effect.gen(function*() {
      say({ type: "begins", element, attempts })
      if (random.chance(0.3)) yield* Effect.sleep(random.below(5))
      if (random.chance(0.2)) return yield* Effect.fail("refused")
      say({ type: "succeeds", element })
      return element
    })
  ).pipe(
    Effect.map((element) => {
      open -= 1
      say({ type: "acknowledged", element })
    }),
    Effect.catchIf((error) => error === "refused", () => Effect.void)
  )
  const all = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.all(Array.from({ length: callers }, () => effect), { concurrency: "unbounded", discard: true })
  if (!options.drains) return yield* Effect.all([all(produce), all(Effect.forever(work))], { concurrency: 2 })
  while ((yield* counts).some(({ waiting }) => waiting > 0)) yield* work
})

const useKvs = Effect.gen(function*() {
  const store = yield* KeyValueStore.KeyValueStore
  const has: Record<string, number> = {}
  for (const key of yield* store.keys) has[key] = Number(Buffer.from((yield* store.getUint8Array(key))!).toString())
  say({ type: "open", has })
  if (options.drains) return
  const caller = (place: number) => {
    const keys = Array.from({ length: 8 }, (_, index) => `${place}/${index}`)
    const change = (keys: ReadonlyArray<string>, value: number | null, effect: Effect.Effect<unknown, unknown>) => {
      say({ type: "changes", keys, value })
      return Effect.map(effect, () => say({ type: "changed", keys, value }))
    }
    return Effect.forever(Effect.suspend(() => {
      const key = keys[random.below(keys.length)]!
      const value = next++
      const padded = `${value}${" ".repeat(random.below(600))}`
      const kind = random.below(20)
      if (kind === 0) return change(keys, null, store.clearPrefix(`${place}/`))
      if (kind < 4) return change([key], null, store.remove(key))
      return change([key], value, kind < 8 ? store.set(key, Buffer.from(padded)) : store.set(key, padded))
    }))
  }
  yield* Effect.all(Array.from({ length: callers }, (_, place) => caller(place)), { concurrency: "unbounded" })
})

const useBuffer = Effect.gen(function*() {
  const client = yield* HttpClient.HttpClient
  const record = Effect.suspend(() => {
    const batch = next++
    say({ type: "offers", batch })
    const body = `${batch} ${"x".repeat(random.below(600))}`
    return Effect.map(
      client.execute(HttpClientRequest.bodyText(HttpClientRequest.post(`${options.origin}/v1/logs`), body)),
      ({ status }) => {
        if (status === 200) say({ type: "accepted", batch })
      }
    )
  })
  // One after the other, so their order in the log is that of their numbers.
  if (!options.drains) yield* Effect.forever(record)
})

const snapshotEvery = { bytes: "64KiB" } as const

/** Entries stay, so their snapshots grow. */
const entriesSnapshotEvery = { bytes: "1MiB" } as const

const tools = { say, random, first: options.first, drains: options.drains }

const programs: Readonly<Record<StoreVictimOptions["store"], Effect.Effect<unknown, unknown>>> = {
  queue: Effect.provide(
    useQueue,
    PersistedQueue.layer.pipe(Layer.provideMerge(WalQueue.layer(StoreLog, { snapshotEvery })), Layer.provide(log))
  ),
  kvs: Effect.provide(useKvs, WalKvs.layer(StoreLog, { snapshotEvery }).pipe(Layer.provide(log))),
  journal: Effect.provide(
    useJournal(tools),
    WalEventJournal.layer(StoreLog, { snapshotEvery: entriesSnapshotEvery }).pipe(Layer.provide(log))
  ),
  eventlog: Effect.provide(
    useStorage(tools),
    WalEventLogServerUnencrypted.layerStorage(StoreLog, { snapshotEvery: entriesSnapshotEvery }).pipe(
      Layer.provide(log)
    )
  ),
  buffer: Effect.provide(
    useBuffer,
    WalOtlp.layer(StoreLog, {
      origin: options.origin,
      retry: Schedule.spaced("2 millis"),
      shutdownTimeout: options.drains ? "30 seconds" : 0
    }).pipe(Layer.provide(FetchHttpClient.layer), Layer.provide(log))
  )
}

await Effect.runPromise(Effect.provideService(programs[options.store], References.MinimumLogLevel, "Error"))
