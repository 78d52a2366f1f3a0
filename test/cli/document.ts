/** The tables of docs/CLI.md, so that what it says and what the commands do cannot part. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const document = readFileSync(join(import.meta.dirname, "../../docs/CLI.md"), "utf8")

/** The cells of the rows of the table in a section, without backquotes around a whole cell. */
export const rowsOf = (section: string): ReadonlyArray<ReadonlyArray<string>> => {
  const [, rest = ""] = document.split(`\n## ${section}\n`)
  const [text = ""] = rest.split("\n## ")
  return text.split("\n").filter((line) => line.startsWith("| ")).slice(1)
    .map((line) =>
      line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/^`((?:[^`\\]|\\.)*)`$/, "$1"))
    )
}

/** A line of the document as a pattern for one on standard error: words in capitals stand for anything. */
export const patternOf = (line: string): RegExp => {
  const escaped = line.replace(/\\`/g, "`").replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  return new RegExp(
    `^effect-wal: ${escaped.replace(/\b(?:[A-Z]{2,}|[A-Z])\b/g, (word) => word === "FS" ? word : ".+")}$`
  )
}
