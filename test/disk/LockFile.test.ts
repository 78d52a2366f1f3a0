import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { hostname, tmpdir } from "node:os"
import { basename, dirname, join } from "node:path"
import type { DiskReason } from "../../src/disk/Disk.ts"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import { holdLock } from "../../src/disk/LockFile.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { playSample } from "../samples.ts"

const lockPath = Effect.acquireRelease(
  Effect.sync(() => join(fs.mkdtempSync(join(tmpdir(), "effect-wal-lock-")), "LOCK")),
  (path) => Effect.sync(() => fs.rmSync(dirname(path), { recursive: true }))
)

const ruling = (name: string, body: (path: string) => Effect.Effect<void, DiskError, Disk | Scope.Scope>) =>
  it.effect(name, () =>
    Effect.gen(function*() {
      yield* body(yield* lockPath)
    }).pipe(Effect.provide(NodeDisk.layer)))

const lock = (path: string) => Disk.use((disk) => disk.lock(path))
const refusal = (path: string) => Effect.orDie(Effect.flip(Effect.scoped(lock(path))))

/** Takes the lock, looks, and gives it back. */
const assertFree = Effect.fnUntraced(function*(path: string) {
  yield* lock(path)
  assert.strictEqual(lineIn(path)["pid"], process.pid)
}, Effect.scoped)

const lineIn = (path: string): Record<string, unknown> => JSON.parse(fs.readFileSync(path, "utf8"))

/** What this process would write, with some fields changed. */
const writeLine = Effect.fnUntraced(function*(path: string, changes: Record<string, unknown>) {
  const line = yield* Effect.scoped(Effect.map(lock(path), () => lineIn(path)))
  fs.writeFileSync(path, `${JSON.stringify({ ...line, token: "0123456789ab", ...changes })}\n`)
})

const started = (pid: number): string =>
  fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[19]!

const nextLine = (child: ChildProcess) =>
  Effect.callback<string>((resume) =>
    void child.stdout!.once("data", (data) => resume(Effect.succeed(`${data}`.trim())))
  )

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("exit", () => resume(Effect.void))
  })

const kill = (child: ChildProcess) =>
  Effect.suspend(() => {
    child.kill("SIGKILL")
    return ended(child)
  })

const spawned = (command: string, ...words: Array<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] })),
    kill
  )

const holder = (path: string) => spawned(process.execPath, join(import.meta.dirname, "lockHolder.ts"), path)

const refused = (path: string, reason: DiskReason) => new DiskError({ operation: "lock", path, reason, detail: "" })

const link = (from: string, to: string) =>
  Effect.try({ try: () => fs.linkSync(from, to), catch: () => refused(to, "Exists") })

const names = (path: string): ReadonlyArray<string> => fs.readdirSync(dirname(path))

describe("LockFile", () => {
  ruling("names its holder while it is held, and leaves nothing behind", (path) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock(path)
        assert.deepStrictEqual(names(path), ["LOCK"])
        const line = lineIn(path)
        assert.strictEqual(line["pid"], process.pid)
        assert.strictEqual(line["started"], started(process.pid))
        assert.strictEqual(line["host"], hostname())
        assert.strictEqual(line["boot"], fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim())
        assert.strictEqual(fs.statSync(path).mode & 0o777 & ~0o640, 0)
      }))
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("is held by this process against this process", (path) =>
    Effect.gen(function*() {
      yield* lock(path)
      const error = yield* refusal(path)
      assert.strictEqual(error.reason, "Held")
      assert.include(error.detail, "this very process")
      assert.include(error.message, `process ${process.pid} on ${hostname()}`)
      assert.deepStrictEqual(names(path), ["LOCK"])
    }))

  ruling("is held by a living process, and free as soon as that was killed", (path) =>
    Effect.gen(function*() {
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "held")
      const error = yield* refusal(path)
      assert.strictEqual(error.reason, "Held")
      assert.include(error.detail, `process ${child.pid} on`)
      yield* kill(child)
      assert.strictEqual(lineIn(path)["pid"], child.pid)
      yield* assertFree(path)
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("refuses another process while this one holds it", (path) =>
    Effect.gen(function*() {
      yield* lock(path)
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "Held")
      yield* ended(child)
      assert.strictEqual(lineIn(path)["pid"], process.pid)
    }))

  ruling("is given back by a process that ends in good order", (path) =>
    Effect.gen(function*() {
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "held")
      child.stdin!.end()
      yield* ended(child)
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("is not kept by a process number that was given to another process", (path) =>
    Effect.gen(function*() {
      yield* writeLine(path, { started: "1" })
      yield* assertFree(path)
      yield* writeLine(path, { pid: 1, started: "1" })
      yield* assertFree(path)
      yield* writeLine(path, { pid: 1, started: started(1) })
      assert.strictEqual((yield* refusal(path)).reason, "Held")
    }))

  ruling("is not kept by a process that has ended but that nobody has buried", (path) =>
    Effect.gen(function*() {
      // The shell becomes a program that never asks for the status of the child it started.
      const parent = yield* spawned("bash", "-c", "bash -c 'read -t 0.2 < /dev/zero; true' & echo $!; exec cat")
      const pid = Number(yield* nextLine(parent))
      const state = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").slice(0, 1)
      while (state() !== "Z") yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      yield* writeLine(path, { pid, started: started(pid) })
      yield* assertFree(path)
    }))

  ruling(
    "is not kept by an earlier boot of this machine, nor by an earlier run of this container",
    (path) =>
      Effect.gen(function*() {
        yield* writeLine(path, { boot: "00000000-0000-0000-0000-000000000000" })
        yield* assertFree(path)
        yield* writeLine(path, { namespace: "pid:[1]" })
        yield* assertFree(path)
      })
  )

  ruling("is kept by whoever cannot be judged from here, and says what to do", (path) =>
    Effect.gen(function*() {
      for (const elsewhere of [{ boot: "00000000-0000-0000-0000-000000000000" }, { namespace: "pid:[1]" }]) {
        yield* writeLine(path, { ...elsewhere, host: "elsewhere" })
        const error = yield* refusal(path)
        assert.strictEqual(error.reason, "Held")
        assert.include(error.message, "on elsewhere")
        assert.include(error.message, "remove the file")
        fs.unlinkSync(path)
      }
    }))

  ruling("is judged by the process alone where the machine was only renamed", (path) =>
    Effect.gen(function*() {
      yield* writeLine(path, { host: "renamed", started: "1" })
      yield* assertFree(path)
      yield* writeLine(path, { host: "renamed" })
      assert.strictEqual((yield* refusal(path)).reason, "Held")
    }))

  ruling("is judged by the process number where the system tells no more", (path) =>
    Effect.gen(function*() {
      const disk = yield* Disk
      const withoutProc = holdLock(path, {
        open: (name, mode) => name.startsWith("/proc") ? Effect.fail(refused(name, "NotFound")) : disk.open(name, mode),
        rename: disk.rename,
        unlink: disk.unlink,
        link,
        readLink: (name) => Effect.fail(refused(name, "NotFound"))
      })
      const blank = { boot: "", namespace: "", started: "" }
      yield* writeLine(path, { ...blank, pid: 1 })
      assert.strictEqual((yield* Effect.orDie(Effect.flip(Effect.scoped(withoutProc)))).reason, "Held")
      fs.unlinkSync(path)
      const child = yield* spawned("true")
      yield* ended(child)
      yield* writeLine(path, { ...blank, pid: child.pid })
      yield* withoutProc
      assert.deepInclude(lineIn(path), { ...blank, pid: process.pid })
    }))

  ruling("is free when a power failure left nothing of its line, or the first part", (path) =>
    Effect.gen(function*() {
      yield* Effect.scoped(lock(path))
      const whole = yield* Effect.scoped(Effect.map(lock(path), () => fs.readFileSync(path)))
      for (const torn of [Buffer.alloc(0), Buffer.alloc(100), whole.subarray(0, 5), whole.subarray(0, 60)]) {
        fs.writeFileSync(path, torn)
        yield* assertFree(path)
      }
      const zeroTail = Buffer.alloc(200)
      whole.copy(zeroTail, 0, 0, 40)
      fs.writeFileSync(path, zeroTail)
      yield* assertFree(path)
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("never touches what is not its own", (path) =>
    Effect.gen(function*() {
      for (const foreign of ["12345\n", "{\"pid\":1}\n", "{\"lock\":\"effect-wal\",\"pid\":-1}\n"]) {
        fs.writeFileSync(path, foreign)
        assert.strictEqual((yield* refusal(path)).reason, "Unsafe")
        assert.strictEqual(fs.readFileSync(path, "utf8"), foreign)
        assert.deepStrictEqual(names(path), ["LOCK"])
      }
      fs.unlinkSync(path)
      fs.symlinkSync(join(dirname(path), "elsewhere"), path)
      assert.strictEqual((yield* refusal(path)).reason, "Unsafe")
      assert.deepStrictEqual(names(path), ["LOCK"])
    }))

  ruling("is not given back by one who lost it", (path) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock(path)
        fs.writeFileSync(path, "another\n")
      }))
      assert.strictEqual(fs.readFileSync(path, "utf8"), "another\n")
    }))

  ruling(
    "is taken over from a taker that crashed half-way, and from the taker of that",
    (path) =>
      Effect.gen(function*() {
        const dead = { started: "1" }
        yield* writeLine(path, { ...dead, token: "a1" })
        const second = `${path}.after-a1.tmp`
        yield* writeLine(second, { ...dead, token: "b2" })
        yield* writeLine(`${second}.after-b2.tmp`, { ...dead, token: "c3" })
        yield* assertFree(path)
        assert.deepStrictEqual(names(path), [])
      })
  )

  const contest = Effect.fnUntraced(function*(seed: number) {
    const path = yield* lockPath
    const disk = yield* Disk
    const random = new SeededRandom(seed)
    yield* writeLine(path, { started: "1", token: "a1" })
    if (random.chance(0.3)) yield* writeLine(`${path}.after-a1.tmp`, { started: "1", token: "b2" })
    // Every call lets the other contenders run for a while first, each at its own pace.
    const contender = (pace: number) => {
      const late = <A>(call: Effect.Effect<A, DiskError>) =>
        Effect.gen(function*() {
          for (let wait = random.below(pace); wait > 0; wait--) yield* Effect.yieldNow
          return yield* call
        })
      return Effect.gen(function*() {
        const scope = yield* Scope.make()
        const exit = yield* Effect.exit(
          holdLock(path, {
            open: (name, mode) => late(disk.open(name, mode)),
            rename: (from, to) => late(disk.rename(from, to)),
            unlink: (name) => late(disk.unlink(name)),
            readLink: (name) => Effect.sync(() => fs.readlinkSync(name)),
            link: (from, to) => late(link(from, to))
          }).pipe(Scope.provide(scope))
        )
        return { exit, scope }
      })
    }
    const results = yield* Effect.all(
      Array.from({ length: 5 }, () => contender(1 + random.below(30))),
      { concurrency: "unbounded" }
    )
    const winners = results.filter(({ exit }) => Exit.isSuccess(exit))
    assert.strictEqual(winners.length, 1)
    assert.deepStrictEqual(names(path), [basename(path)])
    for (const { exit, scope } of results) yield* Scope.close(scope, exit)
    assert.deepStrictEqual(names(path), [])
  }, Effect.scoped)

  it("has exactly one winner when several take the place of a dead holder, whatever the timing", ({ annotate }) =>
    playSample(
      "locks",
      annotate,
      (seed) => contest(seed).pipe(Effect.provide(NodeDisk.layerBlocking), Effect.runPromise)
    ))
})
