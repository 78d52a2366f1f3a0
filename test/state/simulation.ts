/**
 * Lives of a state machine on a machine that loses power, drawn from a seed, and held to a model: what was answered is
 * there, in order, each batch whole, and nothing that was never appended. Between two lives the newest snapshot may rot.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import type { Disk } from "../../src/disk/Disk.ts"
import { snapshotIn } from "../../src/disk/FileNames.ts"
import type { Log } from "../../src/recorder/Log.ts"
import * as Wal from "../../src/recorder/Wal.ts"
import * as StateMachine from "../../src/state/StateMachine.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { poweredBy } from "../fixtures/poweredBy.ts"

/** `left` events of its batch come after it. */
const Step = Schema.Struct({ by: Schema.Int, left: Schema.Int, pad: Schema.String })
type Step = typeof Step.Type
class Steps extends Wal.Service<Steps>()("test/Steps", { event: Step }) {}

/** The digest depends on every event and on their order. */
const State = Schema.Struct({ count: Schema.Int, digest: Schema.Int, left: Schema.Int })
type State = { count: number; digest: number; left: number }

const next = (digest: number, by: number): number => (Math.imul(digest, 31) + by) | 0

const directory = "/wal"

/** What a machine must be: the events by id, and which of them were answered. */
class Model {
  readonly events: Array<number> = []
  answered = 0
  hasOpened = false

  /** What is found when a machine is opened; gives what is wrong. */
  found({ count, digest, left }: State): string | undefined {
    if (count < this.answered) return `event ${this.answered} was answered, and the state has ${count} events`
    if (count > this.events.length) return `the state has ${count} events, and only ${this.events.length} were appended`
    const expected = this.events.slice(0, count).reduce(next, 0)
    if (digest !== expected) return `the state of ${count} events is another`
    if (left > 0) return `of the last batch ${left} events are missing`
    this.events.length = count
    this.answered = count
    return undefined
  }
}

/** Where a mistake is planted. */
export interface StateSeams {
  readonly log?: (log: Log<Step>) => Log<Step>
}

class Broken extends Error {
  override readonly name = "Broken"
}

/** Some moments of a program that uses the machine. */
const use = Effect.fnUntraced(function*(
  machine: StateMachine.StateMachine<State, Step>,
  log: Log<Step>,
  model: Model,
  random: SeededRandom
) {
  const step = (left = 0): Step => ({ by: random.below(1000), left, pad: "x".repeat(random.below(400)) })
  const answer = (count: number) => {
    model.answered = Math.max(model.answered, count)
  }
  const update = Effect.suspend(() => {
    const length = 1 + random.below(6)
    const batch = Array.from({ length }, (_, at) => step(length - 1 - at))
    return Effect.map(
      machine.update((state) => {
        return [state.count + batch.length, batch]
      }),
      answer
    )
  })
  const look = Effect.map(machine.read(({ count }) => count), answer)
  const others = Effect.suspend(() => {
    const one = step()
    return Effect.map(log.append(one), (id) => {
      model.events[id - 1] = one.by
    })
  })
  for (let left = random.below(120); left > 0; left--) {
    const what = random.below(10)
    const doing = what < 6 ? update : what < 7 ? look : what < 9 ? machine.snapshot : others
    // Some are waited for, and meanwhile many are under way.
    yield* random.chance(0.6) ? Effect.forkScoped(doing) : doing
  }
})

const life = Effect.fnUntraced(
  function*(model: Model, random: SeededRandom, seams: StateSeams) {
    const steps = yield* Steps
    const log = seams.log?.(steps) ?? steps
    if (model.hasOpened && random.chance(0.3)) {
      // Retention runs before the machine is back. Before it was opened for the first time nothing is held for it.
      for (let left = random.below(60); left > 0; left--) {
        const one = { by: random.below(1000), left: 0, pad: "x".repeat(300) }
        model.events[(yield* log.append(one)) - 1] = one.by
      }
      yield* log.rotate
      yield* log.maintainer.drain
    }
    let isOpen = false
    const machine = yield* StateMachine.make<Step, never, never, typeof State>({
      log,
      state: State,
      initial: () => ({ count: 0, digest: 0, left: 0 }),
      apply: (state, { by, left }) => {
        if (isOpen) model.events[state.count] = by
        return Object.assign(state, { count: state.count + 1, digest: next(state.digest, by), left })
      },
      snapshotEvery: { events: 1 + random.below(40) }
    }).pipe(Effect.catch((error) => Effect.die(new Broken(error.message))))
    isOpen = true
    model.hasOpened = true
    const wrong = model.found({ ...yield* machine.get })
    if (wrong !== undefined) yield* Effect.die(new Broken(wrong))
    yield* use(machine as StateMachine.StateMachine<State, Step>, log, model, random)
  }
)

/** The newest of two snapshots rots, unless another one that is rotten is still there. */
const rot = Effect.fnUntraced(function*(rotten: Set<string>, random: SeededRandom) {
  const disk = yield* SimulatedDisk.SimulatedDisk
  const found = [...yield* disk.files].filter(([, bytes]) => bytes.length > 0)
    .map(([path]) => path.slice(directory.length + 1))
    .filter((name) => snapshotIn(name) !== undefined)
    .toSorted()
  const newest = found.at(-1)
  if (newest === undefined || found.length < 2 || found.some((name) => rotten.has(name)) || !random.chance(0.7)) return
  rotten.add(newest)
  yield* disk.rotBits(`${directory}/${newest}`, 1)
})

/** Plays a seed; gives what was wrong, if anything was. To be run under `TestClock`. */
export const play = (seed: number, seams: StateSeams = {}): Effect.Effect<string | undefined> => {
  const random = new SeededRandom(seed)
  const model = new Model()
  const rotten = new Set<string>()
  const options = {
    directory,
    segmentBytesMax: 4096,
    slots: 4,
    limits: { maxSegments: 2 + random.below(2), maxCompressedSegments: 4 },
    ...(random.chance(0.4) ? { commit: "onTimer" as const, flushEvery: "300 millis" as const } : {})
  }
  return Effect.gen(function*() {
    for (let lives = 3 + random.below(5); lives > 0; lives--) {
      const operations = random.chance(0.8) ? 1 + random.below(600) : undefined
      const exit = yield* poweredBy(
        life(model, random, seams).pipe(Effect.provide(Steps.layer(options))),
        operations
      )
      if (exit !== undefined && Exit.isFailure(exit)) return String(exit.cause)
      yield* rot(rotten, random)
    }
    return undefined
  }).pipe(
    Effect.provide(SimulatedDisk.layer({
      seed: random.uint32(),
      faults: { slowRate: random.below(4) / 10, slowMax: "40 millis" }
    })),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

type PlantedDisk = (disk: Disk["Service"]) => Partial<Disk["Service"]>

const onDisk = (plant: PlantedDisk): StateSeams => ({
  log: (log) => ({ ...log, disk: { ...log.disk, ...plant(log.disk) } })
})

const isOfState = (path: string): boolean => path.includes("wal_state_")

/** Mistakes that a state machine could make, each planted in what it uses. */
export const plantedStateBugs: ReadonlyArray<{ readonly name: string; readonly seams: StateSeams }> = [
  {
    name: "a snapshot is written before its events are durable",
    seams: { log: (log) => ({ ...log, commitTo: (id) => Effect.succeed(id) }) }
  },
  {
    name: "retention passes the older snapshot",
    seams: {
      log: (log) => ({
        ...log,
        maintainer: {
          ...log.maintainer,
          holdDurably: (options) =>
            Effect.map(log.maintainer.holdDurably(options), (hold) => ({
              ...hold,
              moveTo: () => Effect.flatMap(log.positions, ({ durable }) => hold.moveTo(durable))
            }))
        }
      })
    }
  },
  {
    name: "what a machine needs is held only while it is open",
    seams: {
      log: (log) => ({
        ...log,
        maintainer: {
          ...log.maintainer,
          holdDurably: ({ name }) =>
            Effect.as(log.maintainer.hold({ name, fromSegmentIndex: 0 }), {
              eventId: Effect.succeed(0),
              moveTo: () => Effect.void
            })
        }
      })
    }
  },
  {
    name: "a snapshot has its name before it is synced",
    seams: onDisk((disk) => ({
      open: (path, mode) =>
        Effect.map(disk.open(path, mode), (file) => isOfState(path) ? { ...file, sync: Effect.void } : file)
    }))
  }
]
