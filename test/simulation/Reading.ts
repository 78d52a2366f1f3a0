/**
 * Everything in a life that reads beside the writers: replays from anywhere, followers in the process and outside of it,
 * verification, backups.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { Disk } from "../../src/disk/Disk.ts"
import type { DiskError } from "../../src/disk/Disk.ts"
import type { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Backup from "../../src/reading/recovery/Backup.ts"
import * as Verify from "../../src/reading/recovery/Verify.ts"
import type { VerifyFault } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import type { ReplayFailure } from "../../src/reading/ReplayError.ts"
import type { RecordedEvent } from "../../src/reading/segment/BlockEvents.ts"
import * as Follow from "../../src/recorder/Follow.ts"
import type { Recorder } from "../../src/recorder/Recorder.ts"
import type { SegmentArena } from "../../src/shared/SegmentArena.ts"
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
  #isVerifying = false
  #backups = 0

  constructor(life: Life) {
    this.#life = life
  }

  /** Holds every event against the model. */
  replay(options: Omit<Replay.ReplayOptions, "directory"> = {}): Effect.Effect<ReplayedRange, ReplayFailure> {
    return this.#replayOf({ ...options, directory })
  }

  #replayOf(options: Replay.ReplayOptions): Effect.Effect<ReplayedRange, ReplayFailure> {
    return Effect.suspend(() => {
      let first: number | undefined
      let next: number | undefined
      const { model, process, seams } = this.#life.setting
      const {
        replay = (events) => events,
        replayed = (id, bytes) => ({ id, bytes }),
        replaying = (options) => options
      } = seams
      return replay(Replay.events(replaying(options))).pipe(
        Stream.runForEachArray((events) =>
          Effect.sync(() => {
            for (const event of events) {
              const seen = replayed(event.id, event.bytes)
              if (seen === undefined) continue
              first ??= seen.id
              next = model.replayed(seen, next)
            }
          })
        ),
        Effect.map(() => ({ first, next })),
        Effect.provideService(Disk, process.disk)
      )
    })
  }

  /** Reads while others write, freeze and delete: everything from where it begins to what was durable when it began. */
  get readAlong(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const from = this.#drawFrom()
      const durable = this.#life.durableEventId
      const toId = this.#life.setting.random.chance(0.2) ? this.#drawId() : Number.MAX_SAFE_INTEGER
      const replayed = Effect.flatMap(this.replay({ ...from, to: { id: toId } }), (range) =>
        range.next === undefined
          ? Effect.map(this.#firstAvailableId, (availableId) => ({ ...range, availableId }))
          : Effect.succeed({ ...range, availableId: Option.none() }))
      return Effect.matchEffect(replayed, {
        onSuccess: ({ availableId, first, next }) =>
          Effect.sync(() => {
            const fromId = from.from !== undefined && "id" in from.from ? from.from.id : 0
            if (first !== undefined && fromId > 0 && first !== fromId) {
              throw new Violation(`a replay from ${fromId} began with ${first}`)
            }
            if (next !== undefined && next - 1 > toId) throw new Violation(`a replay to ${toId} gave ${next - 1}`)
            // From the oldest event, that may lie beyond the last one wanted.
            const wanted = Math.min(durable, toId)
            const isBeforeOldest = next === undefined && fromId === 0 && toId < durable
            // All that was wanted may have been deleted for its age.
            const isDeleted = next === undefined && Option.exists(availableId, (id) => id > wanted)
            const isWhole = this.#mayBeLost || wanted < Math.max(1, fromId) || (next ?? 0) > wanted || isBeforeOldest ||
              isDeleted
            if (!isWhole && (fromId > 0 || from.from === undefined)) {
              throw new Violation(`a replay from ${fromId} ended before ${next}, although ${wanted} was durable`)
            }
          }),
        onFailure: (error) =>
          Effect.sync(() => {
            if (!this.#mayFail(error)) throw new Violation(`a replay failed: ${error.message}`)
          })
      })
    })
  }

  /** What was durable may be lost at the end, where no event tells of it yet. */
  get #mayBeLost(): boolean {
    return this.#life.setting.scenario.wal.onDamaged === "quarantine"
  }

  get #firstAvailableId() {
    return Effect.provideService(Replay.firstAvailableId(directory), Disk, this.#life.setting.process.disk)
  }

  #drawId(): number {
    return 1 + this.#life.setting.random.below(this.#life.setting.model.events.length + 2)
  }

  #drawFrom(): {
    readonly from?: { readonly id: number } | { readonly segmentIndex: number } | { readonly time: number }
  } {
    const { random, world } = this.#life.setting
    const draw = random.below(10)
    if (draw < 5) return {}
    if (draw < 8) return { from: { id: this.#drawId() } }
    return draw < 9
      ? { from: { segmentIndex: random.below(30) } }
      : { from: { time: world.wallMillis - random.below(10_000) } }
  }

  /** Whether a reader that no hold protects may fail like this. */
  #mayFail(error: ReplayFailure): boolean {
    const { model } = this.#life.setting
    if (error._tag === "EventsDeleted" && Number.isFinite(model.coldMin)) return true
    return this.#mayFailUnderHold(error)
  }

  #mayFailUnderHold(error: ReplayFailure): boolean {
    return error._tag === "DiskError" && this.#life.faults.hadSome || this.isRot(error)
  }

  isRot(error: ReplayFailure): boolean {
    if (error._tag === "EventsLost") return this.isRottenHole(error.hole)
    return error._tag === "SegmentCorrupt" && this.isDamaged(error.segmentIndex)
  }

  /** Nothing is lost but what has rotted. */
  isRottenHole({ firstSegmentIndex, lastSegmentIndex }: Replay.AcknowledgedHole): boolean {
    const { rotten } = this.#life.setting
    for (let index = firstSegmentIndex; index <= lastSegmentIndex; index++) if (!rotten.has(index)) return false
    return true
  }

  /** A segment behind one that has rotted may not be found to go on from it. */
  isDamaged(segmentIndex: number): boolean {
    const { rotten } = this.#life.setting
    return rotten.has(segmentIndex) || rotten.has(segmentIndex - 1)
  }

  /** Follows what becomes durable, from the oldest event on, under a hold. */
  follow(
    services: Context.Context<Recorder | SegmentMaintainer | SegmentArena>
  ): Effect.Effect<void> {
    let next: number | undefined
    return this.#following(
      Follow.events({ name: "follower" }).pipe(
        Stream.provideContext(Context.add(services, Disk, this.#life.setting.process.disk))
      ),
      (event) => {
        next = event.id + 1
        const durable = this.#life.durableEventId
        if (event.id > durable) throw new Violation(`a follower was given ${event.id}, durable is ${durable}`)
      },
      (error) =>
        error._tag === "EventsDeleted" && next === undefined ? this.#mayFail(error) : this.#mayFailUnderHold(error)
    )
  }

  /** As another process does: it looks at the files again and again, and nothing is held for it. */
  get followFromOutside(): Effect.Effect<void> {
    return this.#following(
      Stream.unwrap(Effect.sync(() => {
        const { from } = this.#drawFrom()
        const events = Replay.events({ directory, follow: "poll", ...(from === undefined ? {} : { from }) })
        return from !== undefined && "time" in from
          ? Stream.tap(events, (event) => notBefore(from.time, event))
          : events
      })).pipe(Stream.provideService(Disk, this.#life.setting.process.disk)),
      () => {},
      (error) => this.#mayFail(error)
    )
  }

  #following(
    events: Stream.Stream<RecordedEvent, ReplayFailure>,
    check: (event: RecordedEvent) => void,
    mayFail: (error: ReplayFailure) => boolean
  ): Effect.Effect<void> {
    let next: number | undefined
    return events.pipe(
      Stream.runForEachArray((events) =>
        Effect.sync(() => {
          for (const event of events) {
            next = this.#life.setting.model.replayed(event, next)
            check(event)
          }
        })
      ),
      Effect.matchEffect({
        onSuccess: () =>
          Effect.sync(() => {
            throw new Violation("a follower came to an end")
          }),
        onFailure: (error) =>
          Effect.sync(() => {
            if (!mayFail(error)) throw new Violation(`a follower failed behind event ${next}: ${error.message}`)
          })
      })
    )
  }

  /** Verifies while others write, freeze and delete; sometimes only what is new. */
  get verifyAlong(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const isIncremental = !this.#isVerifying && this.#life.setting.random.chance(0.5)
      const incremental = this.#life.setting.random.chance(0.7) ? "onlyNew" : "again"
      if (isIncremental) this.#isVerifying = true
      return Verify.verify({ directory, ...(isIncremental ? { incremental } : {}) }).pipe(
        Effect.map(({ faults }) => this.#checkFaults("verify beside a recorder", faults)),
        Effect.catch((error) => Effect.sync(() => this.#checkDiskError("verify", error))),
        Effect.ensuring(Effect.sync(() => {
          if (isIncremental) this.#isVerifying = false
        })),
        Effect.provideService(Disk, this.#life.setting.process.disk)
      )
    })
  }

  /** The copy is a log of its own that verifies, up to what was durable when it was begun. */
  get backUp(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { process, world } = this.#life.setting
      const durable = this.#life.durableEventId
      const to = `/backup-${world.nowMillis}-${this.#backups++}`
      return Effect.flatMap(Backup.backup({ directory, to }), (report) => {
        this.#checkFaults("a backup", report.faults)
        if (report.faults.length > 0) return Effect.void
        const isAllDeleted = report.lastEventId === 0 && this.#life.setting.model.coldMin === 0
        if (report.lastEventId < durable && !isAllDeleted && !this.#mayBeLost) {
          throw new Violation(`a backup ends at event ${report.lastEventId}, durable was ${durable}`)
        }
        return Effect.map(this.#replayOf({ directory: to }), ({ first, next }) => {
          const last = next === undefined ? 0 : next - 1
          if (last === report.lastEventId && (first ?? 0) === report.firstEventId) return
          throw new Violation(`a backup of ${report.firstEventId} to ${report.lastEventId} replays ${first} to ${last}`)
        })
      }).pipe(
        Effect.catch((error) =>
          Effect.sync(() => {
            if (!this.#mayFailUnderHold(error)) throw new Violation(`a backup failed: ${error.message}`)
          })
        ),
        Effect.provideService(Disk, process.disk)
      )
    })
  }

  #checkFaults(words: string, faults: ReadonlyArray<VerifyFault>): void {
    const fault = faults.find((fault) =>
      !(fault.kind === "Unreadable" && this.#life.faults.hadSome) &&
      !(fault.kind === "Corrupt" && this.isDamaged(fault.segmentIndex))
    )
    if (fault === undefined) return
    const holes = [...Effect.runSync(this.#life.setting.simulated.files)].flatMap(([path, bytes]) =>
      path.endsWith("/wal_holes.json") ? `; ${path}: ${Buffer.from(bytes)}` : []
    )
    throw new Violation(`${words}: ${Verify.formatVerifyFault(fault)}${holes.join("")}`)
  }

  #checkDiskError(words: string, error: DiskError): void {
    if (!this.#life.faults.hadSome) throw new Violation(`${words} failed: ${error.message}`)
  }
}

/** An event that a follower from a time was given must not be older. */
const notBefore = (millis: number, event: RecordedEvent): Effect.Effect<void> =>
  Effect.sync(() => {
    if (event.time === undefined || event.time.epochMilliseconds >= Math.floor(millis)) return
    throw new Violation(`event ${event.id} of ${event.time.epochMilliseconds} was given from ${millis} on`)
  })
