/**
 * What a user calls has an example.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"

const source = join(import.meta.dirname, "../../src")
const textOf = (file: string): string => readFileSync(join(source, file), "utf8")

/** The modules that the index exports. */
const modules = [...textOf("index.ts").matchAll(/export \* as (\w+) from "\.\/([^"]+)"/g)].map(
  ([, name = "", file = ""]) => ({ name, file, text: textOf(file) })
)

/**
 * Parts of the engine and of the format, exported for whoever replaces one of them, and plain data: they explain
 * themselves in their openings, and are used in the examples of the modules that need them.
 */
const parts = new Set([
  "Block",
  "BlockEvents",
  "Compressor",
  "Counters",
  "Disk",
  "FaultPlan",
  "FreeStep",
  "FreezeStep",
  "LatencyHistogram",
  "Lz4Block",
  "Lz4Frame",
  "MaintainerEvent",
  "MaintainerOptions",
  "MetaStore",
  "MonitorReport",
  "SegmentArena",
  "SegmentCorrupt",
  "SegmentFault",
  "SegmentHeader",
  "SegmentMaintainerUpdater",
  "SegmentReader",
  "SegmentSealer",
  "SegmentSeek",
  "SegmentVerifier",
  "StepError",
  "TaskRing",
  "TelemetryCollect",
  "TelemetryDump",
  "TelemetrySnapshot"
])

describe("the examples in the docstrings", () => {
  it("show how to use every module that is no part of another", () => {
    const bare = modules.filter(({ text }) => !text.includes("@example")).map(({ name }) => name)
    assert.deepStrictEqual(bare.filter((name) => !parts.has(name)), [])
    assert.deepStrictEqual([...parts].filter((name) => !bare.includes(name)), [], "an exception that is none")
  })
})
