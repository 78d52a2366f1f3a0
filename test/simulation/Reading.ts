/**
 * Everything in a life that reads: replays and followers beside the writers, and the looks at a directory at rest, whole
 * or with bits that have rotted.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import { scan, segmentsOf } from "../../src/disk/SegmentDirectory.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import type { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Follow from "../../src/recorder/Follow.ts"
import type { Recorder } from "../../src/recorder/Recorder.ts"
import * as Replay from "../../src/recovery/Replay.ts"
import type { ReplayFailure } from "../../src/recovery/ReplayError.ts"
import * as Verify from "../../src/recovery/Verify.ts"
import * as SegmentArena from "../../src/shared/SegmentArena.ts"
import { segmentsOnDisk } from "./DirectoryWatch.ts"
import type { SegmentOnDisk } from "./DirectoryWatch.ts"
import type { Life } from "./Life.ts"
import { directory } from "./Scenario.ts"
import { Violation } from "./Trace.ts"

/** What a replay gave: its first event, and the id that would come next. */
export interface ReplayedRange {
  readonly first: number | undefined
  readonly next: number | undefined
}

export class Reading {
  readonly #life: Life
  /** Segments in which the last look found rotten bits. */
  #rotFound: ReadonlySet<number> = new Set()

  constructor(life: Life) {
    this.#life = life
  }

  replay(): Effect.Effect<ReplayedRange, ReplayFailure> {
    return Effect.suspend(() => {
      let first: number | undefined
      let next: number | undefined
      const { replay = (events) => events, replayed = (id, bytes) => ({ id, bytes }) } = this.#life.seams
      return replay(Replay.events({ directory })).pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            const seen = replayed(event.id, event.bytes)
            if (seen === undefined) return
            first ??= seen.id
            next = this.#life.model.replayed(seen, next)
          })
        ),
        Effect.map(() => ({ first, next })),
        Effect.provideService(Disk, this.#life.process.disk)
      )
    })
  }

  /** Reads while others write, freeze and delete. */
  readAlong(): Effect.Effect<void> {
    return Effect.matchEffect(this.replay(), {
      onSuccess: () => Effect.void,
      onFailure: (error) =>
        Effect.sync(() => {
          if (error._tag === "Deleted" && Number.isFinite(this.#life.model.coldMin)) return
          if (error._tag === "DiskError" && this.#life.hadFaults) return
          if (this.isRot(error)) return
          throw new Violation(`a replay failed: ${error.message}`)
        })
    })
  }

  private isRot(error: ReplayFailure): boolean {
    return error._tag === "SegmentCorrupt" && this.isDamaged(error.segmentIndex)
  }

  /** A segment behind one that has rotted may not be found to go on from it. */
  private isDamaged(segmentIndex: number): boolean {
    return this.#life.rotten.has(segmentIndex) || this.#life.rotten.has(segmentIndex - 1)
  }

  /** Follows what becomes durable, from the oldest event on, under a hold. */
  follow(
    services: Context.Context<Recorder | SegmentMaintainer | SegmentArena.SegmentArena>
  ): Effect.Effect<void> {
    let next: number | undefined
    return Follow.events({ name: "follower" }).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          next = this.#life.model.replayed(event, next)
          const durable = this.#life.arena === undefined ? 0 : SegmentArena.durableEventId(this.#life.arena)
          if (event.id > durable) throw new Violation(`a follower was given ${event.id}, durable is ${durable}`)
        })
      ),
      Effect.matchEffect({
        onSuccess: () =>
          Effect.sync(() => {
            throw new Violation("a follower came to an end")
          }),
        onFailure: (error) =>
          Effect.sync(() => {
            if (error._tag === "Deleted" && next === undefined && Number.isFinite(this.#life.model.coldMin)) return
            if (error._tag === "DiskError" && this.#life.hadFaults) return
            if (this.isRot(error)) return
            throw new Violation(`a follower failed behind event ${next}: ${error.message}`)
          })
      }),
      Effect.provideContext(Context.add(services, Disk, this.#life.process.disk))
    )
  }

  /** Nothing that a replay gives is wrong, and where it ends early, both it and verification say why. */
  lookAtRot(whole: ReplayedRange): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { verified = (faults) => faults } = this.#life.seams
      const faults = verified((yield* Verify.verify({ directory })).faults)
      const stranger = faults.find((fault) => fault.kind !== "Corrupt" || !this.isDamaged(fault.segmentIndex))
      if (stranger !== undefined) {
        throw new Violation(`verify takes what has not rotted for damaged: ${Verify.formatVerifyFault(stranger)}`)
      }
      const replayed = yield* Effect.result(this.replay())
      if (replayed._tag === "Failure" && !this.isRot(replayed.failure)) {
        throw new Violation(`a replay over rotten bits failed by something else: ${replayed.failure.message}`)
      }
      if (replayed._tag === "Failure" !== faults.length > 0) {
        throw new Violation(`verify finds ${faults.length} faults, but a replay says ${replayed._tag}`)
      }
      // A bit may rot without harm: compressed bytes can say the same in two ways.
      if (replayed._tag === "Success") {
        const { first, next } = replayed.success
        if (first !== whole.first || next !== whole.next) {
          throw new Violation(`a replay over rotten bits gave ${first} to ${next}, not ${whole.first} to ${whole.next}`)
        }
      }
      this.#rotFound = new Set(
        faults.flatMap((fault) =>
          fault.kind === "Corrupt" && this.#life.rotten.has(fault.segmentIndex) ? fault.segmentIndex : []
        )
      )
    }).pipe(Effect.provideService(Disk, this.#life.process.disk), Effect.orDie)
  }

  /** A damaged hot segment is still there, as it was; compressing it would have made it look whole, or lost it. */
  lookAtRemains(files: ReadonlyArray<SegmentOnDisk>): void {
    const remaining = new Map(segmentsOnDisk(this.#life.simulated).map((file) => [file.path, file]))
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
        const replayed = yield* Effect.result(this.replay())
        if (replayed._tag === "Success") {
          const { first, next } = replayed.success
          const segments = segmentsOf(yield* scan(directory, defaultNaming)).length
          this.#life.model.replayedAll(first, next, segments)
          break
        }
        // Retention may delete what is about to be read, but not for ever.
        if (replayed.failure._tag === "Deleted" && attempt < 5) continue
        throw new Violation(`a replay of a directory at rest failed: ${replayed.failure.message}`)
      }
      // Both read everything; in the last life nothing is left to chance.
      if (!isLast && this.#life.random.chance(0.6)) return
      const { verified = (faults) => faults } = this.#life.seams
      const report = yield* Verify.verify({ directory })
      const fault = verified(report.faults)[0]
      if (fault !== undefined) throw new Violation(`verify: ${Verify.formatVerifyFault(fault)}`)
    }).pipe(Effect.provideService(Disk, this.#life.process.disk), Effect.orDie)
  }
}
