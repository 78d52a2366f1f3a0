/**
 * Everything that is exported says what it is, since when, and where it belongs; so does every module. The API pages are
 * made from this, and `npm run docs` goes further: it asks the same of members.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../../src")
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))

const docComment = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/

/** What is missing from a comment; a comment that is not there lacks everything. */
const missingFrom = (comment: string | undefined, tags: ReadonlyArray<string>): ReadonlyArray<string> => {
  const text = comment ?? ""
  const words = text.replace(/@.*/g, "").replace(/[/*\s]/g, "")
  return [...(words === "" ? ["a description"] : []), ...tags.filter((tag) => !new RegExp(`${tag} \\S`).test(text))]
}

const undocumented = (file: string, text: string): ReadonlyArray<string> =>
  [...text.matchAll(
    /^export (?:default |declare |abstract |async )*(const|function|class|interface|type|enum) (\w+)/gm
  )]
    .flatMap((found) => {
      const comment = docComment.exec(text.slice(0, found.index))?.[0]
      const missing = missingFrom(comment, ["@since", "@category"])
      return missing.length === 0 ? [] : [`${file}: ${found[2]} lacks ${missing.join(", ")}`]
    })

describe("documentation in the source", () => {
  const texts = files.map((file) => [file, readFileSync(join(root, file), "utf8")] as const)

  it("covers every export with a description, @since and @category", () => {
    const exports = texts.flatMap(([, text]) => [...text.matchAll(/^export (?!\*|\{|type \{)/gm)])
    assert.isAbove(exports.length, 400)
    assert.deepStrictEqual(texts.flatMap(([file, text]) => undocumented(file, text)), [])
  })

  it("opens every module", () => {
    const silent = texts.filter(([, text]) =>
      !/^(#!.*\n)?\/\*\*(?:(?!\*\/)[\s\S])*\w(?:(?!\*\/)[\s\S])*\*\//.test(text)
    )
    assert.deepStrictEqual(silent.map(([file]) => file), [])
  })

  it("puts every module of the index into a category", () => {
    const index = readFileSync(join(root, "index.ts"), "utf8")
    const lines = [...index.matchAll(/^export .*/gm)]
    assert.isAbove(lines.length, 40)
    const uncategorized = lines.filter(
      (line) => missingFrom(docComment.exec(index.slice(0, line.index))?.[0], ["@since", "@category"]).length > 1
    )
    assert.deepStrictEqual(uncategorized.map(([line]) => line), [])
  })

  it("is missed where it is missing", () => {
    const given = [
      "export const a = 1",
      "/** @since 0.1.0 @category models */\nexport interface B {}",
      "/**\n * What it is.\n *\n * @since 0.1.0\n */\nexport function c() {}",
      "/**\n * What it is.\n *\n * @since 0.1.0\n * @category models\n */\nexport class D {}"
    ]
    assert.deepStrictEqual(given.flatMap((text) => undocumented("x.ts", text)), [
      "x.ts: a lacks a description, @since, @category",
      "x.ts: B lacks a description",
      "x.ts: c lacks @category"
    ])
  })
})
