/** The format is what its document says: a reader in another language, written from that alone, finds the same. */
import { describe, it } from "@effect/vitest"
import { afterAll } from "vitest"
import { playSample } from "../samples.ts"
import { hasPython, judgeSeed, startIndependentReader } from "./judging.ts"

describe.skipIf(!hasPython)("an independent reader (needs python3)", () => {
  const reader = startIndependentReader()
  afterAll(reader.close)

  it("finds every event that ours finds in what a simulated machine has left, and refuses what ours refuses", async ({ annotate }) => {
    await playSample("judged", annotate, (seed) => judgeSeed(reader, seed))
  })
})
