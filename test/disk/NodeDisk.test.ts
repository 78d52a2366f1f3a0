/** What only a real file system can show: links, special files, permissions, and the words of the system. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DiskError } from "../../src/disk/Disk.ts"
import { Disk, openScoped, writeFully } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { detailOf } from "../fixtures/errors.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "effect-wal-disk-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
)

const errorOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) => Effect.orDie(Effect.flip(effect))
const reasonOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) =>
  Effect.map(errorOf(effect), (error) => error.reason._tag)

const openDescriptors = () => fs.readdirSync("/proc/self/fd").length

const subjects = [
  { name: "NodeDisk.layer", layer: NodeDisk.layer },
  { name: "NodeDisk.layerBlocking", layer: NodeDisk.layerBlocking }
]

describe.each(subjects)("$name", ({ layer }) => {
  const ruling = (
    name: string,
    body: (disk: Disk["Service"], root: string) => Effect.Effect<void, DiskError, Disk>
  ) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* body(yield* Disk, yield* temporaryDirectory)
      }).pipe(Effect.provide(layer)))

  ruling("never follows a link to a file", (disk, root) =>
    Effect.gen(function*() {
      fs.writeFileSync(join(root, "target"), "untouched")
      fs.symlinkSync(join(root, "target"), join(root, "link"))
      fs.symlinkSync(join(root, "nothing"), join(root, "dangling"))
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "link"), "read")), "Unsafe")
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "link"), "write")), "Unsafe")
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "link"), "create")), "Exists")
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "dangling"), "create")), "Exists")
      assert.isFalse(fs.existsSync(join(root, "nothing")))
      assert.strictEqual((yield* disk.stat(join(root, "link"))).kind, "other")
      assert.deepInclude(yield* disk.list(root), { name: "link", kind: "other" })
      assert.strictEqual(fs.readFileSync(join(root, "target"), "utf8"), "untouched")
    }))

  ruling("refuses a FIFO at once instead of waiting for its other end", (disk, root) =>
    Effect.gen(function*() {
      execFileSync("mkfifo", [join(root, "fifo")])
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "fifo"), "read")), "Unsafe")
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "fifo"), "write")), "Unsafe")
    }))

  ruling("refuses sockets and devices", (disk, root) =>
    Effect.scoped(Effect.gen(function*() {
      const server = createServer()
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(join(root, "socket"), () => resume(Effect.void))),
        () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      assert.strictEqual(yield* reasonOf(disk.open(join(root, "socket"), "read")), "Unsafe")
      assert.strictEqual(yield* reasonOf(disk.open("/dev/null", "write")), "Unsafe")
    })))

  ruling("gives descriptors back, also those of what it refuses", (disk, root) =>
    Effect.gen(function*() {
      fs.writeFileSync(join(root, "a"), "a")
      const before = openDescriptors()
      for (let round = 0; round < 20; round++) {
        yield* Effect.scoped(openScoped(join(root, "a"), "read"))
        yield* reasonOf(disk.open("/dev/null", "read"))
        yield* reasonOf(disk.open(root, "read"))
        yield* disk.syncDirectory(root)
      }
      assert.isAtMost(openDescriptors(), before + 3)
    }))

  ruling("makes files with mode 0640 and directories with mode 0750 at most", (disk, root) =>
    Effect.gen(function*() {
      const mask = process.umask(0)
      yield* Effect.gen(function*() {
        yield* disk.makeDirectory(join(root, "d/e"))
        yield* Effect.scoped(openScoped(join(root, "d/a"), "create"))
      }).pipe(Effect.ensuring(Effect.sync(() => process.umask(mask))))
      assert.strictEqual(fs.statSync(join(root, "d")).mode & 0o777, 0o750)
      assert.strictEqual(fs.statSync(join(root, "d/e")).mode & 0o777, 0o750)
      assert.strictEqual(fs.statSync(join(root, "d/a")).mode & 0o777, 0o640)
    }))

  ruling("takes permissions away from a file, and gives none", (disk, root) =>
    Effect.gen(function*() {
      for (const [permissions, kept] of [[0o600, 0o600], [0o777, 0o640]] as const) {
        const path = join(root, String(permissions))
        const file = yield* disk.open(path, "create")
        yield* file.restrict(permissions)
        assert.strictEqual(fs.statSync(path).mode & 0o777, kept)
        assert.strictEqual((yield* file.stat).permissions, kept)
        yield* file.close
      }
    }))

  ruling("says what the system refuses, and keeps the system's word for it", (disk, root) =>
    Effect.gen(function*() {
      const denied = yield* errorOf(disk.unlink("/proc/self/status"))
      assert.strictEqual(denied.reason._tag, "Denied")
      assert.match(detailOf(denied.reason), /^E(PERM|ACCES|ROFS)$/)
      assert.include(denied.message, "permission denied")
      const tooLong = yield* errorOf(disk.open(join(root, "x".repeat(300)), "create"))
      // No fault of the device, which a log would be searched for in vain.
      assert.strictEqual(tooLong.reason._tag, "Unsupported")
      assert.strictEqual(detailOf(tooLong.reason), "ENAMETOOLONG")
      fs.writeFileSync(join(root, "a"), "a")
      const elsewhere = yield* errorOf(disk.rename(join(root, "a"), "/dev/shm/effect-wal-elsewhere"))
      assert.deepStrictEqual([elsewhere.reason._tag, detailOf(elsewhere.reason)], ["Unsupported", "EXDEV"])
      const loop = join(root, "loop")
      fs.symlinkSync(loop, loop)
      assert.strictEqual(yield* reasonOf(disk.open(join(loop, "a"), "read")), "Unsafe")
    }))

  ruling("tells a limit of the process from a fault of the disk", (_disk, root) =>
    Effect.gen(function*() {
      const script = join(import.meta.dirname, "limits.ts")
      const run = (limit: string) =>
        execFileSync("bash", [
          "-c",
          `ulimit ${limit}; exec "$0" "$1" "$2" "$3"`,
          process.execPath,
          script,
          root,
          layer === NodeDisk.layer ? "async" : "blocking"
        ], {
          encoding: "utf8"
        }).trim()
      assert.strictEqual(run("-n 48"), "open TooManyFiles EMFILE")
      assert.strictEqual(run("-f 64"), "write Full EFBIG")
    }))

  ruling("writes and reads what the system sees", (disk, root) =>
    Effect.scoped(Effect.gen(function*() {
      const file = yield* openScoped(join(root, "a"), "create")
      yield* writeFully(file, [Buffer.from("one "), Buffer.from("two")], 0)
      yield* file.sync
      assert.strictEqual(fs.readFileSync(join(root, "a"), "utf8"), "one two")
      const stats = fs.statfsSync(root)
      const free = yield* disk.freeBytes(root)
      assert.isBelow(Math.abs(free - stats.bavail * stats.bsize), 1 << 30)
    })))
})
