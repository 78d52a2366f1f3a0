import { assert, describe, it } from "@effect/vitest"
import * as FileNames from "../../src/disk/FileNames.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"

describe("the names of our own files", () => {
  const { isOwnName, repairReportName, ...names } = FileNames

  it("are all known as ours, with what the lock is while it is taken, and no others are", () => {
    const own = Object.values(names).flat()
    assert.isAbove(own.length, 10)
    assert.deepStrictEqual(own.filter((name) => !isOwnName(name)), [])
    assert.isTrue(isOwnName("wal.lock.1234.tmp"))
    for (const name of [repairReportName, "wal.reserve.bak", "FS.00000001.wal", "notes.txt"]) {
      assert.isFalse(isOwnName(name), name)
    }
  })

  it("are never those of a segment", () => {
    const directory = new SegmentDirectory("/wal")
    for (const name of Object.values(names).flat()) assert.isUndefined(directory.parse(name), name)
  })
})
