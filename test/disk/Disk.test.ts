/** What every layer of `Disk` must do alike. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate as nextTurn } from "node:timers/promises"
import type { DiskError } from "../../src/disk/Disk.ts"
import { Disk, openScoped, readFully, writeFully } from "../../src/disk/Disk.ts"
import { isLockName } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { InvariantViolation } from "../../src/internal/invariant.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const readText = Effect.fnUntraced(function*(path: string) {
  const file = yield* openScoped(path, "read")
  const target = new Uint8Array((yield* file.stat).bytes)
  yield* readFully(file, target, 0)
  return new TextDecoder().decode(target)
}, Effect.scoped)

const writeText = Effect.fnUntraced(function*(path: string, text: string) {
  const file = yield* openScoped(path, "create")
  yield* writeFully(file, [bytes(text)], 0)
  yield* file.sync
}, Effect.scoped)

/** The error of an operation that must fail. */
const errorOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) => Effect.orDie(Effect.flip(effect))

const reasonOf = <A, R>(effect: Effect.Effect<A, DiskError, R>) =>
  Effect.map(errorOf(effect), (error) => error.reason._tag)

const assertMistake = (exit: Exit.Exit<unknown, unknown>) => {
  assert.isTrue(Exit.isFailure(exit))
  if (Exit.isFailure(exit)) assert.instanceOf(Cause.squash(exit.cause), InvariantViolation)
}

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "effect-wal-disk-"))),
  (path) => Effect.sync(() => fs.rmSync(path, { recursive: true }))
)

/** Waits until the clock of the file system shows another time: it advances in steps of a few milliseconds. */
const clockAdvances = Effect.promise(async () => {
  const directory = fs.mkdtempSync(join(tmpdir(), "effect-wal-clock-"))
  const birth = (round: number): bigint => {
    const path = join(directory, String(round))
    fs.writeFileSync(path, "")
    return fs.statSync(path, { bigint: true }).birthtimeNs
  }
  const before = birth(0)
  for (let round = 1; birth(round) === before; round++) await nextTurn()
  fs.rmSync(directory, { recursive: true })
})

interface Subject {
  readonly name: string
  readonly layer: Layer.Layer<Disk>
  readonly directory: Effect.Effect<string, DiskError, Disk | Scope.Scope>
}

const subjects: ReadonlyArray<Subject> = [
  { name: "NodeDisk.layer", layer: NodeDisk.layer, directory: temporaryDirectory },
  { name: "NodeDisk.layerBlocking", layer: NodeDisk.layerBlocking, directory: temporaryDirectory },
  {
    name: "NodeDisk.layerBlockingWhile",
    layer: NodeDisk.layerBlockingWhile(() => false),
    directory: temporaryDirectory
  },
  {
    name: "SimulatedDisk.layer",
    layer: SimulatedDisk.layer({ seed: 1 }),
    directory: Effect.as(Disk.use((disk) => disk.makeDirectory("/data")), "/data")
  }
]

describe.each(subjects)("$name", ({ layer, directory }) => {
  const ruling = (
    name: string,
    body: (disk: Disk["Service"], path: (name: string) => string) => Effect.Effect<void, DiskError, Disk | Scope.Scope>
  ) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        const root = yield* directory
        yield* body(yield* Disk, (name) => `${root}/${name}`)
      }).pipe(Effect.provide(layer)))

  ruling("reads back what was written, where it was written", (_disk, path) =>
    Effect.gen(function*() {
      const file = yield* openScoped(path("a"), "create")
      assert.strictEqual(yield* file.write([bytes("hello")], 0), 5)
      assert.strictEqual(yield* file.write([bytes("J")], 0), 1)
      assert.strictEqual(yield* file.write([bytes("!")], 7), 1)
      const target = new Uint8Array(8)
      assert.strictEqual(yield* readFully(file, target, 0), 8)
      assert.deepStrictEqual(target, bytes("Jello\0\0!"))
      assert.strictEqual(yield* file.read(target.subarray(0, 2), 3), 2)
      assert.deepStrictEqual(target.subarray(0, 2), bytes("lo"))
    }))

  ruling("reads nothing only at the end of the file", (_disk, path) =>
    Effect.gen(function*() {
      const file = yield* openScoped(path("a"), "create")
      yield* writeFully(file, [bytes("abc")], 0)
      const target = new Uint8Array(8)
      assert.strictEqual(yield* file.read(target, 2), 1)
      assert.strictEqual(yield* file.read(target, 3), 0)
      assert.strictEqual(yield* file.read(target, 1000), 0)
      assert.strictEqual(yield* readFully(file, target, 0), 3)
    }))

  ruling(
    "writes chunks one after the other, empty ones and thousands of them",
    (_disk, path) =>
      Effect.gen(function*() {
        const file = yield* openScoped(path("a"), "create")
        const chunks = Array.from({ length: 3000 }, (_, index) => bytes(index % 7 === 0 ? "" : `${index},`))
        const text = chunks.map((chunk) => new TextDecoder().decode(chunk)).join("")
        assert.strictEqual(yield* writeFully(file, chunks, 0), text.length)
        assert.strictEqual(yield* readText(path("a")), text)
      })
  )

  ruling("takes nothing for nothing", (_disk, path) =>
    Effect.gen(function*() {
      const file = yield* openScoped(path("a"), "create")
      assert.strictEqual(yield* file.write([], 0), 0)
      assert.strictEqual(yield* file.write([new Uint8Array(0)], 5), 0)
      assert.strictEqual(yield* file.read(new Uint8Array(0), 0), 0)
      assert.strictEqual((yield* file.stat).bytes, 0)
    }))

  ruling("writes from shared memory and reads into it", (_disk, path) =>
    Effect.gen(function*() {
      const file = yield* openScoped(path("a"), "create")
      const source = new Uint8Array(new SharedArrayBuffer(64), 8, 4)
      source.set(bytes("wxyz"))
      yield* writeFully(file, [source, source.subarray(1, 3)], 0)
      const target = new Uint8Array(new SharedArrayBuffer(16), 4, 6)
      assert.strictEqual(yield* readFully(file, target, 0), 6)
      assert.deepStrictEqual(new Uint8Array(target), bytes("wxyzxy"))
    }))

  ruling("opens only what is there, and creates only what is not", (disk, path) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* reasonOf(disk.open(path("a"), "read")), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.open(path("a"), "write")), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.open(path("no/a"), "create")), "NotFound")
      yield* writeText(path("a"), "kept")
      assert.strictEqual(yield* reasonOf(disk.open(path("a"), "create")), "Exists")
      assert.strictEqual(yield* readText(path("a")), "kept")
      assert.strictEqual(yield* reasonOf(disk.open(path("a/b"), "read")), "NotDirectory")
      assert.strictEqual(yield* reasonOf(disk.open(path("a/b"), "create")), "NotDirectory")
      yield* disk.makeDirectory(path("d"))
      assert.strictEqual(yield* reasonOf(disk.open(path("d"), "read")), "IsDirectory")
      assert.strictEqual(yield* reasonOf(disk.open(path("d"), "write")), "IsDirectory")
      assert.strictEqual(yield* reasonOf(disk.open(path("d"), "create")), "Exists")
    }))

  ruling("opens an existing file for writing without cutting it", (_disk, path) =>
    Effect.gen(function*() {
      yield* writeText(path("a"), "abcdef")
      const file = yield* openScoped(path("a"), "write")
      yield* writeFully(file, [bytes("XY")], 2)
      assert.strictEqual(yield* readText(path("a")), "abXYef")
    }))

  ruling("names the operation, the path and the way out in its errors", (disk, path) =>
    Effect.gen(function*() {
      const error = yield* errorOf(disk.open(path("a"), "read"))
      assert.strictEqual(error.operation, "open")
      assert.strictEqual(error.path, path("a"))
      assert.include(error.message, `open ${path("a")}: it does not exist`)
      assert.isFalse(error.isRetryable)
    }))

  ruling("truncates by cutting, and by extending with zeros", (_disk, path) =>
    Effect.gen(function*() {
      const file = yield* openScoped(path("a"), "create")
      yield* writeFully(file, [bytes("abcdef")], 0)
      yield* file.truncate(3)
      assert.strictEqual(yield* readText(path("a")), "abc")
      yield* file.truncate(6)
      assert.strictEqual(yield* readText(path("a")), "abc\0\0\0")
      assert.strictEqual((yield* file.stat).bytes, 6)
    }))

  ruling("renames over an existing file and keeps the identity", (disk, path) =>
    Effect.gen(function*() {
      yield* writeText(path("old"), "old")
      yield* writeText(path("new"), "new")
      const before = yield* disk.stat(path("new"))
      const file = yield* openScoped(path("new"), "write")
      yield* disk.rename(path("new"), path("old"))
      assert.strictEqual(yield* readText(path("old")), "new")
      assert.strictEqual(yield* reasonOf(disk.stat(path("new"))), "NotFound")
      assert.strictEqual((yield* disk.stat(path("old"))).identity, before.identity)
      assert.strictEqual((yield* file.stat).identity, before.identity)
      yield* writeFully(file, [bytes("N")], 0)
      assert.strictEqual(yield* readText(path("old")), "New")
    }))

  ruling("refuses a rename that has nothing to rename or nowhere to go", (disk, path) =>
    Effect.gen(function*() {
      yield* writeText(path("a"), "a")
      yield* disk.makeDirectory(path("d/e"))
      assert.strictEqual(yield* reasonOf(disk.rename(path("b"), path("c"))), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.rename(path("a"), path("no/a"))), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.rename(path("a"), path("d"))), "IsDirectory")
      assert.strictEqual(yield* reasonOf(disk.rename(path("d"), path("a"))), "NotDirectory")
      yield* disk.makeDirectory(path("f"))
      assert.strictEqual(yield* reasonOf(disk.rename(path("f"), path("d"))), "Exists")
      yield* disk.rename(path("a"), path("a"))
      assert.strictEqual(yield* readText(path("a")), "a")
    }))

  ruling("gives a fresh file of the same name another identity", (disk, path) =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      for (let round = 0; round < 5; round++) {
        yield* writeText(path("a"), "a")
        seen.add((yield* disk.stat(path("a"))).identity)
        yield* disk.unlink(path("a"))
        yield* clockAdvances
      }
      assert.strictEqual(seen.size, 5)
    }))

  ruling("keeps an unlinked file for whoever has it open", (disk, path) =>
    Effect.gen(function*() {
      yield* writeText(path("a"), "still")
      const file = yield* openScoped(path("a"), "read")
      yield* disk.unlink(path("a"))
      assert.strictEqual(yield* reasonOf(disk.stat(path("a"))), "NotFound")
      const target = new Uint8Array(5)
      yield* readFully(file, target, 0)
      assert.deepStrictEqual(target, bytes("still"))
    }))

  ruling("unlinks files only", (disk, path) =>
    Effect.gen(function*() {
      yield* disk.makeDirectory(path("d"))
      assert.strictEqual(yield* reasonOf(disk.unlink(path("a"))), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.unlink(path("d"))), "IsDirectory")
    }))

  ruling("lists names with their kinds", (disk, path) =>
    Effect.gen(function*() {
      yield* disk.makeDirectory(path("d/sub"))
      yield* writeText(path("d/a"), "a")
      yield* writeText(path("d/b"), "b")
      const entries = yield* disk.list(path("d"))
      assert.deepStrictEqual(entries.toSorted((left, right) => left.name < right.name ? -1 : 1), [
        { name: "a", kind: "file" },
        { name: "b", kind: "file" },
        { name: "sub", kind: "directory" }
      ])
      assert.deepStrictEqual(yield* disk.list(path("d/sub")), [])
      assert.strictEqual(yield* reasonOf(disk.list(path("no"))), "NotFound")
      assert.strictEqual(yield* reasonOf(disk.list(path("d/a"))), "NotDirectory")
    }))

  ruling("makes directories with their parents, and again", (disk, path) =>
    Effect.gen(function*() {
      yield* disk.makeDirectory(path("x/y/z"))
      yield* disk.makeDirectory(path("x/y/z"))
      assert.strictEqual((yield* disk.stat(path("x/y/z"))).kind, "directory")
      yield* writeText(path("a"), "a")
      assert.strictEqual(yield* reasonOf(disk.makeDirectory(path("a"))), "NotDirectory")
      assert.strictEqual(yield* reasonOf(disk.makeDirectory(path("a/b"))), "NotDirectory")
    }))

  ruling("removes empty directories, and only those", (disk, path) =>
    Effect.gen(function*() {
      yield* disk.makeDirectory(path("x/y"))
      yield* writeText(path("x/y/a"), "a")
      assert.strictEqual(yield* reasonOf(disk.removeDirectory(path("x/y"))), "Exists")
      assert.strictEqual(yield* reasonOf(disk.removeDirectory(path("x/y/a"))), "NotDirectory")
      assert.strictEqual(yield* reasonOf(disk.removeDirectory(path("x/z"))), "NotFound")
      yield* disk.unlink(path("x/y/a"))
      yield* disk.removeDirectory(path("x/y"))
      assert.deepStrictEqual(yield* disk.list(path("x")), [])
    }))

  ruling("syncs directories, and only those", (disk, path) =>
    Effect.gen(function*() {
      yield* writeText(path("a"), "a")
      yield* disk.makeDirectory(path("d"))
      yield* disk.syncDirectory(path("d"))
      assert.strictEqual(yield* reasonOf(disk.syncDirectory(path("a"))), "NotDirectory")
      assert.strictEqual(yield* reasonOf(disk.syncDirectory(path("no"))), "NotFound")
    }))

  ruling("knows how much space is free", (disk, path) =>
    Effect.gen(function*() {
      assert.isAbove(yield* disk.freeBytes(path("")), 0)
      assert.strictEqual(yield* reasonOf(disk.freeBytes(path("no"))), "NotFound")
    }))

  ruling("takes a close twice, and calls the use of a closed file a mistake", (disk, path) =>
    Effect.gen(function*() {
      const file = yield* disk.open(path("a"), "create")
      yield* file.close
      yield* file.close
      assertMistake(yield* Effect.exit(file.write([bytes("a")], 0)))
      assertMistake(yield* Effect.exit(file.read(new Uint8Array(1), 0)))
      assertMistake(yield* Effect.exit(file.sync))
      assertMistake(yield* Effect.exit(file.stat))
      assertMistake(yield* Effect.exit(file.truncate(0)))
    }))

  ruling(
    "calls it a mistake to write a file that is open for reading, or outside of any file",
    (_disk, path) =>
      Effect.gen(function*() {
        yield* writeText(path("a"), "a")
        const reader = yield* openScoped(path("a"), "read")
        assertMistake(yield* Effect.exit(reader.write([bytes("b")], 0)))
        assertMistake(yield* Effect.exit(reader.truncate(0)))
        assertMistake(yield* Effect.exit(reader.read(new Uint8Array(1), -1)))
        const writer = yield* openScoped(path("a"), "write")
        assertMistake(yield* Effect.exit(writer.write([bytes("b")], -1)))
        assertMistake(yield* Effect.exit(writer.write([bytes("b")], 0.5)))
        assertMistake(yield* Effect.exit(writer.truncate(-1)))
        assert.strictEqual(yield* readText(path("a")), "a")
      })
  )

  ruling("closes a file only when the calls on it have ended", (disk, path) =>
    Effect.gen(function*() {
      const file = yield* disk.open(path("a"), "create")
      const block = new Uint8Array(4 << 20).fill(7)
      const writers: Array<Fiber.Fiber<number, DiskError>> = []
      for (let index = 0; index < 8; index++) {
        writers.push(yield* Effect.forkChild(file.write([block], index * block.length), { startImmediately: true }))
      }
      yield* file.close
      for (const writer of writers) {
        assert.isDefined(writer.pollUnsafe(), "the write ended before the close did")
        assert.strictEqual(yield* Fiber.join(writer), block.length)
      }
      assert.strictEqual((yield* disk.stat(path("a"))).bytes, 8 * block.length)
    }))

  ruling(
    "has completed an operation or not begun it when its interruption is acknowledged",
    (disk, path) =>
      Effect.gen(function*() {
        const block = new Uint8Array(32 << 20).fill(7)
        const file = yield* openScoped(path("a"), "create")
        const writer = yield* Effect.forkChild(file.write([block], 0), { startImmediately: true })
        yield* Fiber.interrupt(writer)
        assert.include([0, block.length], (yield* disk.stat(path("a"))).bytes)
      })
  )

  ruling("gives a lock to one holder at a time", (disk, path) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* disk.lock(path("LOCK"))
        const error = yield* errorOf(Effect.scoped(disk.lock(path("LOCK"))))
        assert.strictEqual(error.reason._tag, "Held")
        assert.strictEqual(error.operation, "lock")
        assert.strictEqual(error.path, path("LOCK"))
        yield* Effect.scoped(disk.lock(path("OTHER")))
        const names = (yield* disk.list(path(""))).map(({ name }) => name)
        assert.strictEqual(names.length, 1)
        assert.isTrue(isLockName("LOCK", names[0] ?? ""))
      }))
      assert.deepStrictEqual(yield* disk.list(path("")), [])
      yield* Effect.scoped(disk.lock(path("LOCK")))
      assert.strictEqual(yield* reasonOf(Effect.scoped(disk.lock(path("no/LOCK")))), "NotFound")
    }))
})
