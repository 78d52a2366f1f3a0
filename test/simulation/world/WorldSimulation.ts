/**
 * One run of a world is one seed: two or three machines, each with a disk, processes, a clock on the wall and a link of
 * its own, and one store between them. Processes own the log one after the other, and at the same time as far as each of
 * them knows: a machine may freeze before and after any request and go on later, its process may be killed, its power may
 * fail, its link be cut in one direction or both, and requests may be done late, twice, or without an answer.
 *
 * What was acknowledged as replicated is in the log of every later owner, with the same bytes, once and in order; no two
 * owners acknowledge different events under one id. At last everything is healed, and a machine that has nothing takes
 * over and records on.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Stream from "effect/Stream"
import * as Archive from "../../../src/archive/Archive.ts"
import * as ArchiveDisk from "../../../src/archive/ArchiveDisk.ts"
import { decodeManifest, manifestKey } from "../../../src/archive/Manifest.ts"
import { Disk } from "../../../src/disk/Disk.ts"
import * as Failover from "../../../src/failover/Failover.ts"
import { blocking, Compressor } from "../../../src/maintainer/Compressor.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import { Recorder } from "../../../src/recorder/Recorder.ts"
import * as Wal from "../../../src/recorder/WalParts.ts"
import type { Doorbell } from "../../../src/shared/Doorbell.ts"
import { ringUnsafe } from "../../../src/shared/Doorbell.ts"
import { SegmentArena } from "../../../src/shared/SegmentArena.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../../../src/shared/SegmentQueues.ts"
import { ObjectStore, StoreError } from "../../../src/store/ObjectStore.ts"
import { storeReason } from "../../../src/store/StoreReason.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../../src/testing/SimulatedStore.ts"
import { drawStoreFaults } from "../archive/ArchivedLife.ts"
import { makeThreadDisk } from "../ProcessDisk.ts"
import type { ThreadDisk } from "../ProcessDisk.ts"
import { Trace, Violation } from "../Trace.ts"
import { World } from "../World.ts"
import type { Thread } from "../World.ts"

export const log = "orders"
const directory = "/wal"
const startMillis = 1_700_000_000_000

/** Where a planted mistake gets in: the store as one process sees it. */
export type StoreSeam = (store: ObjectStore["Service"]) => ObjectStore["Service"]

export interface WorldRunOptions {
  readonly seed: number
  readonly isVerbose?: boolean
  /** Made anew for every process. */
  readonly seam?: () => StoreSeam
  /** `local` is a planted mistake: what it acknowledges counts as replicated here. */
  readonly acknowledge?: "local" | "replicated"
}

/** What came of a run. */
export interface WorldRun {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly hash: string
  readonly lines: ReadonlyArray<string>
  readonly openings: number
  readonly acknowledged: number
  readonly fenced: number
  readonly diverged: number
  readonly operations: number
}

type Link = "whole" | "cut" | "answers lost"

interface Machine {
  readonly name: string
  readonly simulated: SimulatedDisk.SimulatedDisk["Service"]
  /** By so much its clock on the wall is wrong. */
  skewMillis: number
  link: Link
  process: Process | undefined
}

interface Process {
  readonly name: string
  readonly thread: Thread
  readonly disk: ThreadDisk
  readonly doorbells: Set<Doorbell>
  hasEnded: boolean
}

/** What the world knows: every event that was acknowledged as replicated. */
class Model {
  readonly acknowledged = new Map<number, string>()
  openings = 0
  fenced = 0
  diverged = 0

  acknowledge(id: number, event: string): void {
    const before = this.acknowledged.get(id)
    if (before !== undefined && before !== event) {
      throw new Violation(`event ${id} was acknowledged as ${before}, and now as ${event}`)
    }
    this.acknowledged.set(id, event)
  }

  /** What a reader got of a log that was opened when so much was acknowledged. */
  read(
    who: string,
    events: ReadonlyArray<{ readonly id: number; readonly event: string }>,
    acknowledged: ReadonlyMap<number, string>
  ): void {
    const found = new Map<number, string>()
    const names = new Set<string>()
    let next: number | undefined
    for (const { event, id } of events) {
      if (next !== undefined && id !== next) throw new Violation(`${who} reads event ${id} where ${next} is due`)
      if (names.has(event)) throw new Violation(`${who} reads ${event} twice`)
      next = id + 1
      names.add(event)
      found.set(id, event)
    }
    for (const [id, event] of acknowledged) {
      const there = found.get(id)
      if (there === event) continue
      throw new Violation(`${who} reads ${there ?? "nothing"} as event ${id}, which was acknowledged as ${event}`)
    }
  }
}

export const runWorld = (options: WorldRunOptions): WorldRun => {
  const { stackTraceLimit } = Error
  if (options.isVerbose !== true) Error.stackTraceLimit = 0
  try {
    return new Simulation(options).run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

class Simulation {
  readonly #options: WorldRunOptions
  readonly #random: SeededRandom
  readonly #world: World
  readonly #trace: Trace
  readonly #model = new Model()
  readonly #store: SimulatedStore.SimulatedStore["Service"]
  readonly #machines: Array<Machine> = []
  readonly #processes: Array<Process> = []
  /** How often a machine freezes at a request. */
  readonly #freezeRate: number
  readonly #freezeMax: number
  #isHealthy = false
  #violation: Violation | undefined
  #count = 0

  constructor(options: WorldRunOptions) {
    this.#options = options
    const random = this.#random = new SeededRandom(options.seed)
    this.#trace = new Trace(options.isVerbose ?? false)
    this.#world = new World(random, startMillis, true)
    this.#store = Effect.runSync(SimulatedStore.make({ seed: random.uint32() }))
    this.#freezeRate = [0, 0.02, 0.1][random.below(3)]!
    this.#freezeMax = [100, 5000, 120_000][random.below(3)]!
    for (let left = 2 + random.below(2); left > 0; left--) this.#addMachine()
  }

  run(): WorldRun {
    const world = this.#world
    let exit: Exit.Exit<void> | undefined
    const fiber = Effect.runForkWith(this.#ambient(0))(this.#drive, { scheduler: world.main.scheduler })
    fiber.addObserver((ended) => {
      exit = ended
      if (Exit.isFailure(ended)) this.#died(ended.cause)
    })
    const outcome = world.run(() => exit !== undefined, startMillis + 365 * 24 * 3_600_000)
    if (this.#violation === undefined && outcome !== "done") {
      this.#violation = new Violation(`the run ended so: ${outcome}\n  ${this.#trace.recent.join("\n  ")}`)
    }
    for (const process of this.#processes) this.#silence(process)
    const { acknowledged, diverged, fenced, openings } = this.#model
    return {
      seed: this.#options.seed,
      violation: this.#violation,
      hash: this.#trace.hash,
      lines: this.#trace.lines,
      openings,
      acknowledged: acknowledged.size,
      fenced,
      diverged,
      operations: this.#machines.reduce((sum, { simulated }) => sum + Effect.runSync(simulated.operationCount), 0)
    }
  }

  #violated(violation: Violation): void {
    this.#violation ??= violation
    this.#world.isStopped = true
  }

  #died(cause: Cause.Cause<unknown>): void {
    if (this.#world.isStopped || Cause.hasInterruptsOnly(cause)) return
    const squashed = Cause.squash(cause)
    this.#violated(
      squashed instanceof Violation
        ? squashed
        : new Violation(`a defect or an unexpected error: ${Cause.pretty(cause)}`)
    )
  }

  #addMachine(): Machine {
    const random = this.#random
    const machine: Machine = {
      name: `m${this.#machines.length + 1}`,
      simulated: Effect.runSync(SimulatedDisk.make({ seed: random.uint32() })),
      skewMillis: random.chance(0.5) ? random.below(7_200_000) - 3_600_000 : 0,
      link: "whole",
      process: undefined
    }
    this.#machines.push(machine)
    return machine
  }

  #ambient(skewMillis: number): Context.Context<never> {
    const { clock } = this.#world
    const random = this.#random
    const skewed: Clock.Clock = {
      ...clock,
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + skewMillis,
      currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + skewMillis),
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(skewMillis) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + BigInt(skewMillis) * 1_000_000n)
    }
    return Context.empty().pipe(
      Context.add(Clock.Clock, skewed),
      Context.add(Random.Random, {
        nextIntUnsafe: () => random.uint32(),
        nextDoubleUnsafe: () => random.uint32() / 2 ** 32
      }),
      Context.add(References.MinimumLogLevel, "None"),
      Context.add(References.TracerEnabled, false),
      Context.add(Compressor, blocking)
    ) as Context.Context<never>
  }

  // -------------------------------------------------------------------------------------------------------------------
  // what happens to machines
  // -------------------------------------------------------------------------------------------------------------------

  readonly #drive: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      const random = this.#random
      for (let left = 10 + random.below(25); left > 0; left--) {
        const machine = this.#machines[random.below(this.#machines.length)]!
        yield* Effect.suspend(() => this.#happen(machine))
        yield* Effect.sleep(random.chance(0.5) ? random.below(200) : random.below(20_000))
      }
      yield* this.#end()
    })
  )

  #happen(machine: Machine): Effect.Effect<void> {
    const random = this.#random
    const { process } = machine
    switch (random.below(10)) {
      case 0:
      case 1:
      case 2:
        return process === undefined || process.hasEnded ? this.#start(machine, 1 + random.below(40)) : Effect.void
      case 3:
        return Effect.sync(() => this.#kill(machine))
      case 4:
        this.#kill(machine)
        return random.chance(0.3) ? Effect.orDie(machine.simulated.crash) : Effect.void
      case 5:
        return Effect.sync(() => this.#freeze(machine, random.below(this.#freezeMax)))
      case 6:
        return Effect.sync(() => {
          machine.link = (["whole", "whole", "cut", "answers lost"] as const)[random.below(4)]!
          this.#trace.add(`${machine.name}: its link is ${machine.link}`)
        })
      case 7:
        return this.#store.setFaults(drawStoreFaults(random))
      case 8:
        return random.chance(0.3) ? this.#store.setAway(true) : this.#store.setAway(false)
      default:
        return Effect.andThen(this.#store.heal, this.#store.setAway(false))
    }
  }

  #freeze({ name, process }: Machine, millis: number): void {
    if (process === undefined || process.thread.isFrozen || process.thread.isDead) return
    this.#trace.add(`${name}: freezes for ${millis} ms`)
    process.thread.isFrozen = true
    const thaw = Effect.delay(
      Effect.sync(() => {
        process.thread.isFrozen = false
        this.#trace.add(`${name}: goes on`)
      }),
      Math.max(1, millis)
    )
    Effect.runForkWith(this.#ambient(0))(thaw, { scheduler: this.#world.main.scheduler })
  }

  #kill(machine: Machine): void {
    const { process } = machine
    if (process === undefined || process.thread.isDead) return
    this.#trace.add(`${process.name}: is killed`)
    // The operating system gives back what the process had, in one step, and by what the process itself had prepared.
    process.thread.isFrozen = false
    this.#world.isUnbroken = true
    process.disk.abandon()
    process.thread.isDead = true
    this.#silence(process)
    machine.process = undefined
  }

  #silence({ doorbells }: Process): void {
    for (const doorbell of doorbells) {
      doorbell.waiters.clear()
      ringUnsafe(doorbell)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // a process
  // -------------------------------------------------------------------------------------------------------------------

  #start(machine: Machine, events: number): Effect.Effect<void> {
    return Effect.sync(() => {
      const process: Process = {
        name: `${machine.name}.${++this.#count}`,
        thread: this.#world.thread(),
        disk: makeThreadDisk({
          simulated: machine.simulated,
          trace: this.#trace,
          who: `${machine.name}.${this.#count}`,
          onPowerOff: () => {},
          onRelease: () => {
            this.#world.isUnbroken = true
          },
          listener: undefined
        }),
        doorbells: new Set(),
        hasEnded: false
      }
      machine.process = process
      this.#processes.push(process)
      this.#trace.add(`${process.name}: starts`)
      const fiber = Effect.runForkWith(this.#ambient(machine.skewMillis))(this.#live(machine, process, events), {
        scheduler: process.thread.scheduler
      })
      fiber.addObserver((exit) => {
        process.hasEnded = true
        if (Exit.isFailure(exit) && !process.thread.isDead) this.#died(exit.cause)
      })
    })
  }

  #layerOf(machine: Machine, process: Process) {
    const random = this.#random
    const seen = this.#options.seam?.() ?? ((store) => store)
    const foundation = Layer.mergeAll(
      Layer.succeed(Disk, process.disk.disk),
      Layer.succeed(ObjectStore, seen(this.#linked(machine, process)))
    )
    const recorder = Wal.layer({
      directory,
      segmentBytesMax: [256, 1024][random.below(2)]!,
      blockBytesMax: 256,
      limits: { maxSegments: 2, maxCompressedSegments: 2 },
      onArchiveBehind: "keep",
      acknowledge: this.#options.acknowledge ?? "replicated",
      drainMax: "20 seconds"
    })
    return Archive.layer({ log, owner: process.name, settleMax: [0, 5000][random.below(2)]! }).pipe(
      Layer.provideMerge(recorder),
      Layer.provideMerge(Failover.layer({
        log,
        directory,
        owner: process.name,
        every: [0, 100][random.below(2)]!,
        settleMax: [0, 5000][random.below(2)]!,
        tailObjects: 2 + random.below(8)
      })),
      Layer.provideMerge(foundation)
    )
  }

  /** The store as this machine reaches it; it may freeze before and after each request. */
  #linked(machine: Machine, process: Process): ObjectStore["Service"] {
    const { store } = this.#store
    const random = this.#random
    const step = Effect.suspend(() => {
      if (!this.#isHealthy && random.chance(this.#freezeRate)) this.#freeze(machine, random.below(this.#freezeMax))
      return Effect.yieldNow
    })
    const through = <A, E>(
      operation: StoreError["operation"],
      key: string,
      isWrite: boolean,
      request: Effect.Effect<A, E>
    ): Effect.Effect<A, E | StoreError> =>
      Effect.gen({ self: this }, function*() {
        const away = (isApplied: StoreError["isApplied"]) =>
          new StoreError({ reason: storeReason("Unreachable", "the link"), operation, key, isApplied })
        yield* step
        if (machine.link === "cut") return yield* away("no")
        const exit = yield* Effect.exit(request)
        yield* step
        const words = Exit.isSuccess(exit) ? "ok" : Cause.pretty(exit.cause).split("\n")[0]
        this.#trace.add(`${process.name} ${operation} ${key}: ${words}`)
        if (machine.link !== "whole") return yield* away(isWrite ? "unknown" : "no")
        return yield* exit
      })
    return ObjectStore.of({
      ...store,
      put: (key, content, given) => through("put", key, true, store.put(key, content, given)),
      get: (key, given) => through("get", key, false, store.get(key, given)),
      head: (key) => through("head", key, false, store.head(key)),
      list: (prefix, given) =>
        Stream.unwrap(Effect.as(through("list", prefix, false, Effect.void), store.list(prefix, given))),
      remove: (keys) => through("remove", keys[0] ?? "", true, store.remove(keys))
    })
  }

  /** Opens the log, looks at all of it, records, and ends in good order or as it must. */
  #live(machine: Machine, process: Process, events: number): Effect.Effect<void> {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const built = yield* Effect.result(Layer.build(this.#layerOf(machine, process)))
      if (built._tag === "Failure") {
        const error = built.failure
        this.#trace.add(`${process.name}: does not open: ${error.message}`)
        const isExpected = error._tag === "StoreError" || error._tag === "ArchiveError" &&
            ["Fenced", "Outdated"].includes(error.reason._tag) ||
          error._tag === "DiskError" && error.reason._tag === "Held"
        if (!isExpected && !this.#mayBeRotten(error)) throw new Violation(`the log does not open: ${error.message}`)
        return
      }
      const services = built.success
      this.#model.openings += 1
      const arena = Context.get(services, SegmentArena)
      process.doorbells.add(arena.work).add(arena.durable)
      for (
        const queue of [
          Context.get(services, SegmentsToPersist),
          Context.get(services, SegmentsToFreeze),
          Context.get(services, SegmentsToFree)
        ]
      ) {
        process.doorbells.add(queue.notEmpty).add(queue.notFull)
      }
      const recorder = Context.get(services, Recorder)
      const failover = Context.get(services, Failover.Failover)
      const { changes, epoch, replicatedId } = yield* failover.status
      this.#trace.add(
        `${process.name}: opened as epoch ${epoch} at event ${recorder.recovery.lastEventId}, replicated ${replicatedId}, ` +
          `restored ${changes.restored.join(" ")}`
      )
      if (changes.quarantine !== undefined) this.#model.diverged += 1
      const acknowledged = new Map(this.#model.acknowledged)
      yield* this.#look(process, epoch, acknowledged, this.#linked(machine, process))
      const record = Effect.gen({ self: this }, function*() {
        const random = this.#random
        for (let left = events; left > 0; left--) {
          const event = `${process.name}-${++this.#count}${"-".repeat(random.below(60))}`
          const result = yield* Effect.result(recorder.appendDurable(Buffer.from(event)))
          if (result._tag === "Failure") {
            this.#trace.add(`${process.name}: ${result.failure.message}`)
            if (result.failure.reason._tag === "Fenced") return
            throw new Violation(`an append failed by something else: ${result.failure.message}`)
          }
          this.#trace.add(`${process.name}: event ${result.success} is acknowledged`)
          this.#model.acknowledge(result.success, event)
          if (random.chance(0.1)) yield* Effect.ignore(recorder.rotate)
          if (random.chance(0.3)) yield* Effect.sleep(random.below(3000))
        }
      })
      yield* Effect.all([record, record], { concurrency: 2, discard: true })
      if ((yield* failover.status).state === "fenced") this.#model.fenced += 1
      // Some stay, idle, until something ends them.
      if (!this.#isHealthy && this.#random.chance(0.3)) yield* Effect.sleep(this.#random.below(600_000))
      this.#trace.add(`${process.name}: closes`)
    })) as Effect.Effect<void>
  }

  /** A store that gives rotten bytes may be told of in any way. */
  #mayBeRotten(error: { readonly _tag: string; readonly message: string }): boolean {
    return !this.#isHealthy && error._tag === "ArchiveError"
  }

  /** Everything that a reader of this machine and of the archive gets, while the log is this process's. */
  #look(process: Process, epoch: number, acknowledged: ReadonlyMap<number, string>, store: ObjectStore["Service"]) {
    return Effect.gen({ self: this }, function*() {
      const both = Layer.provide(
        ArchiveDisk.layer({ log, directory }),
        Layer.merge(Layer.succeed(Disk, process.disk.disk), Layer.succeed(ObjectStore, store))
      )
      const read = Stream.runCollect(Replay.events({ directory })).pipe(Effect.provide(both), Effect.result)
      const result = yield* read
      const manifest = (yield* this.#store.contents).get(manifestKey(log))!
      const { epoch: now } = yield* Effect.orDie(decodeManifest(manifestKey(log), manifest.bytes))
      if (now !== epoch) return
      if (result._tag === "Failure") {
        if (this.#isHealthy) throw new Violation(`${process.name} cannot read its log: ${result.failure.message}`)
        return
      }
      const events = result.success.map(({ bytes, id }) => ({ id, event: Buffer.from(bytes).toString() }))
      this.#model.read(process.name, events, acknowledged)
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------------------

  /** Everything works. A machine that has nothing takes over, and then those that had it before. */
  #end(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.#trace.add("everything is healed")
      this.#isHealthy = true
      yield* Effect.andThen(this.#store.heal, this.#store.setAway(false))
      for (const machine of this.#machines) {
        machine.link = "whole"
        if (this.#random.chance(0.5)) this.#kill(machine)
      }
      for (const machine of [this.#addMachine(), ...this.#machines]) yield* this.#recordsOn(machine)
    })
  }

  /** A sleeper that opens the log when it wakes takes it once more. Nobody else does. */
  #recordsOn(machine: Machine): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let left = 4; left > 0; left--) {
        const before = this.#model.acknowledged.size
        this.#kill(machine)
        yield* this.#start(machine, 2)
        yield* this.#untilEnded(machine)
        if (this.#model.acknowledged.size === before + 4) return
      }
      throw new Violation(`${machine.name} does not record on: ${this.#trace.recent.join("\n  ")}`)
    })
  }

  #untilEnded(machine: Machine): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let left = 600; left > 0; left--) {
        if (machine.process === undefined || machine.process.hasEnded) return
        yield* Effect.sleep(1000)
      }
      throw new Violation(`${machine.name} does not end: ${this.#trace.recent.join("\n  ")}`)
    })
  }
}
