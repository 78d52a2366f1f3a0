/**
 * Formats a snapshot as text for people: a line or two for each group, with durations and bytes in units that suit
 * their size.
 */
import { groups } from "./CounterLayout.ts"
import type { OperationName } from "./Counters.ts"
import { jitterNanos, percentileNames, percentilesNanos } from "./LatencyHistogram.ts"
import { type OperationSnapshot, type TelemetrySnapshot, valueIn } from "./TelemetrySnapshot.ts"

const nameWidth = 30

const line = (name: string, text: string): string => `${name.padEnd(nameWidth)}${text}`

const scales = [["d", 8.64e13], ["h", 3.6e12], ["min", 6e10], ["s", 1e9], ["ms", 1e6], ["µs", 1e3]] as const

const short = (value: number): string => {
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** Formats a duration in the largest unit in which it is at least 1: `1.50 ms`, `12.3 s`, `0 ns`. */
export const formatNanos = (nanos: number): string => {
  const scale = scales.find(([, size]) => Math.abs(nanos) >= size)
  return scale === undefined ? `${Math.round(nanos)} ns` : `${short(nanos / scale[1])} ${scale[0]}`
}

/**
 * Formats an amount of bytes in binary units: `512 B`, `1.50 MiB`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatBytes = (bytes: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let power = 0
  while (power < units.length - 1 && bytes >= 1024 ** (power + 1)) power++
  return power === 0 ? `${bytes} B` : `${short(bytes / 1024 ** power)} ${units[power]}`
}

const dumpLifecycle = ({ lifecycle }: TelemetrySnapshot): Array<string> => {
  const { activeNanos, cycleNanos, cycles, didWork, lastSleepMillis } = lifecycle
  const perCycle = cycles === 0 ? 0 : cycleNanos / cycles
  const perWork = didWork === 0 ? 0 : activeNanos / didWork
  const active = cycleNanos === 0 ? 0 : activeNanos * 100 / cycleNanos
  return [
    line("cycles", `${cycles}, ${didWork} did work, last sleep ${formatNanos(lastSleepMillis * 1e6)}`),
    line("cycle time", `${formatNanos(cycleNanos)}, average ${formatNanos(perCycle)}`),
    line("active time", `${formatNanos(activeNanos)} (${short(active)} %), average ${formatNanos(perWork)}`)
  ]
}

const dumpOperation = (name: string, operation: OperationSnapshot): Array<string> => {
  const { latency, maxNanos, minNanos, samples, success, totalNanos } = operation
  const counts = `${samples} samples, ${success} ok`
  if (samples === 0) return [line(name, counts)]
  const average = totalNanos / samples
  const values = percentilesNanos(latency)
  const jitter = jitterNanos(latency)
  return [
    line(
      name,
      `${counts}, total ${formatNanos(totalNanos)}, min ${formatNanos(minNanos)}, avg ${formatNanos(average)}, ` +
        `max ${formatNanos(maxNanos)}, jitter ${formatNanos(maxNanos - minNanos)}, ` +
        `rate ${totalNanos === 0 ? "0" : short(samples * 1e9 / totalNanos)}/s`
    ),
    line(`  percentiles`, percentileNames.map((p) => `${p} ${formatNanos(values[p])}`).join(", ")),
    line(`  jitter against p50`, percentileNames.slice(1).map((p) => `${p} +${formatNanos(jitter[p])}`).join(", "))
  ]
}

/** Turns `persistOldestPendingMillis` into `persist oldest pending`; the unit is part of the value. */
const words = (name: string): string =>
  name.replace(/(Millis|Nanos)$/, "").replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const dumpValue = (value: number, unit: string): string => {
  if (unit === "bytes") return formatBytes(value)
  return unit === "ms" ? formatNanos(value * 1e6) : String(value)
}

const dumpRatio = ({ counters }: TelemetrySnapshot): Array<string> =>
  counters.compressionBytesOut === 0
    ? []
    : [line("compression ratio", `${short(counters.compressionBytesIn / counters.compressionBytesOut)} to 1`)]

/**
 * Formats the whole snapshot, one group after the other. Ends with a line feed.
 *
 * @since 0.1.0
 * @category conversions
 */
export const dump = (snapshot: TelemetrySnapshot): string => {
  const lines: Array<string> = []
  for (const group of groups) {
    if (group.kind === "lifecycle") lines.push(...dumpLifecycle(snapshot))
    else if (group.kind === "operation") {
      lines.push(...dumpOperation(group.name, snapshot.operations[group.name as OperationName]))
    } else {
      const title = group.kind === "failures" ? "failures: " : ""
      for (const field of group.fields) {
        const name = title + (title === "" ? words(field.name) : field.name)
        lines.push(line(name, dumpValue(valueIn(snapshot, group, field), field.unit)))
      }
      if (group.name === "traffic") lines.push(...dumpRatio(snapshot))
    }
  }
  return `${lines.join("\n")}\n`
}
