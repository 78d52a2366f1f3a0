/**
 * What docs/CLI.md promises about the built command: help, exit codes, error lines, completions, broken pipes. The tables of the
 * document are read here, so that what it says and what the command does cannot part.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Completions from "effect/cli/Completions"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { exitCodes } from "../../src/cli/CliFailure.ts"
import { Disk } from "../../src/disk/Disk.ts"
import * as NodeDisk from "../../src/disk/NodeDisk.ts"
import { buildWal, hot, put } from "../fixtures/segments.ts"
import { command, effectWal, here, hereUnread, place, start } from "./commandLine.ts"
import type { StartOptions } from "./commandLine.ts"

const document = fs.readFileSync(fileURLToPath(new URL("../../docs/CLI.md", import.meta.url)), "utf8")

/** The cells of the rows of the table in a section. */
const rowsOf = (section: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [, rest = ""] = document.split(`\n## ${section}\n`)
  const [text = ""] = rest.split("\n## ")
  return text.split("\n").filter((line) => line.startsWith("| ")).slice(1)
    .map((line) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim()))
}

const { subcommands } = Completions.fromCommand(command)

/** The segments of a log: three closed ones and an open one, ids 1 to 130. */
const segments = buildWal({ segments: [40, 40, 40, 10], lastIsOpen: true }).map(hot)

const logWithout = (directory: string, ...indices: ReadonlyArray<number>) =>
  put(directory, ...segments.filter((_, index) => !indices.includes(index))).pipe(Effect.provide(NodeDisk.layer))

const flip = (path: string): void => {
  const bytes = fs.readFileSync(path)
  bytes[bytes.length - 100]! ^= 1
  fs.writeFileSync(path, bytes)
}

describe("help", () => {
  it.live("goes to standard output, lists the commands and has no colours where that is no terminal", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* effectWal(["--help"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.notInclude(stdout, "\u001b")
      for (const { name } of subcommands) assert.match(stdout, new RegExp(`^  ${name} {2,}[A-Z]`, "m"))
      assert.strictEqual((yield* here("--help")).stdout, stdout, "and the same in this process")
    }))

  it.live("lists of every command its flags, an example and the exit codes, as the document does", () =>
    Effect.gen(function*() {
      const rows = new Map(rowsOf("Commands").map(([name = "", flags = ""]) => [name, flags]))
      assert.deepStrictEqual([...rows.keys()].sort(), subcommands.map(({ name }) => `\`${name}\``).sort())
      for (const { flags, name } of subcommands) {
        const { code, stderr, stdout } = yield* here(name, "--help")
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.notInclude(stdout, "\u001b")
        for (const { name: flag } of flags) {
          assert.match(stdout, new RegExp(`^  --${flag}[ ,]`, "m"), `${name} --help lists --${flag}`)
        }
        assert.deepStrictEqual(
          (rows.get(`\`${name}\``) ?? "").split(" "),
          flags.map(({ name }) => `\`--${name}\``),
          `the document lists the flags of ${name}`
        )
        assert.match(stdout, new RegExp(`^EXAMPLES\\n  # .+\\n  .*effect-wal ${name} --dir `, "m"))
        for (const [exitCode, meaning] of exitCodes) assert.include(stdout, `  ${exitCode.padEnd(8)}    ${meaning}\n`)
      }
      assert.deepStrictEqual(rowsOf("Exit codes"), exitCodes.map((row) => [...row]))
    }))
})

interface Case {
  readonly args: ReadonlyArray<string>
  readonly code: number
  /** What reads standard input, and one of each exit code. */
  readonly needsProcess?: boolean
  readonly input?: string
  readonly options?: StartOptions
}

/** A line of the document as a pattern: words in capitals stand for anything. */
const patternOf = (line: string): RegExp => {
  const escaped = line.replace(/\\`/g, "`").replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  return new RegExp(
    `^effect-wal: ${escaped.replace(/\b(?:[A-Z]{2,}|[A-Z])\b/g, (word) => word === "FS" ? word : ".+")}\n$`
  )
}

describe("errors", () => {
  it.live("are one line each, with the exit code and the words that the document has, and it has no others", () =>
    Effect.gen(function*() {
      const at = yield* place
      const [log, held] = [at("log"), at("held")]
      yield* logWithout(log)
      yield* logWithout(at("begun-late"), 0)
      yield* logWithout(at("with-hole"), 1)
      yield* logWithout(at("damaged"))
      flip(join(at("damaged"), "FS.00000001.wal"))
      fs.writeFileSync(at("file"), "")
      fs.mkdirSync(at("closed"), { mode: 0o555 })
      fs.chmodSync(at("."), 0o755)
      fs.mkdirSync(held)
      const lock = Disk.use((disk) => disk.lock(join(held, "wal.lock"))).pipe(Effect.provide(NodeDisk.layer))
      yield* lock
      const port = yield* takenPort
      const stdin = fs.openSync(at("."), "r")
      const isSuperuser = process.getuid?.() === 0
      const nobody = isSuperuser ? { uid: 65534 } : {}
      const of = (code: number, ...args: ReadonlyArray<string>): Case => ({ args, code })
      const recording = (options: StartOptions, input: string, ...args: ReadonlyArray<string>): Case => ({
        args: ["record", ...args],
        code: 1,
        options,
        input,
        needsProcess: true
      })
      const cases: ReadonlyArray<Case> = [
        { args: ["verify", "--dir", at("none")], code: 1, needsProcess: true },
        of(1, "doctor", "--dir", at("none")),
        of(1, "replay", "--dir", at("file")),
        of(1, "record", "--dir", at("file")),
        recording(nobody, "a\n", "--dir", at("closed")),
        recording({}, "a\n", "--dir", held),
        of(1, "maintain", "--dir", held),
        recording({ stdin }, "", "--dir", at("new")),
        recording({}, `a\nb\n${"x".repeat(5000)}\nc\n`, "--dir", at("l"), "--segment-bytes", "4KiB"),
        recording({}, "a line\nand another", "--dir", at("c"), "--framing", "length-prefixed"),
        recording({}, "\x01\0\0\0a\x05\0\0\0b", "--dir", at("m"), "--framing", "length-prefixed"),
        recording({}, "a\n", "--dir", at("new"), "--metrics", String(port)),
        of(1, "replay", "--dir", at("begun-late"), "--from", "1"),
        of(1, "replay", "--dir", at("with-hole")),
        of(1, "export", "--dir", at("damaged")),
        of(1, "dump", "--dir", log, "--segment", "9"),
        of(1, "dump", "--dir", log, "--segment", "0", "--event", "99"),
        of(1, "backup", "--dir", log, "--to", at("file")),
        { args: ["record"], code: 2, needsProcess: true },
        of(2, "verify", "--dir", log, "--nothing"),
        of(2, "rekord"),
        of(2, "record", "--dir", at("new"), "--segment-bytes", "4095"),
        of(2, "replay", "--dir", log, "--from", "9", "--to", "3"),
        of(2, "verify", "--dir", log, "--again"),
        of(2, "dump", "--dir", log, "--segment", "0", "--block", "0", "--event", "1"),
        of(2, "stats", "--dir", log, "--json", "--prometheus")
      ]
      const rows = rowsOf("Errors")
      const said = new Set<ReadonlyArray<string>>()
      yield* Effect.forEach(cases, ({ args, code, input, needsProcess, options }) =>
        Effect.gen(function*() {
          const ended = yield* needsProcess === true ? effectWal(args, input, options) : here(...args)
          const line = ended.stderr
          assert.strictEqual(line.split("\n").length, 2, `one line:\n${line}`)
          assert.strictEqual(ended.code, code, line)
          const row = rows.find(([text = ""]) => patternOf(text.slice(1, -1)).test(line))
          assert.isDefined(row, `the document has no row for: ${line}`)
          assert.strictEqual(row[1], String(code), line)
          said.add(row)
        }), { concurrency: 2 })
      assert.deepStrictEqual(rows.filter((row) => !said.has(row)), [], "rows that nothing says")

      // What came before stays, and nothing is made where nothing can be done.
      assert.strictEqual((yield* here("replay", "--dir", at("l"))).stdout, "a\nb\n")
      assert.strictEqual((yield* here("replay", "--dir", at("m"))).stdout, "a")
      assert.deepStrictEqual(fs.existsSync(at("new")) ? fs.readdirSync(at("new")) : [], [])
    }))

  it.live("say of every flag how its value is written", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
        [["record", "--commit", "soon"], "every, rotate, or a duration of at least 1ms as in 250ms or 2s"],
        [["record", "--commit", "0ms"], "every, rotate, or a duration"],
        [["record", "--segment-bytes", "2GiB"], "a size from 4 KiB to 1 GiB"],
        [["record", "--segment-bytes", "many"], "a size as in 65536, 256KiB or 16MiB"],
        [["record", "--max-segments", "ten"], "--max-segments: \"ten\""],
        [["maintain", "--max-compressed-segments", "all"], "a whole number, or unlimited"],
        [["record", "--metrics", "70000"], "a port from 0 to 65535"],
        [["record", "--framing", "words"], "\"lines\" | \"length-prefixed\""],
        [["replay", "--from", "0"], "an event id, from 1"],
        [["verify", "--rate", "0"], "a size of at least 1 byte, as in 50MiB"],
        [["dump", "--segment", "-1"], "a number from 0"],
        [["export", "--format", "xml"], "\"ndjson\" | \"length-prefixed\""]
      ]
      for (const [[name = "", ...args], says] of wrong) {
        const { code, stderr } = yield* here(name, "--dir", "D", ...args)
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, says)
        assert.strictEqual(stderr.split("\n").length, 2, stderr)
      }
    }))
})

const takenPort = Effect.map(
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof createServer>>((resume) => {
      const server = createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => {
    const address = server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }
)

describe.concurrent("a reader that goes away", () => {
  it.live("ends every command that prints, quietly; what is wrong still ends with 1", () =>
    Effect.gen(function*() {
      const at = yield* place
      const log = at("log")
      yield* logWithout(log)
      yield* logWithout(at("damaged"))
      flip(join(at("damaged"), "FS.00000001.wal"))
      const cases: ReadonlyArray<readonly [code: number, ...args: ReadonlyArray<string>]> = [
        [0, "replay", "--dir", log],
        [0, "export", "--dir", log],
        [0, "inspect", "--dir", log],
        [0, "dump", "--dir", log, "--segment", "0"],
        [0, "stats", "--dir", log],
        [0, "top", "--dir", log],
        [0, "backup", "--dir", log, "--to", at("copy")],
        [1, "verify", "--dir", at("damaged")],
        [1, "repair", "--dir", at("damaged")],
        [1, "backup", "--dir", at("damaged"), "--to", at("damaged-copy")]
      ]
      for (const [code, ...args] of cases) {
        const ended = yield* hereUnread(...args)
        assert.deepStrictEqual([ended.code, ended.stderr], [code, ""], args.join(" "))
      }
      // And with a pipe whose other end has gone.
      for (
        const [code, ...args] of [[0, "--help"], [0, "replay", "--dir", log], [
          1,
          "verify",
          "--dir",
          at("damaged")
        ]] as const
      ) {
        const running = yield* start(args)
        // Long before it has anything to say.
        running.child.stdout.destroy()
        const ended = yield* running.ended
        assert.deepStrictEqual([ended.code, ended.stderr], [code, ""], args.join(" "))
      }
    }))
})

describe.concurrent("signals", () => {
  it.live("end a command that does not take them over as the system does, and a second one those that do", () =>
    Effect.gen(function*() {
      const at = yield* place
      yield* logWithout(at("log"))
      const following = yield* start(["replay", "--dir", at("log"), "--follow"])
      yield* following.prints(/event 130$/)
      following.child.kill("SIGTERM")
      // A shell shows it as 128 + 15.
      assert.strictEqual((yield* following.ended).signal, "SIGTERM")

      // Two that arrive together: the second finds the first one being obeyed. Which is first, the kernel decides.
      const recording = yield* start(["record", "--dir", at("new"), "--acks"])
      recording.write("a\n")
      yield* recording.durable(1)
      for (const signal of ["SIGSTOP", "SIGTERM", "SIGINT", "SIGCONT"] as const) recording.child.kill(signal)
      assert.include([130, 143], (yield* recording.ended).code)
      assert.strictEqual((yield* here("replay", "--dir", at("new"))).stdout, "a\n")
    }))
})

describe.concurrent("completions", () => {
  it.live("complete commands, flags, choices and directories in bash", () =>
    Effect.gen(function*() {
      const at = yield* place
      fs.mkdirSync(at("log-of-today"))
      fs.writeFileSync(at("log-file"), "")
      const { code, stdout } = yield* here("--completions", "bash")
      assert.strictEqual(code, 0)
      const script = at("completions.bash")
      fs.writeFileSync(script, stdout)
      assert.strictEqual(spawnSync("bash", ["-n", script]).status, 0)
      const complete = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
        // As bash calls the function that `complete -p` names.
        const line = `source "$1"; shift
          f=$(complete -p effect-wal | sed -E 's/.*-F ([^ ]+).*/\\1/')
          COMP_WORDS=(effect-wal "$@"); COMP_CWORD=$#; COMP_LINE="\${COMP_WORDS[*]}"; COMP_POINT=\${#COMP_LINE}
          "$f" effect-wal "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
          printf '%s\\n' "\${COMPREPLY[@]}"`
        const bash = spawnSync("bash", ["--norc", "-c", line, "bash", script, ...words], {
          encoding: "utf8",
          cwd: at(".")
        })
        assert.strictEqual(bash.stderr, "")
        return bash.stdout.trim().split("\n")
      }
      assert.deepStrictEqual(complete("ver"), ["verify"])
      assert.deepStrictEqual(complete("re").toSorted(), ["record", "repair", "replay"])
      assert.deepStrictEqual(complete("verify", "--inc"), ["--incremental"])
      assert.deepStrictEqual(complete("replay", "--framing", "len"), ["length-prefixed"])
      assert.deepStrictEqual(complete("inspect", "--dir", "log-"), ["log-of-today"])
    }))
})
