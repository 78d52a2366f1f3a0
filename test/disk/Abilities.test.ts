/** What cannot record is refused at the start, in one line that names what is missing. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { missingAbility, requireDirectoryAbilities, requireNode } from "../../src/disk/Abilities.ts"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { diskReason } from "../../src/disk/DiskReason.ts"
import type { DiskReason } from "../../src/disk/DiskReason.ts"
import { abilityNames } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
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

describe("an ability that a system lacks", () => {
  const withoutDirectorySync = "so no name of a file is durable"

  it("is told from its errno: where directories cannot be synced, or not opened for that", () => {
    for (const errno of ["EINVAL", "EISDIR", "ENOTSUP"]) {
      for (const platform of ["linux", "darwin", "win32"]) {
        assert.include(missingAbility("syncDirectory", errno, platform), withoutDirectorySync, `${errno} ${platform}`)
      }
    }
    // What Windows answers to the opening of a directory is a matter of permissions elsewhere.
    for (const errno of ["EPERM", "EACCES"]) {
      assert.include(missingAbility("syncDirectory", errno, "win32"), "Windows syncs no directory", errno)
      for (const platform of ["linux", "darwin"]) {
        assert.isUndefined(missingAbility("syncDirectory", errno, platform), `${errno} ${platform}`)
      }
    }
  })

  it("is told from its errno: where there are no Unix sockets", () => {
    for (const errno of ["EPERM", "EINVAL", "ENOTSUP"]) {
      assert.include(missingAbility("listen", errno, "darwin"), "a Unix socket in the directory", errno)
    }
    assert.include(missingAbility("listen", "EACCES", "win32"), "a Unix socket in the directory")
    assert.isUndefined(missingAbility("listen", "EACCES", "linux"))
    assert.isUndefined(missingAbility("lock", "EPERM", "linux"))
  })

  it("is none when a call on a file fails", () => {
    for (const platform of ["linux", "darwin", "win32"]) {
      for (const errno of ["EINVAL", "EPERM", "EISDIR"]) {
        assert.isUndefined(missingAbility("open", errno, platform))
        assert.isUndefined(missingAbility("sync", errno, platform))
      }
    }
  })

  it.live("fails a start with it before anything is recorded, and leaves nothing", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const refusing = Disk.use((disk) => {
        const detail = `EPERM: ${missingAbility("syncDirectory", "EPERM", "win32")}`
        const reason = diskReason("Unsupported", detail)
        const refused = new DiskError({ operation: "syncDirectory", path: directory, reason })
        const syncDirectory = () => Effect.fail(refused)
        const changeNames = () => Effect.fail(refused)
        return Effect.succeed(Disk.of({ ...disk, syncDirectory, changeNames }))
      })
      const start = Layer.build(Wal.layer({ directory: join(directory, "log") })).pipe(
        Effect.provide(Layer.effect(Disk, refusing)),
        Effect.provide(NodeDisk.layer),
        Effect.scoped
      )
      const error = yield* Effect.flip(start)
      assert.strictEqual(
        error.message,
        `syncDirectory ${directory}: not possible on this file system or system; use another (EPERM: Windows syncs no ` +
          "directory, so no name of a file is durable; record in WSL, on its own file system)"
      )
      assert.deepStrictEqual(readdirSync(directory), [])
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
