/**
 * What can be wrong with the bytes of a segment, where, and what should have been there. A fault is plain data: the
 * reader that knows the file turns it into an error with a path.
 *
 * @since 0.1.0
 */

/**
 * The kinds of fault.
 *
 * - `Truncated`: the file ends before what its header or a block promises
 * - `BadHeader`: the segment header is invalid
 * - `BadBlockHeader`: a block header is invalid: its checksum is wrong, or a count or length is out of range
 * - `BadPayload`: the payload of a block does not have the checksum that its header names
 * - `BrokenChain`: the chained checksum does not continue: a block or a segment is missing, swapped or foreign
 * - `BadOrder`: a block index or an event id does not continue
 * - `BadEvent`: an event inside a block is longer than the block, or an id does not increase
 * - `NotZero`: a byte that must be zero (padding, the unused tail) is not
 * - `TrailingBytes`: bytes follow where the file should end
 * - `CountMismatch`: a closed header's counts or ids are not those of its blocks
 * - `BadFrame`: the LZ4 frame or block of a cold segment is invalid
 */
export const segmentFaultKinds = [
  "Truncated",
  "BadHeader",
  "BadBlockHeader",
  "BadPayload",
  "BrokenChain",
  "BadOrder",
  "BadEvent",
  "NotZero",
  "TrailingBytes",
  "CountMismatch",
  "BadFrame"
] as const

/**
 * One of `segmentFaultKinds`.
 *
 * @since 0.1.0
 * @category models
 */
export type SegmentFaultKind = typeof segmentFaultKinds[number]

/**
 * One fault. `offset` counts the bytes of the uncompressed segment; only for `BadFrame` it counts those of the
 * compressed file.
 *
 * @since 0.1.0
 * @category models
 */
export interface SegmentFault {
  readonly _tag: "SegmentFault"
  readonly kind: SegmentFaultKind
  readonly offset: number
  readonly expected: string
  readonly found: string
}

/**
 * Makes a fault.
 *
 * @since 0.1.0
 * @category constructors
 */
export const segmentFault = (
  kind: SegmentFaultKind,
  offset: number,
  expected: string,
  found: string
): SegmentFault => ({ _tag: "SegmentFault", kind, offset, expected, found })

/** Distinguishes a fault from a result. */
export const isSegmentFault = (value: object): value is SegmentFault => "_tag" in value && value._tag === "SegmentFault"

/** Formats a fault as one line for people. */
export const formatFault = (fault: SegmentFault): string =>
  `${fault.kind} at offset ${fault.offset}: expected ${fault.expected}, found ${fault.found}`
