/** The journals and storages that the rulings on event logs are held to: Effect's own two of each, and ours. */
import type * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as EventJournal from "effect/eventlog/EventJournal"
import * as EventLogServerEncrypted from "effect/eventlog/EventLogServerEncrypted"
import * as EventLogServerUnencrypted from "effect/eventlog/EventLogServerUnencrypted"
import * as SqlEventJournal from "effect/eventlog/SqlEventJournal"
import * as SqlEventLogServerEncrypted from "effect/eventlog/SqlEventLogServerEncrypted"
import * as SqlEventLogServerUnencrypted from "effect/eventlog/SqlEventLogServerUnencrypted"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as WalEventJournal from "../../src/eventlog/WalEventJournal.ts"
import * as WalEventLogServerEncrypted from "../../src/eventlog/WalEventLogServerEncrypted.ts"
import * as WalEventLogServerUnencrypted from "../../src/eventlog/WalEventLogServerUnencrypted.ts"
import type { Log } from "../../src/recorder/Log.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import * as SqliteClient from "../fixtures/sqliteClient.ts"
import { quiet } from "../maintainer/maintaining.ts"
import { temporaryDirectory, threadModule } from "../recorder/fixtures.ts"

export class EventsLog extends Wal.Service<EventsLog>()("test/EventsLog") {}

/** A log of little memory, whose segments are soon full. */
export const logOptions = {
  directory: "/events",
  segmentBytesMax: 64 * 1024,
  blockBytesMax: 16 * 1024,
  slots: 3
} as const

/** Makes a service over a log. */
type LayerOf<I> = (
  log: Context.Key<EventsLog, Log<Uint8Array>>
) => Layer.Layer<I, { readonly message: string }, EventsLog>

/** Ours, on the disk of the context. */
export const overLog = <I>(layer: LayerOf<I>) => Layer.provideMerge(layer(EventsLog), EventsLog.layer(logOptions))

export interface Subject<S> {
  readonly name: string
  /** The service; it ends with the scope. */
  readonly open: Effect.Effect<S, never, Scope.Scope>
  /** It is opened again before every call, so what lives in memory alone ends. */
  readonly isReopened: boolean
  readonly lacks: ReadonlySet<Lack>
}

export type Lack =
  /** A journal that was destroyed cannot be used any more. */
  | "life after its end"
  /** What was written in a transaction that failed is there. */
  | "transactions"
  /** An entry that comes twice is two, or an error. */
  | "single entries"

/** A service that is opened again before every call, unless another call is under way. */
const reopened = <S extends object, R>(open: Effect.Effect<S, never, Scope.Scope | R>) =>
  Effect.gen(function*() {
    const outer = yield* Effect.scope
    const context = yield* Effect.context<R>()
    const fresh = Effect.gen(function*() {
      const scope = yield* Scope.fork(outer)
      return { scope, service: yield* Effect.provideContext(Scope.provide(open, scope), context) }
    })
    let opened = yield* fresh
    let busy = 0
    const oneAtATime = Semaphore.makeUnsafe(1)
    const renewed = oneAtATime.withPermit(Effect.suspend(() => {
      if (busy++ > 0) return Effect.succeed(opened.service)
      return Scope.close(opened.scope, Exit.void).pipe(
        Effect.andThen(fresh),
        Effect.map((next) => (opened = next).service)
      )
    }))
    const calling = <A, E, R>(call: (service: S) => Effect.Effect<A, E, R>) =>
      Effect.ensuring(Effect.flatMap(renewed, call), Effect.sync(() => busy--))
    const member = (name: keyof S, value: unknown): unknown => {
      if (name === "withLock") return value
      if (Effect.isEffect(value)) return calling((service) => service[name] as Effect.Effect<unknown>)
      if (typeof value !== "function") return value
      return (...args: ReadonlyArray<unknown>) => {
        const call = (service: S) => (service[name] as (...args: ReadonlyArray<unknown>) => unknown)(...args)
        if (name === "changes") {
          return Stream.unwrap(calling((service) => Effect.sync(() => call(service) as Stream.Stream<unknown>)))
        }
        return calling((service) => call(service) as Effect.Effect<unknown>)
      }
    }
    const entries = Object.entries(opened.service).map(([name, value]) => [name, member(name as keyof S, value)])
    return Object.fromEntries(entries) as S
  })

const opened = <I, S>(key: Context.Key<I, S>, layer: Layer.Layer<I, unknown>): Effect.Effect<S, never, Scope.Scope> =>
  Effect.flatMap(Layer.build(Layer.fresh(layer)), (context) => Effect.provideContext(key, context)).pipe(Effect.orDie)

/** Each on a disk of its own. */
const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(
    Layer.build(Layer.fresh(SimulatedDisk.layer({ seed: 1 }))),
    (context) => Effect.provideContext(effect, context)
  )

const subjectsOf = <I, S extends object>(options: {
  readonly key: Context.Key<I, S>
  readonly memory: Layer.Layer<I>
  readonly sql: Layer.Layer<I, unknown>
  readonly ours: LayerOf<I>
  readonly memoryLacks?: ReadonlyArray<Lack>
  readonly sqlLacks?: ReadonlyArray<Lack>
}): ReadonlyArray<Subject<S>> => {
  const { key, memory, memoryLacks, ours, sql, sqlLacks } = options
  const openOurs = Effect.flatMap(
    Layer.build(Layer.fresh(overLog(ours))),
    (context) => Effect.provideContext(key, context)
  ).pipe(Effect.orDie) as Effect.Effect<S, never, Scope.Scope | Disk>
  const inThread = Effect.flatMap(temporaryDirectory, (directory) =>
    opened(
      key,
      ours(EventsLog).pipe(
        Layer.provide(EventsLog.layerWorker({ ...logOptions, directory, threadModule })),
        Layer.provide(NodeDisk.layer)
      )
    ))
  const ourOwn = { lacks: new Set<Lack>(), isReopened: false }
  return [
    {
      name: "Effect's, in memory",
      open: opened(key, memory),
      isReopened: false,
      lacks: new Set(memoryLacks)
    },
    { name: "Effect's, SQLite", open: opened(key, sql), isReopened: false, lacks: new Set(sqlLacks) },
    { name: "a log", open: onDisk(openOurs), ...ourOwn },
    { name: "a log with a thread", open: inThread, ...ourOwn },
    { name: "a log, opened again before every call", open: onDisk(reopened(openOurs)), ...ourOwn, isReopened: true }
  ].map((subject) => ({ ...subject, open: quiet(subject.open) }))
}

const sqlite = SqliteClient.layer(":memory:")

export const journals = subjectsOf({
  key: EventJournal.EventJournal,
  memory: EventJournal.layerMemory,
  sql: Layer.provide(SqlEventJournal.layer(), sqlite),
  ours: (log) => WalEventJournal.layer(log),
  sqlLacks: ["life after its end"]
})

export const storages = subjectsOf({
  key: EventLogServerUnencrypted.Storage,
  memory: EventLogServerUnencrypted.layerStorageMemory,
  sql: Layer.provide(SqlEventLogServerUnencrypted.layerStorage(), sqlite),
  ours: (log) => WalEventLogServerUnencrypted.layerStorage(log),
  memoryLacks: ["transactions", "single entries"],
  sqlLacks: ["single entries"]
})

export const encryptedStorages = subjectsOf({
  key: EventLogServerEncrypted.Storage,
  memory: EventLogServerEncrypted.layerStorageMemory,
  sql: Layer.provide(SqlEventLogServerEncrypted.layerStorage(), Layer.merge(sqlite, Digest.layerWebCrypto)),
  ours: (log) => WalEventLogServerEncrypted.layerStorage(log)
})
