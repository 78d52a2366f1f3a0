/**
 * One life of a process: it opens the directory, records, reads, is disturbed, and shuts down in good order if nothing
 * ends it before. Everything it is promised goes into the model; every broken ruling is a `Violation`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import type { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Arena from "../../src/shared/Arena.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import { AtRest } from "./AtRest.ts"
import type { DirectoryWatch, SegmentOnDisk } from "./DirectoryWatch.ts"
import type { Faults } from "./Faults.ts"
import type { Model } from "./Model.ts"
import { NewestIsRotten, open } from "./Opening.ts"
import type { Process, Seams } from "./Process.ts"
import { Reading } from "./Reading.ts"
import type { Scenario } from "./Scenario.ts"
import { shutDown } from "./ShutDown.ts"
import type { Trace } from "./Trace.ts"
import { Violation } from "./Trace.ts"
import { Workload } from "./Workload.ts"
import type { World } from "./World.ts"

/** What a life is put into. */
export interface Setting {
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
}

export class Life {
  readonly setting: Setting
  readonly faults: Faults
  readonly reading: Reading
  readonly atRest: AtRest
  /** The first broken ruling. */
  violation: Violation | undefined
  /** The arena of this life: what it says is durable was promised to whoever looked. */
  arena: Arena.Arena | undefined
  maintainer: SegmentMaintainer["Service"] | undefined
  /** In force now. */
  limits: ResolvedLimits | undefined
  /** What the life is at, for a run that does not end. */
  doing = "nothing yet"

  constructor(setting: Setting, faults: Faults) {
    this.setting = setting
    this.faults = faults
    this.reading = new Reading(this)
    this.atRest = new AtRest(this)
    this.noteLimits(setting.scenario.wal.limits)
  }

  violated(violation: Violation): void {
    this.violation ??= violation
    this.setting.world.isStopped = true
  }

  /** These limits are in force from now on. */
  noteLimits(limits: ResolvedLimits): void {
    this.limits = limits
    this.setting.watch.allow(limits)
    this.setting.model.limited(limits)
  }

  /** What the arena says at this moment. */
  get durableEventId(): number {
    return this.arena === undefined ? 0 : Arena.durableEventId(this.arena)
  }

  /** Opens, works, shuts down. `isLast`: with a disk that works, and with everything looked at in the end. */
  live(isLast: boolean): Effect.Effect<void> {
    const { faults } = this
    const { random, scenario } = this.setting
    return this.watched(Effect.gen({ self: this }, function*() {
      yield* isLast ? faults.heal : faults.maybeSpoil
      const opened = yield* open(this)
      yield* faults.maybeHeal
      if (faults.isHealthy) yield* this.atRest.lookAtEverything(isLast)
      yield* faults.maybeSpoil
      const background = yield* Scope.make()
      yield* new Workload(this, opened, background).work(random.below(2 * scenario.steps), !isLast)
      if (isLast || random.chance(0.5)) yield* faults.heal
      this.doing = "ending what runs in the background"
      yield* Scope.close(background, Exit.void)
      yield* shutDown(this, opened)
    }))
  }

  /** A closed log of which some bits rot, and then a life on it. What is damaged is found, and makes nothing worse. */
  liveOnRot(files: ReadonlyArray<SegmentOnDisk>): Effect.Effect<void> {
    const { atRest, reading } = this
    const { random, simulated, trace, watch } = this.setting
    return this.watched(Effect.gen({ self: this }, function*() {
      this.doing = "looking at what has rotted"
      const whole = yield* Effect.orDie(reading.replay())
      for (const { path } of files) {
        yield* simulated.rotBits(path, 1 + random.below(3))
        watch.weights.forget(path)
      }
      trace.add(`rotten: ${files.map(({ path }) => path).join(" ")}`)
      yield* atRest.lookAtRot(whole)
      const opened = yield* open(this)
      const background = yield* Scope.make()
      yield* new Workload(this, opened, background).work(random.below(6), false)
      yield* Scope.close(background, Exit.void)
      yield* shutDown(this, opened)
      atRest.lookAtRemains(files)
    }))
  }

  /** A fiber of ours has ended badly: that is a broken ruling unless it was the machine that died. */
  died(cause: Cause.Cause<unknown>): void {
    const { world } = this.setting
    if (world.isStopped || Cause.hasInterruptsOnly(cause)) return
    const squashed = Cause.squash(cause)
    if (squashed instanceof Violation) return this.violated(squashed)
    if (squashed instanceof NewestIsRotten) {
      world.isStopped = true
      return
    }
    this.violated(new Violation(`a defect or an error that is none of the expected: ${Cause.pretty(cause)}`))
  }

  /** Notes what ends a life badly. */
  watched(living: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.onExit(living, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) this.died(exit.cause)
      }))
  }

  /** Where a life that does not end waits. */
  whereItWaits(): string {
    const { arena, doing, faults: { isHealthy } } = this
    const status = this.maintainer === undefined ? {} : Effect.runSync(this.maintainer.status)
    const slots = arena === undefined ? [] : Array.from({ length: arena.slots }, (_, slot) => ({
      state: Arena.stateOf(arena, slot),
      segmentIndex: Arena.segmentIndexOf(arena, slot),
      watermark: Arena.watermarkOf(arena, slot),
      sealed: Arena.sealRecord(arena, slot)?.sealedBytes ?? 0
    }))
    const heldBack = arena === undefined ? 0 : Arena.heldBack(arena)
    const appended = this.setting.model.events.length
    const where = { doing, isHealthy, appended, durable: this.durableEventId, heldBack, slots, ...status }
    return `${JSON.stringify(where)}\n  ${this.setting.trace.recent.join("\n  ")}`
  }
}
