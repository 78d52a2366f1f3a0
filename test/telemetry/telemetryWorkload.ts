/**
 * The updates that every thread makes in the test of several writers, with values that reveal a torn or half-updated
 * group. The clock stands still, so every duration is known.
 */
import { attach } from "../../src/telemetry/Telemetry.ts"
import type { TelemetrySnapshot } from "../../src/telemetry/TelemetrySnapshot.ts"

/** Every duration, in nanoseconds, so that the low word of a total overflows every 4,295 updates. */
export const valueNanos = 1_000_003
export const sleepNanos = 3
const nowNanos = 2 ** 40

/** Gives a gauge value whose two words are equal, so that a torn one is found. */
export const gaugeOf = (n: number): number => n + n * 2 ** 32

/** The number of updates in one round. */
export const updatesPerRound = 6

/** Makes a function that does one round of updates: each kind once, and two that differ. */
export const makeRound = (buffer: SharedArrayBuffer, writer: number): () => void => {
  const updater = attach(buffer, { nowNanos: () => nowNanos }).updater(writer)
  const start = nowNanos - valueNanos
  const spread = writer + 1
  let n = 0
  return () => {
    n++
    updater.onPersistenceLoop(true, start, sleepNanos)
    updater.onHotSegmentRetention(true, start)
    updater.onPersist(true, start + spread)
    updater.onPersist(true, start - spread)
    updater.count("bytesWritten", valueNanos)
    updater.setGauge("diskFreeBytes", gaugeOf(1 + (n & 0xff)))
  }
}

/** Describes what is wrong with a snapshot that followed `previous`; empty if it is whole. */
export const faultsOf = (snapshot: TelemetrySnapshot, previous: TelemetrySnapshot, writersMax: number): string => {
  const { counters, gauges, lifecycle, operations } = snapshot
  const { iteration, persist, retention } = operations
  const free = gauges.diskFreeBytes
  const off = persist.totalNanos - persist.samples * valueNanos
  const spreads = writersMax * (writersMax + 1) / 2
  const checks: ReadonlyArray<readonly [string, boolean]> = [
    ["retention total", retention.totalNanos === retention.samples * valueNanos],
    ["retention success", retention.success === retention.samples],
    ["retention extremes", retention.minNanos === valueNanos && retention.maxNanos === valueNanos],
    ["persist total", off <= 0 && off >= -spreads],
    ["persist success", persist.success === persist.samples],
    ["lifecycle time", lifecycle.cycleNanos === lifecycle.cycles * valueNanos],
    ["lifecycle work", lifecycle.didWork === lifecycle.cycles],
    ["lifecycle active", lifecycle.activeNanos === lifecycle.cycles * (valueNanos - sleepNanos)],
    ["iteration total", iteration.totalNanos === iteration.samples * (valueNanos - sleepNanos)],
    ["bytes written", counters.bytesWritten % valueNanos === 0],
    ["gauge", free % 2 ** 32 === Math.floor(free / 2 ** 32)],
    ["no way back", retention.samples >= previous.operations.retention.samples],
    ["no bytes back", counters.bytesWritten >= previous.counters.bytesWritten]
  ]
  return checks.filter(([, ok]) => !ok).map(([name]) => name).join(", ")
}
