/** What every layer of `ObjectStore` must do alike. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import { ObjectStore } from "../../src/store/ObjectStore.ts"
import type { PutOptions, StoreError } from "../../src/store/ObjectStore.ts"
import { probe, probePrefix } from "../../src/store/Probe.ts"
import { subjects } from "./subjects.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (content: Uint8Array): string => new TextDecoder().decode(content)

type Store = ObjectStore["Service"]

const read = (store: Store, key: string) => Effect.map(store.get(key), (object) => text(object.bytes))

/** The error of a request that must fail. */
const errorOf = <A>(request: Effect.Effect<A, StoreError>) => Effect.orDie(Effect.flip(request))

const reasonOf = <A>(request: Effect.Effect<A, StoreError>) => Effect.map(errorOf(request), ({ reason }) => reason._tag)

const keysOf = (store: Store, prefix: string, startAfter?: string) =>
  Effect.map(
    Stream.runCollect(store.list(prefix, startAfter === undefined ? {} : { startAfter })),
    (objects) => objects.map(({ key }) => key)
  )

const isMistake = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && (Cause.squash(exit.cause) as Error).name === "WrongArgument"

describe.each(subjects)("$name", ({ layer }) => {
  const ruling = (name: string, body: (store: Store) => Effect.Effect<void, StoreError>) =>
    it.live(name, () => ObjectStore.use(body).pipe(Effect.provide(layer)))

  ruling("gives back what was put, and tells its ETag, its length and its time", (store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("log/manifest", bytes("hello"))
      assert.match(etag, /^[^"]+$/)
      const object = yield* store.get("log/manifest")
      assert.strictEqual(text(object.bytes), "hello")
      assert.strictEqual(object.etag, etag)
      const facts = yield* store.head("log/manifest")
      assert.deepInclude(facts, { key: "log/manifest", bytes: 5, etag })
      assert.isTrue(Number.isFinite(facts.modifiedMillis))
    }))

  ruling("keeps objects of any length, and takes them from shared memory", (store) =>
    Effect.gen(function*() {
      yield* store.put("empty", new Uint8Array(0))
      assert.strictEqual((yield* store.get("empty")).bytes.length, 0)
      assert.strictEqual((yield* store.head("empty")).bytes, 0)
      const large = new Uint8Array(new SharedArrayBuffer(3 * 1024 * 1024 + 17), 16)
      for (let at = 0; at < large.length; at++) large[at] = (at * 31) >> 3
      yield* store.put("large", large)
      assert.strictEqual(Buffer.compare((yield* store.get("large")).bytes, large), 0)
      const part = yield* store.get("large", { range: { from: 2_000_000, bytes: 500_000 } })
      assert.strictEqual(Buffer.compare(part.bytes, large.subarray(2_000_000, 2_500_000)), 0)
    }))

  /** A source that gives a few bytes at a time, and fails where it is told. */
  const sourceOf = (content: Uint8Array, failsAt = Number.POSITIVE_INFINITY) => ({
    bytes: content.length,
    read: (target: Uint8Array, offset: number): Effect.Effect<number, "broken"> => {
      if (offset >= failsAt) return Effect.fail("broken")
      const part = content.subarray(offset, Math.min(failsAt, offset + Math.min(target.length, 300_001)))
      target.set(part)
      return Effect.succeed(part.length)
    }
  })

  ruling("takes a source as it takes bytes, with every condition and the MD5", (store) =>
    Effect.gen(function*() {
      const content = Uint8Array.from({ length: 2 * 1024 * 1024 + 5 }, (_, at) => (at * 31) >> 3)
      const md5 = createHash("md5").update(content).digest()
      const orDie = <A>(request: Effect.Effect<A, StoreError | "broken">) =>
        Effect.catchIf(request, (error) => error === "broken", () => Effect.die("the source is whole"))
      const put = (key: string, options: PutOptions) => orDie(store.put(key, sourceOf(content), options))
      const etag = yield* put("a", { onlyIf: "absent" })
      const found = yield* store.get("a")
      assert.deepStrictEqual([Buffer.compare(found.bytes, content), found.etag], [0, etag])
      assert.strictEqual(yield* reasonOf(put("a", { onlyIf: "absent" })), "Taken")
      assert.strictEqual(yield* reasonOf(put("a", { onlyIf: { etag: "0".repeat(32) } })), "Changed")
      const other = createHash("md5").update("something else").digest()
      assert.strictEqual(yield* reasonOf(put("b", { md5: other })), "Corrupt")
      assert.strictEqual(yield* reasonOf(store.get("b")), "NotFound")
      yield* put("b", { md5 })
      yield* orDie(store.put("c", sourceOf(new Uint8Array(0))))
      assert.strictEqual((yield* store.head("c")).bytes, 0)
      assert.strictEqual((yield* store.usage).sentBytes, 5 * content.length)
    }))

  ruling(
    "puts nothing where a source fails or ends early, now or later, and fails as it did",
    (store) =>
      Effect.gen(function*() {
        const content = new Uint8Array(2 * 1024 * 1024)
        const brokenBy = (request: Effect.Effect<string, StoreError | "broken">) => Effect.orDie(Effect.flip(request))
        const broken = sourceOf(content, 1_500_000)
        const short = { bytes: content.length, read: sourceOf(content.subarray(0, 1_500_000)).read }
        for (const md5 of [{}, { md5: createHash("md5").update(content).digest() }]) {
          for (const onlyIf of [{}, { onlyIf: "absent" as const }]) {
            const options = { ...md5, ...onlyIf }
            assert.strictEqual(yield* brokenBy(store.put("a", broken, options)), "broken")
            const error = yield* brokenBy(store.put("a", short, options))
            assert.deepInclude(error, { isApplied: "no", operation: "put", key: "a" })
            assert.strictEqual(error === "broken" ? error : error.reason._tag, "Corrupt")
            assert.strictEqual(yield* reasonOf(store.get("a")), "NotFound")
          }
        }
        const etag = yield* store.put("a", bytes("first"))
        assert.strictEqual(yield* brokenBy(store.put("a", broken)), "broken")
        assert.strictEqual((yield* store.get("a", { onlyIf: { etag } })).bytes.length, 5)
        for (const wrong of [{}, { bytes: -1, read: broken.read }, { bytes: 5, read: "text" }]) {
          assert.isTrue(isMistake(yield* Effect.exit(store.put("w", wrong as never))), JSON.stringify(wrong))
        }
      })
  )

  ruling("gives the range that is asked for, as far as the object has it", (store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("a", bytes("0123456789"))
      const range = (from: number, count: number) => store.get("a", { range: { from, bytes: count }, onlyIf: { etag } })
      const middle = yield* range(3, 4)
      assert.deepStrictEqual([text(middle.bytes), middle.etag], ["3456", etag])
      assert.strictEqual(text((yield* range(0, 1)).bytes), "0")
      assert.strictEqual(text((yield* range(8, 100)).bytes), "89")
      assert.strictEqual(yield* reasonOf(range(10, 1)), "Corrupt")
    }))

  ruling("says so when there is no such object", (store) =>
    Effect.gen(function*() {
      yield* store.put("log/a", bytes("a"))
      for (const key of ["a", "log", "log/b", "log/a/b", "other/a"]) {
        assert.strictEqual(yield* reasonOf(store.get(key)), "NotFound", key)
        assert.strictEqual(yield* reasonOf(store.head(key)), "NotFound", key)
      }
    }))

  ruling("replaces an object when there is no condition", (store) =>
    Effect.gen(function*() {
      const first = yield* store.put("a", bytes("first"))
      const second = yield* store.put("a", bytes("second, and longer"))
      assert.notStrictEqual(first, second)
      assert.strictEqual(yield* read(store, "a"), "second, and longer")
    }))

  ruling("refuses a key that is taken, and keeps what has it", (store) =>
    Effect.gen(function*() {
      const etag = yield* store.put("log/a", bytes("first"), { onlyIf: "absent" })
      for (const other of ["second", "first"]) {
        const error = yield* errorOf(store.put("log/a", bytes(other), { onlyIf: "absent" }))
        assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Taken", "no", false])
      }
      assert.deepStrictEqual([yield* read(store, "log/a"), (yield* store.head("log/a")).etag], ["first", etag])
    }))

  ruling("gives a free key to one of many who want it at once", (store) =>
    Effect.gen(function*() {
      for (const key of ["log/1", "log/2", "log/3"]) {
        const results = yield* Effect.forEach(
          Array.from({ length: 8 }, (_, at) => `${key} of ${at}`),
          (content) => Effect.result(Effect.as(store.put(key, bytes(content), { onlyIf: "absent" }), content)),
          { concurrency: "unbounded" }
        )
        const winners = results.flatMap((result) => Result.isSuccess(result) ? [result.success] : [])
        assert.deepStrictEqual([yield* read(store, key)], winners)
        for (const result of results) {
          if (Result.isFailure(result)) assert.include(["Taken", "Busy"], result.failure.reason._tag)
        }
      }
    }))

  ruling("replaces the version that is named, and no other one", (store) =>
    Effect.gen(function*() {
      const first = yield* store.put("a", bytes("first"))
      const second = yield* store.put("a", bytes("second"), { onlyIf: { etag: first } })
      for (const stale of [first, "0123456789abcdef0123456789abcdef"]) {
        const error = yield* errorOf(store.put("a", bytes("third"), { onlyIf: { etag: stale } }))
        assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Changed", "no", false])
      }
      assert.deepStrictEqual([yield* read(store, "a"), (yield* store.head("a")).etag], ["second", second])
      assert.strictEqual(yield* reasonOf(store.put("b", bytes("b"), { onlyIf: { etag: first } })), "Changed")
      assert.strictEqual(yield* reasonOf(store.get("b")), "NotFound")
    }))

  ruling("lets one of many replace a version that all of them name", (store) =>
    Effect.gen(function*() {
      let etag = yield* store.put("a", bytes("0"))
      for (let round = 1; round <= 4; round++) {
        const results = yield* Effect.forEach(
          [1, 2, 3, 4, 5, 6],
          (writer) => Effect.result(store.put("a", bytes(`${round} by ${writer}`), { onlyIf: { etag } })),
          { concurrency: "unbounded" }
        )
        const winners = results.flatMap((result) => Result.isSuccess(result) ? [result.success] : [])
        assert.strictEqual(winners.length, 1)
        etag = (yield* store.head("a")).etag
        assert.deepStrictEqual(winners, [etag])
      }
    }))

  ruling("gives the version that is named, and no other one", (store) =>
    Effect.gen(function*() {
      const first = yield* store.put("a", bytes("first"))
      assert.strictEqual(text((yield* store.get("a", { onlyIf: { etag: first } })).bytes), "first")
      yield* store.put("a", bytes("second"))
      assert.strictEqual(yield* reasonOf(store.get("a", { onlyIf: { etag: first } })), "Changed")
      const range = { from: 0, bytes: 2 }
      assert.strictEqual(yield* reasonOf(store.get("a", { range, onlyIf: { etag: first } })), "Changed")
      assert.strictEqual(yield* reasonOf(store.get("b", { onlyIf: { etag: first } })), "NotFound")
    }))

  ruling("refuses bytes whose MD5 is another, and keeps what was there", (store) =>
    Effect.gen(function*() {
      yield* store.put("a", bytes("first"))
      const md5 = createHash("md5").update("something else").digest()
      const error = yield* errorOf(store.put("a", bytes("second"), { md5 }))
      assert.deepStrictEqual([error.reason._tag, error.isApplied, error.isRetryable], ["Corrupt", "no", true])
      assert.strictEqual(yield* read(store, "a"), "first")
      yield* store.put("a", bytes("second"), { md5: createHash("md5").update("second").digest() })
      assert.strictEqual(yield* read(store, "a"), "second")
    }))

  ruling(
    "lists in the order of keys, below a prefix and after a key, however many there are",
    (store) =>
      Effect.gen(function*() {
        const keys = ["a-b", "a.b", "a/b", "a/b-c", "a/bb/c", "a/bb/d", "a0", "b", "Z/z", "é", "€/1", "😀", "\uffee"]
        yield* Effect.forEach(keys.toReversed(), (key) => store.put(key, bytes(key)), { discard: true })
        const inOrder = [
          "Z/z",
          "a-b",
          "a.b",
          "a/b",
          "a/b-c",
          "a/bb/c",
          "a/bb/d",
          "a0",
          "b",
          "é",
          "€/1",
          "\uffee",
          "😀"
        ]
        assert.deepStrictEqual(yield* keysOf(store, ""), inOrder)
        assert.deepStrictEqual(yield* keysOf(store, "a/"), ["a/b", "a/b-c", "a/bb/c", "a/bb/d"])
        assert.deepStrictEqual(yield* keysOf(store, "a/bb"), ["a/bb/c", "a/bb/d"])
        assert.deepStrictEqual(yield* keysOf(store, "nothing/"), [])
        for (const [at, key] of inOrder.entries()) {
          assert.deepStrictEqual(yield* keysOf(store, "", key), inOrder.slice(at + 1), key)
        }
        assert.deepStrictEqual(yield* keysOf(store, "a/", "a/bb"), ["a/bb/c", "a/bb/d"])
        assert.deepStrictEqual(yield* keysOf(store, "a/", "a/bb/c"), ["a/bb/d"])
        const [shown] = yield* Stream.runCollect(store.list("a/bb/d"))
        assert.deepInclude(shown, { key: "a/bb/d", bytes: 6 })
        // The header of HTTP has whole seconds.
        const { modifiedMillis } = yield* store.head("a/bb/d")
        assert.strictEqual(Math.floor((shown?.modifiedMillis ?? 0) / 1000), Math.floor(modifiedMillis / 1000))
      })
  )

  ruling("removes what it is told, once and again, and nothing else", (store) =>
    Effect.gen(function*() {
      const keys = ["log/a", "log/b", "log/c", "log2"]
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { discard: true })
      yield* store.remove(["log/a", "log/c", "log", "never/there"])
      assert.deepStrictEqual(yield* keysOf(store, ""), ["log/b", "log2"])
      yield* store.remove(["log/a"])
      yield* store.remove([])
      assert.strictEqual(yield* reasonOf(store.get("log/a")), "NotFound")
      yield* store.put("log/a", bytes("again"), { onlyIf: "absent" })
      assert.strictEqual(yield* read(store, "log/a"), "again")
    }))

  ruling("takes names of any characters, and mixes none of them up", (store) =>
    Effect.gen(function*() {
      const names = [
        "with space",
        "per%cent",
        "per%2Ecent",
        "%2E",
        ".hidden",
        ".unfinished",
        "...",
        "a+b",
        "a b",
        "q?x=1&y",
        "h#sh",
        "<&>'\"",
        "(x)!*~$@:;,=",
        "back\\slash",
        "ünïcödé",
        "😀"
      ]
      const keys = names.flatMap((name) => [`log/${name}/${name}.end`, name === ".unfinished" ? `log/${name}2` : name])
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key), { onlyIf: "absent" }), { discard: true })
      for (const key of keys) assert.strictEqual(yield* read(store, key), key)
      assert.strictEqual((yield* keysOf(store, "")).length, keys.length)
      assert.deepStrictEqual((yield* keysOf(store, "")).toSorted(), keys.toSorted())
      yield* store.remove(keys)
      assert.deepStrictEqual(yield* keysOf(store, ""), [])
    }))

  ruling("calls a wrong key a mistake, whatever is asked", (store) =>
    Effect.gen(function*() {
      const wrong = ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.", "a\nb", "a\0", "\ud800", "x".repeat(201)]
      for (const key of [...wrong, `${"x/".repeat(450)}yy`]) {
        assert.isTrue(isMistake(yield* Effect.exit(store.put(key, bytes("a")))), JSON.stringify(key))
        assert.isTrue(isMistake(yield* Effect.exit(store.get(key))))
        assert.isTrue(isMistake(yield* Effect.exit(store.head(key))))
        assert.isTrue(isMistake(yield* Effect.exit(store.remove(["a", key]))))
      }
      assert.isTrue(isMistake(yield* Effect.exit(store.get("a", { range: { from: 0, bytes: 0 } }))))
      assert.deepStrictEqual(yield* keysOf(store, ""), [])
    }))

  ruling("names the request, the key and the way out in its errors", (store) =>
    Effect.gen(function*() {
      const error = yield* errorOf(store.get("log/manifest"))
      assert.deepInclude({ operation: error.operation, key: error.key, isApplied: error.isApplied }, {
        operation: "get",
        key: "log/manifest",
        isApplied: "no"
      })
      assert.include(error.message, "get log/manifest: there is no such object")
    }))

  ruling("counts requests and bytes", (store) =>
    Effect.gen(function*() {
      yield* store.put("a", bytes("12345"))
      yield* Effect.exit(store.put("a", bytes("123"), { onlyIf: "absent" }))
      yield* store.get("a", { range: { from: 1, bytes: 2 } })
      yield* store.get("a")
      yield* store.head("a")
      yield* store.remove(["a"])
      const { receivedBytes, requests, sentBytes } = yield* store.usage
      assert.deepInclude(requests, { put: 2, get: 2, head: 1, remove: 1 })
      assert.deepStrictEqual([sentBytes, receivedBytes], [8, 7])
    }))

  ruling(
    "passes the probe, which leaves nothing, also when two of them run at once",
    (store) =>
      Effect.gen(function*() {
        const reports = yield* Effect.all([probe(store), probe(store)], { concurrency: "unbounded" })
        assert.deepStrictEqual(reports, [{ checksMd5: true }, { checksMd5: true }])
        assert.deepStrictEqual(yield* keysOf(store, probePrefix), [])
      })
  )
})
