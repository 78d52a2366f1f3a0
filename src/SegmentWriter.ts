/**
 * The synchronous half of a recorder: it copies events into shared memory, and never waits.
 *
 * @since 0.1.0
 */
export { Refusal, SegmentWriter } from "./recorder/SegmentWriter.ts"
