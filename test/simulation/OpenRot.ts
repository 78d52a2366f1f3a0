/**
 * A bit rots in the segment that was open when its process died, in a block that was durable: it is found by every
 * reader, nothing is cut, and after a repair no id is given out again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Disk } from "../../src/disk/Disk.ts"
import { decodeBlockHeader } from "../../src/format/Block.ts"
import { SegmentVerifier } from "../../src/format/SegmentVerifier.ts"
import type { VerifiedBlock } from "../../src/format/SegmentVerifier.ts"
import { repair } from "../../src/reading/recovery/Repair.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { SeededRandom } from "../../src/testing/SeededRandom.ts"
import type { SimulatedDisk } from "../../src/testing/SimulatedDisk.ts"
import { segmentsOnDisk } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import { NewestIsRotten, open } from "./Opening.ts"
import { directory } from "./Scenario.ts"
import { Violation } from "./Trace.ts"

/** What has rotted. */
export interface OpenRot {
  readonly path: string
  readonly segmentIndex: number
  /** The last event of the segment, which was written before. */
  readonly lastEventId: number
  /** The file, the rotten bit included. */
  readonly bytes: Uint8Array
}

/**
 * Lets a bit of the newest segment rot, if that is open and has a block that was durable for sure: the first one, or
 * one that a later flush follows. `undefined` when there is none, or the device has not got all of the file yet.
 */
export const rotOpenSegment = (simulated: SimulatedDisk["Service"], random: SeededRandom): OpenRot | undefined => {
  const files = segmentsOnDisk(simulated).toSorted((a, b) => a.segmentIndex - b.segmentIndex)
  const newest = files.at(-1)
  if (newest === undefined || !newest.isHot) return undefined
  const { path, segmentIndex } = newest
  const contentOf = () => Uint8Array.from(Effect.runSync(simulated.files).get(path) ?? [])
  const before = contentOf()
  const blocks: Array<Omit<VerifiedBlock, "payload">> = []
  const verifier = new SegmentVerifier()
  verifier.push(before, true, (block) => blocks.push(block))
  const { header } = verifier
  if (header === undefined || header.closedNanos !== 0n) return undefined
  const flushes = blocks.map(({ blockIndex, offset }) =>
    // A block of format 1 does not say it; here every one is a flush of its own.
    header.version === 1 ? blockIndex : decodeBlockHeader(2, before.subarray(offset, offset + 64)).flushFirstBlock
  )
  const durable = blocks.filter((_, at) => at === 0 || flushes.some((first) => first > at))
  const last = blocks.at(-1)
  const chosen = durable[random.below(Math.max(1, durable.length))]
  if (chosen === undefined || last === undefined) return undefined
  const next = blocks[chosen.blockIndex + 1]
  const within = { from: chosen.offset, to: next?.offset ?? verifier.point?.offset ?? chosen.offset + 64 }
  if (Exit.isFailure(Effect.runSyncExit(simulated.rotBits(path, 1, within)))) return undefined
  return { path, segmentIndex, lastEventId: last.lastEventId, bytes: contentOf() }
}

/** Every reader reports it, and recording refuses; the file stays as it is. */
export const lookAtOpenRot = (life: Life, { bytes, path, segmentIndex }: OpenRot): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* life.faults.heal
    const { verified = (faults) => faults } = life.setting.seams
    const faults = verified((yield* Verify.verify({ directory })).faults)
    const isFound = faults.some((fault) => fault.kind === "Corrupt" && fault.segmentIndex === segmentIndex)
    if (!isFound) throw new Violation(`verification passes over what has rotted in ${path}, which is open`)
    const replayed = yield* Effect.result(life.reading.replay())
    if (replayed._tag === "Success") throw new Violation(`a replay passes over what has rotted in ${path}`)
    const opened = yield* Effect.exit(open(life))
    if (Exit.isSuccess(opened)) throw new Violation(`recording continues although ${path} has rotted`)
    const isRefused = opened.cause.reasons.some((reason) =>
      reason._tag === "Die" && reason.defect instanceof NewestIsRotten
    )
    if (!isRefused) return yield* Effect.failCause(opened.cause)
    const now = Effect.runSync(life.setting.simulated.files).get(path)
    if (now === undefined || Buffer.compare(now, bytes) !== 0) throw new Violation(`${path} is no longer what it was`)
  }).pipe(Effect.provideService(Disk, life.setting.process.disk), Effect.orDie)

/** A repair moves it away as it is, and recording continues after every id that was used. */
export const repairOpenRot = (life: Life, { bytes, lastEventId, path }: OpenRot): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { process, simulated } = life.setting
    const { quarantine } = yield* Effect.scoped(repair({ directory, apply: true }))
    const moved = [...Effect.runSync(simulated.files)].find(([name]) =>
      quarantine !== null && name === path.replace(directory, quarantine)
    )
    if (moved === undefined || Buffer.compare(moved[1], bytes) !== 0) {
      throw new Violation(`${path} is not in quarantine as it was`)
    }
    const scope = yield* Scope.make()
    const whole = Layer.provideMerge(process.recorderLayer, process.maintainerLayer)
    const recorder = Context.get(yield* Layer.buildWithScope(whole, scope), Recorder)
    const { lastGivenId } = recorder.recovery
    if (lastGivenId < lastEventId) {
      throw new Violation(`ids from ${lastGivenId + 1} are given out again; ${lastEventId} was in ${path}`)
    }
    yield* Scope.close(scope, Exit.void)
  }).pipe(Effect.provideService(Disk, life.setting.process.disk), Effect.orDie)
