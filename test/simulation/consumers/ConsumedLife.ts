/**
 * One life of a process whose log has consumers: they read beside the ordinary work, are slow, fail, are stopped and
 * started again, in each of the ways there are.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Disk } from "../../../src/disk/Disk.ts"
import * as EventCodec from "../../../src/format/EventCodec.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import type { Consumer } from "../../../src/recorder/consumer/Consumer.ts"
import { makeConsumer } from "../../../src/recorder/consumer/makeConsumer.ts"
import * as Follow from "../../../src/recorder/Follow.ts"
import type { LogEvent } from "../../../src/recorder/LogEvent.ts"
import * as Arena from "../../../src/shared/Arena.ts"
import type { Life } from "../Life.ts"
import { open } from "../Opening.ts"
import type { Opened } from "../Opening.ts"
import { shutDown } from "../ShutDown.ts"
import { Violation } from "../Trace.ts"
import { Workload } from "../Workload.ts"
import type { ConsumerWatch } from "./ConsumerWatch.ts"

type Work = (event: LogEvent<Uint8Array>) => Effect.Effect<unknown, "no">

/** Where a planted bug gets in. */
export interface ConsumerSeams {
  /** What an event is processed with. */
  readonly work?: (work: Work, consumer: Consumer<Uint8Array>) => Work
  /** A consumer, as its program sees it. */
  readonly consumer?: (consumer: Consumer<Uint8Array>) => Consumer<Uint8Array>
}

/** Whatever waits longer than this, with a disk that works, waits in vain. */
const patienceMillis = 10 * 60_000

class ConsumedLife {
  readonly life: Life
  readonly #opened: Opened
  readonly #seams: ConsumerSeams

  constructor(life: Life, opened: Opened, seams: ConsumerSeams) {
    this.life = life
    this.#opened = opened
    this.#seams = seams
  }

  get #random() {
    return this.life.setting.random
  }

  /** Takes the name, again and again while the disk fails. */
  #open(watch: ConsumerWatch, isPatient: boolean) {
    const { life: { faults, setting: { process } } } = this
    const arena = this.life.arena!
    const { maintainer } = this.#opened
    const { directory, naming } = maintainer
    const log = {
      maintainer,
      codec: EventCodec.bytes,
      durableEventId: () => Arena.durableEventId(arena),
      read: (id: number, follow: boolean) => {
        const to = { id: Arena.durableEventId(arena) }
        const events = follow
          ? Replay.events({ directory, naming, from: { id }, follow: Follow.durableOf(arena) })
          : id > to.id
          ? Stream.empty
          : Replay.events({ directory, naming, from: { id }, to })
        return Stream.provideService(events, Disk, process.disk)
      }
    }
    const options = watch.isBounded ? { maxLag: { bytes: 3000, age: "1 minute" } } as const : {}
    const isFreeing = Effect.map(maintainer.segments, (segments) => segments.some(({ state }) => state === "freeing"))
    const opening = Effect.gen({ self: this }, function*() {
      const mayGo = yield* isFreeing
      const consumer = yield* makeConsumer(log, watch.name, options)
      const eventId = yield* consumer.position
      const oldest = yield* Effect.option(Replay.firstAvailableId(directory)).pipe(
        Effect.provideService(Disk, process.disk)
      )
      watch.opened(eventId, mayGo || (yield* isFreeing) ? undefined : Option.getOrUndefined(Option.flatten(oldest)))
      return this.#seams.consumer?.(consumer) ?? consumer
    })
    return Effect.tapError(opening, (error) =>
      Effect.sync(() => {
        if (error._tag === "ConsumerTaken") throw new Violation(`${watch.name} is taken, and nobody has it`)
        if (!faults.hadSome) throw new Violation(`${watch.name} does not open: ${error.message}`)
      })).pipe(Effect.retry({
        schedule: Schedule.spaced("1 second"),
        while: () => isPatient,
        times: 1000
      }))
  }

  /** Processes what there is in one of the ways, until it ends, fails or is stopped. */
  #read(watch: ConsumerWatch, follow: boolean) {
    const { life, life: { faults, setting: { model } } } = this
    const random = this.#random
    const failures = random.chance(0.4) ? 0.2 : 0
    const slow = random.chance(0.4) ? random.below(500) : 0
    const work: Work = (event) =>
      Effect.gen(function*() {
        watch.given(event.id, life.durableEventId)
        model.replayed({ id: event.id, bytes: event.event }, event.id)
        if (slow > 0) yield* Effect.sleep(random.below(slow))
        watch.done(event.id)
      })
    /** What fails has been given, and comes again with the next reading. */
    const failing: Work = (event) =>
      Effect.suspend(() => random.chance(failures) ? Effect.fail("no" as const) : work(event))
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const consumer = yield* this.#open(watch, !follow)
      const worked = this.#seams.work?.(failing, consumer) ?? failing
      watch.begins(yield* consumer.position)
      const onMissing = (
        { firstEventId, lastEventId }: { readonly firstEventId: number; readonly lastEventId: number }
      ) => Effect.sync(() => watch.missing(firstEventId, lastEventId))
      const within = [0, 20, 1000][random.below(3)]!
      const options = { follow, within, onMissing }
      const look = Effect.map(consumer.position, (eventId) => watch.acknowledged(eventId))
      switch (random.below(4)) {
        case 0:
          yield* consumer.forEach(worked, { ...options, retry: Schedule.recurs(random.below(3)) })
          break
        case 1:
          yield* consumer.forEach((event) => Effect.tap(worked(event), look), {
            ...options,
            deadLetter: ({ bytes, id, time }) => work({ id, time, event: bytes })
          })
          break
        case 2:
          yield* consumer.forEachBatch((events) => Effect.forEach(events, worked, { discard: true }), {
            ...options,
            maxBatch: 1 + random.below(20)
          })
          break
        default: {
          const every = 1 + random.below(10)
          yield* Stream.runForEach(consumer.events({ follow }), (event) =>
            Effect.andThen(
              work(event),
              event.id % every === 0
                ? Effect.map(consumer.acknowledge(event.id), () => watch.acknowledged(event.id))
                : Effect.void
            ))
        }
      }
      yield* look
    })).pipe(
      Effect.catch((error) =>
        Effect.sync(() => {
          if (error === "no" || error._tag === "DiskError" && faults.hadSome) return
          if (error._tag === "EventsDeleted" && watch.isBounded) return
          throw new Violation(`${watch.name} fails: ${error._tag === "ConsumerTaken" ? "taken" : error.message}`)
        })
      )
    )
  }

  /** Reads as a consumer until it is stopped, wherever it is, and again. */
  readAgain(watch: ConsumerWatch): Effect.Effect<never> {
    return Effect.forever(Effect.suspend(() => {
      const reading = this.#random.chance(0.3)
        ? Effect.timeoutOption(this.#read(watch, true), this.#random.below(3000))
        : this.#read(watch, true)
      return Effect.andThen(reading, Effect.sleep(1 + this.#random.below(2000)))
    }))
  }

  /** With a disk that works, everything is done in the end. */
  catchUp(watch: ConsumerWatch): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { durableEventId } = this.life
      for (let attempt = 0; attempt < 200; attempt++) {
        this.life.doing = `${watch.name} catches up`
        if (watch.doneThrough >= durableEventId) return
        const read = yield* Effect.timeoutOption(this.#read(watch, false), patienceMillis)
        if (read._tag === "None") throw new Violation(`${watch.name} does not catch up`)
      }
      throw new Violation(`${watch.name} has done ${watch.doneThrough} of ${durableEventId} in the end`)
    })
  }
}

/** Opens, works, shuts down. `isLast`: with everything done in the end. */
export const liveConsumed = (
  life: Life,
  seams: ConsumerSeams,
  watches: ReadonlyArray<ConsumerWatch>,
  isLast: boolean
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { faults, setting: { random } } = life
    // What consumers hold exceeds the limits.
    life.setting.watch.held(1)
    yield* isLast ? faults.heal : faults.maybeSpoil
    const opened = yield* open(life)
    yield* faults.maybeHeal
    const background = yield* Scope.make()
    const consumed = new ConsumedLife(life, opened, seams)
    const workload = new Workload(life, opened, background)
    // They may be asked for late, or not at all in this life.
    const reading = []
    for (const watch of watches) {
      if (random.chance(0.3)) yield* workload.work(1 + random.below(4), !isLast)
      if (random.chance(0.8)) {
        const exits = Effect.onExit(consumed.readAgain(watch), (exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit)) life.died(exit.cause)
          }))
        reading.push(yield* Effect.forkIn(exits, background))
      }
    }
    for (let left = random.below(6); left > 0; left--) {
      life.doing = "recording"
      yield* workload.work(1 + random.below(8), !isLast)
      if (random.chance(0.3)) yield* faults.maybeSpoil
      if (random.chance(0.5)) yield* faults.maybeHeal
      yield* Effect.sleep(random.below(3000))
    }
    if (isLast || random.chance(0.3)) {
      yield* faults.heal
      life.doing = "stopping the consumers"
      yield* Fiber.interruptAll(reading)
    }
    if (isLast && !(yield* opened.maintainer.status).isDown) {
      for (const watch of watches) yield* consumed.catchUp(watch)
    }
    life.limits = undefined
    yield* faults.heal
    yield* Scope.close(background, Exit.void)
    yield* shutDown(life, opened)
  }).pipe(Effect.orDie)
