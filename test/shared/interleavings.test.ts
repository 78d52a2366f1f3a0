import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import * as TaskRing from "../../src/shared/TaskRing.ts"
import { isLong, playSample } from "../samples.ts"
import { explore, type RingCode } from "./interleavings.ts"

const source = stripTypeScriptTypes(readFileSync(new URL("../../src/shared/TaskRing.ts", import.meta.url), "utf8"))

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`

/** Loads the ring's code with one passage replaced. */
const withBug = async (from: string | RegExp, to: string): Promise<RingCode> => {
  const invariantUrl = new URL("../../src/internal/invariant.ts", import.meta.url)
  const invariantCode = stripTypeScriptTypes(readFileSync(invariantUrl, "utf8"))
  const changed = source.replace(from, to)
  assert.notStrictEqual(changed, source, "the passage to break was found")
  const code = changed.replace("../internal/invariant.ts", dataUrl(invariantCode))
  const module: RingCode = await import(/* @vite-ignore */ dataUrl(code))
  return module
}

const small = { capacity: 2, tasks: 3, consumers: 2, deaths: [0, 0], startAt: -2 }
const mortal = { capacity: 2, tasks: 2, consumers: 2, deaths: [1, 0], startAt: -1 }

describe("the ring's algorithm, in every interleaving", () => {
  it("loses, tears, repeats and invents nothing: 2 consumers, across the wrap of the positions", () => {
    const { fault, states } = explore(TaskRing, small)
    assert.strictEqual(fault, undefined)
    assert.isAbove(states, 100_000)
  })

  it("finds the task of a consumer that died at any access, while another consumer works", () => {
    const { fault, states } = explore(TaskRing, mortal)
    assert.strictEqual(fault, undefined)
    assert.isAbove(states, 30_000)
  })

  it("finds the task of a consumer that died, and died again while recovering", () => {
    assert.strictEqual(explore(TaskRing, { ...mortal, tasks: 3, consumers: 1, deaths: [3] }).fault, undefined)
  })

  it("recovers a task whatever lap it was taken in, with one cell only", () => {
    assert.strictEqual(explore(TaskRing, { ...mortal, capacity: 1 }).fault, undefined)
  })

  it.runIf(isLong)(
    "the same with more tasks (in the long run)",
    ({ annotate }) =>
      playSample("interleavings", annotate, (seed) => {
        const larger = seed % 2 === 0 ? { ...mortal, tasks: 3 } : { ...small, tasks: 4, startAt: -3 }
        assert.strictEqual(explore(TaskRing, larger).fault, undefined)
      })
  )
})

describe("the explorer", () => {
  const planted: ReadonlyArray<[bug: string, from: string | RegExp, to: string, options: typeof small]> = [
    [
      "a cell freed before its task is read",
      "readTask(self, cell, out)\n      finishTaking",
      "Atomics.store(words, cell, freeStamp(self, (head + self.capacity) | 0))\n readTask(self, cell, out)\n finishTaking",
      small
    ],
    [
      "a cell freed before the claim is written",
      "writeTask(self, claim, task",
      "Atomics.store(words, cell, freeStamp(self, (position + self.capacity) | 0))\n writeTask(self, claim, task",
      mortal
    ],
    ["a claim that is never marked", "words[claim] = claimHeld", "", mortal],
    [
      "a task taken without comparing",
      "Atomics.compareExchange(words, cell, stamp, taken) !== stamp",
      "Atomics.store(words, cell, taken) !== taken",
      small
    ],
    [
      "head moved past a cell of the lap before",
      " || isLapBehind(self, head, stamp)) return false",
      ") return false",
      small
    ],
    ["a producer that overwrites cells in use", "if (stamp === free) {", "if (stamp !== -1) {", small],
    [
      "a task published before it is written",
      /(writeTask\(self, cell, segmentIndex[^\n]*)\n(\s*Atomics\.store\(words, cell, free \| stateReady\))/,
      "$2\n$1",
      small
    ],
    ["a recovery that looks at the claim only", "index < self.capacity", "index < 0", mortal],
    [
      "a recovery that leaves the cell taken",
      "finishTaking(self, consumer, positionOf(self, index, stamp), cell, out)",
      "",
      { ...mortal, tasks: 3, consumers: 1, deaths: [1] }
    ],
    ["a claim that outlives its task", /Atomics\.store\(self\.words, claimAt\(consumer\), claimNone\)/, "", mortal]
  ]
  for (const [bug, from, to, options] of planted) {
    it(`finds ${bug}`, async () => {
      const { fault } = explore(await withBug(from, to), options)
      assert.isString(fault)
    })
  }
})
