/**
 * The examples in docstrings, in the README and in docs/ are programs of a user: they are compiled and run against the
 * built package, each in an empty directory, and print what they say they print (`// => text`).
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { markdownExamples, promisesOf, sourceExamples } from "./exampleBlocks.ts"

const root = join(import.meta.dirname, "../..")
const examples = [...sourceExamples(), ...markdownExamples()]

/** A user's project, with the package and what it depends on installed. */
let project = ""
const fileOf = (place: string): string => join(project, `${place.replaceAll(/[^\w]+/g, "-")}.ts`)

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "effect-wal-docs-"))
  mkdirSync(join(project, "node_modules"))
  symlinkSync(root, join(project, "node_modules/effect-wal"))
  for (const name of ["effect", "@effect", "@types"]) {
    symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name))
  }
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }))
  writeFileSync(
    join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2024",
        lib: ["ES2024"],
        types: ["node"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        verbatimModuleSyntax: true,
        skipLibCheck: true,
        noEmit: true
      },
      include: ["*.ts"]
    })
  )
  for (const { code, place } of examples) writeFileSync(fileOf(place), `${code}\n`)
})

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe("the examples of the documentation", () => {
  it("are found", () => {
    assert.isAbove(examples.length, 30)
  })

  it("compile", () => {
    const tsc = join(root, "node_modules/typescript/bin/tsc")
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" })
    assert.strictEqual(stdout, "")
    assert.strictEqual(status, 0)
  })

  it("run to their end, and print what they say", () => {
    const files = examples.map(({ place }) => fileOf(place))
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [join(import.meta.dirname, "runExamples.ts"), ...files],
      { encoding: "utf8", timeout: 240_000 }
    )
    const outputs = new Map(
      stdout.split("\u0001").slice(1).map((text) => {
        const end = text.indexOf("\n")
        return [text.slice(0, end), text.slice(end + 1)] as const
      })
    )
    assert.strictEqual(status, 0, `${[...outputs.keys()].at(-1)}: ${stderr}`)
    for (const example of examples) {
      const output = outputs.get(fileOf(example.place))
      assert.isDefined(output, `${example.place} has run`)
      for (const promise of promisesOf(example)) assert.include(output, promise, example.place)
    }
  })
})
