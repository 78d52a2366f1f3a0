/** What a process keeps of the recorders that it has opened and closed. */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { program } from "../programs.ts"
import { isLong, playSample } from "../samples.ts"

/** A thousand take half a minute. */
const times = isLong ? 1000 : 120

describe("a hundred openings and closings", () => {
  it("leave nothing behind: the memory of a process stays flat, with a monitor and a thread's ring", ({ annotate }) =>
    playSample("openings", annotate, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        "--expose-gc",
        program("openings"),
        String(times)
      ])
      const { arenas, filesMax, heapBytesGrown, openings, rings } = JSON.parse(stdout)
      assert.strictEqual(openings, times + times / 10)
      // The runtime may keep some of the last ones for a while.
      assert.isBelow(arenas, times / 5, stdout)
      assert.isBelow(rings, times / 5, stdout)
      assert.isBelow(heapBytesGrown, 8 * 1024 * 1024, stdout)
      // Of a quarter of all starts in each directory.
      assert.isBelow(filesMax, 16, stdout)
    }))
})
