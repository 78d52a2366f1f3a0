/** When the compressing thread runs. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { CompressOptions } from "../../../src/maintainer/Compressor.ts"
import { threadedFrom } from "../../../src/maintainer/Compressor.ts"
import { CompressorPriority } from "../../../src/maintainer/compressor/CompressorPriority.ts"

const pieces = 1024

/** What a thread that runs on idle processors only is to do for the next piece, in the view of another thread that asks. */
const seenByAnother = (priority: CompressorPriority, urgent: boolean | undefined): boolean =>
  new CompressorPriority(priority.memory).mustBeOnlyWhenIdle(urgent)

describe("the compressing thread", () => {
  it("takes idle processors only from when it gives way, until something waits for a freeze", () => {
    const priority = new CompressorPriority()
    assert.isFalse(priority.mustBeOnlyWhenIdle(undefined))
    assert.isTrue(priority.mustBeOnlyWhenIdle(false))
    priority.setOnlyWhenIdle()
    assert.isTrue(priority.mustBeOnlyWhenIdle(undefined))
    assert.isFalse(priority.mustBeOnlyWhenIdle(true))
  })

  it("keeps its priority for 1,023 pieces after the last that was waited for, whichever thread asks", () => {
    const priority = new CompressorPriority()
    priority.mustBeOnlyWhenIdle(true)
    priority.mustBeOnlyWhenIdle(false)
    priority.mustBeOnlyWhenIdle(true)
    for (let piece = 1; piece < pieces; piece++) {
      const asked = piece % 2 === 0 ? priority.mustBeOnlyWhenIdle(false) : seenByAnother(priority, false)
      assert.isFalse(asked, `piece ${piece}`)
    }
    assert.isTrue(priority.mustBeOnlyWhenIdle(false))
    priority.setOnlyWhenIdle()
    assert.isTrue(seenByAnother(priority, undefined))
  })

  it("does not starve: after a piece that took 100 ms it has a priority for as long", () => {
    const priority = new CompressorPriority()
    priority.setOnlyWhenIdle()
    priority.tookWhenIdle(99)
    assert.isTrue(priority.mustBeOnlyWhenIdle(false))
    priority.tookWhenIdle(100)
    for (let piece = 1; piece < pieces; piece++) {
      assert.isFalse(priority.mustBeOnlyWhenIdle(false), `piece ${piece}`)
    }
    assert.isTrue(priority.mustBeOnlyWhenIdle(false))
  })
})

describe("the compressor", () => {
  it("hears from a thread on idle processors that it starves, and begins another", async () => {
    const compressor = threadedFrom(new URL("./slowCompressor.ts", import.meta.url))
    const ranOnlyWhenIdle = async (options: CompressOptions) =>
      (await compressor.compress(new Uint8Array(1), options))[0] === 1
    assert.isFalse(await ranOnlyWhenIdle({}))
    assert.isTrue(await ranOnlyWhenIdle({ urgent: false }))
    const until = Array.from({ length: pieces - 1 }, () => ranOnlyWhenIdle({ urgent: false }))
    assert.notInclude(await Promise.all(until), true)
    assert.isTrue(await ranOnlyWhenIdle({ urgent: false }))
  })
})

/** `undefined` when the thread has ended since it was listed. */
const statOf = (thread: string): string | undefined => {
  try {
    return readFileSync(`/proc/self/task/${thread}/stat`, "latin1")
  } catch {
    return undefined
  }
}

/** How the threads of this process are scheduled: `man 5 proc_pid_stat` and `man 7 sched`. */
const threads = (): ReadonlyMap<string, { readonly nice: number; readonly isOnlyWhenIdle: boolean }> => {
  const found = readdirSync("/proc/self/task").flatMap((thread) => {
    const stat = statOf(thread)
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

/** Threads begin in the class of their process, and cannot leave this one. */
const isOnlyWhenIdleAlready = hasChrt && threads().get(String(process.pid))?.isOnlyWhenIdle === true

describe.skipIf(!hasChrt || isOnlyWhenIdleAlready)("on Linux with chrt (of util-linux)", () => {
  it("the thread runs on idle processors only while it gives way; one that is waited for takes its place, and it ends", async () => {
    // A module of its own, so that no thread of another test that has just ended is taken for it.
    const compressor = threadedFrom(new URL("../../../src/maintainer/compressorThread.ts?priority", import.meta.url))
    const content = new Uint8Array(new SharedArrayBuffer(1000)).fill(97)
    /** Compresses, and returns which compressing threads were started for it. */
    const begunFor = async (options: CompressOptions) => {
      const before = threads()
      const compressed = await compressor.compress(content, options)
      assert.isTrue(Buffer.from(content).equals(await compressor.uncompress(compressed)))
      compressor.release(compressed)
      return [...threads()].filter(([thread, { nice }]) => nice === 10 && !before.has(thread)).map(([thread]) => thread)
    }
    const isOnlyWhenIdle = (thread: string | undefined) => threads().get(thread ?? "")?.isOnlyWhenIdle
    const [first = "", ...more] = await begunFor({})
    assert.deepStrictEqual([isOnlyWhenIdle(first), more], [false, []])
    assert.deepStrictEqual(await begunFor({ urgent: false }), [])
    assert.isTrue(isOnlyWhenIdle(first))
    const [second, ...others] = await begunFor({ urgent: true })
    assert.deepStrictEqual([isOnlyWhenIdle(second), others], [false, []])
    while (threads().has(first)) await nextTurn()
  })
})
