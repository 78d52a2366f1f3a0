/** When the compressing thread runs. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import { threadedFrom } from "../../src/maintainer/Compressor.ts"
import { CompressorPriority } from "../../src/maintainer/CompressorPriority.ts"

const pieces = 1024

describe("the compressing thread", () => {
  it("takes idle processors only, until something waits for a freeze", () => {
    const priority = new CompressorPriority()
    assert.isTrue(priority.onlyWhenIdle(false))
    assert.isFalse(priority.onlyWhenIdle(true))
  })

  it("keeps its priority for 1,023 pieces after the last that was waited for", () => {
    const priority = new CompressorPriority()
    priority.onlyWhenIdle(true)
    priority.onlyWhenIdle(false)
    priority.onlyWhenIdle(true)
    for (let piece = 1; piece < pieces; piece++) assert.isFalse(priority.onlyWhenIdle(false), `piece ${piece}`)
    assert.isTrue(priority.onlyWhenIdle(false))
    assert.isTrue(priority.onlyWhenIdle(false))
  })

  it("does not starve: after a piece that took 100 ms it has a priority for as long", () => {
    const priority = new CompressorPriority()
    priority.tookWhenIdle(99)
    assert.isTrue(priority.onlyWhenIdle(false))
    priority.tookWhenIdle(100)
    for (let piece = 1; piece < pieces; piece++) assert.isFalse(priority.onlyWhenIdle(false), `piece ${piece}`)
    assert.isTrue(priority.onlyWhenIdle(false))
  })
})

describe("the compressor", () => {
  it("hears from a thread on idle processors that it starves, and begins another", async () => {
    const compressor = threadedFrom(new URL("./slowCompressor.ts", import.meta.url))
    const ranOnlyWhenIdle = async () => (await compressor.compress(new Uint8Array(1), false))[0] === 1
    assert.isTrue(await ranOnlyWhenIdle())
    assert.notInclude(await Promise.all(Array.from({ length: pieces - 1 }, ranOnlyWhenIdle)), true)
    assert.isTrue(await ranOnlyWhenIdle())
  })
})

/** How the threads of this process are scheduled: `man 5 proc_pid_stat` and `man 7 sched`. */
const threads = (): ReadonlyMap<string, { readonly nice: number; readonly isOnlyWhenIdle: boolean }> => {
  const found = readdirSync("/proc/self/task").map((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return [thread, { nice: Number(fields[19 - 3]), isOnlyWhenIdle: fields[41 - 3] === "5" }] as const
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
  it("the thread runs on idle processors only; one that is waited for takes its place, and it ends", async () => {
    const compressor = threadedFrom(new URL("../../src/maintainer/compressorThread.ts", import.meta.url))
    const content = new Uint8Array(new SharedArrayBuffer(1000)).fill(97)
    /** Compresses; says which compressing threads were begun for it. */
    const begunFor = async (isAwaited: boolean) => {
      const before = threads()
      const compressed = await compressor.compress(content, isAwaited)
      assert.isTrue(Buffer.from(content).equals(await compressor.uncompress(compressed, false)))
      compressor.release(compressed)
      return [...threads()].filter(([thread, { nice }]) => nice === 10 && !before.has(thread))
    }
    const [first, ...more] = await begunFor(false)
    assert.deepStrictEqual([first?.[1].isOnlyWhenIdle, more], [true, []])
    const others = await begunFor(true)
    assert.deepStrictEqual(others.map(([, { isOnlyWhenIdle }]) => isOnlyWhenIdle), [false])
    while (threads().has(first?.[0] ?? "")) await nextTurn()
  })
})
