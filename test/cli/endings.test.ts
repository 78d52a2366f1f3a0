/** How commands end: every exit code of docs/CLI.md, by signals, by a reader that goes away, and by what they find. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { join } from "node:path"
import {
  bin,
  commandNames,
  effectWal,
  hasScript,
  here,
  place,
  slowly,
  start,
  statsOf,
  until,
  untilAppended
} from "./commandLine.ts"
import type { Ended, StartOptions } from "./commandLine.ts"
import { rowsOf } from "./document.ts"
import { makeDamagedLog, makeLog } from "./logs.ts"

const seen = new Set<number>()

const noteCode = (ended: Ended): Ended => {
  seen.add(ended.code)
  return ended
}

const mayUnshare = spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"]).status === 0

const childOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0])

const names = [...commandNames].sort()

describe("a reader that goes away", () => {
  /** What holds, and what finds something: the code stays. */
  const cases = (
    at: (name: string) => string
  ): ReadonlyArray<readonly [code: number, ...args: ReadonlyArray<string>]> => [
    [0, "replay", "--dir", at("log")],
    [0, "export", "--dir", at("log")],
    [0, "inspect", "--dir", at("log")],
    [0, "consumers", "list", "--dir", at("log")],
    [0, "dump", "--dir", at("log"), "--segment", "0"],
    [0, "stats", "--dir", at("log")],
    [0, "top", "--dir", at("log")],
    [2, "check", "--dir", at("log")],
    [0, "consumers", "list", "--dir", at("log")],
    [0, "grep", "--dir", at("log"), "."],
    [0, "backup", "--dir", at("log"), "--to", at("copy")],
    [0, "verify", "--dir", at("log")],
    [1, "verify", "--dir", at("damaged")],
    [1, "repair", "--dir", at("damaged")],
    [1, "backup", "--dir", at("damaged"), "--to", at("damaged-copy")],
    [0, "record", "--dir", at("new"), "--acks", "--json"],
    [0, "free", "--dir", at("log"), "--before", "2"],
    [0, "schema", "verify"],
    [0, "maintain", "--dir", at("log"), "--max-segments", "2"],
    [0, "archive", "push", "--archive", `file://${at("store")}/log`, "--dir", at("pushed")]
  ]

  it.live("ends every command quietly; what is wrong still ends with 1", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      yield* makeDamagedLog(at("damaged"))
      yield* makeLog(at("pushed"))
      mkdirSync(at("store"))
      const endsQuietly = ([code, ...args]: readonly [code: number, ...args: ReadonlyArray<string>]) =>
        Effect.scoped(Effect.gen(function*() {
          const running = yield* start(args)
          // Long before it has anything to say.
          running.child.stdout.destroy()
          const ended = noteCode(yield* running.end("a\n"))
          assert.deepStrictEqual([ended.code, ended.stderr], [code, ""], args.join(" "))
        }))
      yield* Effect.forEach(cases(at), endsQuietly, { concurrency: 2 })
      // It fences whoever fills the archive.
      yield* endsQuietly([0, "take-over", "--archive", `file://${at("store")}/log`, "--dir", at("taken")])
      assert.strictEqual((yield* here("replay", "--dir", at("new"))).stdout, "a\n", "and a recorder goes on recording")
      const tried = new Set(cases(at).map(([, name]) => name))
      // The report of one is measured for seconds, see below; those of other processes need one, see `remote.test.ts`; the
      // other writes nothing to standard output.
      assert.deepStrictEqual(names.filter((name) => !tried.has(name)), [
        "append",
        "doctor",
        "serve",
        "tail",
        "take-over"
      ])
    }))
})

describe("a doctor whose report nobody reads", () => {
  const memory = "/dev/shm"
  it.live.skipIf(!existsSync(memory))(
    `ends with 1 when there is a warning (needs ${memory})`,
    () =>
      Effect.gen(function*() {
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(memory, "effect-wal-"))),
          (path) => Effect.sync(() => rmSync(path, { recursive: true }))
        )
        const running = yield* start(["doctor", "--dir", directory])
        running.child.stdout.destroy()
        assert.deepStrictEqual(noteCode(yield* running.end()).code, 1, running.said())
      })
  )
})

describe("a signal", () => {
  it.live("ends a command that has nothing to finish in the middle of its work, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      const commands: ReadonlyArray<ReadonlyArray<string>> = [
        ["replay"],
        ["export"],
        ["grep", "a"],
        ["check"],
        ["verify"],
        ["inspect"],
        ["dump", "--segment", "3"],
        ["repair"],
        ["stats"],
        ["free", "--before", "2"],
        ["backup", "--to", at("copy")]
      ]
      yield* Effect.forEach(commands, ([name = "", ...args], index) =>
        Effect.scoped(Effect.gen(function*() {
          // Only `backup` does something before it ends.
          const env = slowly(name === "backup" ? 300 : 30_000)
          const running = yield* start([name, "--dir", at("log"), ...args], { env })
          yield* running.says(/opening a segment/)
          running.child.kill(index % 2 === 0 ? "SIGINT" : "SIGTERM")
          const { code, stderr, stdout } = noteCode(yield* running.ended)
          assert.strictEqual(code, index % 2 === 0 ? 130 : 143, name)
          assert.deepStrictEqual([stderr.replaceAll("opening a segment\n", ""), stdout], ["", ""], name)
        })), { concurrency: 2 })
      assert.deepStrictEqual(readdirSync(at(".")), ["log"])
      // Those have something to finish, or are several; their own tests end them.
      const others = [
        "append",
        "archive",
        "consumers",
        "doctor",
        "maintain",
        "record",
        "schema",
        "serve",
        "tail",
        "take-over",
        "top"
      ]
      assert.deepStrictEqual([...commands.map(([name = ""]) => name), ...others].sort(), names)
    }))

  /** Records lines that are durable only at the end, and waits until they were read. */
  const recordLate = Effect.fnUntraced(function*(directory: string, options: StartOptions = {}) {
    const recording = yield* start(["record", "--dir", directory, "--commit", "1h"], options)
    recording.write("a\nb\nc\n")
    yield* untilAppended(directory, 3)
    return recording
  })

  for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const) {
    it.live(`(${signal}) makes a recorder keep what it has read, and end with 0`, () =>
      Effect.gen(function*() {
        const directory = (yield* place)("log")
        const recording = yield* recordLate(directory)
        recording.child.kill(signal)
        const ended = noteCode(yield* recording.ended)
        assert.deepStrictEqual([ended.code, ended.stderr.includes(`ended by ${signal}`)], [0, true], ended.stderr)
        assert.strictEqual((yield* here("replay", "--dir", directory)).stdout, "a\nb\nc\n")
      }))

    it.live(`(${signal}) ends a reader, as the first process of a container too`, (context) =>
      Effect.gen(function*() {
        const at = yield* place
        yield* makeLog(at("log"))
        for (const shell of [undefined, "exec unshare --pid --fork --mount-proc \"$@\""]) {
          if (shell !== undefined && !mayUnshare) return context.skip("needs the right to make a process namespace")
          const running = yield* start(
            ["replay", "--dir", at("log"), "--follow"],
            shell === undefined ? {} : { shell }
          )
          yield* running.prints(/./s)
          if (shell === undefined) running.child.kill(signal)
          else process.kill(childOf(running.child.pid ?? 0), signal)
          assert.strictEqual(noteCode(yield* running.ended).code, 128 + constants.signals[signal])
        }
      }))
  }

  it.live("that comes in several ways at once is one order: nothing is lost", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const recording = yield* recordLate(directory)
      for (const signal of ["SIGSTOP", "SIGTERM", "SIGINT", "SIGHUP", "SIGCONT"] as const) recording.child.kill(signal)
      const ended = noteCode(yield* recording.ended)
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual((yield* here("replay", "--dir", directory)).stdout, "a\nb\nc\n")
    }))

  const bare = (directory: string) => `${process.execPath} ${bin} record --dir ${directory} --commit 1h`
  const parents: ReadonlyArray<readonly [name: string, line: (directory: string) => string]> = [
    ["a shell", (directory) => `sh -c '${bare(directory)}; true'`],
    ["npm", (directory) => `npm --prefix ${directory}/.. run -s record`]
  ]
  for (const [name, line] of parents) {
    for (const [what, end] of [["Ctrl-C", "\u0003"], ["closing", undefined]] as const) {
      it.live.skipIf(!hasScript)(
        `(${what} of a terminal, under ${name}) keeps what was read (needs script)`,
        () =>
          Effect.gen(function*() {
            const at = yield* place
            const directory = at("log")
            writeFileSync(at("package.json"), JSON.stringify({ scripts: { record: bare(directory) } }))
            const terminal = yield* Effect.acquireRelease(
              Effect.sync(() => spawn("script", ["-qfec", line(directory), "/dev/null"], { stdio: "pipe" })),
              (child) => Effect.sync(() => child.kill("SIGKILL"))
            )
            terminal.stdout.resume()
            terminal.stdin.write("a\nb\nc\n")
            yield* untilAppended(directory, 3)
            if (end === undefined) terminal.kill("SIGKILL")
            else terminal.stdin.write(end)
            yield* until(Effect.map(statsOf(directory), ({ heldBy }) => heldBy === null))
            assert.strictEqual((yield* here("replay", "--dir", directory)).stdout, "a\nb\nc\n")
          })
      )
    }
  }

  it.live("that cannot be obeyed is answered every ten seconds with the reason; a later one ends the command", () =>
    Effect.gen(function*() {
      const directory = (yield* place)("log")
      const args = ["record", "--dir", directory, "--segment-bytes", "4KiB", "--threads", "0", "--acks"]
      const recording = yield* start(args, { env: slowly(60_000) })
      // More than the slots have room for, so it waits before the drain already.
      recording.write("a line of some bytes\n".repeat(10_000))
      yield* untilAppended(directory, 1)
      yield* recording.says(/opening a segment/)
      recording.child.kill("SIGTERM")
      const [line] = yield* recording.says(/warning: closing .*/)
      assert.match(line, /has taken 10 s; it waits for \d segments to make durable; .*a kill ends it at once/)
      recording.child.kill("SIGINT")
      assert.strictEqual(noteCode(yield* recording.ended).code, 130)
    }))

  it.live("makes a command finish that has something to finish", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      const recording = yield* start(["record", "--dir", at("new"), "--acks"])
      recording.write("a\n")
      yield* recording.durable(1)
      const maintaining = yield* start(["maintain", "--dir", at("log"), "--max-segments", "2"])
      yield* maintaining.prints(/froze segment 1/)
      for (const { child, ended } of [recording, maintaining]) {
        child.kill("SIGTERM")
        assert.strictEqual(noteCode(yield* ended).code, 0)
      }
      assert.strictEqual((yield* here("replay", "--dir", at("new"))).stdout, "a\n")
    }))
})

describe("exit codes", () => {
  it.live("are those of the document, and each was seen here", () =>
    Effect.gen(function*() {
      noteCode(yield* effectWal(["verify"]))
      const documented = rowsOf("Exit codes").flatMap(([codes = ""]) => codes.split(", ").map(Number))
      assert.deepStrictEqual([...seen].sort((a, b) => a - b), documented)
    }))
})
