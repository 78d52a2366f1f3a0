/**
 * Every promise of docs/RELIABILITY.md has one number, and names a test that exists. The README refers to promises that
 * exist, and the page lists every planted bug of the simulation.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { plantedStoreBugs } from "../simulation/archive/planted.ts"
import { plantedConsumerBugs } from "../simulation/consumers/planted.ts"
import { plantedBugs } from "../simulation/planted.ts"
import { plantedWorldBugs } from "../simulation/world/planted.ts"

const root = join(import.meta.dirname, "../..")
const textOf = (file: string): string => readFileSync(join(root, file), "utf8")

/** The cells of the rows of a table whose first cell is a number. */
const numberedRows = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text.split("\n").filter((line) => /^\| \d+ \|/.test(line)).map((line) =>
    line.slice(1, -1).split("|").map((cell) => cell.trim())
  )

const [promisesText = "", plantedText = ""] = textOf("docs/RELIABILITY.md").split("\n## ")
  .filter((section) => section.startsWith("Promises\n")).flatMap((section) => section.split("\n### "))
const promises = numberedRows(promisesText)
const numbers = new Set(promises.map(([number]) => number))

/** Whether a test file has a ruling of this name; a parameter may follow it. */
const hasRuling = (file: string, ruling: string): boolean =>
  existsSync(join(root, file)) && ["\"", "`"].some((quote) => textOf(file).includes(`${quote}${ruling}`))

/** In the README the promises are grouped by theme, with their numbers in parentheses. */
const guaranteed = textOf("README.md").split("\n## ").find((section) => section.startsWith("What is guaranteed\n")) ??
  ""

/** `promise 3`, `promises 3 and 4`, `promises 3, 4 and 5`. */
const referencesIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\bpromises? (\d+(?:(?:,| and) \d+)*)/gi)].flatMap(([, list = ""]) => list.match(/\d+/g) ?? [])

describe("docs/RELIABILITY.md", () => {
  it("numbers its promises from 1, without a gap", () => {
    assert.isAbove(promises.length, 20)
    assert.deepStrictEqual(promises.map(([number]) => number), promises.map((_, index) => String(index + 1)))
  })

  it("names for every promise one test that exists", () => {
    const missing = promises.filter(([, , test = ""]) => {
      const [, file = "", ruling = ""] = /^`(test\/[\w/.-]+)`: "([^"]+)"$/.exec(test) ?? []
      return ruling === "" || !hasRuling(file, ruling)
    })
    assert.deepStrictEqual(missing, [])
    assert.isFalse(hasRuling("test/docs/promises.test.ts", ["no such", "ruling"].join(" ")))
  })

  it("lists every planted bug once, under a promise that exists", () => {
    const rows = numberedRows(plantedText)
    const names = rows.flatMap(([, bugs = ""]) => [...bugs.matchAll(/"([^"]+)"/g)].map((match) => match[1]))
    assert.deepStrictEqual(
      names.sort(),
      [...plantedBugs, ...plantedStoreBugs, ...plantedConsumerBugs, ...plantedWorldBugs].map(({ name }) => name).sort()
    )
    assert.deepStrictEqual(rows.filter(([number]) => !numbers.has(number)), [])
  })
})

describe("references to promises", () => {
  it("are made in the README to every promise, and to nothing else", () => {
    const cited = [...guaranteed.matchAll(/\((\d+(?:, \d+)*)\)/g)].flatMap(([, list = ""]) => list.split(", "))
    assert.deepStrictEqual(cited.sort(), [...numbers].sort())
  })

  it("lead to promises that exist, in the pages and in the sources", () => {
    const files = [
      "README.md",
      "SECURITY.md",
      ...readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
      ...readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts")).map((name) => `src/${name}`)
    ]
    const wrong = files.flatMap((file) =>
      referencesIn(textOf(file)).filter((number) => !numbers.has(number)).map((number) => `${file}: ${number}`)
    )
    assert.deepStrictEqual(wrong, [])
    assert.deepStrictEqual(referencesIn("Promises 1, 2 and 3 (promise 99)"), ["1", "2", "3", "99"])
  })
})
