/** A maintainer thread that dies once in its log's life, when something has been recorded. */
import { existsSync, writeFileSync } from "node:fs"

await import("effect-wal/maintainerThread")

const mark = process.env["MARK_OF_DEATH"] ?? ""
if (!existsSync(mark)) {
  writeFileSync(mark, "")
  setTimeout(() => process.exit(3), 300)
}
