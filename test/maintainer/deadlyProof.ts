/** A proof with a bug of the application's: the executor that freezes dies of it. */
import type { ProofMaker } from "../../src/maintainer/steps/SegmentProof.ts"

export const proof: ProofMaker = {
  begin: () => {
    throw new Error("a bug in the proof")
  }
}
