/**
 * Puts the files of the console's page into a module of the package, so that users need no build step and no file beside
 * their program. To be run after a change in `page/`: `npm run page`.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

/** The names of the texts, and the files that they are in. */
const files = { html: "page.html", css: "page.css", script: "page.mjs", icon: "icon.svg" } as const

/** Indentation and blank lines are for those who read the sources, which are not in the package. */
const linesOf = (file: string): ReadonlyArray<string> =>
  readFileSync(join(root, "page", file), "utf8").split("\n").map((line) => line.trimEnd()).filter((line) => line !== "")

/** The text of the module. */
export const pageModule = (): string => {
  const texts = Object.entries(files).map(([name, file]) =>
    [
      `/** \`page/${file}\`. */`,
      `export const ${name}: string = [`,
      linesOf(file).map((line) => `  ${JSON.stringify(line)}`).join(",\n"),
      `].join("\\n")`
    ].join("\n")
  )
  return [
    "/** The files of the console's page, as `npm run page` has put them here. Change those in `page/` instead. */",
    "",
    texts.join("\n\n"),
    ""
  ].join("\n")
}

/** Where the module is. */
export const pageModulePath = join(root, "src/console/pageFiles.ts")

if (import.meta.main) writeFileSync(pageModulePath, pageModule())
