/** Many logs of one process: they share threads, none disturbs another, and nothing is left of them. */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { program } from "../programs.ts"

interface Held {
  readonly threads: number
  readonly descriptors: number
  readonly listeners: number
  readonly mebibytesOfBuffers: number
}

const run = async (mode: "app" | "crowd" | "flood") => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", program("manyLogs"), mode])
  return JSON.parse(stdout)
}

const assertNothingIsLeft = ({ after, before }: { readonly before: Held; readonly after: Held }): void => {
  const { mebibytesOfBuffers, ...rest } = after
  assert.deepStrictEqual({ ...rest, mebibytesOfBuffers: before.mebibytesOfBuffers }, before)
  // The runtime may keep the last one for a while.
  assert.isAtMost(mebibytesOfBuffers, before.mebibytesOfBuffers + 2)
}

describe("many logs of one process", () => {
  it("lose nothing, mix nothing and leave nothing behind: three types, twenty tenants, one that is opened fifty times", async () => {
    const found = await run("app")
    assert.deepStrictEqual(found.wrong, [])
    assert.isAtMost(found.threadsMost, 4)
    assertNothingIsLeft(found)
  })

  it("64 in threads have at most four threads of ours, and take at most 8 MiB each", async () => {
    const found = await run("crowd")
    assert.isAtMost(found.threadsMost, 4)
    assert.isAtMost(found.mebibytesPerLog, 8)
    assertNothingIsLeft(found)
  })

  it("a log that floods starves no other: a commit beside it waits for few of its segments", async ({ annotate }) => {
    const found = await run("flood")
    await annotate(`p99 of a commit: ${found.alone} ms alone, ${found.beside} ms beside the flood`)
    assert.isAbove(found.segmentsOfFlood, 25)
    // The flood always has sixteen to persist.
    assert.isAtMost(found.segmentsWaitedFor, 8)
    assertNothingIsLeft(found)
  })
})
