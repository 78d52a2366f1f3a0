/** When the compressing thread runs. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { threadedFrom } from "../../../src/maintainer/Compressor.ts"
import { CompressorPriority } from "../../../src/maintainer/compressor/CompressorPriority.ts"
import type { Pace } from "../../../src/maintainer/steps/FreezePace.ts"

const pieces = 1024

describe("the compressing thread", () => {
  it("takes idle processors only from when it gives way, until something waits for a freeze", () => {
    const priority = new CompressorPriority()
    assert.isFalse(priority.onlyWhenIdle("free", false))
    assert.isTrue(priority.onlyWhenIdle("givesWay", false))
    assert.isTrue(priority.onlyWhenIdle("free", true))
    assert.isFalse(priority.onlyWhenIdle("awaited", true))
  })

  it("keeps its priority for 1,023 pieces after the last that was waited for", () => {
    const priority = new CompressorPriority()
    priority.onlyWhenIdle("awaited", true)
    priority.onlyWhenIdle("givesWay", false)
    priority.onlyWhenIdle("awaited", false)
    for (let piece = 1; piece < pieces; piece++) {
      assert.isFalse(priority.onlyWhenIdle("givesWay", false), `piece ${piece}`)
    }
    assert.isTrue(priority.onlyWhenIdle("givesWay", false))
    assert.isTrue(priority.onlyWhenIdle("givesWay", true))
  })

  it("does not starve: after a piece that took 100 ms it has a priority for as long", () => {
    const priority = new CompressorPriority()
    priority.tookWhenIdle(99)
    assert.isTrue(priority.onlyWhenIdle("givesWay", true))
    priority.tookWhenIdle(100)
    for (let piece = 1; piece < pieces; piece++) {
      assert.isFalse(priority.onlyWhenIdle("givesWay", true), `piece ${piece}`)
    }
    assert.isTrue(priority.onlyWhenIdle("givesWay", false))
  })
})

describe("the compressor", () => {
  it("hears from a thread on idle processors that it starves, and begins another", async () => {
    const compressor = threadedFrom(new URL("./slowCompressor.ts", import.meta.url))
    const ranOnlyWhenIdle = async (pace: Pace) => (await compressor.compress(new Uint8Array(1), pace))[0] === 1
    assert.isFalse(await ranOnlyWhenIdle("free"))
    assert.isTrue(await ranOnlyWhenIdle("givesWay"))
    const until = Array.from({ length: pieces - 1 }, () => ranOnlyWhenIdle("givesWay"))
    assert.notInclude(await Promise.all(until), true)
    assert.isTrue(await ranOnlyWhenIdle("givesWay"))
  })
})

const statOf = (thread: string): string | undefined => {
  try {
    return readFileSync(`/proc/self/task/${thread}/stat`, "latin1")
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")) {
      return undefined
    }
    throw error
  }
}

/** How the threads of this process are scheduled: `man 5 proc_pid_stat` and `man 7 sched`. */
const threads = (): ReadonlyMap<string, { readonly nice: number; readonly isOnlyWhenIdle: boolean }> => {
  const found = readdirSync("/proc/self/task").flatMap((thread) => {
    const stat = statOf(thread)
    // It has ended since it was listed.
    if (stat === undefined) return []
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return [[thread, { nice: Number(fields[19 - 3]), isOnlyWhenIdle: fields[41 - 3] === "5" }] as const]
  })
  return new Map(found)
}

const hasChrt = (() => {
  if (process.platform !== "linux") return false
  try {
    execFileSync("chrt", ["-m"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

describe.skipIf(!hasChrt)("on Linux with chrt (of util-linux)", () => {
  it("the thread runs on idle processors only while it gives way; one that is waited for takes its place, and it ends", async () => {
    const compressor = threadedFrom(new URL("../../../src/maintainer/compressorThread.ts", import.meta.url))
    const content = new Uint8Array(new SharedArrayBuffer(1000)).fill(97)
    /** Compresses; says which compressing threads were begun for it. */
    const begunFor = async (pace: Pace) => {
      const before = threads()
      const compressed = await compressor.compress(content, pace)
      assert.isTrue(Buffer.from(content).equals(await compressor.uncompress(compressed, "free")))
      compressor.release(compressed)
      return [...threads()].filter(([thread, { nice }]) => nice === 10 && !before.has(thread)).map(([thread]) => thread)
    }
    const isOnlyWhenIdle = (thread: string | undefined) => threads().get(thread ?? "")?.isOnlyWhenIdle
    const [first = "", ...more] = await begunFor("free")
    assert.deepStrictEqual([isOnlyWhenIdle(first), more], [false, []])
    assert.deepStrictEqual(await begunFor("givesWay"), [])
    assert.isTrue(isOnlyWhenIdle(first))
    const [second, ...others] = await begunFor("awaited")
    assert.deepStrictEqual([isOnlyWhenIdle(second), others], [false, []])
    while (threads().has(first)) await nextTurn()
  })
})
