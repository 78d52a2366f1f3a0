/**
 * The layout of everything that is counted, in bytes. It is computed from the table in Counters.ts, and checked when
 * this module is loaded.
 *
 * Every writer owns one block of this layout. A block consists of groups. A group starts on a 64-byte line, and no two
 * groups share a line. The last four bytes of a group are its sequence word, which is odd while its writer is inside
 * the group. (The iteration is guarded by the lifecycle's word, because one call changes both.) The groups of
 * maintenance come first, with the sequence words in their padding:
 *
 * ```text
 *   0  persistence lifecycle   cycles, cycles with work, cycle ns, active ns, last sleep ms (u32)
 *  64  retention               total ns, samples, success, min ns, max ns
 * 128  compression             the same
 * 192  deletion                the same
 * 256  limits                  hot segments, cold segments
 * 320  iteration, persist, flush, sync, append, rotation, commit, archival: as retention, one line each
 *      traffic, failures, rings, durability, damage, segments, store, archive: counters and gauges
 *      one latency histogram for each operation: low words, high words, a line with its sequence word
 * ```
 *
 * All values are unsigned 64-bit little-endian integers, unless the table gives them 4 bytes.
 */
import { invariant } from "../internal/invariant.ts"
import {
  definitions,
  type GroupDefinition,
  type GroupKind,
  type Merge,
  type OperationName,
  operationNames
} from "./Counters.ts"
import type { Subsystem, Unit } from "./Counters.ts"
import { bucketCount } from "./LatencyHistogram.ts"

/** The bytes of a cache line, the unit of the layout. */
export const lineBytes = 64

/** A field with its place. */
export interface Field {
  readonly name: string
  readonly exported: string
  readonly unit: Unit
  readonly merge: Merge
  readonly help: string
  readonly labels: Readonly<Record<string, string>>
  readonly bytes: 4 | 8
  /** Bytes from the start of the block. */
  readonly offset: number
}

/** A group with its place: the unit of consistency. No reader ever sees a group in the middle of an update. */
export interface Group {
  readonly name: string
  readonly kind: GroupKind
  readonly subsystem: Subsystem
  readonly fields: ReadonlyArray<Field>
  /** Bytes from the start of the block, a multiple of {@link lineBytes}. */
  readonly offset: number
  /** A multiple of {@link lineBytes}. */
  readonly bytes: number
  /** The place of the sequence word that guards this group: its own last four bytes, or those of another group. */
  readonly sequenceOffset: number
}

/**
 * A latency histogram with its place: `bucketCount` low words, as many high words, and a line that ends with its
 * sequence word. Counting in a bucket is one 32-bit store, except when its low word overflows; only then is the
 * sequence word used.
 */
export interface HistogramPlace {
  readonly operation: OperationName
  readonly offset: number
  readonly highOffset: number
  readonly sequenceOffset: number
  readonly bytes: number
}

const toLines = (bytes: number): number => Math.ceil(bytes / lineBytes) * lineBytes

const place = (definition: GroupDefinition, offset: number, before: ReadonlyArray<Group>): Group => {
  let next = offset
  const fields = Object.entries(definition.fields).map(([name, field]): Field => {
    const placed: Field = {
      name,
      exported: definition.exported + field.exported,
      unit: field.unit,
      merge: field.merge,
      help: field.help,
      labels: { subsystem: definition.subsystem, ...field.labels },
      bytes: field.bytes ?? 8,
      offset: next
    }
    next += placed.bytes
    return placed
  })
  const bytes = toLines(next - offset + 4)
  const { kind, name, subsystem } = definition
  const guard = before.find((group) => group.name === definition.guardedBy)
  return { name, kind, subsystem, fields, offset, bytes, sequenceOffset: guard?.sequenceOffset ?? offset + bytes - 4 }
}

/** Lists every group, in the order of the layout. */
export const groups: ReadonlyArray<Group> = definitions.reduce<ReadonlyArray<Group>>(
  (placed, definition) => [...placed, place(definition, placed.reduce((sum, group) => sum + group.bytes, 0), placed)],
  []
)

/** The bytes of all groups together; the histograms begin at this offset. */
export const groupsBytes = groups.reduce((sum, group) => sum + group.bytes, 0)

const histogramBytes = bucketCount * 8 + lineBytes

/** Lists every histogram, in the order of the layout. */
export const histograms: ReadonlyArray<HistogramPlace> = operationNames.map((operation, index) => {
  const offset = groupsBytes + index * histogramBytes
  return {
    operation,
    offset,
    highOffset: offset + bucketCount * 4,
    sequenceOffset: offset + histogramBytes - 4,
    bytes: histogramBytes
  }
})

/** The bytes of one writer's block. */
export const blockBytes = groupsBytes + histograms.length * histogramBytes

/** The bytes of the groups of maintenance at the start of a block: the lifecycle, three operations and the limits. */
export const maintenanceBytes = 320

/** Finds the group of that name. */
export const groupOf = (name: string): Group => {
  const group = groups.find((group) => group.name === name)
  invariant(group !== undefined, `there is a group of counters named ${name}`)
  return group
}

invariant(groups.every((group) => group.offset % lineBytes === 0), "every group starts on a line of its own")
invariant(groups.every((group) => group.bytes % lineBytes === 0), "every group fills its lines")
invariant(histograms.every((place) => place.offset % lineBytes === 0), "every histogram starts on a line of its own")
invariant(histogramBytes % lineBytes === 0, "every histogram fills its lines")
invariant(
  groupOf("limits").offset + groupOf("limits").bytes === maintenanceBytes,
  "the groups of maintenance have 320 bytes"
)
invariant(blockBytes % lineBytes === 0, "a block fills its lines")
