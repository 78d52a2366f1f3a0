/** A proof that takes its time over segment 0, for a drain that is longer than a worker is usually waited for. */
import { anyBytes } from "../../src/maintainer/steps/SegmentProof.ts"
import type { ProofMaker } from "../../src/maintainer/steps/SegmentProof.ts"

export const slowMillis = 5200

export const proof: ProofMaker = {
  begin: (segmentIndex) => {
    const run = anyBytes.begin(segmentIndex)
    return {
      push: run.push,
      end: () => {
        if (segmentIndex === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, slowMillis)
        return run.end()
      }
    }
  }
}
