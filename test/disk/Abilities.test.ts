/** What cannot record is refused at the start, in one line that names what is missing. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { requireDirectoryAbilities, requireNode } from "../../src/disk/Abilities.ts"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { diskReason } from "../../src/disk/DiskReason.ts"
import type { DiskReason } from "../../src/disk/DiskReason.ts"
import { abilityNames } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"

const failing = (operation: string, path: string, tag: DiskReason["_tag"]) =>
  Effect.fail(new DiskError({ operation, path, reason: diskReason(tag, "ETEST") }))

/** What a directory is tried with, on the disk of the machine, but for what is changed. */
const tried = (directory: string, change: Partial<Disk["Service"]>) =>
  Disk.use((disk) =>
    requireDirectoryAbilities(directory, {
      ...disk,
      deviceOf: (path) => Effect.sync(() => statSync(path).dev),
      ...change
    })
  ).pipe(Effect.provide(NodeDisk.layer))

describe("a directory that is opened for recording", () => {
  it.live.each<DiskReason["_tag"]>(["Denied", "Exists", "Unsupported", "IsDirectory"])(
    "needs a rename over another file, however a file system refuses it (%s)",
    (reason) =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const error = yield* Effect.flip(tried(directory, { rename: (from) => failing("rename", from, reason) }))
        assert.strictEqual(error.reason._tag, "Unsupported")
        assert.include(error.message, "ETEST: no file can be renamed over another here")
        assert.deepStrictEqual(readdirSync(directory), [])
      })
  )

  it.live("is not refused because nothing can be tried on a full disk", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* tried(directory, { open: (path) => failing("open", path, "Full") })
      yield* tried(directory, { rename: (from) => failing("rename", from, "Full") })
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("is tried where a start was killed while it tried, and nothing stays", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      for (const name of abilityNames) writeFileSync(join(directory, name), "")
      yield* tried(directory, {})
      assert.deepStrictEqual(readdirSync(directory), [])
    }))

  it.live("is synced itself when its parent is on another file system", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const synced: Array<string> = []
      const syncDirectory = (path: string) => Effect.sync(() => void synced.push(path))
      yield* tried(directory, { syncDirectory })
      assert.deepStrictEqual(synced, [])
      const deviceOf = (path: string) => Effect.succeed(path === directory ? 1 : 2)
      yield* Disk.use((disk) => requireDirectoryAbilities(directory, { ...disk, syncDirectory, deviceOf })).pipe(
        Effect.provide(NodeDisk.layer)
      )
      assert.deepStrictEqual(synced, [directory])
    }))
})

describe("a version of Node", () => {
  it.effect.each(["20.20.2", "22.18.0", "18.0.0"])(
    "that is too old is refused (%s)",
    (version) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(requireNode("/log", version))
        assert.include(error.message, `Node ${version} is too old; recording needs 22.19`)
      })
  )

  it.effect.each(["22.19.0", "24.0.1", "26.1.0-nightly"])(
    "that is new enough is not (%s)",
    (version) => requireNode("/log", version)
  )

  it.effect("is as old as the package allows", () =>
    Effect.gen(function*() {
      const { engines } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"))
      assert.strictEqual(engines.node, ">=22.19")
      yield* requireNode("/log", "22.19.0")
    }))
})
