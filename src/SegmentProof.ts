/**
 * What must hold of a segment's bytes before its uncompressed file is removed.
 *
 * @since 0.1.0
 */
export type { ProofMaker, ProofRun, SegmentFacts } from "./maintainer/steps/SegmentProof.ts"
export { anyBytes, SegmentProof } from "./maintainer/steps/SegmentProof.ts"
