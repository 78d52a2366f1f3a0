/**
 * What the recorder has taken and what it has promised, kept beside it in the plainest way there is, and the rulings on
 * what a directory and a replay may show.
 */
import type { ResolvedLimits } from "../../src/maintainer/retention/Retention.ts"
import type { RecordedEvent } from "../../src/reading/segment/BlockEvents.ts"
import type { SegmentOnDisk } from "./DirectoryWatch.ts"
import { slotBytesOf } from "./Scenario.ts"
import type { Scenario } from "./Scenario.ts"
import { Violation } from "./Trace.ts"
import { Weights } from "./Weights.ts"

/** How the last life of the process ended. */
export type Ending = "none" | "drained" | "drained in part" | "killed" | "power off"

export class Model {
  /** The event with id `i` is at `i - 1`. */
  events: Array<Uint8Array | undefined> = []
  /** Every event up to this id was promised to survive. */
  promised = 0
  ending: Ending = "none"
  /** A life has ended without a shutdown. */
  hasDied = false
  /** So many segments were left to be frozen by the next life: by a drain with a deadline, or because steps were given up. */
  freezesLeft = 0
  /** The least that any limit in force has ever let stay compressed; `Infinity` when nothing was to be deleted. */
  coldMin = Number.POSITIVE_INFINITY
  /** The least that any limit in force has ever let stay uncompressed, the active segment and the next not counted. */
  hotMin = Number.POSITIVE_INFINITY

  /** The setup with the shortest segments that there ever was. */
  shortest: Pick<Scenario, "wal"> | undefined

  /** The clock that no one sets. */
  now: () => number = () => 0
  /** When the event with id `i` was appended, at `i - 1`. */
  readonly appendedMillis: Array<number> = []
  /** Whether the event with id `i` continues a batch, at `i - 1`. */
  readonly continuesBatch: Array<boolean> = []
  /** When the newest event of a closed segment was appended, or, without one, when it was reported closed. */
  readonly newestMillis = new Map<number, number>()
  /**
   * The wall clock was behind at some time: then files tell a time that is too early, and nothing contradicts it. Or it
   * was ahead at two openings one after the other, of which the first had touched the newest file: then that confirms
   * it.
   */
  wasClockBelieved = false
  #isOpening = false

  /** A life with this setup begins. */
  setUp(scenario: Pick<Scenario, "wal">): void {
    const { shortest } = this
    if (shortest === undefined || slotBytesOf(scenario) < slotBytesOf(shortest)) this.shortest = scenario
  }

  /** The wall clock is off by so much. */
  clockShows(setMillis: number): void {
    if (setMillis < 0) this.wasClockBelieved = true
  }

  /** An opening begins while the clock is off by so much. One before it may have failed, or ended with its process. */
  opens(setMillis: number): void {
    if (this.#isOpening && setMillis > 0) this.wasClockBelieved = true
    this.#isOpening = true
  }

  opened(): void {
    this.#isOpening = false
  }

  limited({ ageMax, bytesMax, freeBytesMin, maxCompressedSegments, maxSegments }: ResolvedLimits): void {
    if (maxCompressedSegments !== "unlimited") this.coldMin = Math.min(this.coldMin, maxCompressedSegments)
    this.hotMin = Math.min(this.hotMin, maxSegments - 2)
    if (bytesMax !== undefined || ageMax !== undefined || freeBytesMin !== undefined) this.coldMin = 0
  }

  appended(id: number, event: Uint8Array, stampsIds: boolean, continuesBatch = false): void {
    if (id !== this.events.length + 1) {
      throw new Violation(`an append got id ${id} after ${this.events.length}`)
    }
    const copy = event.slice()
    if (stampsIds) new DataView(copy.buffer).setBigUint64(0, BigInt(id), true)
    this.events.push(copy)
    this.appendedMillis.push(this.now())
    this.continuesBatch.push(continuesBatch)
  }

  /** Somebody has been told, or could have read, that everything up to `id` is durable. */
  promise(id: number, words: string): void {
    if (id > this.events.length) {
      throw new Violation(`${words}: ${id} is durable, but only ${this.events.length} events were appended`)
    }
    this.#endsWithBatch(id, `${words}: durable`)
    if (id > this.promised) this.promised = id
  }

  /** Of a batch everything is there, or nothing. */
  #endsWithBatch(id: number, words: string): void {
    if (this.continuesBatch[id] === true) throw new Violation(`${words} at ${id}, in the middle of a batch`)
  }

  /** A process has opened the directory and goes on behind this event. */
  reopened(lastEventId: number): void {
    const appended = this.events.length
    if (lastEventId < this.promised) {
      throw new Violation(`lost: the log ends at ${lastEventId}, promised was ${this.promised} (${this.ending})`)
    }
    if (lastEventId > appended) {
      throw new Violation(`invented: the log ends at ${lastEventId}, appended were ${appended} (${this.ending})`)
    }
    if (this.ending === "drained" && lastEventId !== appended) {
      throw new Violation(`lost in an orderly shutdown: the log ends at ${lastEventId} of ${appended}`)
    }
    this.#endsWithBatch(lastEventId, "the log ends")
    this.events.length = this.appendedMillis.length = this.continuesBatch.length = lastEventId
    this.promised = lastEventId
  }

  /** As `reopened`, when damaged segments may have been moved away: no id is given out again. */
  reopenedPastDamage(lastGivenId: number): void {
    if (lastGivenId < this.promised) {
      throw new Violation(`ids from ${lastGivenId + 1} are given out again, promised was ${this.promised}`)
    }
    // Bytes that nothing explains any more count as events, so there may be ids that were never used.
    while (this.events.length < lastGivenId) {
      this.events.push(undefined)
      this.appendedMillis.push(this.now())
      this.continuesBatch.push(false)
    }
    this.events.length = this.appendedMillis.length = this.continuesBatch.length = lastGivenId
    this.promised = lastGivenId
  }

  /** Holds one replayed event against what was appended; returns the id that must come next. */
  replayed(event: Pick<RecordedEvent, "id" | "bytes">, expectedId: number | undefined): number {
    const { bytes, id } = event
    if (expectedId !== undefined && id !== expectedId) {
      throw new Violation(`replay gave event ${id} where ${expectedId} comes next`)
    }
    const wanted = this.events[id - 1]
    if (wanted === undefined) throw new Violation(`replay invented event ${id}; appended were ${this.events.length}`)
    if (Buffer.compare(wanted, bytes) !== 0) throw new Violation(`replay gave event ${id} changed`)
    return id + 1
  }

  /** A whole replay of a directory at rest, from its oldest event, and the segments that there are in any form. */
  replayedAll(firstId: number | undefined, nextId: number | undefined, files: ReadonlyArray<SegmentOnDisk>): void {
    const reached = nextId === undefined ? 0 : nextId - 1
    if (reached < this.promised) {
      throw new Violation(`replay ended at event ${reached}, promised was ${this.promised}`)
    }
    if (firstId === undefined) return
    // The oldest goes before the freeze of another begins, and that one is hot until then.
    const segments = new Set(files.map(({ segmentIndex }) => segmentIndex)).size
    const segmentsMin = this.coldMin === 0 ? 0 : this.coldMin + this.hotMin
    if (firstId > 1 && segments < segmentsMin) {
      throw new Violation(
        `the log begins at ${firstId}, but ${segments} segments are fewer than ${segmentsMin} that may stay`
      )
    }
    // However often it was started: what was recorded decides. The oldest, of one full one's worth at most, went last.
    const weight = this.shortest === undefined ? 0 : new Weights(this.shortest).sum(files)
    if (firstId > 1 && segmentsMin > 0 && weight <= this.coldMin - 1) {
      throw new Violation(
        `the log begins at ${firstId}, with ${weight} full segments' worth where ${this.coldMin} may be`
      )
    }
  }
}
