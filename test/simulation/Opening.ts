/** A process opens the directory: what it finds is held against what was promised, and what it appends is noted. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { Parts, WalError } from "../../src/recorder/WalParts.ts"
import { SegmentArena } from "../../src/shared/SegmentArena.ts"
import type { Life } from "./Life.ts"
import { Violation } from "./Trace.ts"

/** A recorder and its maintainer, at work. */
export interface Opened {
  readonly services: Context.Context<Parts>
  readonly recorder: Recorder["Service"]
  readonly maintainer: SegmentMaintainer["Service"]
  readonly maintainerScope: Scope.Closeable
  readonly recorderScope: Scope.Closeable
}

/** Recording cannot go on from a newest segment that is damaged; it says so, and the life ends. */
export class NewestIsRotten extends Error {}

/** Opens the directory, again and again while its disk fails. */
export const open = (life: Life): Effect.Effect<Opened> =>
  Effect.gen(function*() {
    const { model, process, random, scenario, trace, watch, world } = life.setting
    for (let attempt = 1;; attempt++) {
      life.doing = `opening, attempt ${attempt}`
      watch.opens(world.nowMillis)
      model.opens(world.setMillis)
      const maintainerScope = yield* Scope.make()
      const recorderScope = yield* Scope.make()
      const exit = yield* Effect.exit(Effect.gen(function*() {
        const base = yield* Layer.buildWithScope(process.maintainerLayer, maintainerScope)
        const top = yield* Effect.provideContext(Layer.buildWithScope(process.recorderLayer, recorderScope), base)
        return Context.merge(base, top)
      }))
      if (Exit.isSuccess(exit)) {
        const services = seamed(life, exit.value)
        const recorder = Context.get(services, Recorder)
        const maintainer = Context.get(services, SegmentMaintainer)
        if (scenario.wal.onDamaged === "quarantine") model.reopenedPastDamage(recorder.recovery.lastGivenId)
        else model.reopened(recorder.recovery.lastEventId)
        trace.add(`opened at event ${recorder.recovery.lastEventId}`)
        life.arena = Context.get(services, SegmentArena)
        life.maintainer = maintainer
        watch.opened(world.nowMillis)
        model.opened()
        noteAppends(life, recorder)
        return { services, recorder, maintainer, maintainerScope, recorderScope }
      }
      checkFailure(life, exit.cause)
      if (attempt > 3 || random.chance(0.5)) yield* life.faults.heal
      yield* Scope.close(recorderScope, Exit.void)
      yield* Scope.close(maintainerScope, Exit.void)
    }
  })

/** A second recorder on the directory is refused, and changes nothing. */
export const openTwice = (life: Life): Effect.Effect<void> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Layer.buildWithScope(life.setting.process.maintainerLayer, scope))
    yield* Scope.close(scope, Exit.void)
    if (Exit.isSuccess(exit)) throw new Violation("two maintainers have the directory at once")
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    if (error === undefined) throw Cause.squash(exit.cause)
    const isRefused = error._tag === "DiskError" && (error.reason._tag === "Held" || life.faults.hadSome)
    if (!isRefused) throw new Violation(`a second maintainer fails by something else: ${error.message}`)
  })

const seamed = (life: Life, services: Context.Context<Parts>): Context.Context<Parts> => {
  const { recorder } = life.setting.seams
  if (recorder === undefined) return services
  return Context.add(services, Recorder, recorder(Context.get(services, Recorder), Context.get(services, SegmentArena)))
}

const checkFailure = (life: Life, cause: Cause.Cause<WalError>): void => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error?._tag === "SegmentCorrupt" && life.setting.rotten.has(error.segmentIndex)) throw new NewestIsRotten()
  if (error?._tag === "DiskError" && life.faults.hadSome && error.reason._tag !== "Held") return
  throw error === undefined ? Cause.squash(cause) : new Violation(`the directory does not open: ${error.message}`)
}

/** Every append goes through the writer, so it is there that the model learns of each, interrupted callers included. */
const noteAppends = (life: Life, { writer }: Recorder["Service"]): void => {
  const { model, scenario } = life.setting
  const stampsIds = scenario.wal.format === 1
  const append = writer.appendUnsafe.bind(writer)
  writer.appendUnsafe = (event) => {
    const id = append(event)
    if (id > 0) model.appended(id, event, stampsIds)
    return id
  }
  const appendAll = writer.appendAllUnsafe.bind(writer)
  writer.appendAllUnsafe = (events) => {
    const id = appendAll(events)
    if (id <= 0) return id
    for (const [at, event] of events.entries()) model.appended(id - events.length + 1 + at, event, stampsIds, at > 0)
    return id
  }
}
