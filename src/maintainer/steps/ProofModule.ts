/** A proof that comes as a module, since code cannot be sent to a thread. */
import * as Effect from "effect/Effect"
import { invariant } from "../../internal/invariant.ts"
import { closedSegment } from "./SegmentProof.ts"
import type { ProofMaker } from "./SegmentProof.ts"

/** Loads the proof that a module exports; without a module, the default. */
export const loadProof = (proofModule: string | undefined): Effect.Effect<ProofMaker> =>
  Effect.promise(async () => {
    if (proofModule === undefined) return closedSegment
    const module: { readonly proof?: ProofMaker } = await import(proofModule)
    invariant(module.proof !== undefined, `${proofModule} exports a proof`)
    return module.proof
  })
