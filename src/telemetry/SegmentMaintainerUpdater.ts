/**
 * The write half of the telemetry. One updater writes one block, and a block belongs to one thread at a time, so plain
 * arithmetic loses no counts. An update allocates nothing and never waits.
 *
 * An updater changes a group between `enter` and `leave` of its sequence word (see Sequence.ts), so readers never see
 * half of an update. A thread that dies in between leaves the word odd. Readers then keep the last whole state of that
 * group, until the next updater of the block makes the word even again. At most that one update is counted in part.
 */
import { invariant } from "../internal/invariant.ts"
import { blockBytes, groupOf, groups, histograms } from "./CounterLayout.ts"
import type { CounterName, FailureReason, GaugeName, GroupKind, OperationName } from "./Counters.ts"
import { bucketCount, bucketOf } from "./LatencyHistogram.ts"
import { enter, leave, recover } from "./Sequence.ts"
import { blockOffset, writersOf } from "./TelemetryBuffer.ts"

/**
 * A clock that never goes back, in nanoseconds. Only differences between readings of one thread have a meaning.
 */
export type NowNanos = () => number

/**
 * The default clock, `performance.now()`: monotonic, in steps of a nanosecond, and the cheapest that Node has. Its zero
 * differs between threads, so a thread must report only starts that it has read itself.
 */
export const monotonicNanos: NowNanos = () => performance.now() * 1e6

/**
 * Counts what happens. Every method is synchronous and allocates nothing. A start is the time that `nowNanos` of
 * the same updater returned before the operation. An operation counts as a sample, whether it succeeded (`ok`) or not.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentMaintainerUpdater {
  /** The updater's clock, in nanoseconds; 0 in the no-op. */
  readonly nowNanos: NowNanos
  /**
   * Counts a cycle of the maintainer's loop at its end, after its sleep. The cycle time includes the sleep. A cycle
   * that did work adds its time without the sleep to the active time. The iteration is the cycle without the sleep.
   */
  readonly onPersistenceLoop: (didWork: boolean, startNanos: number, sleepNanos: number) => void
  /** Counts the freeze of a hot segment: flush, compression and removal. */
  readonly onHotSegmentRetention: (ok: boolean, startNanos: number) => void
  /** Counts only the compression of a hot segment. */
  readonly onHotSegmentCompression: (ok: boolean, startNanos: number) => void
  /** Counts the deletion of a cold segment. */
  readonly onColdSegmentDeletion: (ok: boolean, startNanos: number) => void
  /** Counts the persisting of a rotated segment. */
  readonly onPersist: (ok: boolean, startNanos: number) => void
  /** Counts a flush: write and fdatasync together. */
  readonly onFlush: (ok: boolean, startNanos: number) => void
  /** Counts one fdatasync. */
  readonly onSync: (ok: boolean, startNanos: number) => void
  /** Counts an append. An append is cheaper than this call, so report only a sample of them. */
  readonly onAppend: (ok: boolean, startNanos: number) => void
  /** Counts a rotation to the next segment. */
  readonly onRotation: (ok: boolean, startNanos: number) => void
  /** Counts a caller's wait for durability, at its end. */
  readonly onCommit: (ok: boolean, startNanos: number) => void
  /** Counts the upload and proof of a segment that is archived. */
  readonly onArchival: (ok: boolean, startNanos: number) => void
  /** Counts a failure for this reason. */
  readonly onFailure: (reason: FailureReason) => void
  /** Adds a whole number to a counter. */
  readonly count: (counter: CounterName, n: number) => void
  /** Sets a gauge to a whole number. A negative value, which two clocks or a race may produce, becomes 0. */
  readonly setGauge: (gauge: GaugeName, value: number) => void
  /** Sets the configured limit of hot segments. */
  readonly setMaxSegments: (maxSegments: number) => void
  /** Sets the configured limit of cold segments. */
  readonly setMaxCompressedSegments: (maxCompressedSegments: number) => void
}

/**
 * Makes the updater of one writer's block. There may be several for one block, but only one thread may use the block at
 * a time.
 */
export const makeUpdater = (
  buffer: SharedArrayBuffer,
  writer: number,
  nowNanos: NowNanos = monotonicNanos
): SegmentMaintainerUpdater => {
  const writersMax = writersOf(buffer)
  if (writersMax === 0) return noopUpdater
  invariant(
    Number.isInteger(writer) && writer >= 0 && writer < writersMax,
    `writer ${writer} is one of the ${writersMax} that telemetry was made for`
  )
  return new BlockUpdater(buffer, writer, nowNanos)
}

const nothing = () => {}

/** The updater that counts nothing and costs nothing. */
export const noopUpdater: SegmentMaintainerUpdater = {
  nowNanos: () => 0,
  onPersistenceLoop: nothing,
  onHotSegmentRetention: nothing,
  onHotSegmentCompression: nothing,
  onColdSegmentDeletion: nothing,
  onPersist: nothing,
  onFlush: nothing,
  onSync: nothing,
  onAppend: nothing,
  onRotation: nothing,
  onCommit: nothing,
  onArchival: nothing,
  onFailure: nothing,
  count: nothing,
  setGauge: nothing,
  setMaxSegments: nothing,
  setMaxCompressedSegments: nothing
}

/** The places of an operation's words, in words from the start of the block. */
interface OperationPlace {
  readonly total: number
  readonly samples: number
  readonly success: number
  readonly min: number
  readonly max: number
  readonly sequence: number
  readonly buckets: number
  readonly bucketSequence: number
}

/** The places of the words of a counter or gauge. */
interface ValuePlace {
  readonly word: number
  readonly sequence: number
}

const fieldWord = (group: string, field: string): number => {
  const found = groupOf(group).fields.find(({ name }) => name === field)
  invariant(found !== undefined, `the group ${group} has a field ${field}`)
  return found.offset / 4
}

const operationPlace = (operation: OperationName): OperationPlace => {
  const histogram = histograms.find((place) => place.operation === operation)
  invariant(histogram !== undefined, `the operation ${operation} has a histogram`)
  return {
    total: fieldWord(operation, "totalNanos"),
    samples: fieldWord(operation, "samples"),
    success: fieldWord(operation, "success"),
    min: fieldWord(operation, "minNanos"),
    max: fieldWord(operation, "maxNanos"),
    sequence: groupOf(operation).sequenceOffset / 4,
    buckets: histogram.offset / 4,
    bucketSequence: histogram.sequenceOffset / 4
  }
}

const retention = operationPlace("retention")
const compression = operationPlace("compression")
const deletion = operationPlace("deletion")
const iteration = operationPlace("iteration")
const persist = operationPlace("persist")
const flush = operationPlace("flush")
const sync = operationPlace("sync")
const append = operationPlace("append")
const rotation = operationPlace("rotation")
const commit = operationPlace("commit")
const archival = operationPlace("archival")

const lifecycle = {
  cycles: fieldWord("lifecycle", "cycles"),
  didWork: fieldWord("lifecycle", "didWork"),
  cycle: fieldWord("lifecycle", "cycleNanos"),
  active: fieldWord("lifecycle", "activeNanos"),
  lastSleep: fieldWord("lifecycle", "lastSleepMillis"),
  sequence: groupOf("lifecycle").sequenceOffset / 4
}

const valuePlaces = <Name extends string>(kind: GroupKind): Readonly<Record<Name, ValuePlace>> => {
  const places = {} as Record<Name, ValuePlace>
  for (const group of groups) {
    if (group.kind !== kind) continue
    for (const field of group.fields) {
      places[field.name as Name] = { word: field.offset / 4, sequence: group.sequenceOffset / 4 }
    }
  }
  return places
}

const counters = valuePlaces<CounterName>("counters")
const failures = valuePlaces<FailureReason>("failures")
const gauges = valuePlaces<GaugeName>("gauges")

const wordRange = 0x1_0000_0000

class BlockUpdater implements SegmentMaintainerUpdater {
  readonly nowNanos: NowNanos
  /** The block, in words. They are signed, because arithmetic on signed 32-bit integers is the cheapest. */
  private readonly words: Int32Array

  constructor(buffer: SharedArrayBuffer, writer: number, nowNanos: NowNanos) {
    this.nowNanos = nowNanos
    this.words = new Int32Array(buffer, blockOffset(writer), blockBytes / 4)
    for (const { sequenceOffset } of [...groups, ...histograms]) recover(this.words, sequenceOffset / 4)
  }

  onPersistenceLoop(didWork: boolean, startNanos: number, sleepNanos: number): void {
    const words = this.words
    const cycleNanos = this.since(startNanos)
    const activeNanos = Math.max(0, Math.floor(cycleNanos - sleepNanos))
    enter(words, lifecycle.sequence)
    increment(words, lifecycle.cycles)
    add(words, lifecycle.cycle, cycleNanos)
    if (didWork) {
      increment(words, lifecycle.didWork)
      add(words, lifecycle.active, activeNanos)
    }
    words[lifecycle.lastSleep] = Math.min(0xffff_ffff, Math.max(0, Math.round(sleepNanos / 1e6)))
    change(words, iteration, true, activeNanos)
    leave(words, lifecycle.sequence)
    countLatency(words, iteration, activeNanos)
  }

  onHotSegmentRetention(ok: boolean, startNanos: number): void {
    this.record(retention, ok, this.since(startNanos))
  }
  onHotSegmentCompression(ok: boolean, startNanos: number): void {
    this.record(compression, ok, this.since(startNanos))
  }
  onColdSegmentDeletion(ok: boolean, startNanos: number): void {
    this.record(deletion, ok, this.since(startNanos))
  }
  onPersist(ok: boolean, startNanos: number): void {
    this.record(persist, ok, this.since(startNanos))
  }
  onFlush(ok: boolean, startNanos: number): void {
    this.record(flush, ok, this.since(startNanos))
  }
  onSync(ok: boolean, startNanos: number): void {
    this.record(sync, ok, this.since(startNanos))
  }
  onAppend(ok: boolean, startNanos: number): void {
    this.record(append, ok, this.since(startNanos))
  }
  onRotation(ok: boolean, startNanos: number): void {
    this.record(rotation, ok, this.since(startNanos))
  }
  onCommit(ok: boolean, startNanos: number): void {
    this.record(commit, ok, this.since(startNanos))
  }
  onArchival(ok: boolean, startNanos: number): void {
    this.record(archival, ok, this.since(startNanos))
  }

  onFailure(reason: FailureReason): void {
    this.add(failures[reason], 1)
  }
  count(counter: CounterName, n: number): void {
    this.add(counters[counter], n)
  }
  setGauge(gauge: GaugeName, value: number): void {
    const words = this.words
    const { sequence, word } = gauges[gauge]
    enter(words, sequence)
    set(words, word, Math.max(0, value))
    leave(words, sequence)
  }
  setMaxSegments(maxSegments: number): void {
    this.setGauge("maxHotSegments", maxSegments)
  }
  setMaxCompressedSegments(maxCompressedSegments: number): void {
    this.setGauge("maxColdSegments", maxCompressedSegments)
  }

  private since(startNanos: number): number {
    return Math.max(0, Math.floor(this.nowNanos() - startNanos))
  }

  private record(place: OperationPlace, ok: boolean, nanos: number): void {
    const words = this.words
    enter(words, place.sequence)
    change(words, place, ok, nanos)
    leave(words, place.sequence)
    countLatency(words, place, nanos)
  }

  private add(place: ValuePlace, n: number): void {
    enter(this.words, place.sequence)
    add(this.words, place.word, n)
    leave(this.words, place.sequence)
  }
}

const change = (words: Int32Array, place: OperationPlace, ok: boolean, nanos: number): void => {
  add(words, place.total, nanos)
  increment(words, place.samples)
  if (ok) increment(words, place.success)
  if (isBelow(nanos, words, place.min)) set(words, place.min, nanos)
  if (isAbove(nanos, words, place.max)) set(words, place.max, nanos)
}

/**
 * Counts a time in its histogram, which is a group of its own: a bucket is one word, and only an overflow changes two.
 */
const countLatency = (words: Int32Array, place: OperationPlace, nanos: number): void => {
  const bucket = place.buckets + bucketOf(nanos)
  const seen = words[bucket]!
  if (seen !== -1) {
    words[bucket] = (seen + 1) | 0
  } else {
    enter(words, place.bucketSequence)
    words[bucket] = 0
    words[bucket + bucketCount] = (words[bucket + bucketCount]! + 1) | 0
    leave(words, place.bucketSequence)
  }
}

/** Adds 1 to the 64-bit value at `word`. */
const increment = (words: Int32Array, word: number): void => {
  const low = (words[word]! + 1) | 0
  words[word] = low
  if (low === 0) words[word + 1] = (words[word + 1]! + 1) | 0
}

/** Adds a whole number below 2^53 - 2^32 to the 64-bit value at `word`; exact, because no intermediate is rounded. */
const add = (words: Int32Array, word: number, n: number): void => {
  const small = n | 0
  if (small === n && small >= 0) {
    const before = words[word]!
    const low = (before + small) | 0
    words[word] = low
    if ((low >>> 0) < (before >>> 0)) words[word + 1] = (words[word + 1]! + 1) | 0
  } else {
    const low = (words[word]! >>> 0) + n
    words[word] = low
    words[word + 1] = words[word + 1]! + Math.floor(low / wordRange)
  }
}

/** Sets the 64-bit value at `word` to a whole number. */
const set = (words: Int32Array, word: number, value: number): void => {
  const small = value | 0
  if (small === value) {
    words[word] = small
    words[word + 1] = 0
  } else {
    words[word] = value
    words[word + 1] = Math.floor(value / wordRange)
  }
}

const isBelow = (n: number, words: Int32Array, word: number): boolean =>
  words[word + 1] === 0 ? n < words[word]! >>> 0 : n < get(words, word)

const isAbove = (n: number, words: Int32Array, word: number): boolean =>
  words[word + 1] === 0 ? n > words[word]! >>> 0 : n > get(words, word)

const get = (words: Int32Array, word: number): number => (words[word]! >>> 0) + (words[word + 1]! >>> 0) * wordRange
