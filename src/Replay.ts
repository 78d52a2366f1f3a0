/**
 * Reads a directory in the order of its events. Nothing that it reads is believed before it is verified.
 *
 * @since 0.1.0
 */
export type { AcknowledgedHole, Damage, Durable, Hole, ReplayFrom, ReplayOptions, ReplayTo } from "./reading/Replay.ts"
export { blocks, events, firstAvailableId } from "./reading/Replay.ts"
export type { ReplayFailure } from "./reading/ReplayError.ts"
export { EventsDeleted, EventsLost, SegmentMissing } from "./reading/ReplayError.ts"
export type { RecordedEvent, VerifiedBlock } from "./reading/segment/BlockEvents.ts"
export { forEachEvent } from "./reading/segment/BlockEvents.ts"
export { SegmentCorrupt } from "./reading/segment/SegmentCorrupt.ts"
/**
 * How a segment is damaged.
 *
 * @since 0.1.0
 * @category errors
 */
export * as SegmentCorruptReason from "./reading/segment/SegmentCorruptReason.ts"
