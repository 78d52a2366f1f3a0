import { assert, describe, it } from "@effect/vitest"
import { layers } from "./harness.ts"
import { inject, injectionMissing, targets } from "./inject.ts"

const missing = injectionMissing()
/** The 9th, 89th, … call of three kinds; the whole matrix is `node test/faults/inject.ts`. */
const sampled = ["fdatasync", "rename", "openat"]

describe("a system call that fails", () => {
  for (const layer of layers) {
    const name = `once costs no event and no time, wherever it is (${layer} layer)`
    it.skipIf(missing !== "")(missing === "" ? name : `${name}: skipped, ${missing}`, async () => {
      const rows = await inject({
        layer,
        targets: targets.filter(({ call }) => sampled.includes(call)).map((target) => ({
          ...target,
          errors: ["EIO"]
        })),
        first: 9,
        step: 80,
        modes: ["once"],
        jobs: 2
      })
      for (const { call, faults, killed, recovered, refused, runs } of rows) {
        assert.isAtLeast(faults + killed, runs, `${call} has met the fault in every run`)
        assert.strictEqual(recovered + refused + killed, runs)
      }
    }, 120_000)
  }
})
