/** The looks at a directory at rest, whole or with bits that have rotted. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import type { ReplayFailure } from "../../src/reading/ReplayError.ts"
import { segmentsOnDisk } from "./DirectoryWatch.ts"
import type { SegmentOnDisk } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import type { ReplayedRange } from "./Reading.ts"
import { directory } from "./Scenario.ts"
import { Violation } from "./Trace.ts"

export class AtRest {
  readonly #life: Life
  /** Segments in which the last look found rotten bits. */
  #rotFound: ReadonlySet<number> = new Set()

  constructor(life: Life) {
    this.#life = life
  }

  /** Nothing that a replay gives is wrong, and where it ends early, both it and verification say why. */
  lookAtRot(whole: ReplayedRange): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { verified = (faults) => faults } = this.#life.setting.seams
      const faults = verified((yield* Verify.verify({ directory })).faults)
      const stranger = faults.find((fault) =>
        fault.kind !== "Corrupt" || !this.#life.reading.isDamaged(fault.segmentIndex)
      )
      if (stranger !== undefined) {
        throw new Violation(`verify takes what has not rotted for damaged: ${Verify.formatVerifyFault(stranger)}`)
      }
      const replayed = yield* Effect.result(this.#life.reading.replay())
      if (replayed._tag === "Failure" && !this.#life.reading.isRot(replayed.failure)) {
        throw new Violation(`a replay over rotten bits failed by something else: ${replayed.failure.message}`)
      }
      // What is damaged in one of two forms is replayed from the other.
      const files = segmentsOnDisk(this.#life.setting.simulated)
      const isTwice = files.length > new Set(files.map(({ segmentIndex }) => segmentIndex)).size
      if (replayed._tag === "Failure" !== faults.length > 0 && !isTwice) {
        throw new Violation(`verify finds ${faults.length} faults, but a replay says ${replayed._tag}`)
      }
      // A bit may rot without harm: compressed bytes can say the same in two ways.
      if (replayed._tag === "Success") {
        const { first, next } = replayed.success
        if (first !== whole.first || next !== whole.next) {
          throw new Violation(`a replay over rotten bits gave ${first} to ${next}, not ${whole.first} to ${whole.next}`)
        }
      }
      yield* this.#salvage(whole)
      this.#rotFound = new Set(
        faults.flatMap((fault) =>
          fault.kind === "Corrupt" && this.#life.setting.rotten.has(fault.segmentIndex) ? fault.segmentIndex : []
        )
      )
    }).pipe(Effect.provideService(Disk, this.#life.setting.process.disk), Effect.orDie)
  }

  /** A replay that goes past damage gives every event, or says that it lies in a hole. */
  #salvage({ first = 1, next = 1 }: ReplayedRange): Effect.Effect<void, ReplayFailure, Disk> {
    return Effect.suspend(() => {
      const { model } = this.#life.setting
      const holes: Array<Replay.Hole> = []
      const given = new Set<number>()
      let last = 0
      const events = Replay.events({ directory, onHole: (hole) => Effect.sync(() => void holes.push(hole)) })
      return Effect.map(
        Stream.runForEachArray(events, (chunk) =>
          Effect.sync(() => {
            for (const event of chunk) {
              if (event.id <= last) throw new Violation(`a replay past damage gave ${event.id} after ${last}`)
              last = event.id
              model.replayed(event, undefined)
              given.add(event.id)
            }
          })),
        () => {
          for (let id = first; id < next; id++) {
            const isInHole = holes.some(({ firstMissingId, lastMissingId = id }) =>
              firstMissingId <= id && id <= lastMissingId
            )
            if (!given.has(id) && !isInHole) {
              throw new Violation(`a replay past damage left ${id} out, and did not say so`)
            }
          }
        }
      )
    })
  }

  /** A damaged hot segment is still there, as it was; compressing it would have made it look whole, or lost it. */
  lookAtRemains(files: ReadonlyArray<SegmentOnDisk>): void {
    const remaining = new Map(segmentsOnDisk(this.#life.setting.simulated).map((file) => [file.path, file]))
    for (const { bytes, isHot, path, segmentIndex } of files) {
      if (!isHot || !this.#rotFound.has(segmentIndex)) continue
      if (remaining.get(path)?.bytes !== bytes) throw new Violation(`${path} has rotted, and is no longer what it was`)
    }
  }

  /** With a disk that works: everything is there, in order, unchanged, and verification has nothing to say. */
  lookAtEverything(isLast: boolean): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        this.#life.doing = `looking at everything, attempt ${attempt}`
        const replayed = yield* Effect.result(this.#life.reading.replay())
        if (replayed._tag === "Success") {
          const { first, next } = replayed.success
          const segments = segmentsOnDisk(this.#life.setting.simulated)
          // When every event was deleted for its age, the newest segment has none and names the next id.
          const available = yield* Replay.firstAvailableId(directory)
          this.#life.setting.model.replayedAll(first, next ?? Option.getOrUndefined(available), segments)
          break
        }
        // Retention may delete what is about to be read, but not for ever.
        if (replayed.failure._tag === "EventsDeleted" && attempt < 100) continue
        throw new Violation(`a replay of a directory at rest failed: ${replayed.failure.message}`)
      }
      // Both read everything; in the last life nothing is left to chance.
      if (!isLast && this.#life.setting.random.chance(0.6)) return
      const { verified = (faults) => faults } = this.#life.setting.seams
      const report = yield* Verify.verify({ directory })
      const fault = verified(report.faults)[0]
      if (fault !== undefined) throw new Violation(`verify: ${Verify.formatVerifyFault(fault)}`)
    }).pipe(Effect.provideService(Disk, this.#life.setting.process.disk), Effect.orDie)
  }
}
