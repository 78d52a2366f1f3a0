/** How commands end: every exit code of docs/CLI.md, by signals, by a reader that goes away, and by what they find. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { effectWal, here, place, slowly, start, subcommands } from "./commandLine.ts"
import type { Ended } from "./commandLine.ts"
import { rowsOf } from "./document.ts"
import { makeDamagedLog, makeLog } from "./logs.ts"

const seen = new Set<number>()

const noteCode = (ended: Ended): Ended => {
  seen.add(ended.code)
  return ended
}

const names = subcommands.map(({ name }) => name).sort()

describe("a reader that goes away", () => {
  /** What holds, and what finds something: the code stays. */
  const cases = (
    at: (name: string) => string
  ): ReadonlyArray<readonly [code: number, ...args: ReadonlyArray<string>]> => [
    [0, "replay", "--dir", at("log")],
    [0, "export", "--dir", at("log")],
    [0, "inspect", "--dir", at("log")],
    [0, "dump", "--dir", at("log"), "--segment", "0"],
    [0, "stats", "--dir", at("log")],
    [0, "top", "--dir", at("log")],
    [0, "backup", "--dir", at("log"), "--to", at("copy")],
    [0, "verify", "--dir", at("log")],
    [1, "verify", "--dir", at("damaged")],
    [1, "repair", "--dir", at("damaged")],
    [1, "backup", "--dir", at("damaged"), "--to", at("damaged-copy")],
    [0, "record", "--dir", at("new"), "--acks", "--json"],
    [0, "free", "--dir", at("log"), "--before", "2"],
    [0, "maintain", "--dir", at("log"), "--max-segments", "2"]
  ]

  it.live("ends every command quietly; what is wrong still ends with 1", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      yield* makeDamagedLog(at("damaged"))
      yield* Effect.forEach(cases(at), ([code, ...args]) =>
        Effect.scoped(Effect.gen(function*() {
          const running = yield* start(args)
          // Long before it has anything to say.
          running.child.stdout.destroy()
          const ended = noteCode(yield* running.end("a\n"))
          assert.deepStrictEqual([ended.code, ended.stderr], [code, ""], args.join(" "))
        })), { concurrency: 2 })
      assert.strictEqual((yield* here("replay", "--dir", at("new"))).stdout, "a\n", "and a recorder goes on recording")
      const tried = new Set(cases(at).map(([, name]) => name))
      // Its report is measured for seconds: see below.
      assert.deepStrictEqual(names.filter((name) => !tried.has(name)), ["doctor"])
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
      // Those have something to finish; the tests of `doctor`, `top`, `record` and `maintain` end them.
      const others = ["doctor", "maintain", "record", "top"]
      assert.deepStrictEqual([...commands.map(([name = ""]) => name), ...others].sort(), names)
    }))

  it.live("makes a command finish that has something to finish; a second one ends it at once", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* makeLog(at("log"))
      const recording = yield* start(["record", "--dir", at("new"), "--acks"])
      recording.write("a\n")
      yield* recording.durable(1)
      const maintaining = yield* start(["maintain", "--dir", at("log"), "--max-segments", "2"])
      yield* maintaining.prints(/froze segment 1/)
      for (const { child, ended } of [recording, maintaining]) {
        // Two that arrive together: the second finds the first one being obeyed. Which is first, the kernel decides.
        for (const signal of ["SIGSTOP", "SIGTERM", "SIGINT", "SIGCONT"] as const) child.kill(signal)
        assert.include([130, 143], noteCode(yield* ended).code)
      }
      assert.strictEqual((yield* here("replay", "--dir", at("new"))).stdout, "a\n")
      // What a signal ended at once, the next one finds as a crash leaves it, and finishes.
      const next = yield* start(["record", "--dir", at("new"), "--acks"])
      next.write("b\n")
      yield* next.durable(2)
      next.child.kill("SIGTERM")
      assert.strictEqual(noteCode(yield* next.ended).code, 0)
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
