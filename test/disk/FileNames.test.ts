import { assert, describe, it } from "@effect/vitest"
import * as FileNames from "../../src/disk/FileNames.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"

describe("the names of our own files", () => {
  const { isLockName, isOwnName, isPrivateName, repairReportName, ...names } = FileNames

  it("are all known as ours, with what the lock is while it is taken, and no others are", () => {
    const own = Object.values(names).flat()
    assert.isAbove(own.length, 10)
    assert.deepStrictEqual(own.filter((name) => !isOwnName(name)), [])
    for (const lock of [names.lockName, names.backupLockName]) {
      assert.isTrue(isOwnName(`${lock}.host.1.0123abcd.1.0123456789ab`))
      assert.isTrue(isOwnName(`${lock}.0123456789ab.tmp`))
      assert.isTrue(isPrivateName(lock, `${lock}.0123456789ab.tmp`))
      assert.isFalse(isPrivateName(lock, `${lock}.host.1.0123abcd.1.0123456789ab`))
      assert.isTrue(isLockName(lock, lock))
    }
    for (const name of [repairReportName, "wal.reserve.bak", "wal.locksmith", "FS.00000001.wal", "notes.txt"]) {
      assert.isFalse(isOwnName(name), name)
    }
  })

  it("are never those of a segment", () => {
    const directory = new SegmentDirectory("/wal")
    for (const name of Object.values(names).flat()) assert.isUndefined(directory.parse(name), name)
  })
})
