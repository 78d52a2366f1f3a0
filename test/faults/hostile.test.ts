/** Directories that somebody has prepared: links, names and files that try to do harm, or that a crash left. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import { unfinishedNames } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { format1Layout } from "../../src/format/SegmentLayout.ts"
import { defaultNaming } from "../../src/format/SegmentName.ts"
import { xxh32 } from "../../src/internal/xxh64.ts"
import * as Backup from "../../src/reading/recovery/Backup.ts"
import * as Recovery from "../../src/reading/recovery/Recovery.ts"
import * as Repair from "../../src/reading/recovery/Repair.ts"
import { verify } from "../../src/reading/recovery/Verify.ts"
import * as Replay from "../../src/reading/Replay.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { here } from "../cli/commandLine.ts"
import { fieldsOf } from "../fixtures/errors.ts"
import {
  blockFileOf,
  buildWal,
  cold,
  frameOf,
  hot,
  put,
  smallBlocks,
  temporaryDirectory
} from "../fixtures/segments.ts"
import type { BuiltSegment } from "../fixtures/segments.ts"

const wal = buildWal({ layout: smallBlocks, segments: [40, 40, 40] })

const onDisk = Effect.provide(NodeDisk.layer)

/** The first two segments are compressed, as retention leaves them. */
const makeLog = Effect.fnUntraced(function*(directory: string) {
  const files = [
    yield* Effect.promise(() => cold(wal[0]!)),
    yield* Effect.promise(() => cold(wal[1]!)),
    hot(wal[2]!)
  ]
  yield* put(directory, ...files)
})

const replayed = (directory: string) => Stream.runCollect(Replay.events({ directory }))

const damage = (path: string): void => {
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 255
  writeFileSync(path, bytes)
}

const filesUnder = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })

describe("a link in the place of a directory of ours", () => {
  it.live("takes nothing out: repair moves nothing into it", () =>
    Effect.gen(function*() {
      const [directory, outside] = [yield* temporaryDirectory, yield* temporaryDirectory]
      yield* makeLog(directory)
      damage(join(directory, "FS.00000001.wal.lz4"))
      symlinkSync(outside, join(directory, "quarantine"))
      const error = yield* Effect.flip(Repair.repair({ directory, apply: true }))
      assert.deepInclude(fieldsOf(error), { _tag: "DiskError", reason: "Unsafe", path: join(directory, "quarantine") })
      assert.deepStrictEqual(filesUnder(outside), [])
      rmSync(join(directory, "quarantine"))
      assert.isNotNull((yield* Repair.repair({ directory, apply: true })).quarantine)
    }).pipe(Effect.scoped, onDisk))

  it.live("takes nothing out: backup writes nothing into it", () =>
    Effect.gen(function*() {
      const [root, outside] = [yield* temporaryDirectory, yield* temporaryDirectory]
      const directory = join(root, "log")
      yield* makeLog(directory)
      symlinkSync(outside, join(root, "copy.partial"))
      const error = yield* Effect.flip(Backup.backup({ directory, to: join(root, "copy") }))
      assert.deepInclude(fieldsOf(error), { _tag: "DiskError", reason: "Unsafe", path: join(root, "copy.partial") })
      assert.deepStrictEqual(filesUnder(outside), [])
      assert.isFalse(existsSync(join(root, "copy")))
    }).pipe(Effect.scoped, onDisk))
})

describe("a segment whose name stands for something else", () => {
  const replacements: ReadonlyArray<readonly [what: string, put: (path: string, outside: string) => void]> = [
    ["a directory", (path) => mkdirSync(path)],
    ["a link", (path, outside) => symlinkSync(outside, path)]
  ]
  for (const [what, replace] of replacements) {
    for (const names of [["FS.00000002.wal"], ["FS.00000002.wal", "FS.00000001.wal.lz4", "FS.00000000.wal.lz4"]]) {
      it.live(`is no end of the log (${what}, ${names.length} of 3)`, () =>
        Effect.gen(function*() {
          const [directory, outside] = [yield* temporaryDirectory, yield* temporaryDirectory]
          yield* makeLog(directory)
          for (const name of names) {
            rmSync(join(directory, name))
            replace(join(directory, name), join(outside, name))
          }
          const expected = { _tag: "DiskError", reason: "Unsafe", path: join(directory, names.at(-1) ?? "") } as const
          assert.deepInclude(fieldsOf(yield* Effect.flip(replayed(directory))), expected)
          const backup = Backup.backup({ directory, to: join(outside, "copy") })
          assert.deepInclude(fieldsOf(yield* Effect.flip(backup)), expected)
          assert.strictEqual((yield* here("replay", "--dir", directory)).code, 1)
        }).pipe(Effect.scoped, onDisk))
    }
  }
})

describe("names with escapes", () => {
  const escape = "\u001b]0;owned\u0007\u001b[31m"
  // oxlint-disable-next-line no-control-regex -- finding them is the purpose
  const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/

  it.live("reach neither terminal nor log raw, and make no second line", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const directory = join(root, `log${escape}`)
      yield* makeLog(directory)
      for (const name of [`evil${escape}`, "two\nlines: all 9 segments hold", "csi\u009b31m", "right\u202eleft"]) {
        writeFileSync(join(directory, name), "")
      }
      damage(join(directory, "FS.00000001.wal.lz4"))
      for (const command of ["verify", "inspect", "stats", "replay", "repair", "top"]) {
        for (const more of [[], ["--json"]]) {
          const takesJson = ["verify", "inspect", "stats", "repair"].includes(command)
          if (more.length > 0 && !takesJson) continue
          const { stderr, stdout } = yield* here(command, "--dir", directory, ...more)
          const events = command === "replay" ? "" : stdout
          assert.notMatch(stderr + events, controls, `${command} ${more.join()}`)
          assert.notMatch(stderr + events, /^lines: all/m)
          if (more.length > 0) assert.include(JSON.stringify(JSON.parse(stdout)), "log\\u001b]0;owned")
        }
      }
      const error = yield* Effect.flip(replayed(directory))
      assert.notMatch(error.message, controls)
      assert.include(error.message, "log\\u001b]0;owned\\u0007")
    }).pipe(Effect.scoped, onDisk))
})

describe("a segment that has the name of another", () => {
  const versions = [["format 2", smallBlocks], ["format 1", format1Layout]] as const
  for (const [format, layout] of versions) {
    const [first, second, third] = buildWal({ layout, segments: [40, 40, 40] })
    // The third is not there: what stands for it is the second or, later on, the first.
    const named: ReadonlyArray<
      readonly [what: string, as: (segment: BuiltSegment) => Promise<Uint8Array>, end: string]
    > = [
      ["a hot file", (segment) => Promise.resolve(segment.bytes), ""],
      ["a frame", (segment) => frameOf(segment.bytes), ".lz4"],
      ["a block", (segment) => blockFileOf(segment.bytes), ".lz4b"]
    ]
    for (const [what, as, end] of named) {
      it.live(`is no end of the log: nothing is recorded behind it (${what}, ${format})`, () =>
        Effect.gen(function*() {
          for (const [segment, index] of [[second!, 2], [first!, 900]] as const) {
            const directory = yield* temporaryDirectory
            yield* put(directory, hot(first!), hot(second!))
            const path = join(directory, `FS.${String(index).padStart(8, "0")}.wal${end}`)
            writeFileSync(path, yield* Effect.promise(() => as(segment)))
            const open = Recovery.open({ directory, naming: defaultNaming, version: layout.version })
            assert.deepInclude(fieldsOf(yield* Effect.flip(open)), { _tag: "SegmentCorrupt", reason: "BadOrder", path })
            assert.strictEqual((yield* verify({ directory })).faults[0]?.kind, "Corrupt")
          }
          const [directory, path] = [yield* temporaryDirectory, `FS.00000002.wal${end}`]
          yield* put(directory, hot(first!), hot(second!))
          writeFileSync(join(directory, path), yield* Effect.promise(() => as(third!)))
          const { report } = yield* Recovery.open({ directory, naming: defaultNaming, version: layout.version })
          assert.deepInclude(report, { lastSegmentIndex: 2, lastEventId: 120 })
        }).pipe(Effect.scoped, onDisk))
    }
  }
})

describe("a hint whose name stands for something else", () => {
  const replacements: ReadonlyArray<readonly [what: string, put: (path: string) => void]> = [
    ["a directory", (path) => mkdirSync(path)],
    ["a link", (path) => symlinkSync("nowhere", path)]
  ]
  for (const [what, replace] of replacements) {
    it.live(`is reported, and hinders neither recording nor looking (${what})`, () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        yield* makeLog(directory)
        replace(join(directory, "wal_meta.dat"))
        const stats = yield* here("stats", "--dir", directory)
        assert.strictEqual(stats.code, 0, stats.stderr)
        assert.include((yield* verify({ directory })).ignoredHints.join(), "wal_meta.dat")
        const { report } = yield* Recovery.open({ directory, naming: defaultNaming, version: 2 })
        assert.deepInclude(report, { lastSegmentIndex: 2, lastEventId: 120 })
        assert.include(report.ignoredHint, "wal_meta.dat")
      }).pipe(Effect.scoped, onDisk))
  }
})

describe("what root makes in a directory of another owner", () => {
  const isRoot = process.geteuid?.() === 0
  const owner = 65534
  it.live.skipIf(!isRoot)(
    "is the owner's: segments, what they become, hints and directories (needs root)",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        chownSync(directory, owner, owner)
        const open = buildWal({ layout: smallBlocks, segments: [40, 40, 40, 40], lastIsOpen: true })
        yield* put(directory, ...open.map(hot))
        const recorded = Recorder.use(({ appendDurable }) => appendDurable(Buffer.from("as root")))
        const limits = { maxSegments: 2, maxCompressedSegments: 64 }
        yield* Effect.provide(recorded, Layer.fresh(Wal.layer({ directory, limits })))
        damage(join(directory, "FS.00000001.wal.lz4"))
        yield* Repair.repair({ directory, apply: true })
        yield* verify({ directory, incremental: "again" })
        const paths = filesUnder(directory)
        assert.includeMembers([...paths], ["quarantine", "wal_meta.dat", "wal_verified.json", "FS.00000000.wal.lz4"])
        const owners = paths.map((path) => `${path} ${lstatSync(join(directory, path)).uid}`)
        assert.deepStrictEqual(owners, paths.map((path) => `${path} ${owner}`))
      }).pipe(Effect.scoped, onDisk)
  )
})

describe("the permissions of a copy", () => {
  const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

  const withUmask = <A, E, R>(mask: number, work: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => process.umask(mask)),
      () => work,
      (before) => Effect.sync(() => process.umask(before))
    )

  const makeClosed = Effect.fnUntraced(function*(directory: string) {
    yield* makeLog(directory)
    chmodSync(directory, 0o700)
    for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o600)
  })

  it.live("are those of the original: of a backup and its directory", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      yield* makeClosed(join(root, "log"))
      yield* withUmask(0, Backup.backup({ directory: join(root, "log"), to: join(root, "copy") }))
      assert.strictEqual(modeOf(join(root, "copy")), "700")
      const names = readdirSync(join(root, "copy"))
      assert.deepStrictEqual(names.map((name) => modeOf(join(root, "copy", name))), names.map(() => "600"))
    }).pipe(Effect.scoped, onDisk))

  it.live("are those of the original: of what repair keeps and moves away", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* makeClosed(directory)
      damage(join(directory, "FS.00000002.wal"))
      const { quarantine } = yield* withUmask(0, Repair.repair({ directory, apply: true }))
      assert.strictEqual(modeOf(quarantine ?? ""), "700")
      assert.strictEqual(modeOf(join(quarantine ?? "", "FS.00000002.wal")), "600")
      assert.strictEqual(modeOf(join(directory, "FS.00000002.wal")), "600")
    }).pipe(Effect.scoped, onDisk))

  it.live("are those of the original: of a compressed segment, and of one that recovery closes", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const open = buildWal({ layout: smallBlocks, segments: [40, 40, 40, 40], lastIsOpen: true })
      yield* put(directory, ...open.map(hot))
      for (const name of readdirSync(directory)) chmodSync(join(directory, name), 0o600)
      const limits = { maxSegments: 2, maxCompressedSegments: 64 }
      yield* withUmask(
        0,
        Effect.provide(Recorder.use(() => Effect.void), Layer.fresh(Wal.layer({ directory, limits })))
      )
      const names = readdirSync(directory).filter((name) => name.startsWith("FS."))
      assert.include(names.join(), ".lz4")
      assert.deepStrictEqual(
        names.map((name) => `${name} ${modeOf(join(directory, name))}`),
        names.map((n) => `${n} 600`)
      )
    }).pipe(Effect.scoped, onDisk))
})

describe("a frame of nothing but empty blocks", () => {
  /** A frame that claims 2^50 bytes and has this many blocks without content after its first. */
  const emptyFrame = (first: Uint8Array, blocks: number): Buffer => {
    const descriptor = Buffer.alloc(10)
    descriptor[0] = 1 << 6 | 0x20 | 0x08
    descriptor[1] = 4 << 4
    descriptor.writeBigUInt64LE(1n << 50n, 2)
    const word = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer)
    return Buffer.concat([
      word(0x184d2204),
      descriptor,
      Buffer.from([xxh32(descriptor) >>> 8 & 255]),
      word((0x80000000 | first.length) >>> 0),
      first,
      Buffer.alloc(4 * blocks, word(0x80000000))
    ])
  }

  it.live("costs no reader more than its bytes: a seek, a replay, a verification", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* makeLog(directory)
      const path = join(directory, "FS.00000001.wal.lz4")
      writeFileSync(path, emptyFrame(wal[1]!.bytes, 1_000_000))
      let reads = 0
      const counting = Effect.updateService(Disk, (disk) => ({
        ...disk,
        open: (path, mode) =>
          Effect.map(disk.open(path, mode), (file) => ({
            ...file,
            read: (target, offset) => Effect.suspend(() => (reads++, file.read(target, offset)))
          }))
      }))
      const begun = performance.now()
      const from = Stream.runCollect(Replay.events({ directory, from: { id: 60 } }))
      assert.strictEqual((yield* Effect.flip(from.pipe(counting)))._tag, "SegmentCorrupt")
      assert.strictEqual((yield* Effect.flip(replayed(directory).pipe(counting)))._tag, "SegmentCorrupt")
      assert.lengthOf((yield* verify({ directory }).pipe(counting)).faults, 1)
      assert.isBelow(reads, 100)
      assert.isBelow(performance.now() - begun, 10_000)
    }).pipe(Effect.scoped, onDisk))
})

describe("what a kill leaves unfinished", () => {
  it.live("is removed by the next start: every temporary name of ours", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* makeLog(directory)
      for (const name of unfinishedNames) writeFileSync(join(directory, name), "left")
      yield* Effect.provide(Recorder.use(() => Effect.void), Layer.fresh(Wal.layer({ directory })))
      assert.deepStrictEqual(readdirSync(directory).filter((name) => unfinishedNames.includes(name)), [])
    }).pipe(Effect.scoped, onDisk))

  it.live("two incremental verifications at once both end, and remember", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* makeLog(directory)
      for (let round = 0; round < 20; round++) {
        const twice = [1, 2, 3, 4].map(() => verify({ directory, incremental: "again" }))
        const reports = yield* Effect.all(twice, { concurrency: "unbounded" })
        assert.deepStrictEqual(reports.map(({ faults }) => faults.length), [0, 0, 0, 0])
      }
      yield* verify({ directory, incremental: "again" })
      const { segments } = yield* verify({ directory, incremental: "onlyNew" })
      assert.deepStrictEqual(segments.map(({ remembered }) => remembered), [true, true, true])
    }).pipe(Effect.scoped, onDisk))
})
