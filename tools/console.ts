/**
 * Tries the console's page in a browser: `npm run test:console`. It needs Chromium (Debian's package `chromium`), or
 * the browser that `EFFECT_WAL_CHROMIUM` names, and from a registry what drives it; where one of them is missing it
 * says so, and tries nothing. `EFFECT_WAL_PICTURES=FOLDER` keeps pictures of the page.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

const root = join(import.meta.dirname, "..")

const found = (process.env.PATH ?? "").split(delimiter).flatMap((folder) =>
  ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name))
).find((path) => existsSync(path))
const browser = process.env.EFFECT_WAL_CHROMIUM ?? found

const skip = (reason: string): never => {
  process.stdout.write(`${reason}, so the console's page is SKIPPED\n`)
  process.exit(0)
}

if (browser === undefined) skip("there is no chromium here")
if (!existsSync(join(root, "page/node_modules/playwright-core"))) {
  try {
    execFileSync("npm", ["ci", "--prefix", "page", "--prefer-offline", "--no-audit", "--no-fund"], {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"]
    })
  } catch {
    skip("what drives a browser cannot be installed here")
  }
}
const vitest = join(root, "node_modules/vitest/vitest.mjs")
const { status } = spawnSync(process.execPath, [vitest, "run", "--config", "vitest.page.config.ts"], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, EFFECT_WAL_CHROMIUM: browser }
})
process.exit(status ?? 1)
