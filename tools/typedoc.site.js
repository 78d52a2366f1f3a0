/**
 * The documentation as one static site: the guide, every page of `docs/` and the API, with a search over all of it. A
 * link that leads nowhere, to a page or to a heading in it, fails the build.
 */
import { readdirSync } from "node:fs"
import { join } from "node:path"

/** A page is called what its first heading says, and not what its file is called. */
const nameByHeading = (app) => {
  app.converter.on("createDocument", (_context, document) => {
    const heading = /^# (.+)\n/.exec(document.content[0].text)
    if (heading === null) throw new Error(`${document.name} does not begin with a heading`)
    document.name = heading[1]
  })
}

/** Headings that are code get an anchor, as they do elsewhere: TypeDoc makes anchors of a heading's text alone. */
const anchorsOfCode = (parser) => {
  parser.core.ruler.push("anchors-of-code", ({ Token, tokens }) => {
    for (const [index, token] of tokens.entries()) {
      if (tokens[index - 1]?.type !== "heading_open") continue
      token.children = token.children.flatMap((child) => {
        if (child.type !== "code_inline") return [child]
        const parts = [["html_inline", "<code>"], ["text", child.content], ["html_inline", "</code>"]]
        return parts.map(([type, content]) => Object.assign(new Token(type, "", 0), { content }))
      })
    }
  })
}

/** In the order of the navigation: who operates comes before who changes. */
const pages = [
  "OPERATIONS",
  "CONFIGURATION",
  "CLI",
  "CONSOLE",
  "STORES",
  "ARCHIVE",
  "FAILOVER",
  "MANY",
  "RELIABILITY",
  "PERFORMANCE",
  "COMPATIBILITY",
  "ARCHITECTURE",
  "FORMAT",
  "CONTRIBUTING"
]

for (const file of readdirSync(join(import.meta.dirname, "../docs"))) {
  if (file.endsWith(".md") && !pages.includes(file.slice(0, -3))) throw new Error(`docs/${file} is no page of the site`)
}

export default {
  extends: ["./typedoc.json"],
  plugin: [nameByHeading],
  markdownItLoader: anchorsOfCode,
  out: "../docs/site",
  readme: "../README.md",
  projectDocuments: [...pages.map((page) => `../docs/${page}.md`), "../CHANGELOG.md", "../SECURITY.md"],
  // Sources are in the package; where they are on the web is not known here.
  disableSources: true,
  searchInComments: true,
  searchInDocuments: true
}
