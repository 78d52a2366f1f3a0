/**
 * The house is walked in one direction: a file imports only from its own folder and the folders above it.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../src")

/** From the foundation up. */
const order = [
  "internal",
  "format",
  "shared",
  "telemetry",
  "disk",
  "testing",
  "reading",
  "maintainer",
  "recorder",
  "cli"
]

const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

const importsOf = (file: string): Array<string> =>
  [...readFileSync(join(root, file), "utf8").matchAll(/(?:from|import) "(\.[^"]+|node:[^"]+|[^"]+)"/g)].flatMap(
    (match) => match[1] ?? []
  )

const folderOf = (file: string): string => file.split("/")[0] ?? ""

describe("imports", () => {
  it("go from a folder to itself or to a folder above it", () => {
    const wrong: Array<string> = []
    for (const file of files) {
      if (file === "index.ts") continue
      const from = order.indexOf(folderOf(file))
      assert.isAtLeast(from, 0, `${file} lies in a folder that the order names`)
      for (const imported of importsOf(file).filter((name) => name.startsWith("."))) {
        const target = relative(root, resolve(root, dirname(file), imported))
        const to = order.indexOf(folderOf(target))
        if (to < 0 || to > from) wrong.push(`${file} imports ${target}`)
      }
    }
    assert.deepStrictEqual(wrong, [])
  })

  it("reach the file system through one door; beside it a thread looks up its number in /proc", () => {
    const doors = files.filter((file) => importsOf(file).some((name) => /^(node:)?fs(\/promises)?$/.test(name)))
    assert.deepStrictEqual(doors, ["disk/NodeDisk.ts", "maintainer/compressor/threadPriority.ts"])
  })

  it("of the index are re-exports of everything but the command line", () => {
    const text = readFileSync(join(root, "index.ts"), "utf8")
    assert.isFalse(text.includes("./cli/"))
    const statements = text.replace(/\/\*[\s\S]*?\*\//g, "").split("\n").filter((line) => line.trim() !== "")
    assert.deepStrictEqual(statements.filter((line) => !line.startsWith("export ")), [])
  })
})
