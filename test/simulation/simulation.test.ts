/** The simulation in the ordinary test run, and the proof that the same seed is the same run. */
import { assert, describe, it } from "@effect/vitest"
import { playSample } from "../samples.ts"
import { run } from "./Simulation.ts"

const passes = (seed: number): void => {
  const { violation } = run({ seed })
  if (violation !== undefined) {
    assert.fail(`${violation.message}\nsee it happen: npm run simulate -- --seed ${seed} --verbose`)
  }
}

describe("simulation", () => {
  it("holds every promise, for the same seeds every time and for some that nobody has seen", ({ annotate }) =>
    playSample("simulation", annotate, passes))

  it("does the same when it is given the same seed", () => {
    const hashes = new Set<string>()
    for (let seed = 1; seed <= 20; seed++) {
      const first = run({ seed, isVerbose: true })
      const second = run({ seed, isVerbose: true })
      assert.deepStrictEqual(second.lines, first.lines)
      assert.strictEqual(second.hash, first.hash)
      hashes.add(first.hash)
    }
    assert.strictEqual(hashes.size, 20, "other seeds are other runs")
  })
})
