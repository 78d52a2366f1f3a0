/**
 * Runs examples one after the other in this process, each in a directory of its own, as a script would run there. Says on
 * standard output which one is running; what an example fails with ends the process.
 *
 *     node runExamples.ts EXAMPLE…
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

for (const file of process.argv.slice(2)) {
  process.stdout.write(`\u0001${file}\n`)
  const directory = mkdtempSync(join(tmpdir(), "effect-wal-doc-"))
  process.chdir(directory)
  await import(pathToFileURL(file).href)
  process.chdir(tmpdir())
  rmSync(directory, { recursive: true })
}
process.stdout.write("\u0001end\n")
