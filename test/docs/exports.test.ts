/**
 * Everything that can be imported from the package says what it is, since when, and where it belongs; every module says
 * what it is. The API pages are made from this, and `npm run docs:site` goes further: it asks the same of members.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync } from "node:fs"
import { commentAbove, declarationsIn, entries, exportsOf, publicModules, source, textOf } from "./publicModules.ts"
import type { Declaration } from "./publicModules.ts"

const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

/** What is missing from a comment; a comment that is not there lacks everything. */
const missingFrom = (text: string, tags: ReadonlyArray<string>): ReadonlyArray<string> => {
  const words = text.replace(/@.*/g, "").replace(/[/*\s]/g, "")
  return [...(words === "" ? ["a description"] : []), ...tags.filter((tag) => !new RegExp(`${tag} \\S`).test(text))]
}

const undocumented = (declarations: ReadonlyArray<Declaration>, text: string): ReadonlyArray<string> =>
  declarations.flatMap(({ at, file, name }) => {
    const missing = missingFrom(commentAbove(text, at), ["@since", "@category"])
    return missing.length === 0 ? [] : [`${file}: ${name} lacks ${missing.join(", ")}`]
  })

describe("documentation in the source", () => {
  it("covers everything that can be imported with a description, @since and @category", () => {
    const declarations = publicModules.flatMap(({ file }) => exportsOf(file))
    assert.isAbove(declarations.length, 100)
    assert.deepStrictEqual(declarations.flatMap((each) => undocumented([each], textOf(each.file))), [])
  })

  it("opens every module", () => {
    const silent = files.filter((file) =>
      !/^(#!.*\n)?\/\*\*(?:(?!\*\/)[\s\S])*\w(?:(?!\*\/)[\s\S])*\*\//.test(textOf(file))
    )
    assert.deepStrictEqual(silent, [])
  })

  it("puts every module of the entries into a category", () => {
    const uncategorized = entries.flatMap((entry) => {
      const text = textOf(entry)
      return [...text.matchAll(/^export .*/gm)].filter(
        (line) => missingFrom(commentAbove(text, line.index), ["@since", "@category"]).length > 1
      )
    })
    assert.isAbove(publicModules.length, 20)
    assert.deepStrictEqual(uncategorized.map(([line]) => line), [])
  })

  it("keeps comments within the 120 columns that the formatter keeps for code", () => {
    const long = files.flatMap((file) =>
      textOf(file).split("\n").flatMap((line, index) =>
        line.length > 120 && /^\s*(\/?\*|\/\/)/.test(line) ? [`${file}:${index + 1}`] : []
      )
    )
    assert.deepStrictEqual(long, [])
  })

  it("is missed where it is missing", () => {
    const given = [
      "export const a = 1",
      "/** @since 0.1.0 @category models */\nexport interface B {}",
      "/**\n * What it is.\n *\n * @since 0.1.0\n */\nexport function c() {}",
      "/**\n * What it is.\n *\n * @since 0.1.0\n * @category models\n */\nexport class D {}"
    ]
    assert.deepStrictEqual(given.flatMap((text) => undocumented(declarationsIn("x.ts", text), text)), [
      "x.ts: a lacks a description, @since, @category",
      "x.ts: B lacks a description",
      "x.ts: c lacks @category"
    ])
  })
})
