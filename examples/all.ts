/**
 * Runs every example to its end, one after the other, and fails when one of them does.
 *
 *     npm run examples
 */
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const folder = import.meta.dirname
const vitest = join(folder, "../node_modules/vitest/vitest.mjs")

/** None takes longer than a few seconds; one that hangs is as wrong as one that fails. */
const timeoutMillis = 120_000

const failed: Array<string> = []
for (const name of readdirSync(folder).sort()) {
  if (!name.endsWith(".ts") || name === "all.ts") continue
  const file = join(folder, name)
  const args = name.endsWith(".test.ts") ? [vitest, "run", file] : [file]
  console.log(`\n── ${name} ${"─".repeat(60 - name.length)}`)
  const startMillis = performance.now()
  const { signal, status } = spawnSync(process.execPath, args, {
    cwd: join(folder, ".."),
    stdio: ["ignore", "inherit", "inherit"],
    timeout: timeoutMillis
  })
  const seconds = ((performance.now() - startMillis) / 1000).toFixed(1)
  console.log(
    status === 0 ? `ended after ${seconds} s` : `FAILED after ${seconds} s: ${signal ?? `exit code ${status}`}`
  )
  if (status !== 0) failed.push(name)
}

console.log(failed.length === 0 ? "\nevery example ran to its end" : `\nfailed: ${failed.join(", ")}`)
process.exitCode = failed.length === 0 ? 0 : 1
