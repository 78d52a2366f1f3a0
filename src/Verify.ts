/**
 * Verifies every byte of a directory, and reports each fault.
 *
 * @since 0.1.0
 */
export type { SegmentFault } from "./format/SegmentFault.ts"
export { segmentFault } from "./format/SegmentFault.ts"
export type { VerifiedSegment, VerifyFault, VerifyOptions, VerifyReport } from "./reading/recovery/Verify.ts"
export { formatVerifyFault, verify } from "./reading/recovery/Verify.ts"
