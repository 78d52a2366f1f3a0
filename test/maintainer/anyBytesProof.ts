/** The proof of any file that is not empty, as maintainer threads import it. */
export { anyBytes as proof } from "../../src/maintainer/SegmentProof.ts"
