/** What docs/CLI.md says of commands, flags and exit codes is what the command says of itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cpSync, readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { exitCodes } from "../../src/cli/terminal/CliFailure.ts"
import { bin, commandNames, effectWal, here, place, subcommands } from "./commandLine.ts"
import type { Ended } from "./commandLine.ts"
import { rowsOf } from "./document.ts"

/** The text of a help that was asked for. */
const textOf = ({ code, stderr, stdout }: Ended): string => {
  assert.deepStrictEqual([code, stderr], [0, ""])
  const width = Math.max(...exitCodes.map(([code]) => code.length))
  for (const [exitCode, meaning] of exitCodes) assert.include(stdout, `  ${exitCode.padEnd(width)}    ${meaning}\n`)
  return stdout
}

describe("help", () => {
  it.live("lists the commands, and says what exit codes mean, as the document does", () =>
    Effect.gen(function*() {
      const stdout = textOf(yield* effectWal(["--help"]))
      assert.notInclude(stdout, "\u001b", "no colours where standard output is no terminal")
      for (const name of commandNames) assert.match(stdout, new RegExp(`^  ${name} {2,}[A-Z]`, "m"))
      assert.deepStrictEqual(rowsOf("Exit codes"), exitCodes.map((row) => [...row]))
    }))

  it.live("lists of every command of the document its flags and an example, and there are no other commands", () =>
    Effect.gen(function*() {
      const rows = rowsOf("Commands").map(([name = "", flags = ""]) => ({ name, flags: flags.match(/[\w-]+/g) ?? [] }))
      assert.deepStrictEqual(
        rows,
        subcommands.map(({ flags, name }) => ({ name, flags: flags.map((flag) => `--${flag.name}`) }))
      )
      yield* Effect.forEach(rows, ({ flags, name }) =>
        Effect.gen(function*() {
          const stdout = textOf(yield* here(...name.split(" "), "--help"))
          for (const flag of flags) {
            assert.match(stdout, new RegExp(`^  ${flag}[ ,]`, "m"), `${name} --help lists ${flag}`)
          }
          assert.match(
            stdout,
            new RegExp(`^EXAMPLES\\n  # .+\\n  .*effect-wal ${name} (--(dir|archive|to|from) |\\w)`, "m")
          )
        }))
    }))
})

describe("the version", () => {
  it.live("is told in the same words wherever it is asked for", () =>
    Effect.gen(function*() {
      const told = yield* here("record", "--version")
      assert.match(told.stdout, /^effect-wal v\d+\.\d+\.\d+\n$/)
      for (const flag of ["--version", "-v"]) {
        const { code, stderr, stdout } = yield* effectWal([flag])
        assert.deepStrictEqual([code, stdout, stderr], [0, told.stdout, ""])
      }
    }))

  it.live("is told without the command line being loaded", () =>
    Effect.gen(function*() {
      const at = yield* place
      const folder = dirname(bin)
      const names = readdirSync(folder).filter((name) => /^(effect-wal|version-[\w-]+)\.js$/.test(name))
      for (const name of names) cpSync(join(folder, name), at(`programs/all/${name}`))
      cpSync(join(folder, "../../package.json"), at("package.json"))
      const copy = { bin: at("programs/all/effect-wal.js") }
      assert.strictEqual((yield* effectWal(["--version"], "", copy)).code, 0)
      assert.notStrictEqual((yield* effectWal(["--help"], "", copy)).code, 0)
    }))
})
