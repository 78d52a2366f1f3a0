/** The manual page: it has every command and flag, and `man` shows it without a complaint. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { manPage, manPagePath } from "../../tools/manPage.ts"
import { place, subcommands } from "./commandLine.ts"

const macros = ["TH", "SH", "SS", "TP", "PP", "RS", "RE", "EX", "EE"]

const has = (program: string, ...args: ReadonlyArray<string>): boolean => spawnSync(program, args).status === 0

/** What the page says, as a reader sees it. */
const shown = (page: string): string =>
  page.replaceAll(/\\f[BIR]/g, "").replaceAll("\\-", "-").replaceAll("\\&", "").replaceAll("\\e", "\\")

describe("the manual page", () => {
  it.live("has every command with all of its flags, and the exit codes", () =>
    Effect.gen(function*() {
      const page = yield* manPage
      const lines = page.split("\n")
      const strange = lines.filter((line) =>
        line.startsWith(".") ? !macros.includes(/^\.(\w*)/.exec(line)?.[1] ?? "") : line.startsWith("'")
      )
      assert.deepStrictEqual(strange, [], "lines that are no text and no macro of man(7)")
      for (const macro of ["RS", "EX"]) {
        const end = macro === "RS" ? ".RE" : ".EE"
        const begun = lines.filter((line) => line.startsWith(`.${macro}`)).length
        assert.strictEqual(lines.filter((line) => line === end).length, begun)
      }
      const sections = shown(page).split(/^\.S[SH] /m)
      for (const { flags, name } of subcommands) {
        const section = sections.find((text) => text.startsWith(`${name}\n`)) ?? ""
        assert.include(section, `effect-wal ${name}`)
        for (const flag of flags) {
          assert.match(section, new RegExp(`^\\.TP\\n.*--${flag.name}\\b.*\\n\\S`, "m"), `${name} --${flag.name}`)
        }
      }
      assert.isAtLeast(subcommands.length, 20)
      assert.match(shown(page), /^\.SH EXIT STATUS\n\.TP\n0\ndone/m)
    }))

  it("lies where the package says that it does", () => {
    const { files, man } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"))
    assert.deepStrictEqual(man, [`./${manPagePath}`])
    assert.include(files, "man")
  })

  it.live.skipIf(!has("man", "--version"))(
    "is shown by man, without a complaint (needs man)",
    () =>
      Effect.gen(function*() {
        const file = (yield* place)("effect-wal.1")
        writeFileSync(file, yield* manPage)
        const env = { ...process.env, MANWIDTH: "80", LC_ALL: "C.UTF-8", MAN_KEEP_FORMATTING: "", PAGER: "cat" }
        const { status, stderr, stdout } = spawnSync("man", ["--warnings=mac,syntax,escape", "-l", file], {
          encoding: "utf8",
          env
        })
        assert.deepStrictEqual([status, stderr], [0, ""])
        for (const { name } of subcommands) assert.match(stdout, new RegExp(`^   ${name}$`, "m"))
        assert.include(stdout.replaceAll(/\s+/g, " "), "effect-wal append --to ./log.sock < app.log")
      })
  )

  it.live.skipIf(!has("mandoc", "-Tlint", "/dev/null"))(
    "is correct for mandoc, too (needs mandoc)",
    () =>
      Effect.gen(function*() {
        const file = (yield* place)("effect-wal.1")
        writeFileSync(file, yield* manPage)
        const { stdout } = spawnSync("mandoc", ["-Tlint", "-Werror", file], { encoding: "utf8" })
        assert.strictEqual(stdout, "")
      })
  )
})
