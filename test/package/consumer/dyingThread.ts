/** A maintainer thread that dies once in its log's life, when something has been recorded. */
import { existsSync, writeFileSync } from "node:fs"
import { workerData } from "node:worker_threads"

await import("effect-wal/maintainerThread")

const mark = `${workerData.options.directory}.died`
if (!existsSync(mark)) {
  writeFileSync(mark, "")
  setTimeout(() => process.exit(3), 300)
}
