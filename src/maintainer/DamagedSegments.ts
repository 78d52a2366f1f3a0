/**
 * What becomes of segments in which a freeze finds damage, by the policy `onDamaged`.
 *
 * - `keep`: such a segment stays where it is, and so does everything newer, since to delete past it would leave a hole
 *   in the log. What is older is deleted as the limits demand.
 * - `quarantine`: it is moved to `quarantine/` and the hole is acknowledged (see `Quarantine`), and then retention
 *   continues past it. The newest segment is never moved while a recorder runs: ids and chain continue from it. A start
 *   moves it, before recording begins.
 *
 * A segment is moved once in the life of a recorder. Everything is logged once, as an error. This runs where the
 * service runs, one segment after the other, so the file of the holes has one writer, whichever layer runs the
 * executors and however many there are.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { Disk } from "../disk/Disk.ts"
import type { DiskError } from "../disk/Disk.ts"
import * as HoleStore from "../disk/HoleStore.ts"
import { segmentsOf } from "../disk/SegmentDirectory.ts"
import { quarantineSegment } from "../reading/recovery/Quarantine.ts"
import type { Quarantined, QuarantineFailure } from "../reading/recovery/Quarantine.ts"
import { formatHole } from "../reading/ReplayError.ts"
import * as Arena from "../shared/Arena.ts"
import * as Doorbell from "../shared/Doorbell.ts"
import type { SegmentMaintainerUpdater } from "../telemetry/SegmentMaintainerUpdater.ts"
import type { MaintainerState } from "./retention/MaintainerState.ts"
import type { StepOutcome } from "./steps/StepOutcome.ts"

/** The damaged segments of a maintainer. */
export interface DamagedSegments {
  /**
   * Moves a damaged segment away, if the policy is to do so; `true` also when it is gone, since retention has deleted
   * it meanwhile. `false` when the policy is to keep it, when none of its files is damaged by itself, and when it was
   * moved before.
   */
  readonly quarantine: (segmentIndex: number) => Effect.Effect<boolean, QuarantineFailure>
  /** Logs what freezes find, and moves it away if the policy is to do so. Never ends. */
  readonly watch: Effect.Effect<never>
  /** Tries again what failed, and forgets holes before the oldest segment. To be called every few seconds. */
  readonly lookAgain: Effect.Effect<void>
}

/** The damaged segments of the maintainer with this state. `publish` is called with every outcome. */
export const make = Effect.fnUntraced(function*(parts: {
  readonly state: MaintainerState
  readonly disk: Disk["Service"]
  readonly onDamaged: "keep" | "quarantine"
  readonly telemetry: SegmentMaintainerUpdater
  readonly publish: (outcome: StepOutcome) => void
}) {
  const { disk, onDamaged, publish, state, telemetry } = parts
  const { catalog, control, damaged, directory } = state
  const oneWriter = Semaphore.makeUnsafe(1)
  const reported = new Set<number>()
  /** A segment is moved once. When what stands in its place is damaged, too, the cause is no rotten bit. */
  const moved = new Set<number>()
  /** Those of them of which a start knows. */
  const known = new Set<number>()
  /** What failed, until it is tried again. */
  const putOff = new Set<number>()

  const found = yield* Effect.catch(
    HoleStore.read(directory.path),
    ({ message }) => Effect.succeed({ holes: [], fault: message })
  )
  if (found.fault !== "") yield* Effect.logWarning(`${directory.path}: ${found.fault}; ignored`)
  state.holes = found.holes

  const onDisk = Effect.provideService(Disk, disk)
  const recordedAfter = (segmentIndex: number): number | undefined =>
    state.arena === undefined ? undefined : Arena.firstEventAfter(state.arena, segmentIndex)
  const isGone = (segmentIndex: number) =>
    Effect.map(
      onDisk(directory.scan),
      (listing) => !segmentsOf(listing).some((entry) => entry.segmentIndex === segmentIndex)
    )
  const move = (segmentIndex: number) =>
    oneWriter.withPermit(Effect.gen(function*() {
      if (onDamaged === "keep" || moved.has(segmentIndex)) return false
      const done = yield* Effect.catchIf(
        onDisk(quarantineSegment(directory, segmentIndex, recordedAfter)),
        (error) => error._tag === "DiskError" && error.reason._tag === "NotFound",
        (error) => Effect.flatMap(isGone(segmentIndex), (gone) => gone ? Effect.undefined : Effect.fail(error))
      )
      if (done === undefined) {
        state.isWhole(segmentIndex)
        return yield* isGone(segmentIndex)
      }
      state.holes = (yield* onDisk(HoleStore.read(directory.path))).holes
      moved.add(segmentIndex)
      reported.delete(segmentIndex)
      telemetry.count("segmentsQuarantined", 1)
      const outcome: StepOutcome = { _tag: "Quarantined", ...done }
      state.apply(outcome, false)
      publish(outcome)
      state.retain()
      Doorbell.ringUnsafe(control.progress)
      yield* Effect.logError(formatQuarantined(directory.path, done))
      return true
    }))
  /** A start may have read damage that a freeze found, too, and had moved meanwhile: then the start reads once more. */
  const quarantine = (segmentIndex: number) =>
    Effect.map(move(segmentIndex), (isMoved) => {
      const isNews = moved.has(segmentIndex) && !known.has(segmentIndex)
      if (isNews) known.add(segmentIndex)
      return isMoved || isNews
    })

  const report = Effect.gen(function*() {
    for (const segmentIndex of damaged) {
      if (reported.has(segmentIndex)) continue
      reported.add(segmentIndex)
      if (onDamaged === "keep") yield* Effect.logError(formatKept(directory.path, segmentIndex))
      else if (moved.has(segmentIndex)) yield* Effect.logError(formatAgain(directory.path, segmentIndex))
    }
  })

  /** The newest segment is not moved. */
  const next = (): number | undefined =>
    onDamaged === "keep"
      ? undefined
      : [...damaged].find((segmentIndex) =>
        !putOff.has(segmentIndex) && !moved.has(segmentIndex) && segmentIndex < catalog.newestKeptIndex
      )

  const watch = Effect.forever(Effect.gen(function*() {
    const seen = Doorbell.readUnsafe(control.progress)
    yield* report
    const segmentIndex = next()
    if (segmentIndex === undefined) return yield* Doorbell.wait(control.progress, seen)
    yield* Effect.catch(move(segmentIndex), ({ message }) => {
      putOff.add(segmentIndex)
      return Effect.logWarning(`segment ${segmentIndex} is damaged and could not be moved to quarantine: ${message}`)
    })
  }))

  const forget: Effect.Effect<void, DiskError> = oneWriter.withPermit(Effect.gen(function*() {
    const left = HoleStore.since(state.holes, catalog.oldestIndex)
    if (left.length === state.holes.length) return
    yield* onDisk(HoleStore.write(directory.path, left))
    state.holes = left
  }))
  const lookAgain = Effect.gen(function*() {
    if (putOff.size > 0) Doorbell.ringUnsafe(control.progress)
    putOff.clear()
    yield* Effect.ignore(forget)
  })

  const segments: DamagedSegments = { quarantine, watch, lookAgain }
  return segments
})

const formatKept = (directory: string, segmentIndex: number): string =>
  `segment ${segmentIndex} of ${directory} is damaged and stays where it is (onDamaged: keep): nothing newer is deleted, ` +
  "whatever the limits; record with onDamaged: quarantine, or stop and use `effect-wal repair --apply`"

const formatAgain = (directory: string, segmentIndex: number): string =>
  `segment ${segmentIndex} of ${directory} is damaged again after it was moved to quarantine, and stays where it is: ` +
  "nothing newer is deleted, whatever the limits; look at the disk, then stop and use `effect-wal repair --apply`"

const formatQuarantined = (directory: string, { hole, kept, quarantine, segmentIndex }: Quarantined): string =>
  `segment ${segmentIndex} of ${directory} is damaged and was moved to ${quarantine}; ` +
  (kept === "nothing" ? "nothing" : kept === "other form" ? "its other form" : "its whole blocks before the damage") +
  ` stays in its place; ${hole === undefined ? "no event is lost" : formatHole(hole)}`
