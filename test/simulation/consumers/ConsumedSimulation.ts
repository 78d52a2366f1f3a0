/**
 * One run of the simulation with consumers is one seed, too: a machine whose log has one or two of them, several lives of
 * its process, each of which may end at any moment, retention beside them, and files of positions that rot, get ahead of
 * the log or are gone between two lives. In the end everything is done, and nothing was passed over.
 */
import * as Effect from "effect/Effect"
import { Disk } from "../../../src/disk/Disk.ts"
import type { DiskError } from "../../../src/disk/Disk.ts"
import { positionName } from "../../../src/disk/FileNames.ts"
import * as PositionStore from "../../../src/disk/PositionStore.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import type { Life } from "../Life.ts"
import { Model } from "../Model.ts"
import type { Seams } from "../Process.ts"
import { directory, drawNextScenario, drawScenario } from "../Scenario.ts"
import { endAtAnyMoment, makeLife, startMillis, toTheEnd } from "../Simulation.ts"
import type { Run } from "../Simulation.ts"
import { Trace, Violation } from "../Trace.ts"
import { World } from "../World.ts"
import { liveConsumed } from "./ConsumedLife.ts"
import type { ConsumerSeams } from "./ConsumedLife.ts"
import { ConsumerWatch } from "./ConsumerWatch.ts"

export interface ConsumedRunOptions {
  readonly seed: number
  readonly isVerbose?: boolean
  /** A planted bug. */
  readonly seams?: Seams & ConsumerSeams
}

/** What of a position, and of a deletion, must come in order. */
const moments = /(wal_position_|\.lz4b?).*: ok$/

/** Between so many lives a position is spoiled. */
const spoiledShare = 0.15

/** So many consumers have a bound. */
const boundedShare = 0.25

export const runConsumed = (options: ConsumedRunOptions): Run => {
  const { stackTraceLimit } = Error
  if (options.isVerbose !== true) Error.stackTraceLimit = 0
  try {
    return runSeed(options)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

const runSeed = ({ isVerbose = false, seams = {}, seed }: ConsumedRunOptions): Run => {
  const random = new SeededRandom((seed + 2 ** 48) % 2 ** 53)
  const trace = new Trace(isVerbose)
  const simulated = Effect.runSync(SimulatedDisk.make({ seed: random.uint32() }))
  const model = new Model()
  const watches = ["billing", "mail"].slice(0, 1 + random.below(2)).map((name) =>
    new ConsumerWatch(name, random.chance(boundedShare))
  )
  let scenario = drawScenario(random)
  let nowMillis = startMillis
  let isHealthy = true
  let violation: Violation | undefined
  for (let left = 1 + random.below(5); left >= 0 && violation === undefined; left--) {
    const isLast = left === 0
    trace.add(`a life begins after: ${model.ending}`)
    violation ??= lookAtPositions(simulated, watches)
    const world = new World(random, nowMillis, scenario.isShuffled)
    const rotten = new Set<number>()
    const life: Life = makeLife({ scenario, model, simulated, random, trace, world, seams, rotten }, isHealthy)
    const living = liveConsumed(life, seams, watches, isLast)
    violation ??= isLast
      ? toTheEnd(life, life.watched(living))
      : endAtAnyMoment(life, living, moments, random.chance(0.5) ? 20 : 200)
    if (!isLast) model.hasDied = true
    life.setting.process.silence()
    isHealthy = life.faults.isHealthy
    nowMillis = world.nowMillis + 1000
    if (!isLast && random.chance(spoiledShare)) trace.add(spoil(simulated, random, model, watches))
    if (random.chance(0.4)) scenario = drawNextScenario(random, scenario)
  }
  violation ??= lookAtPositions(simulated, watches)
  const operations = Effect.runSync(simulated.operationCount)
  return { seed, violation, hash: trace.hash, scenario, lines: trace.lines, operations }
}

const pathOf = ({ name }: ConsumerWatch): string => `${directory}/${positionName(name)}`

/** After whatever end, no position on the disk is ahead of what was done, and none is behind what was durable. */
const lookAtPositions = (
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  watches: ReadonlyArray<ConsumerWatch>
): Violation | undefined => {
  const files = Effect.runSync(simulated.files)
  for (const watch of watches) {
    const bytes = files.get(pathOf(watch))
    if (watch.isForgotten) continue
    const { eventId }: { eventId: number } = bytes === undefined
      ? { eventId: -1 }
      : JSON.parse(Buffer.from(bytes).toString()).position
    if (eventId > watch.doneThrough) {
      return new Violation(`the position of ${watch.name} is ${eventId}, and only ${watch.doneThrough} is done`)
    }
    if (eventId < watch.durableThrough) {
      return new Violation(`the position of ${watch.name} is ${eventId}, and ${watch.durableThrough} was durable`)
    }
  }
  return undefined
}

/** Bits of a position rot, it names an event that is still to come, or it is gone. */
const spoil = (
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  random: SeededRandom,
  model: Model,
  watches: ReadonlyArray<ConsumerWatch>
): string => {
  const watch = watches[random.below(watches.length)]!
  const path = pathOf(watch)
  const text = () => Effect.runSync(simulated.files).get(path)?.toString()
  const before = text()
  if (before === undefined) return "no position to spoil"
  const words = spoilOne(simulated, random, model, watch)
  // The disk may not let it be done.
  if (text() !== before) watch.isForgotten = true
  return words
}

const spoilOne = (
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  random: SeededRandom,
  model: Model,
  watch: ConsumerWatch
): string => {
  const path = pathOf(watch)
  const on = (put: Effect.Effect<void, DiskError, Disk>) =>
    void Effect.runSyncExit(Effect.provideService(put, Disk, simulated.disk))
  switch (random.below(3)) {
    case 0:
      Effect.runSyncExit(simulated.rotBits(path, 1 + random.below(3)))
      return `rotten: ${path}`
    case 1:
      on(PositionStore.write(directory, { name: watch.name, eventId: model.events.length + 1 + random.below(100) }))
      return `ahead of the log: ${path}`
    default:
      on(PositionStore.remove(directory, watch.name))
      return `gone: ${path}`
  }
}
