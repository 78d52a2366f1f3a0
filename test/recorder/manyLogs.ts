/**
 * `node --expose-gc manyLogs.js app|crowd|flood` opens many logs in one process and prints what it has seen, as JSON. A
 * process of its own, for threads, memory and descriptors of other tests would count.
 *
 * - `app`: three logs of different types, twenty tenants and a log that is closed and opened again fifty times, in one
 *   runtime, in threads and in fibers
 * - `crowd`: 64 logs in threads, with a commit in each
 * - `flood`: how long commits in a quiet log take, alone and while another log floods
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as LayerMap from "effect/LayerMap"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { readdirSync, readFileSync } from "node:fs"
import { stat } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import { small, temporaryDirectory } from "./fixtures.ts"

class Orders extends Wal.Service<Orders>()("test/Orders", {
  event: Schema.Struct({ log: Schema.String, cents: Schema.Int })
}) {}
class Words extends Wal.Service<Words>()("test/Words", { event: Schema.String }) {}
class Audit extends Wal.Service<Audit>()("test/Audit") {}

const threads = (): Array<string> =>
  readdirSync("/proc/self/task").flatMap((thread) => {
    try {
      return [readFileSync(`/proc/self/task/${thread}/comm`, "latin1").trim()]
    } catch {
      return []
    }
  })

const ours = (): number => threads().filter((name) => name.startsWith("wal-")).length

const residentMebibytes = (): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024

/** What a process holds of the system, after everything was collected that nobody holds. */
const held = async () => {
  for (let times = 0; times < 5; times++) {
    await setTimeout(10)
    globalThis.gc?.()
  }
  return {
    threads: threads().length,
    descriptors: readdirSync("/proc/self/fd").length,
    listeners: process.eventNames().reduce((count, name) => count + process.listenerCount(name), 0),
    mebibytesOfBuffers: Math.round(process.memoryUsage().arrayBuffers / 1024 / 1024)
  }
}

const eventsPerSegment = 8
const floodSegmentBytes = 1024 * 1024

const layerOf = (directory: string, isThread: boolean, more: Partial<Wal.WalOptions> = {}) =>
  isThread ? Audit.layerWorker({ ...small, ...more, directory }) : Audit.layer({ ...small, ...more, directory })

/** Node starts its own threads, and opens its own descriptors, with the first use. */
const first = Effect.gen(function*() {
  const root = yield* temporaryDirectory
  yield* Effect.promise(() => Promise.all(Array.from({ length: 64 }, () => stat("."))))
  yield* Effect.scoped(Effect.flatMap(Layer.build(layerOf(root, true)), (log) => Context.get(log, Audit).commit))
})

const textsOf = (log: string, count: number): Array<string> => Array.from({ length: count }, (_, at) => `${log} ${at}`)

const app = Effect.gen(function*() {
  const root = yield* temporaryDirectory
  const count = 400
  const tenants = Array.from({ length: 20 }, (_, at) => `tenant-${at}`)
  const reopenings = 50
  const perOpening = 8
  let threadsMost = 0
  const note = Effect.sync(() => {
    threadsMost = Math.max(threadsMost, ours())
  })

  const Logs = Layer.mergeAll(
    Orders.layerWorker({ ...small, directory: join(root, "orders") }),
    Words.layerWorker({ ...small, directory: join(root, "words"), workers: 2 }),
    Audit.layer({ ...small, directory: join(root, "audit") })
  )
  const record = <A>(
    log: {
      readonly append: (event: A) => Effect.Effect<number, unknown>
      readonly commit: Effect.Effect<unknown, unknown>
    },
    events: ReadonlyArray<A>
  ) =>
    Effect.forEach(
      events,
      (event, at) => Effect.andThen(log.append(event), at % 20 === 19 ? Effect.andThen(log.commit, note) : Effect.void),
      { discard: true }
    ).pipe(Effect.andThen(log.commit))

  yield* Effect.scoped(Effect.gen(function*() {
    const byTenant = yield* LayerMap.make((tenant: string) =>
      layerOf(join(root, tenant), Number(tenant.slice(7)) % 2 === 0)
    )
    const services = yield* Layer.build(Logs)
    const [orders, words, audit] = [
      Context.get(services, Orders),
      Context.get(services, Words),
      Context.get(services, Audit)
    ]
    const load = yield* Effect.forkChild(Effect.all([
      record(orders, textsOf("orders", count).map((log, cents) => ({ log, cents }))),
      record(words, textsOf("words", count)),
      record(audit, textsOf("audit", count).map((text) => Buffer.from(text))),
      Effect.forEach(tenants, (tenant) =>
        Effect.provide(
          Effect.flatMap(Audit, (log) => record(log, textsOf(tenant, count / 4).map((text) => Buffer.from(text)))),
          byTenant.get(tenant)
        ), { concurrency: "unbounded" })
    ], { concurrency: "unbounded" }))
    for (let opening = 0; opening < reopenings; opening++) {
      const events = textsOf("again", (opening + 1) * perOpening).slice(-perOpening).map((text) => Buffer.from(text))
      yield* Effect.provide(
        Effect.flatMap(Audit, (log) => record(log, events)),
        Layer.fresh(layerOf(join(root, "again"), opening % 2 === 0))
      )
    }
    yield* Fiber.join(load)
  }))

  const wrong: Array<string> = []
  const check = <E>(name: string, texts: Stream.Stream<string, E, never>, wanted: number) =>
    Effect.map(Stream.runCollect(texts), (found) => {
      if (JSON.stringify(found) !== JSON.stringify(textsOf(name, wanted))) wrong.push(`${name}: ${found.length} events`)
    })
  const bytesIn = (name: string) =>
    Audit.reader({ directory: join(root, name) }).events().pipe(
      Stream.map(({ event }) => Buffer.from(event).toString()),
      Stream.provide(NodeDisk.layer)
    )
  yield* check(
    "orders",
    Orders.reader({ directory: join(root, "orders") }).events().pipe(
      Stream.map(({ event }) => event.log),
      Stream.provide(NodeDisk.layer)
    ),
    count
  )
  yield* check(
    "words",
    Words.reader({ directory: join(root, "words") }).events().pipe(
      Stream.map(({ event }) => event),
      Stream.provide(NodeDisk.layer)
    ),
    count
  )
  yield* check("audit", bytesIn("audit"), count)
  for (const tenant of tenants) yield* check(tenant, bytesIn(tenant), count / 4)
  yield* check("again", bytesIn("again"), reopenings * perOpening)
  return { wrong, threadsMost }
})

const crowd = Effect.gen(function*() {
  const root = yield* temporaryDirectory
  const logs = 64
  const before = residentMebibytes()
  return yield* Effect.scoped(Effect.gen(function*() {
    const opened = yield* Effect.forEach(
      Array.from({ length: logs }, (_, at) => join(root, String(at))),
      (directory) => Effect.map(Layer.build(layerOf(directory, true)), Context.get(Audit)),
      { concurrency: "unbounded" }
    )
    for (let round = 0; round < 5; round++) {
      yield* Effect.forEach(opened, (log) => log.appendDurable(Buffer.from("hello")), { concurrency: "unbounded" })
    }
    return { threadsMost: ours(), mebibytesPerLog: (residentMebibytes() - before) / logs }
  }))
})

/** Rounds alone and beside the flood in turn: a slow moment of the machine slows both. */
const flood = Effect.gen(function*() {
  const root = yield* temporaryDirectory
  return yield* Effect.scoped(Effect.gen(function*() {
    const open = (name: string, more: Partial<Wal.WalOptions> = {}) =>
      Effect.map(Layer.build(layerOf(join(root, name), true, more)), Context.get(Audit))
    // More than there are threads, so the flood shares one with others.
    const quiet = yield* Effect.forEach(["a", "b", "c", "d", "e", "f"], (name) => open(name))
    const flooded = yield* open("flood", { segmentBytesMax: floodSegmentBytes, slots: 16, onHotLimit: "exceed" })
    const segments = Effect.map(flooded.positions, ({ durable }) => durable / eventsPerSegment)
    const commits = Effect.gen(function*() {
      const millis: Array<number> = []
      const waitedFor: Array<number> = []
      for (let commit = 0; commit < 48; commit++) {
        const begun = performance.now()
        const before = yield* segments
        yield* quiet[commit % quiet.length]!.appendDurable(Buffer.from("hello"))
        millis.push(performance.now() - begun)
        waitedFor.push((yield* segments) - before)
        yield* Effect.sleep(1)
      }
      return { millis, waitedFor }
    })
    const events = Array.from(
      { length: eventsPerSegment },
      () => new Uint8Array(floodSegmentBytes / eventsPerSegment - 4)
    )
    const flooding = Effect.forever(Effect.andThen(flooded.appendEach(events), Effect.yieldNow))
    yield* commits
    const alone: Array<number> = []
    const beside: Array<number> = []
    const waitedFor: Array<number> = []
    for (let round = 0; round < 2; round++) {
      alone.push(...(yield* commits).millis)
      const fiber = yield* Effect.forkChild(flooding)
      const found = yield* commits
      beside.push(...found.millis)
      waitedFor.push(...found.waitedFor)
      yield* Fiber.interrupt(fiber)
      yield* flooded.flush
    }
    const p99 = (millis: Array<number>): number => millis.toSorted((a, b) => a - b)[Math.floor(millis.length * 0.99)]!
    return {
      threadsMost: ours(),
      alone: p99(alone),
      beside: p99(beside),
      segmentsOfFlood: yield* segments,
      segmentsWaitedFor: Math.max(...waitedFor)
    }
  }))
})

const programs: Readonly<Record<string, Effect.Effect<object, unknown, Disk | Scope.Scope>>> = { app, crowd, flood }

const run = <A>(effect: Effect.Effect<A, unknown, Disk | Scope.Scope>) =>
  Effect.runPromise(Effect.provide(Effect.scoped(effect), Layer.merge(NodeDisk.layer, Logger.layer([]))))

/** The compressing thread ends a second after its last user. */
const heldAtRest = async () => {
  for (let look = 0; look < 100 && ours() > 0; look++) await setTimeout(100)
  return held()
}

await run(first)
const before = await heldAtRest()
const found = await run(programs[process.argv[2] ?? ""] ?? Effect.die("app, crowd or flood"))
const after = await heldAtRest()
process.stdout.write(`${JSON.stringify({ ...found, before, after })}\n`)
