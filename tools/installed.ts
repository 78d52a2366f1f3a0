/**
 * The maintainers' tools have a package of their own, so that `npm ci` at the root stays light and none of them can become
 * a dependency of the library. They are installed when one of them is first wanted.
 */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, readFileSync, realpathSync } from "node:fs"
import { join } from "node:path"

const modules = join(import.meta.dirname, "node_modules")
const asked = join(import.meta.dirname, "package-lock.json")

/** What was asked for when `npm ci` last ran. What is optional may be missing from `modules`. */
const installed = join(modules, ".installed-lock.json")

const isStale = (): boolean => !existsSync(installed) || readFileSync(installed, "utf8") !== readFileSync(asked, "utf8")

/** Installs the tools unless they are there. What npm said is in the error when it fails. */
export const installTools = (): void => {
  if (!isStale()) return
  process.stderr.write("The maintainers' tools are not installed yet: running npm ci in tools/ (once).\n")
  execFileSync("npm", ["ci", "--prefer-offline", "--fetch-retries=1", "--no-audit", "--no-fund"], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "pipe"],
    shell: process.platform === "win32"
  })
  copyFileSync(asked, installed)
}

/** The file that a tool's command stands for. */
export const toolPath = (command: string): string => realpathSync(join(modules, ".bin", command))
