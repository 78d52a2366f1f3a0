import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { DirectoryEntry } from "../../src/disk/Disk.ts"
import { Disk } from "../../src/disk/Disk.ts"
import { pathIn, SegmentDirectory, segmentsOf } from "../../src/disk/SegmentDirectory.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

/** A disk whose only directory lists these; anything but listing it is a mistake. */
const listing = (entries: ReadonlyArray<DirectoryEntry>) =>
  Effect.gen(function*() {
    const { disk } = yield* SimulatedDisk.make({ seed: 1 })
    const refuse = () => Effect.die("only names may be looked at")
    const namesOnly = Disk.of({ ...disk, open: refuse, stat: refuse, list: () => Effect.succeed(entries) })
    return yield* Effect.provideService(new SegmentDirectory("/wal").scan, Disk, namesOnly)
  })

const files = (...names: ReadonlyArray<string>): ReadonlyArray<DirectoryEntry> =>
  names.map((name) => ({ name, kind: "file" }))

describe("SegmentDirectory", () => {
  it.effect("sorts by index, not by name, and gathers the forms of each", () =>
    Effect.gen(function*() {
      const { entries } = yield* listing(files(
        "FS.100000000.wal",
        "FS.99999999.wal.lz4b",
        "FS.00000002.wal.lz4.tmp",
        "FS.00000002.wal",
        "FS.00000001.wal.lz4",
        "FS.00000001.wal",
        "FS.99999999.wal.lz4",
        "FS.00000003.wal.tmp"
      ))
      const none = { hot: false, preparing: false, cold: [], freezing: [] }
      assert.deepStrictEqual(entries, [
        { ...none, segmentIndex: 1, hot: true, cold: ["frame"] },
        { ...none, segmentIndex: 2, hot: true, freezing: ["frame"] },
        { ...none, segmentIndex: 3, preparing: true },
        { ...none, segmentIndex: 99_999_999, cold: ["frame", "block"] },
        { ...none, segmentIndex: 100_000_000, hot: true }
      ])
    }))

  it.effect("keeps foreign names and names that stand for no regular file apart", () =>
    Effect.gen(function*() {
      const { entries, foreign, unsafe } = yield* listing([
        ...files("wal_meta.dat", "FS.1.wal", "FS.000000001.wal", "fs.00000001.wal", "FS.00000001.wal.gz"),
        { name: "FS.00000001.wal", kind: "other" },
        { name: "FS.00000002.wal.lz4", kind: "directory" },
        { name: "old", kind: "directory" }
      ])
      assert.deepStrictEqual(entries, [])
      assert.deepStrictEqual(foreign, [
        "FS.000000001.wal",
        "FS.00000001.wal.gz",
        "FS.1.wal",
        "fs.00000001.wal",
        "old",
        "wal_meta.dat"
      ])
      assert.deepStrictEqual(unsafe, ["FS.00000001.wal", "FS.00000002.wal.lz4"])
    }))

  it.effect("counts only finished files as segments, and reads hot before cold, frame before block", () =>
    Effect.gen(function*() {
      const seen = yield* listing(files(
        "FS.00000001.wal.lz4b",
        "FS.00000001.wal.lz4",
        "FS.00000001.wal",
        "FS.00000002.wal.tmp",
        "FS.00000003.wal.lz4.tmp"
      ))
      const segments = segmentsOf(seen)
      assert.deepStrictEqual(segments.map(({ segmentIndex }) => segmentIndex), [1])
      assert.deepStrictEqual(new SegmentDirectory("/wal/").filesOf(segments[0]!), [
        { segmentIndex: 1, path: "/wal/FS.00000001.wal", form: "hot", compression: "frame" },
        { segmentIndex: 1, path: "/wal/FS.00000001.wal.lz4", form: "cold", compression: "frame" },
        { segmentIndex: 1, path: "/wal/FS.00000001.wal.lz4b", form: "cold", compression: "block" }
      ])
      assert.strictEqual(pathIn("/", "x"), "/x")
    }))

  it("builds the same paths with and without a slash at the end of the directory", () => {
    for (const path of ["/wal", "/wal/"]) {
      const directory = new SegmentDirectory(path)
      assert.deepStrictEqual(
        [
          directory.hotPath(7),
          directory.preparingPath(7),
          directory.coldPath(7, "frame"),
          directory.freezingPath(7, "block"),
          directory.pathOf("wal.lock")
        ],
        [
          "/wal/FS.00000007.wal",
          "/wal/FS.00000007.wal.tmp",
          "/wal/FS.00000007.wal.lz4",
          "/wal/FS.00000007.wal.lz4b.tmp",
          "/wal/wal.lock"
        ]
      )
    }
  })

  it.effect("lists 10,000 segments from their names alone", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 10_000 }, (_, i) => `FS.${String(9_999 - i).padStart(8, "0")}.wal`)
      const { entries } = yield* listing(files(...names))
      assert.deepStrictEqual(entries.map(({ segmentIndex }) => segmentIndex), names.map((_, i) => i))
    }))
})
