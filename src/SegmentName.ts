/**
 * The names of segments.
 *
 * @since 0.1.0
 */
export type { Compression, SegmentForm } from "./format/SegmentName.ts"
export { coldName, defaultNaming, hotName, SegmentNaming } from "./format/SegmentName.ts"
