/**
 * One run of the simulation is one seed: a machine with a disk that fails, on which a process opens a directory,
 * records and dies, several times, and at last one that lives to its end and finds everything in order. Nothing is
 * drawn from anywhere but the seed, so a run can be repeated exactly.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { Damage, liveWithDamage, lookAtDamage } from "./Damage.ts"
import { DirectoryWatch, segmentsOnDisk } from "./DirectoryWatch.ts"
import { Faults } from "./Faults.ts"
import { HintSpoiler } from "./Hints.ts"
import { Life } from "./Life.ts"
import type { Setting } from "./Life.ts"
import { Model } from "./Model.ts"
import { lookAtOpenRot, repairOpenRot, rotOpenSegment } from "./OpenRot.ts"
import { makeProcess } from "./Process.ts"
import type { Seams } from "./Process.ts"
import { directory, drawClockJump, drawNextScenario, drawScenario } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"
import { Trace, Violation } from "./Trace.ts"
import { Weights } from "./Weights.ts"
import { World } from "./World.ts"

/** What came of a run. */
export interface Run {
  readonly seed: number
  readonly violation: Violation | undefined
  /** Of everything that happened. */
  readonly hash: string
  readonly scenario: Scenario
  /** Every operation on the disk and every promise; empty unless asked for. */
  readonly lines: ReadonlyArray<string>
  readonly operations: number
}

export interface RunOptions {
  readonly seed: number
  readonly isVerbose?: boolean
  /** A planted bug. */
  readonly seams?: Seams
  /** Lives end right after an operation like this one, more often than not. */
  readonly focus?: Focus
  /** Every life has these limits, instead of some that are drawn. */
  readonly limits?: ResolvedLimits
  /** How often a hint is spoiled between two lives; in a fifth of them, when not given. */
  readonly hintShare?: number
  /** How often a bit rots in the segment that was open when a life ended badly; seldom, when not given. */
  readonly openRotShare?: number
  /** How often segments rot in the end and are moved to quarantine beside recording; in a fifth of all runs otherwise. */
  readonly damageShare?: number
  /** Is given all files as they are in the end of a run that has held every promise. */
  readonly onEnd?: (files: ReadonlyMap<string, Uint8Array>) => void
}

/** A moment and a way to die at it. */
export interface Focus {
  readonly after: RegExp
  readonly by: "power off" | "killed"
}

/** A life takes at most this long, by its own clock. */
const lifeMillisMax = 90 * 24 * 3_600_000
export const startMillis = 1_700_000_000_000

export const run = (options: RunOptions): Run => {
  const { stackTraceLimit } = Error
  // Most errors here are meant to be. Where one came from is asked only of a run that is looked at.
  if (options.isVerbose !== true) Error.stackTraceLimit = 0
  try {
    return runSeed(options)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

const runSeed = (options: RunOptions): Run => {
  const { seams = {}, seed } = options
  const random = new SeededRandom(seed)
  const limited = (drawn: Scenario): Scenario =>
    options.limits === undefined ? drawn : { ...drawn, wal: { ...drawn.wal, limits: options.limits } }
  let scenario = limited(drawScenario(random))
  const { lives } = scenario
  const trace = new Trace(options.isVerbose ?? false)
  const simulated = Effect.runSync(SimulatedDisk.make({ seed: random.uint32() }))
  const model = new Model()
  /** Of its own, so that what is drawn here changes nothing else of a run. */
  const rotRandom = new SeededRandom((seed + 2 ** 45) % 2 ** 53)
  const hintRandom = new SeededRandom((seed + 2 ** 46) % 2 ** 53)
  const hints = new HintSpoiler(simulated, hintRandom)
  let nowMillis = startMillis
  let violation: Violation | undefined
  let isHealthy = true
  const runOf = (): Run => {
    const operations = Effect.runSync(simulated.operationCount)
    if (violation === undefined) options.onEnd?.(Effect.runSync(simulated.files))
    return { seed, violation, hash: trace.hash, scenario, lines: trace.lines, operations }
  }
  let isClockAhead = false

  for (let number = 1; number <= lives + 1 && violation === undefined; number++) {
    const isLast = number > lives
    if (number > 1) scenario = limited(drawNextScenario(random, scenario))
    trace.add(`life ${number} begins after: ${model.ending}`)
    const world = new World(random, nowMillis, scenario.isShuffled)
    // The clock may be wrong from the start on. Ahead in two lives one after the other, it would look right.
    if (random.chance(0.15)) world.setMillis = isClockAhead ? 0 : drawClockJump(random)
    model.clockShows(world.setMillis)
    const life = makeLife({ scenario, model, simulated, random, trace, world, seams, rotten: new Set() }, isHealthy)
    violation = isLast
      ? toTheEnd(life, life.live(true))
      : liveAndPerhapsDie(life, simulated, options.focus)
    isHealthy = life.faults.isHealthy
    isClockAhead = world.setMillis > 0
    nowMillis = world.nowMillis + 1000
    life.setting.process.silence()
    const isSpoiled = !isLast && violation === undefined && hintRandom.chance(options.hintShare ?? hintShare)
    if (isSpoiled) trace.add(`between two lives: ${hints.spoil()}`)
    // Only the meta file tells the ids of a segment before which none is left: both at once are lost for good.
    const isTold = !isSpoiled || new Set(segmentsOnDisk(simulated).map(({ segmentIndex }) => segmentIndex)).size > 1
    const rot = !isLast && violation === undefined && rotRandom.chance(options.openRotShare ?? openRotShare) && isTold
      ? rotOpenSegment(simulated, rotRandom)
      : undefined
    if (rot === undefined) continue
    trace.add(`rotten while it was open: ${rot.path}`)
    for (const look of [lookAtOpenRot, repairOpenRot]) {
      const world = new World(random, nowMillis, scenario.isShuffled)
      const rotten = new Set([rot.segmentIndex])
      const looking = makeLife({ scenario, model, simulated, random, trace, world, seams, rotten }, isHealthy)
      violation ??= toTheEnd(looking, looking.watched(look(looking, rot)))
      looking.setting.process.abandon()
      looking.setting.process.silence()
      isHealthy = true
    }
    return runOf()
  }
  violation ??= lookAtTheNames(simulated, model, model.hasDied || scenario.hasFaults)
  const damageRandom = new SeededRandom((seed + 2 ** 44) % 2 ** 53)
  if (violation === undefined && damageRandom.chance(options.damageShare ?? damageShare)) {
    const wal = { ...scenario.wal, onDamaged: "quarantine" as const }
    violation = liveOnDamage({
      model,
      simulated,
      random: damageRandom,
      trace,
      seams,
      nowMillis,
      scenario: { ...scenario, wal }
    })
    return runOf()
  }
  if (violation === undefined && random.chance(rotShare)) {
    const files = random.shuffle([...segmentsOnDisk(simulated)].filter(({ bytes }) => bytes > 0))
      .slice(0, 1 + random.below(2))
    const rotten = new Set(files.map(({ segmentIndex }) => segmentIndex))
    const world = new World(random, nowMillis, scenario.isShuffled)
    const life = makeLife({ scenario, model, simulated, random, trace, world, seams, rotten }, true)
    violation = toTheEnd(life, life.liveOnRot(files))
    life.setting.process.silence()
  }
  return runOf()
}

/** Some lives of which segments rot, all but the last of which may end at any moment, and a look at what is left. */
const liveOnDamage = (
  setting: Omit<Setting, "process" | "watch" | "world" | "rotten"> & { readonly nowMillis: number }
): Violation | undefined => {
  const { model, random, scenario, simulated, trace } = setting
  const damage = new Damage(simulated, random, trace)
  let { nowMillis } = setting
  let violation: Violation | undefined
  const closed = new Set(segmentsOnDisk(simulated).map(({ segmentIndex }) => segmentIndex))
  for (let left = 1 + random.below(2); left > 0; left--) damage.rotOne(closed)
  for (let left = random.below(4); left >= 0 && violation === undefined; left--) {
    const world = new World(random, nowMillis, scenario.isShuffled)
    const life = makeLife({ ...setting, world, rotten: damage.rotten }, true)
    if (left === 0) violation = toTheEnd(life, life.watched(liveWithDamage(life, damage)))
    else violation = endAtAnyMoment(life, liveWithDamage(life, damage), damagedMoments, 120)
    if (violation === undefined && left === 0) {
      const looking = makeLife({ ...setting, world, rotten: damage.rotten }, true)
      violation = toTheEnd(looking, looking.watched(lookAtDamage(looking, damage)))
    }
    life.setting.process.silence()
    model.hasDied = true
    nowMillis = world.nowMillis + 1000
    try {
      damage.lookAtEvidence("between two lives")
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      violation ??= error
    }
  }
  return violation
}

/**
 * A life that is killed, or whose power fails, after so many operations (most often after one of `weak`); or that comes
 * to its end before that.
 */
export const endAtAnyMoment = (
  life: Life,
  living: Effect.Effect<void>,
  weak: RegExp,
  operationsMax: number
): Violation | undefined => {
  const { model, process, random, simulated, trace, world } = life.setting
  const isPowerOff = random.chance(0.5)
  const stop = () => {
    world.isStopped = true
  }
  // Not while the directory is taken: to have its lock and to note it is one step of a real process.
  const moments = random.chance(0.8) ? weak : / \/wal\/(?!wal\.lock).*: ok$/
  trace.trap = { pattern: moments, left: 1 + random.below(operationsMax), spring: stop }
  const fiber = process.run(life.watched(living))
  const outcome = world.run(() => fiber.pollUnsafe() !== undefined, world.nowMillis + lifeMillisMax)
  trace.trap = undefined
  world.isStopped = true
  if (life.violation !== undefined) return life.violation
  if (outcome === "deadlock" || outcome === "too long") return unending(life, `a damaged life did not end: ${outcome}`)
  if (outcome === "done") return undefined
  model.promise(Math.min(life.durableEventId, model.events.length), "at the end")
  model.ending = isPowerOff ? "power off" : "killed"
  trace.add(model.ending)
  if (isPowerOff) Effect.runSync(simulated.crash)
  else process.abandon()
  return undefined
}

/** What of a life with damage must come in order. */
const damagedMoments = /(wal_holes|quarantine|FS\.\d+\.wal).*: ok$/

/** `gone` is told of names that executors take away, after they are looked at. */
export const makeLife = (
  options: Omit<Setting, "process" | "watch">,
  isHealthy: boolean,
  gone: (path: string) => void = () => {}
): Life => {
  const { scenario, simulated, world } = options
  const hotMax = scenario.wal.onHotLimit === "exceed" ? Number.POSITIVE_INFINITY : 0
  const { model } = options
  model.now = () => world.nowMillis
  model.setUp(scenario)
  const watch = new DirectoryWatch(
    simulated,
    model,
    world.nowMillis,
    hotMax,
    new Weights(scenario),
    (violation) => life.violated(violation)
  )
  const listener = {
    gaveUp: (segmentIndex: number) => void watch.givenUp.add(segmentIndex),
    held: (change: 1 | -1) => watch.held(change),
    renamed: (to: string) => watch.renamed(to),
    nameGone: (path: string) => {
      watch.nameGone(path, world.nowMillis)
      gone(path)
    },
    closed: (segmentIndex: number, hasEvents: boolean, lastEventId: number) =>
      watch.closed(segmentIndex, hasEvents, lastEventId, world.nowMillis)
  }
  const process = makeProcess({ ...options, listener })
  const faults = new Faults({ ...options, disk: process.disk, isHealthy })
  const life: Life = new Life({ ...options, process, watch }, faults)
  return life
}

/** In so many runs bits rot in the end. */
const rotShare = 0.25

/** In so many runs segments rot beside a recorder that moves them to quarantine. */
const damageShare = 0.2

/** Between so many lives a hint is spoiled. */
const hintShare = 0.2

/** After so many lives a bit rots in the segment that was open. */
const openRotShare = 0.5

/** A life that nothing ends before its time. */
export const toTheEnd = (life: Life, living: Effect.Effect<void>): Violation | undefined => {
  const { process, rotten, world } = life.setting
  const fiber = process.run(living)
  const outcome = world.run(() => fiber.pollUnsafe() !== undefined, world.nowMillis + lifeMillisMax)
  if (life.violation !== undefined) return life.violation
  return outcome === "done" || rotten.size > 0 && outcome === "stopped"
    ? undefined
    : unending(life, `the last life did not come to an end: ${outcome}`)
}

const unending = (life: Life, words: string): Violation => new Violation(`${words}; ${life.whereItWaits()}`)

/** What the arena says at this moment anybody could have read, so it was promised. */
const notePromise = (life: Life): void => {
  life.setting.model.promise(life.durableEventId, "at the end")
}

/** Moments at which dying hurts: right after an operation that another one must follow. */
const weakMoments: ReadonlyArray<RegExp> = [
  / rename .*\.wal .*\.tmp: ok$/,
  / rename .*\.lz4b? .*\.tmp: ok$/,
  / rename .*\.wal: ok$/,
  / rename .*\.lz4b?: ok$/,
  / sync .*\.wal(\.tmp)?: ok$/,
  / write .*\.wal(\.tmp)? /,
  / truncate .*\.wal: ok$/,
  /(sync|syncDirectory) .*: Io$/,
  /: Io$/
]

/** Draws how a life ends if it does not end by itself: the power fails, the process is killed, or neither. */
const arrangeEnd = (
  life: Life,
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  focus: Focus | undefined
): "power off" | "killed" => {
  const { random, trace, world } = life.setting
  const stop = () => {
    world.isStopped = true
  }
  const isSoon = random.chance(0.4)
  const draw = focus !== undefined && random.chance(0.8) ? 2 : random.below(10)
  if (draw < 2) {
    const operations = Effect.runSync(simulated.operationCount)
    Effect.runSync(simulated.crashAt(operations + 1 + random.below(isSoon ? 40 : 300)))
  } else if (draw < 7) {
    const pattern = focus?.after ?? weakMoments[random.below(weakMoments.length)] ?? / unlink /
    trace.trap = { pattern, left: 1 + random.below(isSoon || focus !== undefined ? 3 : 15), spring: stop }
  } else if (draw < 9) {
    world.stopAfterTasks = world.taskCount + random.below(isSoon ? 300 : 4000)
  }
  if (draw >= 2 && draw < 7 && focus !== undefined) return focus.by
  return draw < 2 || random.chance(0.5) ? "power off" : "killed"
}

const liveAndPerhapsDie = (
  life: Life,
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  focus: Focus | undefined
): Violation | undefined => {
  const { model, process, random, trace, world } = life.setting
  const fate = arrangeEnd(life, simulated, focus)
  const fiber = process.run(life.live(false))
  const ended = world.run(() => fiber.pollUnsafe() !== undefined, world.nowMillis + lifeMillisMax)
  if (life.violation !== undefined) return life.violation
  try {
    notePromise(life)
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
  if (ended === "deadlock" || ended === "too long") return unending(life, `a life did not come to an end: ${ended}`)
  const exit = fiber.pollUnsafe()
  const isOver = exit !== undefined && Exit.isSuccess(exit)
  world.isStopped = true
  trace.trap = undefined
  if (!isOver) {
    model.ending = fate
    model.hasDied = true
  }
  if (isOver && ended === "done" ? random.chance(0.5) : fate === "power off") {
    trace.add("power off")
    Effect.runSync(simulated.crash)
  } else if (!isOver) {
    trace.add("killed")
    process.abandon()
    // Killed right after a sync failed: a directory that was just made could not be removed again, and may be lost.
    // Only an empty directory can be removed.
    Effect.runSyncExit(simulated.disk.removeDirectory(directory))
  }
  Effect.runSync(simulated.crashAt(Number.MAX_SAFE_INTEGER))
  return undefined
}

const ownNames = /^\/(wal\/(FS\.\d{8}\.wal(\.lz4b?)?|wal_meta\.dat|wal_verified\.json)|backup-.*)$/
/** What a verification leaves until the next one when it was killed, or could not remove it. */
const unfinishedName = "/wal/wal_verified.json.tmp"

/** After the last shutdown: no file without an owner, no segment in two forms unless its freeze was left unfinished. */
const lookAtTheNames = (
  simulated: SimulatedDisk.SimulatedDisk["Service"],
  model: Model,
  mayBeUnfinished: boolean
): Violation | undefined => {
  const names = [...Effect.runSync(simulated.files).keys()]
  const stranger = names.find((name) => !ownNames.test(name) && !(mayBeUnfinished && name === unfinishedName))
  if (stranger !== undefined) return new Violation(`${stranger} belongs to nobody`)
  if (model.freezesLeft > 0) return undefined
  const twice = names.find((name) => names.includes(`${name}.lz4`) || names.includes(`${name}.lz4b`))
  return twice === undefined ? undefined : new Violation(`${twice} is there hot and cold, in ${directory}`)
}
