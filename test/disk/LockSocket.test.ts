import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { hostname, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { isMainThread, Worker } from "node:worker_threads"
import { Disk, DiskError } from "../../src/disk/Disk.ts"
import type { DiskReason } from "../../src/disk/DiskReason.ts"
import { diskReason } from "../../src/disk/DiskReason.ts"
import { isLockName, isPrivateName } from "../../src/disk/FileNames.ts"
import type { LockCalls } from "../../src/disk/LockSocket.ts"
import { holdLock } from "../../src/disk/LockSocket.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { linkTo } from "../../src/disk/UnixSocket.ts"
import { SeededRandom } from "../../src/testing/SeededRandom.ts"
import { fillUntil, mountMissing, withMount } from "../faults/mounts.ts"
import { detailOf } from "../fixtures/errors.ts"
import { program } from "../programs.ts"
import { playSample, samples } from "../samples.ts"

const lockPath = Effect.acquireRelease(
  Effect.sync(() => join(fs.mkdtempSync(join(tmpdir(), "effect-wal-lock-")), "LOCK")),
  (path) => Effect.sync(() => fs.rmSync(dirname(path), { recursive: true }))
)

/** Why namespaces and other users cannot be had here; empty when they can. */
const namespacesMissing = ((): string => {
  if (process.platform !== "linux") return "namespaces need Linux"
  if (process.getuid?.() !== 0) return "namespaces need root"
  const probe = spawnSync("unshare", ["-p", "-f", "--mount-proc", "-u", "-i", "-n", "true"])
  return probe.status === 0 ? "" : "unshare does not work here"
})()

const fullDisks = await Promise.all(
  (["tmpfs", "ext4"] as const).map(async (kind) => ({ kind, missing: await mountMissing(kind) }))
)

type Body = (path: string) => Effect.Effect<void, DiskError, Disk | Scope.Scope>

const ruling = (name: string, body: Body, missing = "") =>
  it.effect.skipIf(missing !== "")(
    missing === "" ? name : `${name}: skipped, ${missing}`,
    () =>
      Effect.gen(function*() {
        yield* body(yield* lockPath)
      }).pipe(Effect.provide(NodeDisk.layer))
  )

const lock = (path: string) => Disk.use((disk) => disk.lock(path))
const refusal = (path: string) => Effect.orDie(Effect.flip(Effect.scoped(lock(path))))
const assertFree = (path: string) => Effect.scoped(lock(path))

const assertHeld = Effect.fnUntraced(function*(path: string) {
  const error = yield* refusal(path)
  assert.strictEqual(error.reason._tag, "Held")
  assert.strictEqual(error.operation, "lock")
  assert.strictEqual(error.path, path)
  return error
})

const names = (path: string): ReadonlyArray<string> => fs.readdirSync(dirname(path))

const nextLine = (child: Pick<ChildProcess, "stdout">) =>
  Effect.callback<string>((resume) =>
    void child.stdout!.once("data", (data) => resume(Effect.succeed(`${data}`.trim())))
  )

const ended = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) resume(Effect.void)
    else child.once("exit", () => resume(Effect.void))
  })

/** Kills the program itself: `unshare -f` ends when its child, the program, has ended. */
const kill = (child: ChildProcess) =>
  Effect.suspend(() => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return Effect.void
    const children = child.spawnfile === "unshare"
      ? fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim()
      : ""
    process.kill(children === "" ? child.pid : Number(children), "SIGKILL")
    return ended(child)
  })

const spawned = (command: string, ...words: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    // Some versions of unshare complain about a signal mask, and work.
    Effect.sync(() => spawn(command, words, { stdio: ["pipe", "pipe", command === "unshare" ? "ignore" : "inherit"] })),
    kill
  )

const holderProgram = program("lockHolder")

/** A process that takes the lock, started by the words before it. */
const holder = (path: string, ...before: ReadonlyArray<string>) => {
  const [command, ...words] = [...before, process.execPath, holderProgram, path]
  return spawned(command!, ...words)
}

/** The answer of a process that takes the lock. */
const answer = (path: string, ...before: ReadonlyArray<string>) =>
  Effect.scoped(Effect.flatMap(holder(path, ...before), nextLine))

/** Shell commands, and then the program. */
const after = (commands: string) => ["sh", "-c", `${commands}; exec "$@"`, "sh"]

/** Leaves a socket of this name behind, as a process does that was killed. */
const leaveSocket = (path: string) =>
  Effect.callback<void>((resume) => {
    const made = `${path}.made`
    const server = createServer().listen(made, () => {
      fs.renameSync(made, path)
      server.close(() => resume(Effect.void))
    })
  })

/** The name that this process would give to its socket, with some fields changed. */
const nameOf = Effect.fnUntraced(function*(
  path: string,
  changes: { readonly host?: string; readonly pid?: number; readonly boot?: string; readonly device?: string }
) {
  const mine = yield* Effect.scoped(Effect.map(lock(path), () => names(path)[0]!))
  const [, host, pid, boot, device] = /^LOCK\.(.+)\.(\d+)\.(\w+)\.(\w+)\.\w{12}$/.exec(mine)!
  const name = { host, pid, boot, device, ...changes }
  return join(dirname(path), `LOCK.${name.host}.${name.pid}.${name.boot}.${name.device}.0123456789ab`)
})

const otherBoot = { boot: "00000001" }
const elsewhere = { ...otherBoot, host: "elsewhere" }

describe("LockSocket", () => {
  ruling("names its holder while it is held, and leaves nothing behind", (path) =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock(path)
        assert.strictEqual(names(path).length, 1)
        const name = names(path)[0]!
        assert.isTrue(isLockName("LOCK", name))
        assert.isFalse(isPrivateName("LOCK", name))
        assert.isTrue(name.startsWith(`LOCK.${hostname().slice(0, 32)}.${process.pid}.`))
      }))
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("is held by this process against this process", (path) =>
    Effect.gen(function*() {
      yield* lock(path)
      const error = yield* assertHeld(path)
      assert.include(detailOf(error.reason), "this very process")
      assert.include(error.message, `process ${process.pid} on ${hostname()}, since 20`)
      assert.strictEqual(names(path).length, 1)
    }))

  ruling(
    "is held by one thread against the others, each with its own copy of the modules",
    (path) =>
      Effect.gen(function*() {
        const thread = yield* Effect.acquireRelease(
          Effect.sync(() => new Worker(holderProgram, { argv: [path], stdin: true, stdout: true })),
          (worker) => Effect.promise(() => worker.terminate())
        )
        assert.strictEqual(yield* nextLine(thread as unknown as ChildProcess), "held")
        assert.include(detailOf((yield* assertHeld(path)).reason), `process ${process.pid} on`)
        yield* Effect.promise(() => thread.terminate())
        yield* assertFree(path)
        assert.deepStrictEqual(names(path), [])
      })
  )

  ruling("is held by a living process, and free as soon as that was killed", (path) =>
    Effect.gen(function*() {
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "held")
      assert.include(detailOf((yield* assertHeld(path)).reason), `process ${child.pid} on`)
      yield* kill(child)
      yield* assertFree(path)
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("is held by a process that is stopped", (path) =>
    Effect.gen(function*() {
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "held")
      child.kill("SIGSTOP")
      yield* assertHeld(path)
    }))

  ruling("refuses another process while this one holds it", (path) =>
    Effect.gen(function*() {
      yield* lock(path)
      assert.match(yield* answer(path), /^Held process \d+ on /)
      assert.strictEqual(names(path).length, 1)
    }))

  ruling("is given back by a process that ends in good order", (path) =>
    Effect.gen(function*() {
      const child = yield* holder(path)
      assert.strictEqual(yield* nextLine(child), "held")
      child.stdin!.end()
      yield* ended(child)
      assert.deepStrictEqual(names(path), [])
    }))

  ruling("is not kept by a process that has ended but that nobody has buried", (path) =>
    Effect.gen(function*() {
      // The shell becomes a program that never asks for the status of the child it started.
      const parent = yield* spawned(
        "bash",
        "-c",
        `"$0" "$1" "$2" <&0 2>&1 >/dev/null & echo $!; exec cat`,
        process.execPath,
        holderProgram,
        path
      )
      const pid = Number((yield* nextLine(parent)).split("\n")[0])
      const state = () => fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").slice(0, 1)
      const until = (condition: () => boolean) =>
        Effect.promise(async () => {
          while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
        })
      yield* until(() => names(path).some((name) => !isPrivateName("LOCK", name)))
      process.kill(pid, "SIGKILL")
      // The first thread is a zombie before the others have ended, and the last of them closes the socket.
      yield* until(() => state() === "Z" && fs.readdirSync(`/proc/${pid}/task`).length === 1)
      yield* assertFree(path)
    }))

  ruling(
    "is not lost when another part of its process reads, copies or lists what stands for it",
    (path) =>
      Effect.gen(function*() {
        yield* lock(path)
        const copy = `${dirname(path)}.copy`
        yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(copy, { recursive: true, force: true })))
        for (const name of names(path)) {
          try {
            fs.closeSync(fs.openSync(join(dirname(path), name), "r"))
          } catch { /* a socket cannot be opened */ }
        }
        fs.cpSync(dirname(path), copy, { recursive: true, filter: (from) => !fs.lstatSync(from).isSocket() })
        assert.match(yield* answer(path), /^Held /)
      })
  )

  ruling("works in a directory whose path is longer than the address of a socket", (path) =>
    Effect.gen(function*() {
      const directory = join(dirname(path), "a long name ".repeat(10), "and one more ".repeat(10))
      fs.mkdirSync(directory, { recursive: true })
      const long = join(directory, "LOCK")
      const child = yield* holder(long)
      assert.strictEqual(yield* nextLine(child), "held")
      yield* assertHeld(long)
      yield* kill(child)
      yield* assertFree(long)
      assert.deepStrictEqual(names(long), [])
    }))

  ruling(
    "is of the directory that it was taken in, when the process goes elsewhere meanwhile",
    (path) =>
      Effect.gen(function*() {
        const before = process.cwd()
        yield* Effect.addFinalizer(() => Effect.sync(() => process.chdir(before)))
        process.chdir(dirname(path))
        yield* Effect.scoped(Effect.gen(function*() {
          yield* lock("LOCK")
          process.chdir(before)
          yield* assertHeld(path)
        }))
        assert.deepStrictEqual(names(path), [])
      }),
    isMainThread ? "" : "a thread cannot change the directory"
  )

  for (const torn of ["", "\0".repeat(100), "{\"lock\":\"eff", "{\"lock\":\"effect-wal\",\"pid\":1}\n", "foreign"]) {
    ruling(
      `is not kept by a file of its bare name that holds ${JSON.stringify(torn.slice(0, 20))}`,
      (path) =>
        Effect.gen(function*() {
          fs.writeFileSync(path, torn)
          yield* assertFree(path)
          assert.deepStrictEqual(names(path), ["LOCK"])
          assert.strictEqual(fs.readFileSync(path, "utf8"), torn)
        })
    )
  }

  ruling(
    "follows no link, and takes nothing for a holder but a socket of its own naming",
    (path) =>
      Effect.gen(function*() {
        const other = join(dirname(path), "other")
        yield* lock(other)
        const living = join(dirname(path), names(path)[0]!)
        const name = yield* nameOf(path, elsewhere)
        const strange = ["LOCK", "LOCK.\u001b[31m.1.1.1.0123456789ab", "LOCK.a.1.1.1.short", "LOCK.socket"]
        for (const bare of strange) fs.linkSync(living, join(dirname(path), bare))
        const before = names(path)
        yield* assertFree(path)
        fs.symlinkSync(living, name)
        yield* assertFree(path)
        assert.isTrue(fs.lstatSync(name).isSymbolicLink())
        fs.unlinkSync(name)
        fs.mkdirSync(name)
        yield* assertFree(path)
        fs.rmdirSync(name)
        assert.deepStrictEqual(names(path), before)
      })
  )

  ruling(
    "is free when its directory was moved meanwhile, and what is left there bars nobody",
    (path) =>
      Effect.gen(function*() {
        const [here, there] = [join(dirname(path), "here"), join(dirname(path), "there")]
        fs.mkdirSync(here)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* lock(join(here, "LOCK"))
          fs.renameSync(here, there)
          yield* assertHeld(join(there, "LOCK"))
        }))
        yield* assertFree(join(there, "LOCK"))
        assert.deepStrictEqual(fs.readdirSync(there), [])
      })
  )

  describe("a socket that nobody answers at, on a file system of this machine", () => {
    ruling("is dead when this kernel made it, under whatever host name and number", (path) =>
      Effect.gen(function*() {
        yield* leaveSocket(yield* nameOf(path, { host: "elsewhere", pid: 1, device: "1" }))
        yield* assertFree(path)
        assert.deepStrictEqual(names(path), [])
      }))

    ruling("is dead when it was made before this kernel started", (path) =>
      Effect.gen(function*() {
        const name = yield* nameOf(path, elsewhere)
        yield* leaveSocket(name)
        fs.lutimesSync(name, 1e9, 1e9)
        yield* assertFree(path)
        assert.deepStrictEqual(names(path), [])
      }))

    ruling(
      "is dead when this host made it, whose clock may have been wrong before a restart",
      (path) =>
        Effect.gen(function*() {
          yield* leaveSocket(yield* nameOf(path, otherBoot))
          yield* assertFree(path)
          assert.deepStrictEqual(names(path), [])
        })
    )

    ruling(
      "is held when another kernel has made it since this one started, and the error says what to do",
      (path) =>
        Effect.gen(function*() {
          const name = yield* nameOf(path, { ...elsewhere, pid: 17 })
          yield* leaveSocket(name)
          const error = yield* assertHeld(path)
          assert.match(
            detailOf(error.reason),
            /^process 17 on elsewhere, since 20.*cannot be told from here \(ECONNREFUSED\)/
          )
          assert.isTrue(detailOf(error.reason).endsWith(`remove ${name}`))
          assert.isTrue(fs.existsSync(name))
          fs.unlinkSync(name)
          yield* assertFree(path)
        })
    )
  })

  // A file system that is not known to be of this machine alone.
  const network = (name: string, body: Body) =>
    ruling(name, (path) =>
      Effect.gen(function*() {
        const mount = join(dirname(path), "mount")
        fs.mkdirSync(mount)
        yield* Effect.acquireRelease(
          Effect.sync(() => assert.strictEqual(spawnSync("mount", ["-t", "hugetlbfs", "none", mount]).status, 0)),
          () => Effect.sync(() => spawnSync("umount", [mount]))
        )
        yield* body(join(mount, "LOCK"))
      }), namespacesMissing)

  describe("a socket that nobody answers at, on a file system that others may share", () => {
    network("is dead when this kernel made it on this very mount", (path) =>
      Effect.gen(function*() {
        const child = yield* holder(path, "unshare", "-u", ...after("echo elsewhere > /proc/sys/kernel/hostname"))
        assert.strictEqual(yield* nextLine(child), "held")
        yield* assertHeld(path)
        yield* kill(child)
        yield* assertFree(path)
        assert.deepStrictEqual(names(path), [])
      }))

    network(
      "is held otherwise: another kernel, another mount, the host of the same name",
      (path) =>
        Effect.gen(function*() {
          for (const changes of [elsewhere, otherBoot, { device: "1" }]) {
            const name = yield* nameOf(path, changes)
            yield* leaveSocket(name)
            fs.lutimesSync(name, 1e9, 1e9)
            assert.isTrue(detailOf((yield* assertHeld(path)).reason).endsWith(`remove ${name}`))
            fs.unlinkSync(name)
          }
        })
    )
  })

  const surroundings: ReadonlyArray<readonly [name: string, before: ReadonlyArray<string>]> = [
    ["a process namespace of its own, under the same host name", ["unshare", "-p", "-f", "--mount-proc"]],
    ["a container under another host name", [
      "unshare",
      "-p",
      "-f",
      "--mount-proc",
      "-u",
      "-i",
      "-n",
      ...after("echo elsewhere > /proc/sys/kernel/hostname")
    ]],
    ["a user namespace", ["unshare", "-U", "-r", "-p", "-f", "--mount-proc"]],
    ["a place without /proc", ["unshare", "-m", ...after("mount -t tmpfs none /proc")]],
    ["a place whose /proc hides other processes", [
      "unshare",
      "-m",
      ...after("mount -t proc -o hidepid=2 proc /proc"),
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups"
    ]]
  ]

  for (const [name, before] of surroundings) {
    ruling(
      `is one lock for a process here and one in ${name}, and free when either is killed`,
      (path) =>
        Effect.gen(function*() {
          if (name.includes("hides")) {
            fs.chownSync(dirname(path), 65534, 65534)
            fs.chmodSync(dirname(path), 0o2770)
          }
          const there = yield* holder(path, ...before)
          assert.strictEqual(yield* nextLine(there), "held")
          yield* assertHeld(path)
          assert.match(yield* answer(path), /^Held process \d+ on /)
          assert.match(yield* answer(path, ...before), /^Held process \d+ on /)
          yield* kill(there)
          const here = yield* holder(path)
          assert.strictEqual(yield* nextLine(here), "held")
          assert.match(yield* answer(path, ...before), /^Held process \d+ on /)
          yield* kill(here)
          assert.strictEqual(yield* answer(path, ...before), "held")
          yield* assertFree(path)
          assert.deepStrictEqual(names(path), [])
        }),
      namespacesMissing
    )
  }

  ruling("is one lock for the names under which different mounts know a directory", (path) =>
    Effect.gen(function*() {
      const mounted = ["unshare", "-m", ...after(`mount --bind ${dirname(path)} /mnt`)]
      yield* Effect.scoped(Effect.gen(function*() {
        yield* lock(path)
        assert.match(yield* answer("/mnt/LOCK", ...mounted), /^Held /)
      }))
      assert.strictEqual(yield* answer("/mnt/LOCK", ...mounted), "held")
    }), namespacesMissing)

  ruling(
    "works without /proc where the path is too long, and leaves nothing in the temporary directory",
    (path) =>
      Effect.gen(function*() {
        const directory = join(dirname(path), "a long name ".repeat(10))
        const temporary = join(dirname(path), "temporary")
        for (const made of [directory, temporary]) fs.mkdirSync(made)
        const long = join(directory, "LOCK")
        const without = ["unshare", "-m", ...after(`mount -t tmpfs none /proc; export TMPDIR=${temporary}`)]
        const child = yield* holder(long, ...without)
        assert.strictEqual(yield* nextLine(child), "held")
        assert.match(yield* answer(long, ...without), /^Held /)
        yield* assertHeld(long)
        assert.deepStrictEqual(fs.readdirSync(temporary), [])
      }),
    namespacesMissing
  )

  ruling("does not keep out the owner of the directory after root had it", (path) =>
    Effect.gen(function*() {
      const owner = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
      fs.chownSync(dirname(path), 65534, 65534)
      const root = yield* holder(path, ...after("umask 077"))
      assert.strictEqual(yield* nextLine(root), "held")
      assert.match(yield* answer(path, ...owner), new RegExp(`^Held process ${root.pid} on`))
      yield* kill(root)
      assert.strictEqual(yield* answer(path, ...owner), "held")
      yield* assertFree(path)
      assert.deepStrictEqual(names(path), [])
    }), namespacesMissing)

  ruling("says nothing to a terminal that a host's name could make it do", (path) =>
    Effect.gen(function*() {
      const rename = `printf '\\033[31m\\nred/../..' > /proc/sys/kernel/hostname`
      const child = yield* holder(path, "unshare", "-u", ...after(rename))
      assert.strictEqual(yield* nextLine(child), "held")
      const { message } = yield* assertHeld(path)
      assert.match(message, /^[ -~]+$/)
    }), namespacesMissing)

  for (const { kind, missing } of fullDisks) {
    const name = `can be taken on a full ${kind}, after a holder that was killed too`
    it.skipIf(missing !== "")(
      missing === "" ? name : `${name}: skipped, ${missing}`,
      () =>
        withMount(kind, (mount) =>
          Effect.runPromise(
            Effect.gen(function*() {
              const path = join(mount.path, "LOCK")
              fillUntil(mount.path, 0)
              assert.throws(() => fs.writeFileSync(join(mount.path, "one more"), "x".repeat(5000)), /ENOSPC/)
              const child = yield* holder(path)
              assert.strictEqual(yield* nextLine(child), "held")
              yield* assertHeld(path)
              yield* kill(child)
              yield* assertFree(path)
              yield* assertFree(path)
            }).pipe(Effect.scoped, Effect.provide(NodeDisk.layer))
          ))
    )
  }

  ruling("has exactly one winner when processes begin together after one that died", (path) =>
    Effect.gen(function*() {
      for (let round = 0; round < 2; round++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const dead = yield* holder(path)
          assert.strictEqual(yield* nextLine(dead), "held")
          yield* kill(dead)
          const begin = String(Date.now() + 1000)
          const answers = yield* Effect.all(
            Array.from({ length: 5 }, (_, number) => {
              const [, before] = surroundings[namespacesMissing === "" ? number % 3 : 5] ?? ["", []]
              const words = [...before, process.execPath, holderProgram, path, begin]
              return Effect.flatMap(spawned(words[0]!, ...words.slice(1)), nextLine)
            }),
            { concurrency: "unbounded" }
          )
          const [winners, losers] = [true, false].map((won) => answers.filter((line) => (line === "held") === won))
          assert.strictEqual(winners?.length, 1, answers.join("\n"))
          for (const line of losers ?? []) assert.match(line, /^Held process/)
        }))
      }
      yield* assertFree(path)
      assert.deepStrictEqual(names(path), [])
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// every order of steps
// ---------------------------------------------------------------------------------------------------------------------

interface ModelSocket {
  isAlive: boolean
}

/** A directory and processes in memory. During every call others continue, and a process may die at any. */
class Model {
  readonly sockets = new Map<string, ModelSocket>()
  holders = 0
  holdersMax = 0
  taken = 0
  deaths = 0
  readonly random: SeededRandom

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
  }

  readonly wait = (stepsMax: number) =>
    Effect.gen({ self: this }, function*() {
      for (let steps = this.random.below(stepsMax); steps > 0; steps--) yield* Effect.yieldNow
    })
}

class ModelProcess {
  isDead = false
  isHolding = false
  readonly own = new Set<ModelSocket>()
  readonly model: Model
  readonly pace: number
  readonly deathRate: number

  constructor(model: Model, pace: number, deathRate: number) {
    this.model = model
    this.pace = pace
    this.deathRate = deathRate
  }

  die(): void {
    this.isDead = true
    this.model.deaths++
    for (const socket of this.own) socket.isAlive = false
    if (this.isHolding) this.model.holders--
    this.isHolding = false
  }

  /** The dead do nothing more. */
  readonly step = Effect.gen({ self: this }, function*() {
    yield* this.model.wait(this.pace)
    if (!this.isDead && this.model.random.chance(this.deathRate)) this.die()
    if (this.isDead) return yield* Effect.never
  })

  call<A>(body: () => A | DiskError): Effect.Effect<A, DiskError> {
    return Effect.flatMap(this.step, () => {
      const result = body()
      return result instanceof DiskError ? Effect.fail(result) : Effect.succeed(result)
    })
  }

  calls(): LockCalls {
    const { sockets } = this.model
    const failed = (tag: DiskReason["_tag"]) =>
      new DiskError({ operation: "model", path: "", reason: diskReason(tag, "") })
    const found = () => [...sockets.keys()].map((path) => path.slice(1))
    return {
      // What comes or goes while a directory is listed may show or not.
      names: () =>
        Effect.gen({ self: this }, function*() {
          const before = yield* this.call(found)
          const later = yield* this.call(found)
          return [...new Set([...before, ...later])].filter((name) =>
            (before.includes(name) && later.includes(name)) || this.model.random.chance(0.5)
          )
        }),
      madeMillis: (path) => this.call(() => sockets.has(path) ? 1 : undefined),
      directoryStat: () => this.call(() => ({ device: 1, kind: 0xEF53, uid: process.geteuid?.() ?? 0, gid: 0 })),
      giveTo: () => Effect.void,
      rename: (from, to) =>
        this.call(() => {
          const socket = sockets.get(from)
          if (socket === undefined) return failed("NotFound")
          sockets.delete(from)
          sockets.set(to, socket)
          return undefined
        }),
      unlink: (path) => this.call(() => sockets.delete(path) ? undefined : failed("NotFound")),
      listen: (path) =>
        this.call(() => {
          const socket = { isAlive: true }
          this.own.add(socket)
          sockets.set(path, socket)
          return Effect.sync(() => void (socket.isAlive = false))
        }),
      knock: (path) =>
        this.call(() => {
          const socket = sockets.get(path)
          if (socket?.isAlive === true) return ""
          // It was closed while the knock waited.
          if (this.model.random.chance(0.3)) return "ECONNRESET"
          return socket === undefined ? "ENOENT" : "ECONNREFUSED"
        }),
      bootId: Effect.succeed("0123abcd"),
      isProcess: () => this.call(() => false).pipe(Effect.orDie),
      platform: "linux",
      pause: Effect.orDie(this.call(() => undefined))
    }
  }

  /** Takes the lock some times, holds it for a while, and sweeps away private names as its holder may. */
  readonly live = (times: number) =>
    Effect.gen({ self: this }, function*() {
      const { model } = this
      const calls = this.calls()
      for (let time = 0; time < times; time++) {
        const scope = yield* Scope.make()
        const exit = yield* Effect.exit(Scope.provide(holdLock("/LOCK", calls), scope))
        if (this.isDead) return yield* Effect.never
        if (Exit.isSuccess(exit)) {
          this.isHolding = true
          model.taken++
          model.holders++
          model.holdersMax = Math.max(model.holdersMax, model.holders)
          for (const path of model.sockets.keys()) if (path.endsWith(".tmp")) yield* Effect.ignore(calls.unlink(path))
          yield* model.wait(40)
          if (this.isDead) return yield* Effect.never
          this.isHolding = false
          model.holders--
        }
        yield* Scope.close(scope, exit)
      }
    })
}

describe("LockSocket, in any order of the steps of several processes", () => {
  const play = (seed: number, count: number, times: number, deathRate: number) =>
    Effect.gen(function*() {
      const model = new Model(seed)
      const processes = Array.from(
        { length: count },
        () => new ModelProcess(model, 1 + model.random.below(12), deathRate)
      )
      const fibers = processes.map((process) => Effect.runFork(process.live(times)))
      while (fibers.some((fiber, at) => fiber.pollUnsafe() === undefined && !processes[at]!.isDead)) {
        yield* Effect.yieldNow
      }
      return model
    })

  it("never has two holders, although processes die at any point and the holder sweeps", async ({ annotate }) => {
    let [taken, deaths] = [0, 0]
    const contests = await playSample("locks", annotate, (seed) =>
      Effect.runPromise(Effect.gen(function*() {
        const model = yield* play(seed, 2 + (seed % 4), 3, seed % 2 === 0 ? 0 : 0.02)
        assert.isAtMost(model.holdersMax, 1)
        taken += model.taken
        deaths += model.deaths
        const last = new ModelProcess(model, 1, 0)
        yield* last.live(1)
        assert.strictEqual(model.sockets.size, 0, "it leaves nothing behind")
      })))
    if (contests < samples.locks.atLeast) return
    assert.isAbove(taken, contests)
    assert.isAbove(deaths, contests / 4)
  })

  it.effect("is refused at last where one with a greater name had seen nobody, and stays", () =>
    Effect.gen(function*() {
      const model = new Model(1)
      const calls = new ModelProcess(model, 1, 0).calls()
      const greater = `/LOCK.${"z".repeat(32)}.1.0123abcd.1.0123456789ab`
      const listen: LockCalls["listen"] = (path) => {
        model.sockets.set(greater, { isAlive: true })
        return calls.listen(path)
      }
      const error = yield* Effect.flip(Effect.scoped(holdLock("/LOCK", { ...calls, listen })))
      assert.strictEqual(error.reason._tag, "Held")
      assert.deepStrictEqual([...model.sockets.keys()], [greater])
    }))

  it.effect("gives way to one with a smaller name, and to one that nobody can judge, at once", () =>
    Effect.gen(function*() {
      const smaller = "/LOCK.-.1.0123abcd.1.0123456789ab"
      const unknown = `/LOCK.${"z".repeat(32)}.1.00000000.1.0123456789ab`
      for (const [rival, isAlive] of [[smaller, true], [unknown, false]] as const) {
        const model = new Model(1)
        const calls = new ModelProcess(model, 1, 0).calls()
        let pauses = 0
        const error = yield* Effect.flip(Effect.scoped(holdLock("/LOCK", {
          ...calls,
          directoryStat: () => Effect.succeed({ device: 1, kind: 0x6969, uid: process.geteuid?.() ?? 0, gid: 0 }),
          pause: Effect.sync(() => void pauses++),
          listen: (path) => {
            model.sockets.set(rival, { isAlive })
            return calls.listen(path)
          }
        })))
        assert.strictEqual(error.reason._tag, "Held")
        assert.strictEqual(pauses, 0)
        assert.deepStrictEqual([...model.sockets.keys()], [rival])
      }
    }))

  it.effect("always has a winner when several begin together", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 400; seed++) {
        const model = yield* play(seed, 2 + (seed % 4), 1, 0)
        assert.isAtLeast(model.taken, 1, `seed ${seed}`)
      }
    }))

  it.effect("is not taken from a living holder where a kernel refuses for want of room, as that of macOS does", () =>
    Effect.gen(function*() {
      const stat = { device: 1, kind: 26, uid: process.geteuid?.() ?? 0, gid: 0 }
      const holder = `/LOCK.${hostname().slice(0, 32)}.7.0123abcd.1.0123456789ab`
      for (const platform of ["darwin", "freebsd", "linux"]) {
        for (const runs of [true, false]) {
          const model = new Model(1)
          model.sockets.set(holder, { isAlive: false })
          const taking = holdLock("/LOCK", {
            ...new ModelProcess(model, 1, 0).calls(),
            directoryStat: () => Effect.succeed(stat),
            isProcess: (pid) => Effect.succeed(pid === 7 && runs),
            platform
          })
          const exit = yield* Effect.exit(Effect.scoped(taking))
          const isHeld = runs && platform !== "linux"
          assert.strictEqual(Exit.isFailure(exit), isHeld, `${platform} ${runs}`)
          assert.deepStrictEqual([...model.sockets.keys()], isHeld ? [holder] : [], `${platform} ${runs}`)
        }
      }
    }))
})

describe("the path of a socket, on a system without /proc", () => {
  it("fits into an address and leads to the directory, however long the temporary directory's own path is", () => {
    const root = fs.mkdtempSync(join(tmpdir(), "effect-wal-"))
    const long = join(root, "T".repeat(60))
    fs.mkdirSync(long)
    const path = join(long, `wal.lock.${"h".repeat(32)}.99999.0.1000004.0123456789ab`)
    fs.writeFileSync(path, "here")
    try {
      for (const folder of [root, long]) {
        const shortcut = linkTo(path, folder)
        assert.isAtMost(Buffer.byteLength(shortcut.path), 103)
        assert.strictEqual(fs.readFileSync(shortcut.path, "utf8"), "here")
        shortcut.remove()
        assert.isFalse(fs.existsSync(dirname(shortcut.path)))
      }
      assert.deepStrictEqual(fs.readdirSync(root), ["T".repeat(60)])
    } finally {
      fs.rmSync(root, { recursive: true })
    }
  })
})
