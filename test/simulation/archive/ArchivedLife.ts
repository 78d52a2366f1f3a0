/**
 * One life of a process that archives what it records: beside the ordinary work the store is slow, wrong, away for
 * hours and back, segments expire, days pass, and the archive is closed and opened again.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Archive from "../../../src/archive/Archive.ts"
import { Disk } from "../../../src/disk/Disk.ts"
import { lengthOf } from "../../../src/store/ObjectContent.ts"
import { ObjectStore, StoreError } from "../../../src/store/ObjectStore.ts"
import type { SeededRandom } from "../../../src/testing/SeededRandom.ts"
import type { SimulatedStore } from "../../../src/testing/SimulatedStore.ts"
import type { Faults as StoreFaults } from "../../../src/testing/SimulatedStore.ts"
import type { Life } from "../Life.ts"
import { open } from "../Opening.ts"
import type { Opened } from "../Opening.ts"
import { shutDown } from "../ShutDown.ts"
import { Violation } from "../Trace.ts"
import { Workload } from "../Workload.ts"
import { log } from "./StoreWatch.ts"
import type { StoreWatch } from "./StoreWatch.ts"

/** Whatever waits longer than this, with a disk and a store that work, waits in vain. */
const patienceMillis = 10 * 60_000

/** So long at most for what may not end. */
const impatienceMillis = 20_000

/** Where a planted bug gets in. */
export interface StoreSeams {
  /** The store as the archive sees it. `archivedBefore` is the maintainer's. */
  readonly store?: (
    store: ObjectStore["Service"],
    archivedBefore: (segmentIndex: number) => Effect.Effect<void>
  ) => ObjectStore["Service"]
  /** The name under which the store has what the archive calls so. */
  readonly nameOf?: (key: string) => string
}

/** The store, on all machines and in all lives. */
export interface ArchivedSetting {
  readonly simulated: SimulatedStore["Service"]
  readonly watch: StoreWatch
  readonly faults: StoreFaults
  readonly seams: StoreSeams
  /** `isHealthy`: the store does nothing wrong, but what comes late from before. */
  readonly state: { isHealthy: boolean }
  /** A life of some hundred segments, so that the manifest has pages. */
  readonly isLong: boolean
}

export const drawStoreFaults = (random: SeededRandom): StoreFaults => {
  const rate = () => random.chance(0.4) ? [0.01, 0.05, 0.2][random.below(3)]! : 0
  return {
    rates: {
      busy: rate(),
      failed: rate(),
      lostRequest: rate(),
      lostAnswer: rate(),
      late: rate(),
      doubled: rate(),
      damaged: rate(),
      rotten: rate(),
      denied: random.chance(0.1) ? 0.05 : 0
    },
    slowRate: rate(),
    slowMax: [20, 1000, 60_000][random.below(3)]!,
    lateMax: [1000, 600_000][random.below(2)]!,
    listingMax: random.chance(0.5) ? 300_000 : 0
  }
}

/** An archive at work, and the scope that it ends with. */
interface OpenArchive {
  readonly archive: Archive.Archive["Service"]
  readonly scope: Scope.Closeable
}

export class ArchivedLife {
  readonly life: Life
  readonly setting: ArchivedSetting
  readonly #opened: Opened
  readonly #workload: Workload
  #open: OpenArchive | undefined

  constructor(life: Life, setting: ArchivedSetting, opened: Opened, background: Scope.Scope) {
    this.life = life
    this.setting = setting
    this.#opened = opened
    this.#workload = new Workload(life, opened, background)
  }

  get #random() {
    return this.life.setting.random
  }

  /** Works, and ends the archive in good order. */
  live(isLast: boolean): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const random = this.#random
      if (!isLast) yield* this.#maybeSpoil
      yield* this.#begin
      const steps = this.setting.isLong ? 40 : random.below(12)
      for (let left = steps; left > 0; left--) yield* Effect.suspend(() => this.#step(isLast))
      if (isLast) {
        yield* this.life.faults.heal
        yield* this.#healStore
        yield* this.#settleAll()
      } else if (random.chance(0.5)) yield* this.#healStore
      this.life.doing = "closing the archive"
      yield* this.#end
    })
  }

  readonly #begin = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      const { process, trace } = this.life.setting
      const { maintainer, services } = this.#opened
      const store = this.#traced(this.setting.simulated.store)
      const seamed = this.setting.seams.store?.(store, maintainer.archivedBefore) ?? store
      const scope = yield* Scope.make()
      const random = this.#random
      const layer = Archive.layer({
        log,
        owner: "simulation",
        settleMax: [0, 1000, 30_000][random.below(3)]!,
        proof: random.chance(0.8) ? "read" : "checksum",
        concurrency: 1 + random.below(4)
      }).pipe(
        Layer.provide(Layer.succeed(ObjectStore, seamed)),
        Layer.provide(Layer.succeed(Disk, process.disk))
      )
      const built = yield* Effect.provideContext(Layer.buildWithScope(layer, scope), services)
      trace.add("the archive begins")
      this.#open = { archive: Context.get(built, Archive.Archive), scope }
    })
  )

  readonly #end = Effect.suspend(() => {
    const { scope } = this.#open!
    return Scope.close(scope, Exit.void)
  })

  #step(isLast: boolean): Effect.Effect<void> {
    const random = this.#random
    const { life, setting } = this
    if (setting.isLong && random.chance(0.6)) return this.#rotateOften
    switch (random.below(isLast ? 14 : 20)) {
      case 0:
      case 1:
        return this.#settle
      case 2:
        return this.#changeLimits
      case 3:
        return this.#letDaysPass
      case 4:
        return Effect.andThen(this.#end, this.#begin)
      case 5:
        return this.#flushWhileAway
      case 6:
        return Effect.sleep(random.below(life.faults.isHealthy ? 40_000 : 3000))
      case 7:
        return this.#verify
      case 14:
      case 15:
        return this.#maybeSpoil
      case 16:
      case 17:
        return this.#healStore
      default:
        life.doing = "recording"
        return this.#workload.work(1 + random.below(6), !isLast)
    }
  }

  /** Every request, and what came of it. */
  #traced(store: ObjectStore["Service"]): ObjectStore["Service"] {
    const { trace } = this.life.setting
    const noted = <A, E>(words: string, request: Effect.Effect<A, E>) =>
      Effect.onExit(request, (exit) =>
        Effect.sync(() => {
          const error = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
          const refusal = error instanceof StoreError ? error : undefined
          const outcome = Exit.isSuccess(exit)
            ? "ok"
            : error === undefined
            ? "interrupted"
            : refusal?.reason._tag ?? "its source failed"
          trace.add(`store ${words}: ${outcome}${refusal?.isApplied === "unknown" ? ", perhaps done" : ""}`)
        }))
    return {
      ...store,
      put: (key, content, options) => noted(`put ${key} ${lengthOf(content)}`, store.put(key, content, options)),
      get: (key, options) => noted(`get ${key}`, store.get(key, options)),
      head: (key) => noted(`head ${key}`, store.head(key)),
      remove: (keys) => noted(`remove ${keys.join(" ")}`, store.remove(keys))
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the store
  // -------------------------------------------------------------------------------------------------------------------

  readonly #maybeSpoil = Effect.suspend(() => {
    const random = this.#random
    const { faults, simulated } = this.setting
    if (random.chance(0.3)) return Effect.void
    this.setting.state.isHealthy = false
    this.life.setting.trace.add("the store is spoiled")
    switch (random.below(4)) {
      case 0:
        return simulated.setAway(true)
      case 1:
        return simulated.failNext("put", "lostAnswer", random.chance(0.5) ? /manifest$/ : undefined)
      case 2:
        return simulated.failNext("put", "late", random.chance(0.5) ? /manifest$/ : undefined)
      default:
        return simulated.setFaults(faults)
    }
  })

  readonly #healStore = Effect.suspend(() => {
    this.life.setting.trace.add("the store is healed")
    const { simulated } = this.setting
    return Effect.andThen(simulated.heal, simulated.setAway(false)).pipe(
      Effect.andThen(Effect.sync(() => void (this.setting.state.isHealthy = true)))
    )
  })

  /** Ends within the patience of a caller; with everything healthy it succeeds. */
  readonly #settle = Effect.suspend(() => {
    const { faults, setting: { process } } = this.life
    this.life.doing = "settling"
    const mustSucceed = this.setting.state.isHealthy && !faults.hadSome && !process.hasDied()
    return Effect.flatMap(
      Effect.result(
        Effect.timeoutOption(this.#open!.archive.settle, mustSucceed ? patienceMillis : impatienceMillis)
      ),
      (result) =>
        Effect.sync(() => {
          const words = Result.isFailure(result)
            ? result.failure.message
            : Option.isNone(result.success)
            ? "it did not end"
            : ""
          if (mustSucceed && !process.hasDied() && words !== "") {
            throw new Violation(`an archive did not settle, with nothing that fails: ${words}`)
          }
        })
    )
  })

  /** In the end, with everything healed: sooner or later the archive has every event that was appended. */
  #settleAll(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { model } = this.life.setting
      const { archive } = this.#open!
      for (let attempt = 1;; attempt++) {
        this.life.doing = `settling in the end, attempt ${attempt}`
        const appended = model.events.length
        const settled = yield* Effect.result(Effect.timeoutOption(archive.settle, patienceMillis))
        if (Result.isSuccess(settled) && Option.isSome(settled.success)) {
          const { lastId } = this.setting.watch.end
          if (lastId !== undefined && lastId < appended) {
            throw new Violation(`an archive that has settled ends with event ${lastId} of ${appended}`)
          }
          return
        }
        const status = yield* archive.status
        const { failures, isDown } = yield* this.#opened.maintainer.status
        // A step that was given up, or a maintainer that has ended, is another life's to go on from.
        if (isDown || failures > 0 || this.life.faults.hadSome && attempt > 3) return
        if (attempt > 8) {
          const words = Result.isFailure(settled) ? settled.failure.message : "it did not end"
          throw new Violation(`an archive does not settle in the end (${status.state}): ${words}`)
        }
        yield* Effect.sleep(20_000)
      }
    })
  }

  readonly #changeLimits = Effect.suspend(() => {
    const random = this.#random
    return this.#open!.archive.setLimits({
      ...(random.chance(0.5) ? { bytesMax: random.below(3000) } : {}),
      ...(random.chance(0.3) ? { ageMax: [0, 10_000, 3_600_000][random.below(3)]! } : {})
    })
  })

  /** The machine sleeps; timers fire once, and what was due for long happens now. */
  readonly #letDaysPass = Effect.suspend(() => {
    const { trace, world } = this.life.setting
    trace.add("a day passes")
    world.nowMillis += 25 * 3_600_000
    return Effect.sleep(30_000)
  })

  /** Whatever the store does, what is recorded becomes durable here. */
  readonly #flushWhileAway = Effect.gen({ self: this }, function*() {
    const { faults } = this.life
    const { recorder } = this.#opened
    if (!faults.isHealthy) return
    this.life.doing = "flushing while the store is away"
    yield* this.setting.simulated.setAway(true)
    const wasHealthy = this.setting.state.isHealthy
    this.setting.state.isHealthy = false
    yield* this.#workload.appendEach
    const flushed = yield* Effect.result(Effect.timeoutOption(recorder.flush, patienceMillis))
    const isDone = Result.isFailure(flushed) || Option.isSome(flushed.success)
    if (!isDone && !(yield* this.#opened.maintainer.status).isDown) {
      throw new Violation("a flush did not end while the store was away")
    }
    yield* this.setting.simulated.setAway(false)
    this.setting.state.isHealthy = wasHealthy
  })

  readonly #verify = Effect.gen({ self: this }, function*() {
    const wasHealthy = this.setting.state.isHealthy
    const faults = yield* Effect.result(Stream.runCollect(this.#open!.archive.verify({ sample: 1000 })))
    if (!wasHealthy || Result.isFailure(faults) || faults.success.length === 0) return
    // What expires and is removed meanwhile is no fault of the archive.
    const { firstIndex = 0 } = this.setting.watch.manifest ?? {}
    const fault = faults.success.find(({ segmentIndex }) => segmentIndex >= firstIndex)
    if (fault !== undefined && this.setting.state.isHealthy) {
      throw new Violation(`verification finds ${fault.message} in segment ${fault.segmentIndex}`)
    }
  })

  readonly #rotateOften = Effect.gen({ self: this }, function*() {
    this.life.doing = "rotating often"
    yield* this.life.faults.heal
    for (let left = 12; left > 0; left--) {
      yield* this.#workload.appendEach
      yield* this.#workload.wait(this.#workload.rotate)
    }
  })
}

/** Opens, works, shuts down. `isLast`: with everything archived in the end. */
export const liveArchived = (life: Life, setting: ArchivedSetting, isLast: boolean): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { faults } = life
    // What is behind the archive exceeds the limits, as what is held does.
    life.setting.watch.held(1)
    yield* isLast ? faults.heal : faults.maybeSpoil
    const opened = yield* open(life)
    yield* faults.maybeHeal
    const background = yield* Scope.make()
    const archived = new ArchivedLife(life, setting, opened, background)
    yield* archived.live(isLast)
    life.limits = undefined
    yield* faults.heal
    yield* Scope.close(background, Exit.void)
    yield* shutDown(life, opened)
  })
