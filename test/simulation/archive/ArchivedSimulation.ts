/**
 * One run of the simulation with a store is one seed, too: a machine that archives what it records, several lives of its
 * process, and one store that outlives them, with requests of earlier lives still under way. In the end everything is
 * read on a machine that sees the store alone.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as ArchiveDisk from "../../../src/archive/ArchiveDisk.ts"
import * as ArchiveVerify from "../../../src/archive/ArchiveVerify.ts"
import { segmentKey } from "../../../src/archive/Manifest.ts"
import { Disk } from "../../../src/disk/Disk.ts"
import * as Verify from "../../../src/reading/recovery/Verify.ts"
import * as Replay from "../../../src/reading/Replay.ts"
import { ObjectStore } from "../../../src/store/ObjectStore.ts"
import { SeededRandom } from "../../../src/testing/SeededRandom.ts"
import * as SimulatedDisk from "../../../src/testing/SimulatedDisk.ts"
import * as SimulatedStore from "../../../src/testing/SimulatedStore.ts"
import { segmentsOnDisk } from "../DirectoryWatch.ts"
import type { Life } from "../Life.ts"
import { Model } from "../Model.ts"
import { directory, drawNextScenario, drawScenario } from "../Scenario.ts"
import type { Scenario } from "../Scenario.ts"
import { endAtAnyMoment, makeLife, startMillis, toTheEnd } from "../Simulation.ts"
import type { Run } from "../Simulation.ts"
import { Trace, Violation } from "../Trace.ts"
import { World } from "../World.ts"
import { drawStoreFaults, liveArchived } from "./ArchivedLife.ts"
import type { ArchivedSetting, StoreSeams } from "./ArchivedLife.ts"
import { log, StoreWatch } from "./StoreWatch.ts"

export interface ArchivedRunOptions {
  readonly seed: number
  readonly isVerbose?: boolean
  /** A planted bug. */
  readonly seams?: StoreSeams
  /** Lives end after such a line of the trace, more often than not. */
  readonly weak?: RegExp
  /** How often a life has some hundred segments; seldom, when not given. */
  readonly longShare?: number
}

/** So many runs have lives with some hundred segments, which take thirty times as long. */
const longShare = 0.01

/** So many archives let segments go unarchived. */
const freeShare = 0.15

/** What of an archive must come in order. */
const archivingMoments = /(store put|store remove|\.lz4b?\.tmp).*$/

export const runArchived = (options: ArchivedRunOptions): Run => {
  const { stackTraceLimit } = Error
  if (options.isVerbose !== true) Error.stackTraceLimit = 0
  try {
    return runSeed(options)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

const runSeed = (options: ArchivedRunOptions): Run => {
  const { seed } = options
  const random = new SeededRandom((seed + 2 ** 47) % 2 ** 53)
  const trace = new Trace(options.isVerbose ?? false)
  const simulated = Effect.runSync(SimulatedDisk.make({ seed: random.uint32() }))
  const model = new Model()
  const watch = new StoreWatch(model)
  const store = Effect.runSync(SimulatedStore.make({ seed: random.uint32(), onChange: watch.changed }))
  watch.nameOf = options.seams?.nameOf ?? watch.nameOf
  watch.mayLose = random.chance(freeShare)
  const onArchiveBehind = watch.mayLose ? "free" as const : "keep" as const
  const archiving = (drawn: Scenario): Scenario => ({ ...drawn, wal: { ...drawn.wal, onArchiveBehind } })
  const isLong = random.chance(options.longShare ?? longShare)
  const setting: ArchivedSetting = {
    simulated: store,
    watch,
    faults: drawStoreFaults(random),
    seams: options.seams ?? {},
    state: { isHealthy: true },
    isLong
  }
  let scenario = archiving(drawScenario(random))
  let nowMillis = startMillis
  let isHealthy = true
  let violation: Violation | undefined
  const begin = (): Life => {
    const world = new World(random, nowMillis, scenario.isShuffled)
    const gone = (path: string) => {
      const index = /FS\.(\d{8})\.wal\.lz4b?$/.exec(path)?.[1]
      if (index === undefined) return
      const isThere = segmentsOnDisk(simulated).some(({ segmentIndex }) => segmentIndex === Number(index))
      if (!isThere) watch.gone(Number(index))
    }
    const rotten = new Set<number>()
    const life = makeLife({ scenario, model, simulated, random, trace, world, seams: {}, rotten }, isHealthy, gone)
    watch.now = () => world.nowMillis
    watch.violated = (broken) => life.violated(broken)
    return life
  }
  const end = (life: Life): void => {
    life.setting.process.silence()
    isHealthy = life.faults.isHealthy
    nowMillis = life.setting.world.nowMillis + 1000
  }

  for (let left = 1 + random.below(4); left >= 0 && violation === undefined; left--) {
    trace.add(`a life begins after: ${model.ending}`)
    const life = begin()
    const living = liveArchived(life, setting, left === 0)
    violation = left === 0
      ? toTheEnd(life, life.watched(living))
      : endAtAnyMoment(life, living, options.weak ?? archivingMoments, isLong ? 800 : 60)
    if (left > 0) model.hasDied = true
    end(life)
    if (random.chance(0.4)) scenario = archiving(drawNextScenario(random, scenario))
  }
  if (violation === undefined) {
    const life = begin()
    violation = toTheEnd(life, life.watched(lookFromElsewhere(life, setting, random)))
    end(life)
  }
  const operations = Effect.runSync(simulated.operationCount)
  return { seed, violation, hash: trace.hash, scenario, lines: trace.lines, operations }
}

/** What a replay gave, and what it was told is lost. */
interface Read {
  readonly first: number | undefined
  readonly next: number | undefined
  readonly failure: string | undefined
}

/** A whole replay, every event of which is what was appended. */
const readAll = Effect.fnUntraced(function*(life: Life, shown: string) {
  const { model } = life.setting
  let first: number | undefined
  let next: number | undefined
  const onLost = (hole: Replay.AcknowledgedHole) =>
    Effect.sync(() => {
      if (next !== undefined) next = Math.max(next, hole.lastEventId + 1)
    })
  const replayed = yield* Effect.result(Stream.runForEach(
    Replay.events({ directory: shown, onLost }),
    (event) =>
      Effect.sync(() => {
        first ??= event.id
        next = model.replayed(event, next)
      })
  ))
  const failure = replayed._tag === "Failure" ? replayed.failure.message : undefined
  const read: Read = { first, next, failure }
  return read
})

/** On a machine that never wrote, from the store alone; and on the machine that did, from both. */
const lookFromElsewhere = (life: Life, { simulated, watch }: ArchivedSetting, random: SeededRandom) =>
  Effect.gen(function*() {
    life.doing = "reading the archive elsewhere"
    const { model, process } = life.setting
    yield* life.faults.heal
    yield* simulated.heal
    yield* simulated.setAway(false)
    const { manifest } = watch
    if (manifest === undefined) return
    const elsewhere = yield* SimulatedDisk.make({ seed: 1 })
    const over = (disk: Disk["Service"], local: string | undefined) =>
      Layer.provide(
        ArchiveDisk.layer({ log, directory: local }),
        Layer.merge(Layer.succeed(Disk, disk), Layer.succeed(ObjectStore, simulated.store))
      )
    const far = over(elsewhere.disk, undefined)
    const both = over(process.disk, directory)
    const shown = ArchiveDisk.shownDirectory(log)

    const archived = yield* Effect.provide(readAll(life, shown), far)
    if (archived.failure !== undefined) throw new Violation(`a replay of the archive failed: ${archived.failure}`)
    const { lastId } = watch.end
    if (lastId !== undefined && archived.next !== undefined && archived.next !== lastId + 1) {
      throw new Violation(`a replay of the archive ended before ${archived.next}, and the archive has ${lastId}`)
    }
    const { faults } = yield* Effect.provide(Verify.verify({ directory: shown }), far)
    if (faults.length > 0) throw new Violation(`verify of the archive: ${Verify.formatVerifyFault(faults[0]!)}`)

    const whole = yield* Effect.provide(readAll(life, directory), both)
    const local = yield* Effect.provideService(readAll(life, directory), Disk, process.disk)
    if (whole.failure !== undefined) throw new Violation(`a replay of archive and directory failed: ${whole.failure}`)
    const isWhole = (local.next ?? 0) <= (whole.next ?? 0) && (archived.next ?? 0) <= (whole.next ?? 0) &&
      (whole.first ?? 0) <= Math.min(local.first ?? Infinity, archived.first ?? Infinity)
    if (!isWhole) {
      throw new Violation(
        `archive and directory together have ${whole.first} to ${whole.next}; alone ${archived.first} to ` +
          `${archived.next} and ${local.first} to ${local.next}`
      )
    }
    // When every event has expired, the segments that stay tell none.
    if (whole.next !== undefined && whole.next - 1 < model.promised) {
      throw new Violation(`a replay of both ended before ${whole.next}`)
    }

    const rows = manifest.rows.filter((row) => row.form !== "none" && row.index >= manifest.firstIndex)
    const row = rows[random.below(Math.max(1, rows.length))]
    if (row === undefined || row.form === "none") return
    life.doing = "reading an archive that has rotted"
    const key = segmentKey(log, manifest.naming, row)
    yield* simulated.rotBits(key, 1 + random.below(3))
    const found = yield* Stream.runCollect(ArchiveVerify.verify({ log, sample: 100_000 })).pipe(
      Effect.provideService(ObjectStore, simulated.store)
    )
    if (!found.some((fault) => fault.key === key)) {
      throw new Violation(`${key} has rotted, and verification does not see it`)
    }
    // What it gives is right; it may end early, with a word.
    yield* Effect.provide(readAll(life, shown), over(elsewhere.disk, undefined))
    const isLocal = segmentsOnDisk(life.setting.simulated).some(({ segmentIndex }) => segmentIndex === row.index)
    if (!isLocal) return
    const again = yield* Effect.provide(readAll(life, directory), over(process.disk, directory))
    if (again.failure !== undefined) {
      throw new Violation(`the directory has what has rotted in the archive, and a replay failed: ${again.failure}`)
    }
  }).pipe(Effect.orDie)
