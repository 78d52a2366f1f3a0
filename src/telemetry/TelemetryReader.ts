/**
 * The read half of the telemetry. It copies every writer's groups while they are whole, and merges them into a
 * snapshot.
 *
 * No group of a snapshot is torn or half updated, and no count ever decreases. Groups are read one after the other, so
 * two groups may differ by the updates made in between; so may an operation and its histogram. A reader never blocks a
 * writer. A writer that stops in the middle of an update does not block a reader: after `attemptsMax` looks, the reader
 * keeps the last whole state that it has seen of that group.
 */
import { blockBytes, type Field, groups, groupsBytes, histograms } from "./CounterLayout.ts"
import type { Group, HistogramPlace } from "./CounterLayout.ts"
import type { OperationName } from "./Counters.ts"
import { bucketCount, type BucketCounts } from "./LatencyHistogram.ts"
import { isWhole, look } from "./Sequence.ts"
import { blockOffset, resetMinima, writersOf } from "./TelemetryBuffer.ts"
import type { OperationSnapshot, TelemetrySnapshot } from "./TelemetrySnapshot.ts"

/**
 * A running writer is inside a group for some 20 ns, and this many looks take much longer. A writer that the system has
 * suspended inside a group may stay there for milliseconds, which is too long to wait for.
 */
const attemptsMax = 1_000

const wordRange = 0x1_0000_0000

/** One writer's block, as a reader sees it. */
interface Block {
  readonly shared: Int32Array
  /** The last whole state of every group. */
  readonly whole: Uint32Array
}

const groupScratch = new Uint32Array(Math.max(...groups.map((group) => group.bytes)) / 4)

const copyGroup = ({ shared, whole }: Block, group: Group): void => {
  const first = group.offset / 4
  const end = first + group.bytes / 4
  const sequence = group.sequenceOffset / 4
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const seen = look(shared, sequence)
    if ((seen & 1) === 1) continue
    for (let word = first; word < end; word++) groupScratch[word - first] = shared[word]!
    if (!isWhole(shared, sequence, seen)) continue
    for (let word = first; word < end; word++) whole[word] = groupScratch[word - first]!
    return
  }
}

/** A bucket overflows once in four billion samples; a second look is already rare. */
const histogramAttemptsMax = 100

const filledBuckets = new Uint16Array(bucketCount)
const filledCounts = new Float64Array(bucketCount)

/** Adds one writer's histogram. Every bucket has a value that was true during the copy, and buckets only grow. */
const addHistogram = ({ shared }: Block, place: HistogramPlace, counts: Float64Array): void => {
  const low = place.offset / 4
  const high = place.highOffset / 4
  const sequence = place.sequenceOffset / 4
  const end = filledBuckets.length
  let filled = 0
  for (let attempt = 0; attempt < histogramAttemptsMax; attempt++) {
    const seen = look(shared, sequence)
    filled = 0
    for (let bucket = 0; bucket < end; bucket++) {
      // High words are written only together with the sequence word.
      const overflows = seen === 0 ? 0 : shared[high + bucket]!
      const count = shared[low + bucket]!
      if (count === 0 && overflows === 0) continue
      filledBuckets[filled] = bucket
      filledCounts[filled] = (count >>> 0) + overflows * wordRange
      filled++
    }
    if (isWhole(shared, sequence, seen)) break
  }
  for (let i = 0; i < filled; i++) counts[filledBuckets[i]!] = counts[filledBuckets[i]!]! + filledCounts[i]!
}

const valueOf = (whole: Uint32Array, field: Field): number => {
  const word = field.offset / 4
  return field.bytes === 4 ? whole[word]! : whole[word]! + whole[word + 1]! * wordRange
}

const merge = (blocks: ReadonlyArray<Block>, field: Field): number => {
  let merged = field.merge === "min" ? Infinity : 0
  for (const { whole } of blocks) {
    const value = valueOf(whole, field)
    if (field.merge === "sum") merged += value
    else if (field.merge === "max") merged = Math.max(merged, value)
    else merged = Math.min(merged, value)
  }
  return merged
}

/**
 * Makes a function that takes a snapshot of the buffer. The function remembers the last whole state of every group, so
 * keep it and use it again.
 */
export const makeReader = (buffer: SharedArrayBuffer): () => TelemetrySnapshot => {
  const blocks = Array.from({ length: writersOf(buffer) }, (_, writer): Block => {
    const whole = new Uint32Array(groupsBytes / 4)
    resetMinima(whole)
    return { shared: new Int32Array(buffer, blockOffset(writer), blockBytes / 4), whole }
  })
  const counts = new Float64Array(bucketCount)

  const latencyOf = (samplesField: Field, place: HistogramPlace): BucketCounts => {
    let any = false
    // A writer counts the histogram after the samples: without samples the histogram is empty.
    for (const block of blocks) {
      if (valueOf(block.whole, samplesField) === 0) continue
      if (!any) counts.fill(0)
      any = true
      addHistogram(block, place, counts)
    }
    const latency: Array<readonly [number, number]> = []
    if (any) {
      for (let bucket = 0; bucket < counts.length; bucket++) {
        if (counts[bucket] !== 0) latency.push([bucket, counts[bucket]!])
      }
    }
    return latency
  }

  const operationOf = (group: Group): OperationSnapshot => {
    const values = fieldsOf(group)
    if (values.samples === 0) values.minNanos = 0
    const samples = group.fields.find((field) => field.name === "samples")!
    const place = histograms.find((histogram) => histogram.operation === group.name)!
    return { ...values, latency: latencyOf(samples, place) } as OperationSnapshot
  }

  const fieldsOf = (group: Group): Record<string, number> => {
    const values: Record<string, number> = {}
    for (const field of group.fields) values[field.name] = merge(blocks, field)
    return values
  }

  return () => {
    for (const block of blocks) {
      for (const group of groups) copyGroup(block, group)
    }
    const snapshot = {
      lifecycle: {} as Record<string, number>,
      operations: {} as Record<OperationName, OperationSnapshot>,
      counters: {},
      failures: {},
      gauges: {}
    }
    for (const group of groups) {
      if (group.kind === "operation") snapshot.operations[group.name as OperationName] = operationOf(group)
      else Object.assign(snapshot[group.kind], fieldsOf(group))
    }
    return snapshot as TelemetrySnapshot
  }
}
