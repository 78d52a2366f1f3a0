import { assert, describe, it } from "@effect/vitest"
import * as FileNames from "../../src/disk/FileNames.ts"
import { SegmentDirectory } from "../../src/disk/SegmentDirectory.ts"

describe("the names of our own files", () => {
  const {
    isConsumer,
    isLockName,
    isOwnName,
    isPrivateName,
    isPrivateOfLock,
    isUnfinishedPosition,
    isUnfinishedSnapshot,
    positionIn,
    positionLockName,
    positionName,
    positionPattern: _,
    positionTemporaryName,
    repairReportName,
    snapshotIn,
    snapshotName,
    snapshotTemporaryName,
    statePattern: __,
    ...names
  } = FileNames

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

  it("tell a position from its lock, and from what else has a name like it", () => {
    for (const name of ["billing", "_state-default", "a", "json", "lock", `a${"_".repeat(63)}`]) {
      assert.strictEqual(positionIn(positionName(name)), name)
      assert.strictEqual(isConsumer(name), name !== "_state-default")
      assert.isUndefined(positionIn(positionTemporaryName(name)), name)
      assert.isTrue(isUnfinishedPosition(positionTemporaryName(name)), name)
      assert.isFalse(isUnfinishedPosition(positionName(name)), name)
      const lock = positionLockName(name)
      for (const file of [positionName(name), positionTemporaryName(name), lock, `${lock}.host.1.0123abcd.1.0`]) {
        assert.isTrue(isOwnName(file), file)
        assert.isFalse(isPrivateOfLock(file), file)
      }
      assert.isTrue(isOwnName(`${lock}.0123456789ab.tmp`), lock)
      assert.isUndefined(positionIn(lock), lock)
    }
    assert.isTrue(isPrivateOfLock(`${positionLockName("billing")}.0123456789ab.tmp`))
    assert.isTrue(isPrivateOfLock(`${names.lockName}.0123456789ab.tmp`))
    for (const name of ["", ".", ".a", "-a", "a/b", "a b", "\u001b", `a${"_".repeat(64)}`]) {
      assert.isFalse(isOwnName(positionName(name)), name)
      assert.isFalse(isOwnName(positionLockName(name)), name)
    }
  })

  it("tell the snapshots of state machines apart, and from what else has a name like theirs", () => {
    for (const name of ["state", "a", "0", "cluster-messages", "a".repeat(48)]) {
      for (const eventId of [0, 1, Number.MAX_SAFE_INTEGER]) {
        assert.deepStrictEqual(snapshotIn(snapshotName(name, eventId)), { name, eventId })
        assert.isTrue(isOwnName(snapshotName(name, eventId)))
        assert.isFalse(isUnfinishedSnapshot(snapshotName(name, eventId)))
      }
      assert.isTrue(isUnfinishedSnapshot(snapshotTemporaryName(name)))
      assert.isTrue(isOwnName(snapshotTemporaryName(name)))
      assert.isUndefined(snapshotIn(snapshotTemporaryName(name)))
    }
    for (const name of ["", ".", "-a", "A", "a_b", "a/b", "\u001b", "a".repeat(49)]) {
      assert.isFalse(isOwnName(snapshotName(name, 1)), name)
      assert.isFalse(isOwnName(snapshotTemporaryName(name)), name)
    }
    assert.isFalse(isOwnName("wal_state_state_1.json"))
  })

  it("are never those of a segment", () => {
    const directory = new SegmentDirectory("/wal")
    for (const name of Object.values(names).flat()) assert.isUndefined(directory.parse(name), name)
  })
})
