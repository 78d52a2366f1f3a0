/**
 * What a user calls has an example.
 */
import { assert, describe, it } from "@effect/vitest"
import { commentAbove, exportsOf, publicModules, textOf } from "./publicModules.ts"

/** A module with the comments of everything that it exports, wherever that is declared. */
const modules = publicModules.map(({ file, name }) => ({
  name,
  text: [textOf(file), ...exportsOf(file).map(({ at, file }) => commentAbove(textOf(file), at))].join("\n")
}))

/**
 * Parts of a recorder, for applications that replace one of them, and the reasons of errors. They explain themselves in
 * their openings, and are used in the examples of the modules that need them.
 */
const parts = new Set([
  "Compressor",
  "DiskReason",
  "ArchiveReason",
  "MonitorReason",
  "ObjectStore",
  "RecorderReason",
  "SegmentArena",
  "SegmentCorruptReason",
  "StepReason",
  "StoreReason"
])

describe("the examples in the docstrings", () => {
  it("show how to use every module that is no part of another", () => {
    const bare = modules.filter(({ text }) => !text.includes("**Example**")).map(({ name }) => name)
    assert.deepStrictEqual(bare.filter((name) => !parts.has(name)), [])
    assert.deepStrictEqual([...parts].filter((name) => !bare.includes(name)), [], "an exception that is none")
  })
})
