/**
 * The examples of the documentation: blocks under **Example** in docstrings, and `ts` blocks in Markdown.
 */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

/** One example, with where it stands. */
export interface ExampleBlock {
  /** `file:line`. */
  readonly place: string
  readonly code: string
}

const linesOf = (file: string): ReadonlyArray<string> => readFileSync(join(root, file), "utf8").split("\n")

/** Between a line of three backquotes and `ts`, and the next of three backquotes; `strip` takes the docstring's margin off. */
const blocksOf = (file: string, strip: (line: string) => string): Array<ExampleBlock> => {
  const blocks: Array<ExampleBlock> = []
  let begun = -1
  const lines = linesOf(file).map(strip)
  for (const [index, line] of lines.entries()) {
    if (begun < 0 && line.trim() === "```ts") begun = index
    else if (begun >= 0 && line.trim() === "```") {
      blocks.push({ place: `${file}:${begun + 1}`, code: lines.slice(begun + 1, index).join("\n") })
      begun = -1
    }
  }
  return blocks
}

const filesUnder = (folder: string, ending: string): Array<string> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))
    .sort()

/** Those of the docstrings. */
export const sourceExamples = (): Array<ExampleBlock> =>
  filesUnder("src", ".ts").flatMap((file) => blocksOf(file, (line) => line.replace(/^\s*\* ?/, "")))

/** Those of README.md and docs/. */
export const markdownExamples = (): Array<ExampleBlock> =>
  ["README.md", ...filesUnder("docs", ".md")].flatMap((file) => blocksOf(file, (line) => line))

/** What an example says it prints: `// => text`. */
export const promisesOf = (example: ExampleBlock): ReadonlyArray<string> =>
  [...example.code.matchAll(/\/\/ => (.*)$/gm)].map((match) => match[1] ?? "")
