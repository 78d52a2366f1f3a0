/**
 * The three queues that a writer of segments feeds the maintainer through.
 *
 * @since 0.1.0
 */
export type { SegmentQueues } from "./shared/SegmentQueues.ts"
export { layer, SegmentsToFree, SegmentsToFreeze, SegmentsToPersist } from "./shared/SegmentQueues.ts"
