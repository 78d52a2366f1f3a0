/**
 * A relative path is fixed when a layer is built, or when a reader begins: the program may change its working directory
 * afterwards.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SegmentMaintainer } from "../../src/maintainer/SegmentMaintainer.ts"
import * as Backup from "../../src/reading/recovery/Backup.ts"
import * as Replay from "../../src/reading/Replay.ts"
import * as Follow from "../../src/recorder/Follow.ts"
import * as Monitor from "../../src/recorder/monitor/Monitor.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import { layers, replayed, small, temporaryDirectory, text } from "./fixtures.ts"

/** Two directories; the working directory is the first one, and that of before when the scope closes. */
const twoPlaces = Effect.gen(function*() {
  const root = yield* temporaryDirectory
  const [here = "", there = ""] = ["here", "there"].map((name) => join(root, name))
  mkdirSync(here)
  mkdirSync(there)
  const before = process.cwd()
  yield* Effect.addFinalizer(() => Effect.sync(() => process.chdir(before)))
  process.chdir(here)
  return { here, there }
})

const appendMany = (fromId: number, toId: number) =>
  Effect.flatMap(
    Recorder,
    ({ append }) =>
      Effect.forEach(Array.from({ length: toId - fromId + 1 }, (_, i) => fromId + i), (id) => append(text(id)), {
        discard: true
      })
  )

describe.each(layers)("A log at a relative path, maintainer in a %s", (_layer, walLayer) => {
  it.live("stays where it was opened when the working directory changes, with all that is made later", () =>
    Effect.scoped(Effect.gen(function*() {
      const { here, there } = yield* twoPlaces
      yield* Effect.gen(function*() {
        const { commit } = yield* Recorder
        process.chdir(there)
        yield* appendMany(1, 1000)
        assert.strictEqual(yield* commit, 1000)
        assert.strictEqual((yield* SegmentMaintainer).directory, join(here, "log"))
        const followed = yield* Stream.runCollect(Follow.events({ name: "a reader", to: { id: 1000 } }))
        assert.strictEqual(followed.length, 1000)
      }).pipe(Effect.provide(walLayer({ directory: "./log", ...small })), Effect.provide(NodeDisk.layer))
      assert.deepStrictEqual(readdirSync(there), [])
      const kinds = new Set(readdirSync(join(here, "log")).map((name) => name.slice(name.lastIndexOf("."))))
      assert.deepStrictEqual([...kinds].sort(), [".dat", ".lz4", ".wal"])
      assert.strictEqual((yield* replayed(join(here, "log"))).length, 1000)
    })))
})

describe("A reader at a relative path", () => {
  it.live("reads on where it began when the working directory changes: a replay, a backup", () =>
    Effect.scoped(Effect.gen(function*() {
      const { here, there } = yield* twoPlaces
      const [, walLayer] = layers[0] ?? assert.fail("there is a layer")
      yield* appendMany(1, 1000).pipe(Effect.provide(walLayer({ directory: "log", ...small })))
      const changing = { to: { id: 1000 }, onSegment: () => Effect.sync(() => process.chdir(there)) }
      const events = yield* Stream.runCollect(Replay.events({ directory: "log", ...changing }))
      assert.strictEqual(events.length, 1000)
      process.chdir(here)
      const copying = yield* Effect.forkChild(Backup.backup({ directory: "log", to: "copy/" }), {
        startImmediately: true
      })
      process.chdir(there)
      assert.strictEqual((yield* Fiber.join(copying)).to, join(here, "copy"))
      assert.deepStrictEqual(readdirSync(there), [])
      assert.isUndefined(yield* Monitor.read("log"))
    })).pipe(Effect.provide(NodeDisk.layer)))
})
