import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { isLockName, lockName } from "../../src/disk/FileNames.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { coldName, defaultNaming, freezingName, hotName, preparingName } from "../../src/format/SegmentName.ts"
import { Recorder } from "../../src/recorder/Recorder.ts"
import type { RecorderError } from "../../src/recorder/RecorderError.ts"
import * as Wal from "../../src/recorder/WalParts.ts"
import { layers, quiet, startVictim, stopped, withDirectory } from "./harness.ts"
import type { VictimOptions } from "./victim.ts"
import { eventOf } from "./workload.ts"

const victim = (directory: string, layer: "fiber" | "worker" = "fiber"): VictimOptions => ({
  directory,
  layer,
  seed: 5,
  behaviourSeed: 5,
  eventsMax: 200,
  eventsPerCommit: 10,
  segmentBytesMax: 8192,
  maxSegments: 2,
  maxCompressedSegments: 4,
  reserveBytes: 4096
})

/** Opens a directory, records through several segments, and closes it. */
const record = (directory: string): Promise<Exit.Exit<void, Wal.WalError | RecorderError>> => {
  const { maxCompressedSegments, maxSegments, reserveBytes, segmentBytesMax } = victim(directory)
  const limits = { maxSegments, maxCompressedSegments }
  return Effect.gen(function*() {
    const recorder = yield* Recorder
    for (let id = 1; id <= 100; id++) {
      yield* recorder.append(eventOf(5, id))
      if (id % 10 === 0) yield* recorder.commit
    }
  }).pipe(
    Effect.provide(Wal.layer({ directory, segmentBytesMax, limits, reserveBytes: reserveBytes ?? 0 })),
    Effect.provide(Layer.merge(NodeDisk.layer, quiet)),
    Effect.runPromiseExit
  )
}

const failureOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "success"

describe("files", () => {
  for (const layer of layers) {
    it(`are closed to others, whatever the umask (${layer} layer)`, () =>
      withDirectory("modes", async (root) => {
        const directory = join(root, "made", "by us")
        const seen = new Map<string, number>()
        const sockets = new Set<string>()
        const look = () => {
          for (const name of existsSync(directory) ? readdirSync(directory) : []) {
            // It may be gone by now.
            const stats = lstatSync(join(directory, name), { throwIfNoEntry: false })
            if (stats === undefined) continue
            // Nothing is in a socket, and nobody reaches it but through the directory.
            if (stats.isSocket()) sockets.add(name)
            else seen.set(name.replaceAll(/[0-9a-f]{8,}/g, "N"), stats.mode & 0o777)
          }
        }
        const running = startVictim({ ...victim(directory, layer), stopsAt: 150 }, {
          command: ["/bin/sh", "-c", "umask 000; exec \"$@\"", "sh"],
          onLine: look
        })
        assert.isTrue(await stopped(running, 150), running.testimony.stderr)
        look()
        running.child.kill("SIGCONT")
        const testimony = await running.ended
        look()
        assert.strictEqual(testimony.exitCode, 0, testimony.stderr)
        for (const name of ["FS.N.wal", "FS.N.wal.lz4", "wal_meta.dat", "wal.reserve"]) {
          assert.isTrue(seen.has(name), `${name} was seen among ${[...seen.keys()].join(", ")}`)
        }
        assert.isNotEmpty(sockets)
        for (const name of sockets) assert.isTrue(isLockName(lockName, name), name)
        for (const [name, mode] of seen) assert.strictEqual(mode & ~0o640, 0, `${name} has mode ${mode.toString(8)}`)
        for (const path of [join(root, "made"), directory]) assert.strictEqual(statSync(path).mode & 0o777 & ~0o750, 0)
      }))
  }

  it(
    "are named by what the naming allows and nothing that was recorded",
    () =>
      withDirectory("names", async (directory) => {
        const { ended } = startVictim({ ...victim(directory), marker: "../../name\0/etc" })
        assert.strictEqual((await ended).exitCode, 0)
        for (const name of readdirSync(directory)) assert.match(name, /^(FS\.[0-9]{8}\.wal(\.lz4)?|wal_meta\.dat)$/)
        assert.deepStrictEqual(readdirSync(join(directory, "..")), ["wal"])
      })
  )
})

describe("a link to a file outside", () => {
  /** What becomes of an opening when this name is a link: it is refused, the link itself is replaced, or it plays no part. */
  const refused = [
    hotName(defaultNaming, 0),
    hotName(defaultNaming, 3),
    preparingName(defaultNaming, 0),
    coldName(defaultNaming, 0, "frame"),
    freezingName(defaultNaming, 0, "frame")
  ]
  const replaced = ["wal_meta.dat", "wal_meta.dat.tmp", "wal.reserve", "wal.lock.0123456789abcdef.tmp"]

  const ignored = ["wal.lock", "wal.lock.host.1.0123abcd.1.0123456789ab"]

  for (const name of [...refused, ...replaced, ...ignored]) {
    const isRefused = refused.includes(name)
    const outcome = isRefused ? "refused" : replaced.includes(name) ? "replaced" : "left alone"
    it(`in the place of ${name} is not followed but ${outcome}`, async () => {
      for (const isDangling of [false, true]) {
        await withDirectory("link", async (directory) => {
          const outside = join(directory, "..", "outside")
          if (!isDangling) writeFileSync(outside, "precious")
          symlinkSync(outside, join(directory, name))
          const exit = await record(directory)
          if (isDangling) assert.isFalse(existsSync(outside), "nothing was made outside")
          else assert.strictEqual(readFileSync(outside, "utf8"), "precious")
          if (isRefused) {
            assert.match(failureOf(exit), /^DiskError: .*\(a link\?\)/)
            assert.isTrue(lstatSync(join(directory, name)).isSymbolicLink(), "the link is left alone")
          } else {
            assert.isTrue(Exit.isSuccess(exit), failureOf(exit))
            const isLink = lstatSync(join(directory, name), { throwIfNoEntry: false })?.isSymbolicLink() ?? false
            assert.strictEqual(isLink, ignored.includes(name))
          }
        })
      }
    })
  }

  it("that comes while recording goes on is not followed", () =>
    withDirectory("late-link", async (directory) => {
      const outside = join(directory, "..", "outside")
      writeFileSync(outside, "precious")
      const names = [8, 9, 10, 11].flatMap((index) => [
        hotName(defaultNaming, index),
        preparingName(defaultNaming, index),
        freezingName(defaultNaming, index, "frame")
      ])
      const running = startVictim({ ...victim(directory), stopsAt: 10 })
      assert.isTrue(await stopped(running, 10), running.testimony.stderr)
      const planted = [...names, "wal_meta.dat.tmp"].filter((name) => !existsSync(join(directory, name)))
      for (const name of planted) symlinkSync(outside, join(directory, name))
      running.child.kill("SIGCONT")
      const testimony = await running.ended
      assert.isNotEmpty(planted)
      assert.strictEqual(testimony.lines.at(-1), "end 200", testimony.stderr)
      assert.strictEqual(readFileSync(outside, "utf8"), "precious")
    }))

  it(
    "that is a hard link is not written to: every file is made anew",
    () =>
      withDirectory("hard-link", async (directory) => {
        const outside = join(directory, "..", "outside")
        writeFileSync(outside, "precious")
        for (const name of ["wal_meta.dat", "wal_meta.dat.tmp", "wal.reserve", preparingName(defaultNaming, 0)]) {
          linkSync(outside, join(directory, name))
        }
        const testimony = await startVictim(victim(directory)).ended
        assert.strictEqual(testimony.lines.at(-1), "end 200", testimony.stderr)
        assert.strictEqual(readFileSync(outside, "utf8"), "precious")
      })
  )
})

describe("what was recorded", () => {
  for (const layer of layers) {
    it(
      `is in no log line, no metric and no error (${layer} layer)`,
      () =>
        withDirectory("marker", async (directory) => {
          const marker = "CORRECT-HORSE-BATTERY"
          const forms = [
            marker,
            Buffer.from(marker).toString("hex"),
            Buffer.from(marker).toString("base64").slice(0, -4)
          ]
          const options = { ...victim(directory, layer), maxSegments: 8, marker }
          const first = await startVictim(options).ended
          assert.strictEqual(first.exitCode, 0, first.stderr)
          assert.include(first.lines.join("\n"), "# TYPE", "metrics were printed")
          assert.include(first.stderr, "DEBUG", "everything was logged")
          const hot = readdirSync(directory).filter((name) => name.endsWith(".wal"))
          assert.isNotEmpty(hot)
          const bytes = readFileSync(join(directory, hot.at(-1)!))
          assert.include(bytes.toString("latin1"), marker, "the disk has it")
          // Damage that the next opening finds: its error must not quote what stands there.
          const damaged = Buffer.from(bytes)
          damaged.write(marker, 150)
          damaged.write(marker, damaged.length - 40)
          writeFileSync(join(directory, hot.at(-1)!), damaged)
          const second = await startVictim({ ...options, eventsMax: 400 }).ended
          assert.match(second.lines.at(-1) ?? "", /^error SegmentCorrupt/)
          for (const { lines, stderr } of [first, second]) {
            const said = `${lines.join("\n")}\n${stderr}`
            for (const form of forms) assert.notInclude(said, form)
          }
        })
    )
  }

  it("does not stand in the way of a directory that is a link itself", () =>
    withDirectory("linked", async (root) => {
      mkdirSync(join(root, "there"))
      symlinkSync(join(root, "there"), join(root, "here"))
      const exit = await record(join(root, "here"))
      assert.isTrue(Exit.isSuccess(exit), failureOf(exit))
      assert.include(readdirSync(join(root, "there")), "wal_meta.dat")
    }))
})
