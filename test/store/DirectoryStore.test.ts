/**
 * A store in a directory through power failures, failing syncs, full disks and processes that died: an object is whole
 * or not there, and what was acknowledged is there.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { join } from "node:path"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as DirectoryStore from "../../src/store/DirectoryStore.ts"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import { retrying } from "../../src/store/Retrying.ts"
import * as SimulatedDisk from "../../src/testing/SimulatedDisk.ts"
import { sweepStep, swept } from "../sweep.ts"
import { temporaryDirectory } from "./subjects.ts"

const options: DirectoryStore.Options = { directory: "/store" }
const { directory } = options

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

type Simulated = SimulatedDisk.SimulatedDisk["Service"]
type Store = ObjectStore["Service"]

/** Builds the layer anew, as the next process does, and calls `use` with it. */
const withStore = <A, E>(simulated: Simulated, use: (store: Store) => Effect.Effect<A, E>) =>
  ObjectStore.use(use).pipe(
    Effect.provide(Layer.fresh(DirectoryStore.layer(options))),
    Effect.provideService(Disk, simulated.disk)
  )

const newDisk = Effect.fnUntraced(function*(seed: number) {
  const simulated = yield* SimulatedDisk.make({ seed })
  yield* simulated.disk.makeDirectory(directory)
  yield* simulated.disk.syncDirectory("/")
  return simulated
})

/** Everything that is in the store, by key. */
const contentsOf = (store: Store) =>
  Effect.gen(function*() {
    const found = new Map<string, string>()
    for (const { bytes: length, key } of yield* Stream.runCollect(store.list(""))) {
      const object = yield* store.get(key)
      assert.strictEqual(object.bytes.length, length)
      found.set(key, Buffer.from(object.bytes).toString())
    }
    return found
  })

const unfinishedOf = (simulated: Simulated) =>
  Effect.map(
    simulated.files,
    (files) => [...files.keys()].filter((path) => path.startsWith(`${directory}/.unfinished/`))
  )

const long = "x".repeat(5000)

/** Puts, replaces and removes. `note` is told what a key may have from now on, and when that is acknowledged. */
const work = Effect.fnUntraced(
  function*(store: Store, note: (key: string, may: string | undefined, isDone: boolean) => void) {
    const put = Effect.fnUntraced(function*(key: string, text: string, onlyIf?: "absent" | { readonly etag: string }) {
      note(key, text, false)
      const etag = yield* store.put(key, bytes(text), onlyIf === undefined ? {} : { onlyIf })
      note(key, text, true)
      return etag
    })
    const first = yield* put("log/manifest", "1", "absent")
    yield* put("log/segments/1/a", `a ${long}`, "absent")
    const second = yield* put("log/manifest", "2", { etag: first })
    yield* put("log/segments/1/b", `b ${long}`, "absent")
    yield* put("log/manifest", "3", { etag: second })
    yield* put("top", "top")
    yield* put("top", "top again")
    note("log/segments/1/a", undefined, false)
    yield* store.remove(["log/segments/1/a"])
    note("log/segments/1/a", undefined, true)
    yield* put("log/segments/1/a", "anew", "absent")
  }
)

describe("a store in a directory", () => {
  it.effect("has every object whole, and what it acknowledged, after a power failure at any operation", () =>
    Effect.gen(function*() {
      let crashes = 0
      for (let seed = 0; seed < 10; seed++) {
        for (const operation of swept(1)) {
          const simulated = yield* newDisk(seed * 1000 + operation)
          /** What each key may have: the last acknowledged, and what was begun since. */
          const may = new Map<string, Set<string | undefined>>()
          const note = (key: string, text: string | undefined, isDone: boolean) =>
            may.set(key, isDone ? new Set([text]) : new Set([...may.get(key) ?? [undefined], text]))
          yield* simulated.crashAt((yield* simulated.operationCount) + operation)
          const exit = yield* Effect.exit(withStore(simulated, (store) => work(store, note)))
          if (Exit.isSuccess(exit)) break
          crashes++
          assert.isTrue(SimulatedDisk.isPowerOff(exit.cause))
          yield* simulated.crash
          const found = yield* withStore(simulated, contentsOf)
          const words = `seed ${seed}, operation ${operation}\n${(yield* simulated.log).join("\n")}`
          for (const key of found.keys()) assert.isTrue(may.has(key), words)
          for (const [key, texts] of may) assert.isTrue(texts.has(found.get(key)), `${key}, ${words}`)
          assert.deepStrictEqual(yield* unfinishedOf(simulated), [], words)
          // And work can begin again.
          yield* withStore(simulated, (store) => store.put("log/segments/1/c", bytes("c")))
        }
      }
      assert.isAbove(crashes, 500 / sweepStep)
    }))

  it.effect("has what a retry has confirmed, whichever syncs fail", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 60; seed++) {
        const simulated = yield* newDisk(seed)
        const rate = 0.3
        yield* withStore(simulated, (plain) =>
          Effect.gen(function*() {
            const store = retrying(Schedule.recurs(50))(plain)
            yield* simulated.setFaults({ errorRates: { sync: rate, syncDirectory: rate, rename: 0.1, write: 0.1 } })
            const first = yield* store.put("log/manifest", bytes("1"), { onlyIf: "absent" })
            yield* store.put("log/a", bytes("a"), { onlyIf: "absent" })
            yield* store.put("log/manifest", bytes("2"), { onlyIf: { etag: first } })
          }))
        yield* simulated.crash
        yield* simulated.heal
        const found = yield* withStore(simulated, contentsOf)
        assert.deepStrictEqual([...found], [["log/a", "a"], ["log/manifest", "2"]], `seed ${seed}`)
      }
    }))

  it.effect("is not believed when a failed sync has shown an object that the disk may not have", () =>
    Effect.gen(function*() {
      let taken = 0
      for (let seed = 0; seed < 20; seed++) {
        const simulated = yield* newDisk(seed)
        yield* withStore(simulated, (store) => store.put("log/b", bytes("b")))
        // This process dies after the failure, and the next one finds the key taken.
        yield* withStore(simulated, (store) =>
          Effect.gen(function*() {
            yield* store.put("log/c", bytes("c"))
            yield* simulated.failNext("syncDirectory", "Io", /log$/)
            const error = yield* Effect.flip(store.put("log/a", bytes("mine"), { onlyIf: "absent" }))
            assert.deepStrictEqual([error.reason._tag, error.isApplied], ["Unreachable", "unknown"])
          }))
        const error = yield* Effect.flip(
          withStore(simulated, (store) => store.put("log/a", bytes("mine"), { onlyIf: "absent" }))
        )
        if (error.reason._tag === "Taken") taken++
        yield* simulated.crash
        const found = yield* withStore(simulated, contentsOf)
        assert.strictEqual(found.get("log/a"), "mine", `seed ${seed}`)
      }
      assert.strictEqual(taken, 20)
    }))

  it.effect("keeps what is in a directory that a process has made and not synced before it died", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 20; seed++) {
        const simulated = yield* newDisk(seed)
        yield* simulated.disk.makeDirectory(`${directory}/log/segments`)
        yield* withStore(simulated, (store) => store.put("log/segments/a", bytes("a")))
        yield* simulated.crash
        assert.deepStrictEqual([...yield* withStore(simulated, contentsOf)], [["log/segments/a", "a"]], `seed ${seed}`)
      }
    }))

  it.effect("keeps what was there when the disk is full, and calls that busy", () =>
    Effect.gen(function*() {
      const simulated = yield* newDisk(1)
      yield* withStore(simulated, (store) =>
        Effect.gen(function*() {
          const etag = yield* store.put("a", bytes("first"))
          yield* simulated.setCapacityBytes(6)
          const error = yield* Effect.flip(store.put("a", bytes("too long for it"), { onlyIf: { etag } }))
          assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Busy", "no", true])
          assert.include(error.message, "no disk space left; free some")
          assert.deepStrictEqual([...yield* contentsOf(store)], [["a", "first"]])
        }))
    }))

  it.effect("is busy with a key while another process decides it", () =>
    Effect.gen(function*() {
      const simulated = yield* newDisk(1)
      yield* withStore(simulated, (store) =>
        Effect.gen(function*() {
          yield* store.put("a", bytes("a"))
          // The lock of the key "a".
          const lock = simulated.disk.lock(`${directory}/.unfinished/0cc175b9c0f1b6a831c399e269772661.lock`)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* lock
            const error = yield* Effect.flip(store.put("a", bytes("b")))
            assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Busy", "no", true])
            assert.include(error.message, "another process holds it")
            yield* store.put("b", bytes("b"))
            // The next process leaves it alone, too.
            yield* withStore(simulated, contentsOf)
            assert.strictEqual((yield* unfinishedOf(simulated)).length, 1)
          }))
          yield* store.put("a", bytes("b"))
        }))
    }))

  const onNode = (
    name: string,
    body: (directory: string, store: Store) => Effect.Effect<void, unknown>
  ) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const path = yield* temporaryDirectory
        const store = DirectoryStore.layer({ directory: path })
        yield* ObjectStore.use((found) => body(path, found)).pipe(Effect.provide(store))
      }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer)))

  onNode("has files that people can read, and nothing else beside them", (path, store) =>
    Effect.gen(function*() {
      yield* store.put("orders/segments/1/FS.00000001.wal.lz4", bytes("content"))
      assert.strictEqual(fs.readFileSync(join(path, "orders/segments/1/FS.00000001.wal.lz4"), "utf8"), "content")
      assert.deepStrictEqual(fs.readdirSync(path).toSorted(), [".unfinished", "orders"])
      assert.deepStrictEqual(fs.readdirSync(join(path, ".unfinished")), [])
    }))

  onNode("follows no link, to a file or to a directory", (path, store) =>
    Effect.gen(function*() {
      const outside = fs.mkdtempSync(`${path}-outside-`)
      fs.writeFileSync(join(outside, "secret"), "secret")
      fs.symlinkSync(join(outside, "secret"), join(path, "file"))
      fs.symlinkSync(outside, join(path, "folder"))
      for (const key of ["file", "folder/secret", "folder/new"]) {
        for (
          const request of [
            Effect.asVoid(store.get(key)),
            Effect.asVoid(store.head(key)),
            Effect.asVoid(store.put(key, bytes("mine")))
          ]
        ) {
          assert.strictEqual((yield* Effect.flip(request)).reason._tag, "Unsuitable", key)
        }
      }
      yield* Effect.exit(store.remove(["file", "folder/secret"]))
      assert.deepStrictEqual(yield* Stream.runCollect(store.list("")), [])
      assert.deepStrictEqual(fs.readdirSync(outside), ["secret"])
      assert.strictEqual(fs.readFileSync(join(outside, "secret"), "utf8"), "secret")
      fs.rmSync(outside, { recursive: true })
    }))

  onNode("refuses a key that begins as another key ends", (_path, store) =>
    Effect.gen(function*() {
      yield* store.put("a", bytes("a"))
      yield* store.put("b/c", bytes("c"))
      assert.strictEqual((yield* Effect.flip(store.put("a/b", bytes("b")))).reason._tag, "Unsuitable")
      assert.strictEqual((yield* Effect.flip(store.put("b", bytes("b")))).reason._tag, "Unsuitable")
      yield* store.remove(["b"])
      assert.strictEqual((yield* store.get("b/c")).bytes.length, 1)
    }))

  onNode(
    "cannot be reached when its disk is gone, and does not write where it was",
    (path, store) =>
      Effect.gen(function*() {
        yield* store.put("log/a", bytes("a"))
        // As an unmounted disk: an empty directory.
        fs.renameSync(path, `${path}-away`)
        fs.mkdirSync(path)
        const requests = [
          store.get("log/a"),
          store.head("log/a"),
          store.put("log/a", bytes("b")),
          store.put("log/b", bytes("b")),
          store.remove(["log/a"]),
          Stream.runCollect(store.list(""))
        ]
        for (const request of requests) {
          const error = yield* Effect.flip(Effect.asVoid(request))
          assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Unreachable", "no", true])
          assert.include(error.message, "is the disk still mounted?")
        }
        assert.deepStrictEqual(fs.readdirSync(path), [])
        fs.rmdirSync(path)
        fs.renameSync(`${path}-away`, path)
        assert.strictEqual((yield* store.get("log/a")).bytes.length, 1)
      })
  )

  onNode("knows an object that was copied to another directory by its ETag", (path, store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("log/a", bytes("content"))
      assert.strictEqual(etag, "9a0364b9e99bb480dd25e1f0284c8555")
      fs.cpSync(path, `${path}-copy`, { recursive: true })
      const copy = DirectoryStore.layer({ directory: `${path}-copy` }).pipe(Layer.provide(NodeDisk.layer))
      const found = yield* ObjectStore.use((store) => store.get("log/a", { onlyIf: { etag } })).pipe(
        Effect.provide(copy)
      )
      assert.strictEqual(found.etag, etag)
      fs.rmSync(`${path}-copy`, { recursive: true })
    }))

  it.live("is not made where there is no directory, and can be used as soon as there is one", () =>
    Effect.gen(function*() {
      const path = join(yield* temporaryDirectory, "missing")
      yield* Effect.gen(function*() {
        const store = yield* ObjectStore
        const requests = [
          store.get("log/a"),
          store.head("log/a"),
          store.put("log/a", bytes("a")),
          store.remove(["log/a"]),
          Stream.runCollect(store.list(""))
        ]
        for (const request of requests) {
          const error = yield* Effect.flip(Effect.asVoid(request))
          assert.deepStrictEqual([error.reason._tag, error.isApplied], ["Unreachable", "no"])
          assert.include(error.message, `there is no directory ${path}; make it, or mount its disk`)
        }
        assert.isFalse(fs.existsSync(path))
        fs.mkdirSync(path)
        yield* store.put("log/a", bytes("a"))
        assert.strictEqual((yield* store.get("log/a")).bytes.length, 1)
      }).pipe(Effect.provide(Layer.provide(DirectoryStore.layer({ directory: path }), NodeDisk.layer)))
    }).pipe(Effect.scoped))
})
