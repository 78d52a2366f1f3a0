/**
 * The values of the telemetry at one moment, with all writers merged: plain data that can be kept, compared, sent and
 * stored.
 *
 * Every value is a number. The shared counters have 64 bits and are exact. A number is exact up to 2^53, which is 104
 * days of summed nanoseconds; above that its relative error is at most 10^-16.
 */
import * as Schema from "effect/Schema"
import { groups, maintenanceBytes } from "./CounterLayout.ts"
import type { Field, Group } from "./CounterLayout.ts"
import { failureReasons, operations } from "./Counters.ts"
import type { CounterName, GaugeName, GroupKind, LifecycleName, OperationName } from "./Counters.ts"

/**
 * The totals and the latency histogram of one operation. Times in nanoseconds. `minNanos` is 0 while there are no
 * samples. `latency` lists the counts of the buckets that are not empty (see LatencyHistogram.ts).
 *
 * @since 0.1.0
 * @category models
 */
export const OperationSnapshot = Schema.Struct({
  totalNanos: Schema.Number,
  samples: Schema.Number,
  success: Schema.Number,
  minNanos: Schema.Number,
  maxNanos: Schema.Number,
  latency: Schema.Array(Schema.Tuple([Schema.Number, Schema.Number]))
})

/**
 * The type of {@link OperationSnapshot}.
 *
 * @since 0.1.0
 * @category models
 */
export type OperationSnapshot = typeof OperationSnapshot.Type

const namesOf = <Name extends string>(kind: GroupKind): ReadonlyArray<Name> =>
  groups.filter((group) => group.kind === kind).flatMap((group) => group.fields.map((field) => field.name as Name))

/**
 * A snapshot. Its schema checks a snapshot that comes from outside, such as from a file.
 *
 * @since 0.1.0
 * @category models
 */
export const TelemetrySnapshot = Schema.Struct({
  lifecycle: Schema.Record(Schema.Literals(namesOf<LifecycleName>("lifecycle")), Schema.Number),
  operations: Schema.Record(Schema.Literals(Object.keys(operations) as Array<OperationName>), OperationSnapshot),
  counters: Schema.Record(Schema.Literals(namesOf<CounterName>("counters")), Schema.Number),
  failures: Schema.Record(Schema.Literals(failureReasons), Schema.Number),
  gauges: Schema.Record(Schema.Literals(namesOf<GaugeName>("gauges")), Schema.Number)
})

/**
 * The type of {@link TelemetrySnapshot}.
 *
 * @since 0.1.0
 * @category models
 */
export type TelemetrySnapshot = typeof TelemetrySnapshot.Type

/** Gives the value of a field in a snapshot. */
export const valueIn = (snapshot: TelemetrySnapshot, group: Group, field: Field): number => {
  const values: Readonly<Record<string, unknown>> = group.kind === "operation"
    ? snapshot.operations[group.name as OperationName]
    : snapshot[group.kind]
  return values[field.name] as number
}

/**
 * Writes the groups of maintenance to `target`, as they are placed in the first 320 bytes of a block: the lifecycle,
 * the three maintenance operations and the limits, little-endian, padding zero. A minimum without samples is the
 * unsigned 64-bit maximum. Throws if `target` is shorter.
 */
export const copyTo = (snapshot: TelemetrySnapshot, target: Uint8Array): void => {
  const view = new DataView(target.buffer, target.byteOffset, maintenanceBytes)
  target.fill(0, 0, maintenanceBytes)
  for (const group of groups) {
    if (group.offset >= maintenanceBytes) break
    const isEmpty = group.kind === "operation" && snapshot.operations[group.name as OperationName].samples === 0
    for (const field of group.fields) {
      const value = valueIn(snapshot, group, field)
      if (field.bytes === 4) view.setUint32(field.offset, value, true)
      else view.setBigUint64(field.offset, isEmpty && field.merge === "min" ? 2n ** 64n - 1n : BigInt(value), true)
    }
  }
}
