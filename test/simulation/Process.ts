/**
 * One process on the simulated machine: the recorder and its maintainer, put together from the layers that the package is
 * made of, with executors that can die.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as References from "effect/References"
import type * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import * as Compressor from "../../src/maintainer/Compressor.ts"
import * as MaintainerExecutor from "../../src/maintainer/executor/MaintainerExecutor.ts"
import type { ExecutorHost, ExecutorSeat } from "../../src/maintainer/executor/Supervisor.ts"
import { make as makeMaintainer, SegmentMaintainer } from "../../src/maintainer/MaintainerService.ts"
import type { StepOutcome } from "../../src/maintainer/steps/StepOutcome.ts"
import type { VerifyFault } from "../../src/reading/recovery/Verify.ts"
import type { ReplayOptions } from "../../src/reading/Replay.ts"
import type { ReplayFailure } from "../../src/reading/ReplayError.ts"
import type { RecordedEvent } from "../../src/reading/segment/BlockEvents.ts"
import { layer as recorderLayer } from "../../src/recorder/Recorder.ts"
import type { Recorder } from "../../src/recorder/Recorder.ts"
import { layoutOf } from "../../src/recorder/WalParts.ts"
import type { Parts, WalError } from "../../src/recorder/WalParts.ts"
import type * as Arena from "../../src/shared/Arena.ts"
import type { Doorbell } from "../../src/shared/Doorbell.ts"
import { ringUnsafe } from "../../src/shared/Doorbell.ts"
import { layer as arenaLayer, SegmentArena } from "../../src/shared/SegmentArena.ts"
import * as SegmentQueues from "../../src/shared/SegmentQueues.ts"
import { SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "../../src/shared/SegmentQueues.ts"
import * as Telemetry from "../../src/telemetry/Telemetry.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import type { DirectoryListener, ThreadDisk } from "./ProcessDisk.ts"
import { ExecutorDeath, makeThreadDisk } from "./ProcessDisk.ts"
import { slotBytesOf } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"
import type { Trace } from "./Trace.ts"
import type { World } from "./World.ts"

/** An executor, as long as it lives. */
export type ExecutorRun = Effect.Effect<void, never, SegmentQueues.SegmentQueues | Telemetry.Telemetry>

export type ReplayedEvents = Stream.Stream<RecordedEvent, ReplayFailure, Disk>

/** Where a planted bug gets in. */
export interface Seams {
  /** The disk as the process sees it. */
  readonly disk?: (disk: Disk["Service"]) => Disk["Service"]
  /** An executor, before it runs. */
  readonly executor?: (run: ExecutorRun, seat: ExecutorSeat) => ExecutorRun
  /** The maintainer as the recorder and the workload see it. */
  readonly maintainer?: (service: SegmentMaintainer["Service"]) => SegmentMaintainer["Service"]
  /** The recorder as the workload sees it. */
  readonly recorder?: (service: Recorder["Service"], arena: Arena.Arena) => Recorder["Service"]
  /** A replay, and the faults that verification reports. */
  readonly replay?: (events: ReplayedEvents) => ReplayedEvents
  readonly verified?: (faults: ReadonlyArray<VerifyFault>) => ReadonlyArray<VerifyFault>
  /** What an executor reports. */
  readonly outcome?: (outcome: StepOutcome) => StepOutcome
  /** What a replay is asked for. */
  readonly replaying?: (options: ReplayOptions) => ReplayOptions
  /** The clock of the process. */
  readonly clock?: (clock: Clock.Clock) => Clock.Clock
  /** Events as a replay hands them out. */
  readonly replayed?: (id: number, bytes: Uint8Array) => { readonly id: number; readonly bytes: Uint8Array } | undefined
}

type HoldOptions = Parameters<SegmentMaintainer["Service"]["hold"]>[0]

export interface PerTask {
  persist: number
  freeze: number
  free: number
}

export interface Process {
  readonly disk: Disk["Service"]
  readonly maintainerLayer: Layer.Layer<Exclude<Parts, Recorder>, WalError>
  /** To be built with what `maintainerLayer` made. */
  readonly recorderLayer: Layer.Layer<Recorder, WalError, Exclude<Parts, Recorder>>
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** How many steps the executors have reported as done. */
  readonly reported: PerTask
  /** Whether an executor has died. */
  readonly hasDied: () => boolean
  /** An executor dies in the middle of a disk operation, with a defect. */
  readonly hurtExecutor: () => void
  /** An executor's thread is gone from one moment to the next. */
  readonly killExecutor: () => void
  /** The process is gone: closes its files and gives back its locks. */
  readonly abandon: () => void
  /** Whoever waits at a doorbell waits in vain; gives back what the runtime keeps for them. */
  readonly silence: () => void
}

/** An executor that runs on a thread of its own. */
interface RunningExecutor {
  readonly hurt: () => void
  readonly kill: () => void
}

export const makeProcess = (options: {
  readonly scenario: Scenario
  readonly world: World
  readonly simulated: SimulatedDisk["Service"]
  readonly trace: Trace
  readonly random: SeededRandom
  readonly seams: Seams
  /** Is told of what executors change in the directory. */
  readonly listener: DirectoryListener
}): Process => {
  const { random, scenario, seams, trace, world } = options
  const { wal } = scenario
  const threadDisks: Array<ThreadDisk> = []
  const makeDisk = (who: string, listener?: DirectoryListener): ThreadDisk => {
    const stop = () => {
      world.isStopped = true
    }
    const onRelease = () => {
      world.isUnbroken = true
    }
    const made = makeThreadDisk({ simulated: options.simulated, trace, who, onPowerOff: stop, onRelease, listener })
    threadDisks.push(made)
    return seams.disk === undefined ? made : { ...made, disk: seams.disk(made.disk) }
  }
  const mainDisk = makeDisk("main")
  const running = new Map<number, RunningExecutor>()
  const doorbells = new Set<Doorbell>()
  let died = false
  const reported = { persist: 0, freeze: 0, free: 0 }

  const ambient = Context.empty().pipe(
    Context.add(Clock.Clock, seams.clock?.(world.clock) ?? world.clock),
    Context.add(Random.Random, {
      nextIntUnsafe: () => random.uint32(),
      nextDoubleUnsafe: () => random.uint32() / 2 ** 32
    }),
    Context.add(References.MinimumLogLevel, "None"),
    Context.add(References.TracerEnabled, false),
    Context.add(Compressor.Compressor, Compressor.blocking)
  )

  const spawn = Effect.fnUntraced(function*(seat: ExecutorSeat) {
    const queues = yield* Effect.context<SegmentQueues.SegmentQueues | Telemetry.Telemetry>()
    const telemetry = (yield* Telemetry.Telemetry).updater(0)
    for (const doorbell of [seat.control.progress, seat.control.attention, seat.control.room]) doorbells.add(doorbell)
    const threadDisk = makeDisk(`e${seat.executor}`, options.listener)
    const isThread = scenario.hosting === "threads"
    const thread = isThread ? world.thread() : world.main
    /** Reports of a thread arrive later, in order, or, when it dies, perhaps not at all. */
    const underWay: Array<StepOutcome> = []
    const report = (event: StepOutcome) => {
      if (event._tag === "Persisted") {
        reported.persist += 1
        const { firstEventId = 0, lastEventId = 0, segmentIndex } = event
        options.listener.closed(segmentIndex, firstEventId <= lastEventId, lastEventId)
      }
      if (event._tag === "Frozen") reported.freeze += 1
      if (event._tag === "Freed") reported.free += 1
      if (event._tag === "Failed" && event.isFinal) options.listener.gaveUp(event.segmentIndex)
      seat.emit(seams.outcome?.(event) ?? event)
    }
    const deliver = () => {
      const event = underWay.shift()
      if (event !== undefined) report(event)
    }
    const emit = isThread
      ? (event: StepOutcome) => {
        underWay.push(event)
        world.schedule(world.main, deliver)
      }
      : report
    const body: ExecutorRun = MaintainerExecutor.run(seat.options, {
      executor: seat.executor,
      control: seat.control,
      arena: yield* SegmentArena,
      telemetry,
      emit,
      warn: seat.warn
    }).pipe(Effect.provideService(Disk, threadDisk.disk), Effect.orDie)
    const program = seams.executor === undefined ? body : seams.executor(body, { ...seat, emit })

    return yield* Effect.callback<void, never>((resume) => {
      const fiber = Effect.runForkWith(queues)(program, { scheduler: thread.scheduler })
      const end = (cause: Cause.Cause<never>) => {
        running.delete(seat.executor)
        died = true
        resume(Effect.failCause(cause))
      }
      fiber.addObserver((exit) => {
        if (isThread) { while (underWay.length > 0) deliver() }
        end(Exit.isFailure(exit) ? exit.cause : Cause.die(new ExecutorDeath()))
      })
      let killed = () => {}
      running.set(seat.executor, {
        hurt: () => threadDisk.dieAfter(1 + random.below(12), random.chance(0.5)),
        kill: () => {
          if (!isThread || thread.isDead) return
          trace.add(`e${seat.executor} is killed`)
          thread.isDead = true
          threadDisk.abandon()
          if (random.chance(0.5)) underWay.length = 0
          while (underWay.length > 0) deliver()
          end(Cause.die(new ExecutorDeath()))
          killed()
        }
      })
      // A thread may be gone before it has ended in good order.
      const untilKilled = Effect.callback<void>((resumeKilled) => {
        killed = () => resumeKilled(Effect.void)
      })
      return Effect.suspend(() => thread.isDead ? Effect.void : Effect.raceFirst(Fiber.interrupt(fiber), untilKilled))
    })
  })
  const host: ExecutorHost<never, SegmentQueues.SegmentQueues | SegmentArena | Telemetry.Telemetry> = {
    count: scenario.executors,
    spawn
  }

  const foundation = Layer.mergeAll(
    SegmentQueues.layer,
    arenaLayer({
      slots: wal.slots ?? 4,
      slotBytes: slotBytesOf(scenario),
      layout: layoutOf(wal)
    }),
    Telemetry.layerNoop
  )
  const maintainer = Layer.effect(
    SegmentMaintainer,
    Effect.gen(function*() {
      const arena = yield* SegmentArena
      doorbells.add(arena.work).add(arena.durable)
      for (const queue of [yield* SegmentsToPersist, yield* SegmentsToFreeze, yield* SegmentsToFree]) {
        doorbells.add(queue.notEmpty).add(queue.notFull)
      }
      const made = yield* makeMaintainer(wal, arena, host)
      const noted = Effect.acquireRelease(
        Effect.sync(() => options.listener.held(1)),
        () => Effect.sync(() => options.listener.held(-1))
      )
      const service = { ...made, hold: (hold: HoldOptions) => Effect.andThen(noted, made.hold(hold)) }
      return seams.maintainer === undefined ? service : seams.maintainer(service)
    })
  )

  const withDisk = Layer.succeed(Disk, mainDisk.disk)
  const pickExecutor = () => [...running.values()][random.below(Math.max(1, running.size))]
  return {
    disk: mainDisk.disk,
    maintainerLayer: maintainer.pipe(Layer.provideMerge(foundation), Layer.provide(withDisk)),
    recorderLayer: recorderLayer(wal).pipe(Layer.provide(withDisk)),
    run: (effect) => Effect.runForkWith(ambient)(effect, { scheduler: world.main.scheduler }),
    reported,
    hasDied: () => died,
    hurtExecutor: () => pickExecutor()?.hurt(),
    killExecutor: () => pickExecutor()?.kill(),
    abandon: () => {
      // Giving back a lock is one step.
      world.isUnbroken = true
      for (const threadDisk of threadDisks) threadDisk.abandon()
    },
    silence: () => {
      for (const doorbell of doorbells) {
        doorbell.waiters.clear()
        ringUnsafe(doorbell)
      }
    }
  }
}
