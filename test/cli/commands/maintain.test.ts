/** `effect-wal maintain` as a process of its own, beside a program that writes segments of either format. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync } from "node:fs"
import * as NodeDisk from "../../../src/disk/NodeDisk.ts"
import * as Verify from "../../../src/reading/recovery/Verify.ts"
import type { NamedFile } from "../../fixtures/segments.ts"
import { buildWal, hot, put } from "../../fixtures/segments.ts"
import { segmentOfAnother } from "../../format1/orders.ts"
import { layers, recording, temporaryDirectory } from "../../recorder/fixtures.ts"
import { here, start } from "../commandLine.ts"
import type { Running } from "../commandLine.ts"

const maintain = (...args: ReadonlyArray<string>) => start(["maintain", ...args])

const linesOf = (running: Running): ReadonlyArray<string> => running.printed().split("\n").slice(0, -1)

const linesReach = (running: Running, count: number) => running.prints(new RegExp(`^(?:.*\n){${count}}`))

const theirs = (count: number): ReadonlyArray<NamedFile> =>
  Array.from({ length: count }, (_, index) =>
    hot(segmentOfAnother({
      segmentIndex: index,
      ids: [index * 100 + 1, index * 100 + 100],
      closed: index < count - 1
    })))

const ours = (count: number): ReadonlyArray<NamedFile> =>
  buildWal({ segments: Array.from({ length: count }, () => 20), lastIsOpen: true }).map(hot)

describe.each([["format 1", theirs], ["format 2", ours]] as const)("effect-wal maintain, %s", (_format, segments) => {
  it.live("persists, freezes and deletes what is finished, and drains at SIGTERM", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const files = segments(10)
      yield* put(directory, ...files.slice(0, 3))
      const running = yield* maintain(
        "--dir",
        directory,
        "--max-segments",
        "3",
        "--max-compressed-segments",
        "4",
        "--json"
      )
      // Two are finished, one of them may stay hot.
      yield* linesReach(running, 3)
      // The other program goes on.
      yield* put(directory, ...files.slice(3))
      // 9 persisted, 8 frozen, 4 deleted.
      yield* linesReach(running, 21)
      running.child.kill("SIGTERM")
      assert.strictEqual((yield* running.ended).code, 0, running.said())
      const actions = linesOf(running).map((line): { readonly action: string; readonly segmentIndex?: number } =>
        JSON.parse(line)
      )
      const of = (action: string) => actions.filter((line) => line.action === action).map((line) => line.segmentIndex)
      assert.deepStrictEqual(of("persisted"), [0, 1, 2, 3, 4, 5, 6, 7, 8])
      assert.deepStrictEqual(of("frozen"), [0, 1, 2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(of("freed"), [0, 1, 2, 3])
      assert.strictEqual(actions.length, 22)
      assert.include(actions.at(-1), { action: "drained" })
      assert.deepStrictEqual(readdirSync(directory).sort(), [
        ...[4, 5, 6, 7].map((index) => `FS.0000000${index}.wal.lz4`),
        "FS.00000008.wal",
        "FS.00000009.wal"
      ])
      const { faults } = yield* Verify.verify({ directory })
      assert.deepStrictEqual(faults, [])
    }).pipe(Effect.provide(NodeDisk.layer)))
})

describe("effect-wal maintain", () => {
  it.live("says each action in a line", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* put(directory, ...theirs(2))
      const running = yield* maintain("--dir", directory, "--max-segments", "2")
      yield* linesReach(running, 2)
      running.child.kill("SIGINT")
      assert.strictEqual((yield* running.ended).code, 0)
      const [persisted, frozen] = linesOf(running)
      assert.strictEqual(persisted, "persisted segment 0: 263232 bytes")
      assert.match(frozen ?? "", /^froze segment 0: 263232 to \d+ bytes, events 1 to 100$/)
      assert.match(running.said(), /drained in \d+ ms: .* 0 left/)
    }).pipe(Effect.provide(NodeDisk.layer)))

  it.live("refuses a directory that a recorder holds, and says who; and one that is not there", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const wal = Layer.provide(layers[0]![1]({ directory }), NodeDisk.layer)
      const { code, stderr } = yield* recording(wal, () => here("maintain", "--dir", directory))
      assert.strictEqual(code, 1)
      assert.include(stderr, `${directory} is held by`)
      assert.include(stderr, String(process.pid))
      assert.strictEqual(stderr.trim().split("\n").length, 1)
      const missing = yield* here("maintain", "--dir", `${directory}/nowhere`)
      assert.strictEqual(missing.code, 1)
      assert.include(missing.stderr, "does not exist")
    }))
})
