/**
 * What a process does while it lives: it appends, commits, rotates, reads and holds, some of it in the background and
 * interrupted, and its disk and its executors do what they should not.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import { Refusal } from "../../src/recorder/SegmentWriter.ts"
import type { WatchedHold } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import { openTwice } from "./Opening.ts"
import type { Opened } from "./Opening.ts"
import { drawClockJump, drawLimits } from "./Scenario.ts"
import { Violation } from "./Trace.ts"

/** A step, and how often it comes among the others. */
type Step = readonly [weight: number, name: string, make: (workload: Workload) => Effect.Effect<void>]

const ordinary: ReadonlyArray<Step> = [
  [24, "append", (workload) => workload.wait(workload.appendEach)],
  [10, "append a batch", (workload) => workload.wait(workload.appendBatch)],
  [3, "append behind", (workload) => workload.fork(workload.appendEach)],
  [2, "append a batch behind", (workload) => workload.fork(workload.appendBatch)],
  [3, "append in place", (workload) => workload.appendInPlace],
  [12, "commit", (workload) => workload.wait(workload.commit)],
  [6, "flush", (workload) => workload.fork(workload.flush)],
  [6, "commit to", (workload) => workload.fork(workload.commitTo)],
  [6, "append durable", (workload) => workload.wait(workload.appendDurable)],
  [8, "rotate", (workload) => workload.wait(workload.rotate)],
  [3, "replay", ({ fork, life }) => fork(life.reading.readAlong)],
  [1, "follow", ({ fork, life, opened }) => fork(life.reading.follow(opened.services))],
  [1, "follow from outside", ({ fork, life }) => fork(life.reading.followFromOutside)],
  [1, "verify", ({ fork, life }) => fork(life.reading.verifyAlong)],
  [1, "back up", ({ fork, life }) => fork(life.reading.backUp)],
  [2, "hold", (workload) => workload.fork(workload.hold)],
  [3, "sleep", ({ random }) => Effect.sleep(random.below(1500))],
  [2, "limits", (workload) => workload.changeLimits],
  [3, "set the clock", (workload) => workload.setClock],
  [0.3, "open twice", ({ life }) => openTwice(life)]
]

const disturbing: ReadonlyArray<Step> = [
  [3, "hurt", ({ life }) => Effect.sync(() => life.setting.process.hurtExecutor())],
  [3, "kill", ({ life }) => Effect.sync(() => life.setting.process.killExecutor())],
  [2, "spoil", ({ life }) => life.faults.maybeSpoil],
  [3, "heal", ({ life }) => life.faults.heal]
]

const weightOf = (steps: ReadonlyArray<Step>): number => steps.reduce((sum, [weight]) => sum + weight, 0)
const everything = [...ordinary, ...disturbing]

export class Workload {
  readonly life: Life
  readonly opened: Opened
  readonly #background: Scope.Scope
  #positions = { durable: 0, compressed: 0, deletedBefore: 0 }

  constructor(life: Life, opened: Opened, background: Scope.Scope) {
    this.life = life
    this.opened = opened
    this.#background = background
    this.#positions.durable = opened.recorder.recovery.lastEventId
  }

  get random() {
    return this.life.setting.random
  }

  work(steps: number, isDisturbed: boolean): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let left = steps; left > 0; left--) {
        const [, name, make] = this.#draw(isDisturbed ? everything : ordinary)
        this.life.doing = name
        yield* Effect.suspend(() => make(this))
        yield* this.#checkPositions
      }
    })
  }

  #draw(steps: ReadonlyArray<Step>): Step {
    let at = (this.random.uint32() / 2 ** 32) * weightOf(steps)
    for (const step of steps) {
      at -= step[0]
      if (at < 0) return step
    }
    return steps[0]!
  }

  // -------------------------------------------------------------------------------------------------------------------
  // how a step runs
  // -------------------------------------------------------------------------------------------------------------------

  /** In the background, perhaps interrupted after a while. */
  readonly fork = <E>(effect: Effect.Effect<unknown, E>): Effect.Effect<void> => {
    const { life, random } = this
    const watched = Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) life.died(exit.cause)
      }))
    return Effect.flatMap(Effect.forkIn(watched, this.#background), (fiber) =>
      random.chance(0.3)
        ? Effect.andThen(Effect.sleep(random.below(30)), Fiber.interrupt(fiber))
        : Effect.void)
  }

  /** Waits, but not for what cannot come: a disk that fails, a commit that the policy puts off. */
  wait<E>(effect: Effect.Effect<unknown, E>): Effect.Effect<void, E> {
    return Effect.asVoid(Effect.timeoutOption(effect, 200 + this.random.below(2000)))
  }

  /** A failed append or commit must have a reason that this life gives. */
  #expected(error: RecorderError): void {
    const { restartsMax = 5, onDiskFailure, strategy } = this.life.setting.scenario.wal
    const isDisk = error.reason._tag === "DiskFull" || error.reason._tag === "DiskFailing"
    if (isDisk && onDiskFailure === "fail" && this.life.faults.hadSome) return
    if (error.reason._tag === "MaintainerDown" && restartsMax < 1000) return
    if (error.reason._tag === "Backpressure" && strategy === "dropping") return
    throw new Violation(`an operation failed without a cause: ${error.message}`)
  }

  #mayFail(effect: Effect.Effect<unknown, RecorderError>): Effect.Effect<void> {
    return Effect.matchEffect(effect, {
      onFailure: (error) => Effect.sync(() => this.#expected(error)),
      onSuccess: () => Effect.void
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // recording
  // -------------------------------------------------------------------------------------------------------------------

  #drawEvent(): Uint8Array {
    const { random } = this
    const { eventBytesMax, wal: { eventSize = 0, format } } = this.life.setting.scenario
    const length = format === 1
      ? 64
      : eventSize > 0
      ? eventSize
      : random.chance(0.1)
      ? eventBytesMax
      : random.below(Math.min(60, eventBytesMax) + 1)
    const event = new Uint8Array(length)
    const compressible = random.chance(0.5)
    for (let at = 0; at < length; at++) event[at] = compressible ? 7 : random.uint32()
    if (length >= 4) new DataView(event.buffer).setUint32(length - 4, random.uint32())
    return event
  }

  #drawEvents(): Array<Uint8Array> {
    return Array.from({ length: 1 + this.random.below(12) }, () => this.#drawEvent())
  }

  get appendEach(): Effect.Effect<void> {
    return this.#mayFail(this.opened.recorder.appendEach(this.#drawEvents()))
  }

  /** Sometimes one that is too large. */
  get appendBatch(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { recorder } = this.opened
      const { batchBytesMax, prefixBytes } = recorder.writer
      const events = this.#drawEvents()
      const bytes = () => events.reduce((sum, event) => sum + event.length + prefixBytes, 0)
      if (!this.random.chance(0.1)) { while (bytes() > batchBytesMax) events.pop() }
      const isTooLarge = bytes() > batchBytesMax
      return Effect.matchEffect(recorder.appendAll(events), {
        onFailure: (error) =>
          Effect.sync(() => {
            if (!isTooLarge || error.reason._tag !== "TooLarge") this.#expected(error)
          }),
        onSuccess: () =>
          Effect.sync(() => {
            if (isTooLarge) throw new Violation(`a batch of ${bytes()} bytes was taken, of ${batchBytesMax} at most`)
          })
      })
    })
  }

  get appendDurable(): Effect.Effect<void> {
    return this.#mayFail(this.opened.recorder.appendDurable(this.#drawEvent()))
  }

  get rotate(): Effect.Effect<void> {
    return this.#mayFail(this.opened.recorder.rotate)
  }

  /** Without a copy, and perhaps with a reservation that is given up. */
  get appendInPlace(): Effect.Effect<void> {
    return Effect.sync(() => {
      const { writer } = this.opened.recorder
      const { model, scenario } = this.life.setting
      for (const event of this.#drawEvents()) {
        if (this.random.chance(0.2)) writer.reserveUnsafe(event.length)
        const at = writer.reserveUnsafe(event.length)
        if (at === Refusal.Full) return
        if (at < 0) throw new Violation(`no room is made for an event of ${event.length} bytes: ${at}`)
        writer.bytes.set(event, at)
        model.appended(writer.publishUnsafe(), event, scenario.wal.format === 1)
      }
    })
  }

  #committed(words: string, effect: Effect.Effect<number, RecorderError>, eventId: number): Effect.Effect<void> {
    const { model, trace } = this.life.setting
    return Effect.matchEffect(effect, {
      onFailure: (error) => Effect.sync(() => this.#expected(error)),
      onSuccess: (position) =>
        Effect.sync(() => {
          if (position < eventId) throw new Violation(`${words} to ${eventId} came back with ${position}`)
          model.promise(position, words)
          trace.add(`${words}: ${position}`)
        })
    })
  }

  get commit(): Effect.Effect<void> {
    return this.#committed("commit", this.opened.recorder.commit, this.life.setting.model.events.length)
  }

  get flush(): Effect.Effect<void> {
    return this.#committed("flush", this.opened.recorder.flush, this.life.setting.model.events.length)
  }

  get commitTo(): Effect.Effect<void> {
    const last = this.life.setting.model.events.length
    const to = 1 + this.random.below(Math.max(1, last))
    return this.#committed("commitTo", this.opened.recorder.commitTo(to), Math.min(to, last))
  }

  get #checkPositions(): Effect.Effect<void> {
    const { model, world } = this.life.setting
    const read = Effect.suspend(() => {
      world.isUnbroken = true
      return this.opened.recorder.positions
    })
    return Effect.map(read, (positions) => {
      for (const name of ["durable", "compressed", "deletedBefore"] as const) {
        if (positions[name] < this.#positions[name]) {
          throw new Violation(`position ${name} went back from ${this.#positions[name]} to ${positions[name]}`)
        }
      }
      if (positions.appended !== model.events.length) {
        throw new Violation(`position ${positions.appended} of ${model.events.length} appended`)
      }
      this.#positions = positions
      model.promise(positions.durable, "positions")
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // retention
  // -------------------------------------------------------------------------------------------------------------------

  /** The clock on the wall jumps. */
  get setClock(): Effect.Effect<void> {
    return Effect.sync(() => {
      const { model, trace, world } = this.life.setting
      const millis = drawClockJump(this.random)
      world.setMillis += millis
      model.clockShows(world.setMillis)
      trace.add(`the clock is set by ${millis} ms`)
    })
  }

  get changeLimits(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const limits = drawLimits(this.random)
      this.life.noteLimits(limits)
      return Effect.asVoid(this.opened.maintainer.setLimits(limits))
    })
  }

  /** Keeps a segment and the later ones for a while, or for as long as the life goes on. */
  get hold(): Effect.Effect<void> {
    const { life: { setting: { watch, world } }, opened: { maintainer }, random } = this
    return Effect.scoped(Effect.gen(function*() {
      // In one step: what was given to be deleted before the hold began is not kept by it.
      world.isUnbroken = true
      const segments = yield* maintainer.segments
      const at = segments[random.below(Math.max(1, segments.length))]?.segmentIndex ?? 0
      const lastsMillis = random.chance(0.4) ? random.below(2000) : Number.POSITIVE_INFINITY
      const beingFreed = new Set(
        segments.filter(({ state }) => state === "freeing").map(({ segmentIndex }) => segmentIndex)
      )
      const held = yield* maintainer.hold({
        name: "simulation",
        fromSegmentIndex: at,
        timeToLive: lastsMillis
      })
      let watched: WatchedHold = { fromSegmentIndex: at, endsMillis: world.nowMillis + lastsMillis, beingFreed }
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
}
