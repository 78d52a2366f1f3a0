/** Starts where the runtime or the file system lacks something: each works, or is refused in one line that names it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { effectWal } from "../cli/commandLine.ts"
import { temporaryDirectory } from "../recorder/fixtures.ts"
import { layers, startVictim } from "./harness.ts"
import { injectionMissing } from "./inject.ts"
import type { VictimOptions } from "./victim.ts"

const victim = (directory: string, layer: "fiber" | "worker"): VictimOptions => ({
  directory,
  layer,
  seed: 4,
  behaviourSeed: 4,
  eventsMax: 60,
  eventsPerCommit: 10,
  segmentBytesMax: 8192,
  maxSegments: 2,
  maxCompressedSegments: 4
})

describe.skipIf(injectionMissing() !== "").each(layers)("a file system (%s)", (layer) => {
  /** The last line of a recorder whose calls fail in this way. */
  const lastLine = (calls: string, errno: string, when = "1+") =>
    Effect.gen(function*() {
      const directory = join(yield* temporaryDirectory, "log")
      const command = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", `--trace=${calls}`]
      const { ended } = startVictim(victim(directory, layer), {
        command: [...command, "-e", `inject=${calls}:error=${errno}:when=${when}`],
        // Calls are counted by thread.
        environment: { UV_THREADPOOL_SIZE: "1" }
      })
      const testimony = yield* Effect.promise(() => ended)
      return testimony.lines.at(-1) ?? testimony.stderr
    })

  // Nothing links today. A rename made of a link and an unlink, which is the usual one that replaces nothing, fails here.
  it.live("without hard links records as any other", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* lastLine("link,linkat", "EPERM"), "end 60")
    }))

  it.live.each(["EINVAL", "EOPNOTSUPP"])(
    "that does not sync directories is refused at the start (%s)",
    (errno) =>
      Effect.gen(function*() {
        const line = yield* lastLine("fsync", errno)
        assert.match(line, /^error DiskError Unsupported syncDirectory .*: not possible on this file system/)
        if (errno === "EINVAL") assert.include(line, "directories cannot be synced here")
      })
  )

  it.live.each(["EPERM", "EEXIST"])(
    "that renames no file over another is refused at the start (%s)",
    (errno) =>
      Effect.gen(function*() {
        // The first one gives the lock its name, over nothing.
        const line = yield* lastLine("rename,renameat,renameat2", errno, "2+")
        assert.match(line, /^error DiskError Unsupported .*no file can be renamed over another here/)
      })
  )

  it.live("without Unix sockets is refused at the start", () =>
    Effect.gen(function*() {
      const line = yield* lastLine("bind", "EPERM")
      assert.match(line, /^error DiskError Unsupported .*EPERM: a lock is a Unix socket in the directory/)
    }))
})

describe("a runtime", () => {
  /** What `record` says with these options of Node. */
  const record = (directory: string, nodeOptions: string) =>
    effectWal(["record", "--dir", directory], "one\n", { env: { NODE_OPTIONS: nodeOptions } })

  it.live("in which fsync is disabled is refused at the start", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const allowed = "--permission --allow-fs-read=* --allow-fs-write=* --allow-worker --allow-addons"
      const ended = yield* record(join(root, "log"), allowed)
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stderr, "Node's permission model disables fsync; start the program without --permission")
      assert.notInclude(ended.stderr, "permission denied")
      assert.deepStrictEqual(readdirSync(root), [])
    }))

  it.live("that is too old is refused at the start", () =>
    Effect.gen(function*() {
      const root = yield* temporaryDirectory
      const old = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})"
      const ended = yield* record(join(root, "log"), `--import data:text/javascript,${encodeURIComponent(old)}`)
      assert.strictEqual(ended.code, 1)
      assert.include(ended.stderr, "Node 20.20.2 is too old; recording needs 22.19")
    }))
})
