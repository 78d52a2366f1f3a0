/**
 * Every relative link and anchor in the project's own pages leads to something that is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

/** Pages by people: those at the root and under docs/, without the API pages that are generated. */
const pages = [
  ...readdirSync(root),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).map((name) => join("docs", name))
].filter((name) => name.endsWith(".md") && !name.startsWith(join("docs", "api")))

const withoutCode = (text: string): string => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").replace(/`[^`\n]*`/g, "``")

/** The anchors of a page, as GitHub makes them from its headings. */
const anchorsOf = (text: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading = ""] of text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
    const anchor = words.replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")
    let unique = anchor
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`
    anchors.add(unique)
  }
  for (const [, id = ""] of text.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id)
  return anchors
}

/** Where the links of a page lead, images included; links to other sites are left out. */
const linksIn = (text: string): ReadonlyArray<string> => {
  const plain = withoutCode(text)
  return [
    ...plain.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g),
    ...plain.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm),
    ...plain.matchAll(/<(?:img|a|source)\b[^>]*\s(?:src|href|srcset)="([^"]+)"/g)
  ].flatMap(([, target]) => target === undefined || /^[a-z][a-z+.-]*:/i.test(target) ? [] : [target])
}

const brokenIn = (page: string, text: string): ReadonlyArray<string> =>
  linksIn(text).filter((link) => {
    const [path = "", anchor] = link.split("#")
    const target = path === "" ? page : relative(root, resolve(root, dirname(page), decodeURI(path)))
    if (target.startsWith("..") || !existsSync(join(root, target))) return true
    if (anchor === undefined) return false
    if (!target.endsWith(".md") || statSync(join(root, target)).isDirectory()) return true
    return !anchorsOf(target === page ? text : readFileSync(join(root, target), "utf8")).has(anchor)
  }).map((link) => `${page}: ${link}`)

describe("links", () => {
  it("lead to files and headings that exist", () => {
    const texts = pages.map((page) => [page, readFileSync(join(root, page), "utf8")] as const)
    assert.isAbove(texts.flatMap(([, text]) => linksIn(text)).length, 10)
    assert.deepStrictEqual(texts.flatMap(([page, text]) => brokenIn(page, text)), [])
  })

  it("are found broken when they are", () => {
    const text =
      "# A `b` C, d\n[x](#a-b-c-d) [x](#nowhere) [x](docs/nowhere.md) [x](LICENSE) [x](../x) `[x](y)` ![x](no.svg)"
    assert.deepStrictEqual(brokenIn("README.md", text), [
      "README.md: #nowhere",
      "README.md: docs/nowhere.md",
      "README.md: ../x",
      "README.md: no.svg"
    ])
  })
})
