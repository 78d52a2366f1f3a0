/** What a process keeps of the recorders that it has opened and closed. */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { program } from "../programs.ts"

describe("a thousand openings and closings", () => {
  it("leave nothing behind: the memory of a process stays flat, with a monitor and a thread's ring", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program("openings"), "1000"])
    const { arenas, heapBytesGrown, openings, rings } = JSON.parse(stdout)
    assert.strictEqual(openings, 1100)
    // The runtime may keep some of the last ones for a while.
    assert.isBelow(arenas, 200, stdout)
    assert.isBelow(rings, 200, stdout)
    assert.isBelow(heapBytesGrown, 8 * 1024 * 1024, stdout)
  })
})
