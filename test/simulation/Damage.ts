/**
 * Segments rot before a log is opened and while it is recorded, and the recorder moves them to quarantine. Its process
 * dies meanwhile, at any operation. Nothing is missing that is not acknowledged, nothing is acknowledged without its
 * evidence, no id is given out again, and readers skip what is acknowledged and nothing else.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import { isSegmentFault } from "../../src/format/SegmentFault.ts"
import { closedSegment } from "../../src/maintainer/steps/SegmentProof.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import { segmentsOnDisk } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import { NewestIsRotten, open } from "./Opening.ts"
import type { Opened } from "./Opening.ts"
import { directory } from "./Scenario.ts"
import { shutDown } from "./ShutDown.ts"
import type { Trace } from "./Trace.ts"
import { Violation } from "./Trace.ts"
import { Workload } from "./Workload.ts"

export const holesPath = `${directory}/wal_holes.json`

/** What has rotted, over all lives. */
export class Damage {
  readonly rotten = new Set<number>()
  readonly #simulated: SimulatedDisk["Service"]
  readonly #random: SeededRandom
  readonly #trace: Trace
  /** Hot files that do not verify any more, as they were then. */
  readonly #evidence: Array<{ readonly path: string; readonly bytes: Uint8Array }> = []

  constructor(simulated: SimulatedDisk["Service"], random: SeededRandom, trace: Trace) {
    this.#simulated = simulated
    this.#random = random
    this.#trace = trace
  }

  /**
   * Lets bits of one of the closed segments with these indices rot, and rather of a hot one. Of the newest only a hot
   * file with events: a frame of which nothing can be decoded, and the header of a segment without events, are the only
   * ones that tell the last ids when the meta file is older.
   */
  rotOne(closed: ReadonlySet<number>): void {
    const segments = segmentsOnDisk(this.#simulated)
    const newest = Math.max(-1, ...segments.map(({ segmentIndex }) => segmentIndex))
    const files = this.#random.shuffle(
      segments.filter(({ bytes, isHot, path, segmentIndex }) =>
        bytes > 0 && closed.has(segmentIndex) && !this.rotten.has(segmentIndex) &&
        (segmentIndex !== newest || isHot && this.#hasEvents(path, segmentIndex))
      )
    )
    const hot = files.filter(({ isHot }) => isHot)
    const chosen = (hot.length > 0 && this.#random.chance(0.8) ? hot : files)[0]
    if (chosen === undefined) return
    const { isHot, path, segmentIndex } = chosen
    const rot = Effect.runSyncExit(this.#simulated.rotBits(path, 1 + this.#random.below(3)))
    if (Exit.isFailure(rot)) return
    this.rotten.add(segmentIndex)
    this.#trace.add(`rotten: ${path}`)
    const bytes = Uint8Array.from(Effect.runSync(this.#simulated.files).get(path) ?? [])
    const proof = closedSegment.begin(segmentIndex)
    proof.push(bytes)
    if (isHot && isSegmentFault(proof.end())) this.#evidence.push({ path, bytes })
  }

  #hasEvents(path: string, segmentIndex: number): boolean {
    const proof = closedSegment.begin(segmentIndex)
    proof.push(Effect.runSync(this.#simulated.files).get(path) ?? new Uint8Array(0))
    const facts = proof.end()
    return !isSegmentFault(facts) && facts.events > 0
  }

  /** Every hot file that has rotted is in its place or in quarantine, as it was. */
  lookAtEvidence(words: string): void {
    const files = [...Effect.runSync(this.#simulated.files)]
    for (const { bytes, path } of this.#evidence) {
      const name = path.slice(directory.length)
      const isKept = files.some(([other, found]) =>
        (other === path || other.startsWith(`${directory}/quarantine/`) && other.endsWith(name)) &&
        Buffer.compare(found, bytes) === 0
      )
      if (!isKept) throw new Violation(`${words}: ${path} has rotted, and what it was is in no quarantine`)
    }
  }
}

/** A life with damage; one that is not the last may be ended at any operation. */
export const liveWithDamage = (life: Life, damage: Damage): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { random, watch } = life.setting
    watch.hasDamage = true
    yield* life.faults.heal
    const opened = yield* openPast(life)
    const background = yield* Scope.make()
    const workload = new Workload(life, opened, background)
    for (let round = random.below(3); round >= 0; round--) {
      yield* workload.work(random.below(6), false)
      if (random.chance(0.5)) damage.rotOne(yield* closedIn(opened))
      yield* Effect.sleep(random.below(2000))
    }
    yield* Scope.close(background, Exit.void)
    yield* shutDown(life, opened)
    damage.lookAtEvidence("after a shutdown")
  })

const openPast = (life: Life): Effect.Effect<Opened> =>
  Effect.catchDefect(open(life), (defect) => {
    if (!(defect instanceof NewestIsRotten)) return Effect.die(defect)
    return Effect.die(new Violation("recording does not continue past damage that it was to move away"))
  })

/** Segments that are durable in their form, and that nothing writes to. */
const closedIn = ({ maintainer }: Opened): Effect.Effect<ReadonlySet<number>> =>
  Effect.map(maintainer.segments, (segments) =>
    new Set(
      segments.filter(({ state }) => state === "hot" || state === "cold").map(({ segmentIndex }) => segmentIndex)
    ))

/** At rest: what is missing is acknowledged, and a replay gives everything else or names what is damaged. */
export const lookAtDamage = (life: Life, damage: Damage): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { reading } = life
    damage.lookAtEvidence("at rest")
    const { faults, holes } = yield* Verify.verify({ directory })
    const stranger = faults.find((fault) => fault.kind !== "Corrupt" || !reading.isDamaged(fault.segmentIndex))
    if (stranger !== undefined) {
      throw new Violation(
        `verify beside quarantine: ${Verify.formatVerifyFault(stranger)}; ${JSON.stringify(faults)} ${
          Buffer.from(Effect.runSync(life.setting.simulated.files).get(holesPath) ?? []).toString()
        }`
      )
    }
    const strange = holes.find((hole) => !reading.isRottenHole(hole))
    if (strange !== undefined) {
      throw new Violation(`a hole was acknowledged where nothing has rotted: ${JSON.stringify(strange)}`)
    }
    const passed: Array<Replay.AcknowledgedHole> = []
    const given = new Set<number>()
    const replayed = yield* Effect.result(Stream.runForEach(
      Replay.events({ directory, onLost: (hole) => Effect.sync(() => void passed.push(hole)) }),
      (event) =>
        Effect.sync(() => {
          life.setting.model.replayed(event, undefined)
          given.add(event.id)
        })
    ))
    if (replayed._tag === "Failure") {
      if (faults.length === 0 || !reading.isRot(replayed.failure)) {
        throw new Violation(`a replay that skips what is lost failed: ${replayed.failure.message}`)
      }
    }
    const ids = [...given]
    for (let id = ids[0] ?? 1; id < (ids.at(-1) ?? 0); id++) {
      const isLost = passed.some(({ firstEventId, lastEventId }) => firstEventId <= id && id <= lastEventId)
      if (given.has(id) === isLost) throw new Violation(`a replay that skips what is lost is wrong about event ${id}`)
    }
    const isFollowed = passed.some(({ lastEventId }) => lastEventId < (ids.at(-1) ?? 0))
    if (holes.length > 0) yield* lookWithoutAcknowledgement(life, isFollowed)
  }).pipe(Effect.provideService(Disk, life.setting.process.disk), Effect.orDie)

/** The file of the holes has rotten bits, or is gone: what it acknowledged is a fault again. */
const lookWithoutAcknowledgement = (life: Life, isFollowed: boolean): Effect.Effect<void, never, Disk> =>
  Effect.gen(function*() {
    const { process, random, simulated } = life.setting
    const isRotten = random.chance(0.7)
    if (isRotten) {
      const bytes = Effect.runSync(simulated.files).get(holesPath)?.length ?? 1
      // The line feed at the end says nothing.
      yield* simulated.rotBits(holesPath, 1 + random.below(3), { from: 0, to: bytes - 1 })
    } else yield* process.disk.unlink(holesPath)
    const { faults, holes, ignoredHints } = yield* Verify.verify({ directory })
    if (isRotten && ignoredHints.length === 0) {
      throw new Violation(`${holesPath} has rotted, and verify does not say so`)
    }
    if (holes.length > 0) throw new Violation("a hole is believed although its file is not intact")
    // At an end of the log nothing shows what is lost there.
    if (!isFollowed) return
    if (faults.length === 0) throw new Violation("verify passes over a hole that is not acknowledged")
    const replayed = yield* Effect.result(life.reading.replay({ onLost: () => Effect.void }))
    if (replayed._tag === "Success") throw new Violation("a replay passes over a hole that is not acknowledged")
  }).pipe(Effect.orDie)
