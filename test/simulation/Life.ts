/**
 * One life of a process: it opens the directory, records, reads, is disturbed, and shuts down in good order if nothing
 * ends it before. Everything it is promised goes into the model; every broken ruling is a `Violation`.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { RetentionLimits } from "../../src/maintainer/Retention.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import type { DrainReceipt, MaintainerStatus } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import type { WalError } from "../../src/recorder/Wal.ts"
import type { Arena } from "../../src/shared/SegmentArena.ts"
import * as SegmentArena from "../../src/shared/SegmentArena.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import type { DirectoryWatch, SegmentOnDisk, WatchedHold } from "./DirectoryWatch.ts"
import { checkLimits, segmentsOnDisk } from "./DirectoryWatch.ts"
import type { Model } from "./Model.ts"
import type { PerTask, Process, Seams } from "./Process.ts"
import { Reading } from "./Reading.ts"
import { diskBytes, drawLimits } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"
import type { Trace } from "./Trace.ts"
import { Violation } from "./Trace.ts"
import type { World } from "./World.ts"

/** Recording cannot go on from a newest segment that is damaged; it says so, and the life ends. */
class NewestIsRotten extends Error {}

/** Whatever waits longer than this, with a disk that works, waits in vain. */
const patienceMillis = 10 * 60_000

export class Life {
  readonly scenario: Scenario
  readonly model: Model
  readonly process: Process
  readonly simulated: SimulatedDisk["Service"]
  readonly random: SeededRandom
  readonly trace: Trace
  readonly world: World
  readonly seams: Seams
  readonly watch: DirectoryWatch
  /** Segments whose bits have rotted: what concerns them may fail, with a word that says so. */
  readonly rotten: ReadonlySet<number>
  readonly reading: Reading
  /** The first broken ruling. */
  violation: Violation | undefined
  /** The arena of this life: what it says is durable was promised to whoever looked. */
  arena: Arena | undefined
  /** The disk does nothing wrong and nothing is left of what it did wrong before. */
  isHealthy: boolean
  /** Has done something wrong in this life: errors are expected. */
  hadFaults: boolean
  /** What the life is at, for a run that does not end. */
  doing = "nothing yet"
  #maintainer: SegmentMaintainer["Service"] | undefined
  #limits: RetentionLimits | undefined
  #lastDurable = 0

  constructor(options: {
    readonly scenario: Scenario
    readonly model: Model
    readonly process: Process
    readonly simulated: SimulatedDisk["Service"]
    readonly random: SeededRandom
    readonly trace: Trace
    readonly world: World
    readonly seams: Seams
    readonly watch: DirectoryWatch
    readonly rotten: ReadonlySet<number>
    /** The disk does what it should when this life begins. */
    readonly isHealthy: boolean
  }) {
    this.scenario = options.scenario
    this.model = options.model
    this.process = options.process
    this.simulated = options.simulated
    this.random = options.random
    this.trace = options.trace
    this.world = options.world
    this.seams = options.seams
    this.watch = options.watch
    this.rotten = options.rotten
    this.reading = new Reading(this)
    this.isHealthy = options.isHealthy
    this.hadFaults = !options.isHealthy
  }

  violated(violation: Violation): void {
    this.violation ??= violation
    this.world.isStopped = true
  }

  /** Where a life that does not end waits. */
  whereItWaits(): string {
    const { arena } = this
    const status = this.#maintainer === undefined ? {} : Effect.runSync(this.#maintainer.status)
    const slots = arena === undefined ? [] : Array.from({ length: arena.slots }, (_, slot) => ({
      state: SegmentArena.stateOf(arena, slot),
      segmentIndex: SegmentArena.segmentIndexOf(arena, slot),
      watermark: SegmentArena.watermarkOf(arena, slot),
      sealed: SegmentArena.sealRecord(arena, slot)?.sealedBytes ?? 0
    }))
    const heldBack = arena === undefined ? 0 : SegmentArena.heldBack(arena)
    const appended = this.model.events.length
    const durable = arena === undefined ? 0 : SegmentArena.durableEventId(arena)
    const where = { doing: this.doing, isHealthy: this.isHealthy, appended, durable, heldBack, slots, ...status }
    return `${JSON.stringify(where)}\n  ${this.trace.recent.join("\n  ")}`
  }

  /** Opens, works, shuts down. `isLast`: with a disk that works, and with everything looked at in the end. */
  live(isLast: boolean): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* isLast ? this.heal() : this.maybeSpoil()
      const { maintainerScope, recorderScope, services } = yield* this.open()
      const recorder = Context.get(services, Recorder)
      yield* this.maybeHeal()
      if (this.isHealthy) yield* this.reading.lookAtEverything(isLast)
      yield* this.maybeSpoil()
      const background = yield* Scope.make()
      for (let step = this.random.below(2 * this.scenario.steps); step > 0; step--) {
        yield* this.step(services, background, isLast)
        yield* this.checkPositions(recorder)
      }
      if (isLast || this.random.chance(0.5)) yield* this.heal()
      this.doing = "ending what runs in the background"
      yield* Scope.close(background, Exit.void)
      yield* this.shutDown(services, recorderScope, maintainerScope)
    }).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) this.died(exit.cause)
        })
      )
    )
  }

  /** A closed log of which some bits rot, and then a life on it. What is damaged is found, and makes nothing worse. */
  liveOnRot(files: ReadonlyArray<SegmentOnDisk>): Effect.Effect<void> {
    const { reading } = this
    return Effect.gen({ self: this }, function*() {
      this.doing = "looking at what has rotted"
      const whole = yield* Effect.orDie(reading.replay())
      for (const { path } of files) yield* this.simulated.rotBits(path, 1 + this.random.below(3))
      this.trace.add(`rotten: ${files.map(({ path }) => path).join(" ")}`)
      yield* reading.lookAtRot(whole)
      const { maintainerScope, recorderScope, services } = yield* this.open()
      const background = yield* Scope.make()
      for (let step = this.random.below(6); step > 0; step--) yield* this.step(services, background, true)
      yield* Scope.close(background, Exit.void)
      yield* this.shutDown(services, recorderScope, maintainerScope)
      reading.lookAtRemains(files)
    }).pipe(Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) this.died(exit.cause)
      })
    ))
  }

  /** A fiber of ours has ended badly: that is a broken ruling unless it was the machine that died. */
  died(cause: Cause.Cause<unknown>): void {
    if (this.world.isStopped || Cause.hasInterruptsOnly(cause)) return
    const squashed = Cause.squash(cause)
    if (squashed instanceof Violation) return this.violated(squashed)
    if (squashed instanceof NewestIsRotten) {
      this.world.isStopped = true
      return
    }
    this.violated(new Violation(`a defect or an error that is none of the expected: ${Cause.pretty(cause)}`))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the disk
  // -------------------------------------------------------------------------------------------------------------------

  heal(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.trace.add("the disk is healed")
      this.isHealthy = true
      return Effect.andThen(this.simulated.heal, this.simulated.setCapacityBytes(diskBytes))
    })
  }

  maybeHeal(): Effect.Effect<void> {
    return Effect.suspend(() => this.random.chance(0.5) ? this.heal() : Effect.void)
  }

  /** The disk begins to do wrong, if this scenario's ever does. */
  maybeSpoil(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { random, simulated } = this
      if (!this.scenario.hasFaults || random.chance(0.5)) return Effect.void
      this.isHealthy = false
      this.hadFaults = true
      this.trace.add("the disk is spoiled")
      switch (random.below(5)) {
        case 0:
          return Effect.flatMap(this.process.disk.freeBytes("/"), (freeBytes) => {
            // At any byte of what is written next, or far beyond.
            const roomBytes = random.chance(0.7) ? random.below(3000) : 0
            return simulated.setCapacityBytes(diskBytes - freeBytes + roomBytes)
          }).pipe(Effect.ignore)
        case 1:
          return simulated.failAlways("sync", "Io", random.chance(0.5) ? /wal\.tmp$/ : undefined)
        case 2:
          return simulated.failNext("sync", "Io")
        case 3:
          return simulated.failNext(random.chance(0.5) ? "syncDirectory" : "rename", "Io")
        default:
          return simulated.setFaults(this.scenario.faults)
      }
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // opening
  // -------------------------------------------------------------------------------------------------------------------

  open() {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        this.doing = `opening, attempt ${attempt}`
        const maintainerScope = yield* Scope.make()
        const recorderScope = yield* Scope.make()
        const opened = yield* Effect.exit(Effect.gen({ self: this }, function*() {
          const base = yield* Layer.buildWithScope(this.process.maintainerLayer, maintainerScope)
          const top = yield* Effect.provideContext(
            Layer.buildWithScope(this.process.recorderLayer, recorderScope),
            base
          )
          return Context.merge(base, top)
        }))
        if (Exit.isSuccess(opened)) {
          const services = this.seamed(opened.value)
          const recorder = Context.get(services, Recorder)
          this.model.reopened(recorder.recovery.lastEventId)
          this.trace.add(`opened at event ${recorder.recovery.lastEventId}`)
          this.arena = Context.get(services, SegmentArena.SegmentArena)
          this.#maintainer = Context.get(services, SegmentMaintainer)
          this.#lastDurable = recorder.recovery.lastEventId
          this.recordAppends(recorder)
          return { services, maintainerScope, recorderScope }
        }
        this.checkOpenFailure(opened.cause)
        if (attempt > 3 || this.random.chance(0.5)) yield* this.heal()
        yield* Scope.close(recorderScope, Exit.void)
        yield* Scope.close(maintainerScope, Exit.void)
      }
    })
  }

  private seamed<R>(services: Context.Context<R | Recorder | SegmentArena.SegmentArena>) {
    const { recorder } = this.seams
    if (recorder === undefined) return services
    const arena = Context.get(services, SegmentArena.SegmentArena)
    return Context.add(services, Recorder, recorder(Context.get(services, Recorder), arena))
  }

  private checkOpenFailure(cause: Cause.Cause<WalError>): void {
    const error = Option.getOrUndefined(Cause.findErrorOption(cause))
    if (error?._tag === "SegmentCorrupt" && this.rotten.has(error.segmentIndex)) throw new NewestIsRotten()
    if (error?._tag === "DiskError" && this.hadFaults && error.reason !== "Held") return
    throw error === undefined ? Cause.squash(cause) : new Violation(`the directory does not open: ${error.message}`)
  }

  /** Every append goes through the writer, so it is there that the model learns of each, interrupted callers included. */
  private recordAppends(recorder: Recorder["Service"]): void {
    const { writer } = recorder
    const append = writer.appendUnsafe.bind(writer)
    const stampsIds = this.scenario.wal.format === "flashstrike"
    writer.appendUnsafe = (event) => {
      const id = append(event)
      if (id > 0) this.model.appended(id, event, stampsIds)
      return id
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // recording
  // -------------------------------------------------------------------------------------------------------------------

  private drawEvent(): Uint8Array {
    const { random, scenario } = this
    const size = scenario.wal.eventSize ?? 0
    const length = scenario.wal.format === "flashstrike"
      ? 64
      : size > 0
      ? size
      : random.chance(0.1)
      ? scenario.eventBytesMax
      : random.below(Math.min(60, scenario.eventBytesMax) + 1)
    const event = new Uint8Array(length)
    const compressible = random.chance(0.5)
    for (let at = 0; at < length; at++) event[at] = compressible ? 7 : random.uint32()
    if (length >= 4) new DataView(event.buffer).setUint32(length - 4, random.uint32())
    return event
  }

  private drawEvents(): Array<Uint8Array> {
    return Array.from({ length: 1 + this.random.below(12) }, () => this.drawEvent())
  }

  /** A failed append or commit must have a reason that this life gives. */
  private expected(error: RecorderError): void {
    const isDisk = error.reason === "DiskFull" || error.reason === "DiskFailing"
    if (isDisk && this.hadFaults) return
    if (error.reason === "MaintainerDown" && (this.scenario.wal.restartsMax ?? 5) < 1000) return
    if (error.reason === "Backpressure" && this.scenario.wal.onFull === "fail") return
    throw new Violation(`an operation failed without a cause: ${error.message}`)
  }

  private commit(words: string, effect: Effect.Effect<number, RecorderError>, eventId: number) {
    return Effect.suspend(() =>
      Effect.matchEffect(effect, {
        onFailure: (error) => Effect.sync(() => this.expected(error)),
        onSuccess: (position) =>
          Effect.sync(() => {
            if (position < eventId) {
              throw new Violation(`${words} to ${eventId} came back with ${position}`)
            }
            this.model.promise(position, words)
            this.trace.add(`${words}: ${position}`)
          })
      })
    )
  }

  private append(effect: Effect.Effect<number, RecorderError>) {
    return Effect.matchEffect(effect, {
      onFailure: (error) => Effect.sync(() => this.expected(error)),
      onSuccess: () => Effect.void
    })
  }

  /** In the background, perhaps interrupted after a while. */
  private fork<E>(scope: Scope.Scope, effect: Effect.Effect<unknown, E>) {
    const watched = Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) this.died(exit.cause)
      }))
    const { random } = this
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkIn(watched, scope)
      if (random.chance(0.3)) {
        yield* Effect.sleep(random.below(30))
        yield* Fiber.interrupt(fiber)
      }
    })
  }

  /** Waits, but not for what cannot come: a disk that fails, a commit that the policy puts off. */
  private wait<E>(effect: Effect.Effect<unknown, E>) {
    return Effect.timeoutOption(effect, 200 + this.random.below(2000))
  }

  step(
    services: Context.Context<Recorder | SegmentMaintainer | SegmentArena.SegmentArena>,
    background: Scope.Scope,
    isUndisturbed: boolean
  ): Effect.Effect<void> {
    const { model, process, random } = this
    const recorder = Context.get(services, Recorder)
    const maintainer = Context.get(services, SegmentMaintainer)
    const draw = random.below(isUndisturbed ? 89 : 100)
    this.doing = `step ${draw}`
    if (draw < 35) return Effect.asVoid(this.wait(this.append(recorder.appendAll(this.drawEvents()))))
    if (draw < 40) return this.fork(background, this.append(recorder.appendAll(this.drawEvents())))
    if (draw < 52) {
      const last = model.events.length
      return Effect.asVoid(this.wait(this.commit("commit", recorder.commit, last)))
    }
    if (draw < 58) {
      const last = model.events.length
      return this.fork(background, this.commit("flush", recorder.flush, last))
    }
    if (draw < 64) {
      const to = 1 + random.below(Math.max(1, model.events.length))
      return this.fork(background, this.commit("commitTo", recorder.commitTo(to), Math.min(to, model.events.length)))
    }
    if (draw < 70) {
      return Effect.asVoid(this.wait(this.append(recorder.appendDurable(this.drawEvent()))))
    }
    if (draw < 78) return Effect.asVoid(this.wait(this.append(Effect.as(recorder.rotate, 0))))
    if (draw < 81) return this.fork(background, this.reading.readAlong())
    if (draw < 82) return this.fork(background, this.reading.follow(services))
    if (draw < 84) return this.fork(background, this.hold(maintainer))
    if (draw < 87) return Effect.sleep(random.below(1500))
    if (draw < 89) return this.changeLimits(maintainer)
    if (draw < 92) return Effect.sync(() => process.hurtExecutor())
    if (draw < 95) return Effect.sync(() => process.killExecutor())
    if (draw < 97) return this.maybeSpoil()
    return this.heal()
  }

  private changeLimits(maintainer: SegmentMaintainer["Service"]): Effect.Effect<void> {
    return Effect.suspend(() => {
      const limits = drawLimits(this.random)
      this.noteLimits(limits)
      return Effect.asVoid(maintainer.setLimits(limits))
    })
  }

  /** These limits are in force from now on. */
  noteLimits(limits: RetentionLimits): void {
    this.#limits = limits
    this.watch.allow(limits)
    this.model.limited(limits)
  }

  /** Keeps a segment and the later ones for a while, or for as long as the life goes on. */
  private hold(maintainer: SegmentMaintainer["Service"]): Effect.Effect<void> {
    const { random, watch, world } = this
    return Effect.scoped(Effect.gen(function*() {
      // In one step: what was given to be deleted before the hold began is not kept by it.
      world.isUnbroken = true
      const segments = yield* maintainer.segments
      const at = segments[random.below(Math.max(1, segments.length))]?.segmentIndex ?? 0
      const expiresMillis = random.chance(0.4) ? world.nowMillis + random.below(2000) : Number.POSITIVE_INFINITY
      const beingFreed = new Set(
        segments.filter(({ state }) => state === "freeing").map(({ segmentIndex }) => segmentIndex)
      )
      const held = yield* maintainer.hold({ name: "simulation", fromSegmentIndex: at, expiresMillis })
      let watched: WatchedHold = { fromSegmentIndex: at, expiresMillis, beingFreed }
      watch.holds.add(watched)
      yield* Effect.addFinalizer(() => Effect.sync(() => watch.holds.delete(watched)))
      yield* Effect.sleep(random.below(1500))
      if (random.chance(0.5)) {
        watch.holds.delete(watched)
        watched = { ...watched, fromSegmentIndex: at + 1 }
        watch.holds.add(watched)
        yield* held.advanceTo(at + 1)
        yield* Effect.sleep(random.below(1500))
      }
    }))
  }

  checkPositions(recorder: Recorder["Service"]): Effect.Effect<void> {
    const positions = Effect.suspend(() => {
      this.world.isUnbroken = true
      return recorder.positions
    })
    return Effect.map(positions, ({ appended, durable }) => {
      if (durable < this.#lastDurable) {
        throw new Violation(`the durable position went back from ${this.#lastDurable} to ${durable}`)
      }
      if (appended !== this.model.events.length) {
        throw new Violation(`position ${appended} of ${this.model.events.length} appended`)
      }
      this.#lastDurable = durable
      this.model.promise(durable, "positions")
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // shutting down
  // -------------------------------------------------------------------------------------------------------------------

  private shutDown(
    services: Context.Context<Recorder | SegmentMaintainer | SegmentArena.SegmentArena>,
    recorderScope: Scope.Closeable,
    maintainerScope: Scope.Closeable
  ): Effect.Effect<void> {
    const maintainer = Context.get(services, SegmentMaintainer)
    return Effect.gen({ self: this }, function*() {
      this.doing = "closing the recorder"
      yield* Scope.close(recorderScope, Exit.void)
      this.doing = "draining"
      // A disk that fails may hold a drain up as long as it fails.
      const healing = yield* Effect.forkChild(Effect.delay(Effect.suspend(() => this.heal()), 20_000))
      let before = { ...this.process.reported }
      if (this.scenario.wal.drainMillisMax !== undefined) this.watch.hotMax = Number.POSITIVE_INFINITY
      const drain = Effect.suspend(() => {
        this.world.isUnbroken = true
        before = { ...this.process.reported }
        return maintainer.drain
      })
      const drained = yield* Effect.timeoutOption(drain, patienceMillis)
      if (Option.isNone(drained)) {
        throw new Violation(`the drain did not end although the disk works: ${this.whereItWaits()}`)
      }
      const receipt = drained.value
      const status = yield* maintainer.status
      this.trace.add(`drained ${JSON.stringify(receipt)}`)
      if (!status.isDown) yield* this.checkReceipt(receipt, status, before, yield* maintainer.segments)
      this.doing = "closing the maintainer"
      yield* Scope.close(maintainerScope, Exit.void)
      yield* Fiber.interrupt(healing)
      this.model.ending = status.isDown ? "drained in part" : "drained"
    })
  }

  /** What a drain says is true, and it has left nothing undone but compression after its deadline. */
  private checkReceipt(
    receipt: DrainReceipt,
    status: MaintainerStatus,
    before: PerTask,
    entries: ReadonlyArray<{ readonly segmentIndex: number; readonly closedMillis: number }>
  ): Effect.Effect<void> {
    return Effect.sync(() => {
      const { drainMillisMax = Number.POSITIVE_INFINITY } = this.scenario.wal
      const { left } = receipt
      const last = this.model.events.length
      if (left.persist + left.free > 0) throw new Violation(`the drain left ${left.persist + left.free} tasks behind`)
      if (left.freeze > 0 && receipt.millis < drainMillisMax) {
        throw new Violation(`the drain gave up compression after ${receipt.millis} of ${drainMillisMax} ms`)
      }
      const durable = this.arena === undefined ? 0 : SegmentArena.durableEventId(this.arena)
      if (durable < last) throw new Violation(`the drain ended at event ${durable} of ${last}`)
      this.model.promise(last, "drain")
      this.model.freezesLeft = left.freeze + this.watch.givenUp.size
      for (const task of ["persist", "freeze", "free"] as const) {
        const done = this.process.reported[task] - before[task]
        // A successor may do again what its predecessor had done, and a report may die on its way.
        const isAgain = this.process.hasDied() && receipt.done[task] < done
        if (done !== receipt.done[task] && !isAgain) {
          throw new Violation(`the receipt counts ${receipt.done[task]} of ${done} for ${task}`)
        }
      }
      // Of what was found at the start, lengths and times are asked for in the background.
      if (entries.some(({ closedMillis }) => closedMillis === 0)) return
      if (status.failures > 0 || left.freeze > 0 || !this.isHealthy || this.#limits === undefined) return
      checkLimits({
        segments: segmentsOnDisk(this.simulated),
        limits: this.#limits,
        closedMillis: new Map(entries.map(({ closedMillis, segmentIndex }) => [segmentIndex, closedMillis])),
        nowMillis: this.world.nowMillis
      })
    })
  }
}
